package bombs

import (
	"fmt"
	"strings"
)

// What the filter keeps of one mail, in octets.
const (
	MaxHeader = 1 << 20
	MaxBody   = 512 << 10
)

// Known are shapes that have been dear once, or are to some reader: each had to be found
// by somebody.
var Known = []Shape{
	{Name: "open literals", Field: "Reply-To", Pattern: []string{"\uff20\t=?x?q?a?=["}},
	{Name: "decoders for each word", Field: "To", Pattern: []string{"=?big5?B?GyRC?= "}},
	{Name: "charsets in turn", Field: "From", Pattern: []string{"=?iso-2022-jp?b?GyRC?=b=", "g:=?gbk?q?=81=30?="}},
	{Name: "words in words", Field: "Sender", Pattern: []string{"bob%dbob%d=?x?q?a?=&@=?utf-8?b?a@x.fr\""}},
	{Name: "IDNA", Field: "From", Pattern: []string{".a@é%d.fr", "=40=?iso-8859-15?q?=A4?=\uff20xn--"}},
	{Name: "long labels", Field: "To", Pattern: []string{"a@" + strings.Repeat("\u4e00\u4e01\u4e02\u4e03", 80) + ","}},
	{Name: "unparsable recipients", Field: "To", Pattern: []string{"Durand, Bob <bob%d@x.fr>; "}},
	{Name: "100,000 recipients", Field: "To", Pattern: []string{"b%d@x.fr,"}},
	{Name: "comments", Field: "Cc", Pattern: []string{"a@("}},
	{Name: "brackets", Field: "Message-ID", Pattern: []string{"<("}},
	{Name: "identifiers", Field: "References", Pattern: []string{"<a%d@x.fr> "}},
	{Name: "ways to unsubscribe", Field: "List-Unsubscribe", Pattern: []string{"<https://x.fr/%d>,"}},
	{Name: "folds", Field: "Subject", Pattern: []string{"a\n "}},
	{Name: "parameters", Field: "Content-Type", Pattern: []string{"; a*%d=b"}},
	{Name: "nested divs", Type: "text/html", Pattern: []string{"<div>"}},
	{Name: "rows and styles", Type: "text/html", Times: 8, Begin: []string{"& &{<select><option>"}, Pattern: []string{"<font color=#12345%d>p,p,p{</p><p>:is(p,p,p){color:red}"}},
	{Name: "formatting", Type: "text/html", Times: 2, Begin: []string{"<b>"}, Pattern: []string{"<font color=#12345%d><i>.a{<li>:"}},
	{Name: "lists in quoted-printable", Type: "text/html\nquoted-printable", Times: 16, Begin: []string{"=<a href=mailto:a@x.fr><math>"}, Pattern: []string{"<li>&#x41;"}},
	{Name: "selectors of parents", Type: "text/html", Times: 1, Begin: []string{"<style>.a{", strings.Repeat("&", 60), "{", strings.Repeat("&", 60), "{", strings.Repeat("&", 60), "{", strings.Repeat("&", 60), "{"}, Pattern: []string{"&&&&{"}},
	{Name: "lists in lists", Type: "text/html", Times: 1, Begin: []string{"<style>"}, Pattern: []string{"p,p,p,p,p,p,p,p,p,p,p,p,p,p{"}},
	{Name: "tests of attributes", Type: "text/html", Times: 900, Begin: []string{"<style>p[title*=x] b{color:red}</style>"}, Pattern: []string{"<p title='" + strings.Repeat("word ", 1000) + "'><b>a"}},
	{Name: "selectors", Type: "text/html", Times: 1000, Begin: []string{"<style>p p p p:not(.a){color:red}</style>"}, Pattern: []string{"<p><span>a"}},
	{Name: "attributes", Type: "text/html", Times: 1, Begin: []string{"<p "}, Pattern: []string{"a%d=b "}},
	{Name: "a style", Type: "text/html", Times: 1, Begin: []string{"<p style='"}, Pattern: []string{"color:#12345%d;"}},
	{Name: "entities", Type: "text/html", Pattern: []string{"&#x41;&amp;&nope;"}},
	{Name: "links", Type: "text/html", Pattern: []string{"<a href=https://x.fr/%d>unsubscribe</a> "}},
	{Name: "links in text", Type: "text/plain", Pattern: []string{"http://x.fr/%d "}},
	{Name: "words", Type: "text/plain", Pattern: []string{"word%d "}},
	{Name: "UTF-7", Type: "text/html; charset=utf-7", Pattern: []string{"+AGEAYgBj-"}},
	{Name: "base64", Type: "text/html\nbase64", Pattern: []string{"PGRpdj48Yj4="}},
	{Name: "10,000 parts", Type: "multipart/mixed; boundary=b", Pattern: []string{"--b\n\n"}},
	{Name: "nested parts", Type: "multipart/mixed; boundary=b0", Times: 1, Begin: []string{"--b0\n"}, Pattern: []string{"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n"}},
	{Name: "mails in mails", Type: "message/rfc822", Pattern: []string{"Content-Type: message/rfc822\n\n"}},
	{Name: "header of a part", Type: "multipart/mixed; boundary=b", Times: 1, Begin: []string{"--b\n"}, Pattern: []string{"A%d: b\n"}},
	{Name: "calendar", Type: "text/calendar", Times: 1, Begin: []string{"BEGIN:VEVENT\nSUMMARY:a"}, Pattern: []string{"\n a"}},
}

// Size is the largest that the filter looks at of the shape.
func (s Shape) Size() int {
	if s.Field != "" {
		return MaxHeader - 2000 // the other fields, and names
	}
	return MaxBody
}

// Fields is a mail with so many fields.
func Fields(n int) Bomb {
	b := Shape{Name: fmt.Sprintf("%d fields", n), Type: "text/plain", Pattern: []string{"a"}}.Make(10, true)
	for i := len(b.Header); i < n; i++ {
		b.Header = append(b.Header, Field{fmt.Sprintf("X-%d", i), "a"})
	}
	return b
}
