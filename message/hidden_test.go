package message

import (
	"fmt"
	"strings"
	"testing"
)

var htmlField = []Field{{"Content-Type", "text/html; charset=utf-8"}}

// TestReadAll: what styles hide is read too, and what is no text of the letter is not.
func TestReadAll(t *testing.T) {
	for _, c := range []struct{ html, want string }{
		{`<p style="display:none">one<p>two`, "one\ntwo"},
		{`<p hidden>one</p><b style="color:#fff">two</b>`, "one\ntwo"},
		{`<div style="position:absolute;left:-9999px"><p>one<p>two</div>three`, "one\ntwo\nthree"},
		{`<p style="visibility:hidden">one<b style="visibility:visible">two</b></p>`, "onetwo"},
		{`<p style="clip-path:inset(50%)">one</p>`, "one"},
		{`<title>not</title><style>not</style><script>not</script><template>not</template><!-- not -->one`, "one"},
		{`<p style="display:none">one<script>not</script></p>`, "one"},
		{`<template style="display:block">not</template><iframe style="display:block">not</iframe>one`, "one"},
	} {
		if got := ReadAll(htmlField, []byte(c.html)).Text; got != c.want {
			t.Errorf("%s: got %q, want %q", c.html, got, c.want)
		}
	}
	link := ReadAll(htmlField, []byte(`<p style="display:none"><a href="https://x.fr/">one</a></p>`))
	if len(link.Links) != 1 {
		t.Errorf("the links are %v, want the hidden one", link.Links)
	}
}

// TestStyleMakesText: a browser shows the content of what is no text where a style gives it a
// display. No mail program need, so it is not surely seen.
func TestStyleMakesText(t *testing.T) {
	for _, html := range []string{
		`<title style="display:block">SEEN</title>`, `<style style="all:unset">SEEN</style>`, `<script style="display:inline">SEEN</script>`, `<style>.a{display:block}</style><title class=a>SEEN</title>`,
		`<noembed style="display:contents">SEEN</noembed>`, `<datalist style="display:block">SEEN</datalist>`, `<style>b>.a{display:block}</style><b><title class=a>SEEN</title></b>`,
	} {
		got, surely := ReadBody(htmlField, []byte(html)), ReadSurely(htmlField, []byte(html))
		if got.Text != "SEEN" || surely.Text != "" {
			t.Errorf("%s: got %q and surely %q, want it shown and not surely", html, got.Text, surely.Text)
		}
	}
	for _, html := range []string{`<title style="display:none">not</title>`, `<title style="color:red">not</title>`, `<div style="display:none"><title style="display:block">not</title></div>`} {
		if got := readHTML(html).Text; got != "" {
			t.Errorf("%s: got %q, want it hidden", html, got)
		}
	}
}

// TestHides: how much is hidden, on either side of each bound.
func TestHides(t *testing.T) {
	of := func(hidden, seen int) string {
		return `<p style="visibility:hidden">` + strings.Repeat("h", hidden) + "</p>" + strings.Repeat("s", seen)
	}
	away := func(hidden, seen int) string {
		return strings.Replace(of(hidden, seen), "visibility:hidden", "display:none", 1)
	}
	filler := `<div style="display:none">A word before` + strings.Repeat(" &nbsp;&zwnj;&#847;&#8203;\u00ad\r\n", 300) + "</div>"
	for name, c := range map[string]struct {
		html string
		want Hiding
	}{
		"nothing hidden":           {of(0, 100), HidesLittle},
		"nothing at all":           {"", HidesLittle},
		"39 octets":                {of(39, 0), HidesLittle},
		"40 octets":                {of(40, 0), HidesMuch},
		"41 octets":                {of(41, 0), HidesMuch},
		"over a fourth of seen":    {of(40, 4*40-1), HidesMuch},
		"a fourth of seen":         {of(40, 4*40), HidesLittle},
		"under a fourth of seen":   {of(40, 4*40+1), HidesLittle},
		"199 octets":               {of(199, 0), HidesMuch},
		"200 octets":               {of(200, 0), HidesMost},
		"201 octets":               {of(201, 0), HidesMost},
		"over half of seen":        {of(200, 2*200-1), HidesMost},
		"half of seen":             {of(200, 2*200), HidesMuch},
		"under half of seen":       {of(200, 2*200+1), HidesMuch},
		"199 octets away":          {away(199, 40), HidesLittle},
		"200 octets away":          {away(200, 0), HidesMost},
		"away, nothing seen":       {away(40, 0), HidesMuch},
		"away, an octet seen":      {away(40, 1), HidesLittle},
		"200 away, half of seen":   {away(200, 2*200), HidesMuch},
		"200 away, a fourth":       {away(200, 4*200), HidesLittle},
		"away and hidden":          {of(40, 0) + away(199, 0), HidesMost},
		"away and hidden, seen":    {away(100, 100) + of(40, 40), HidesMuch},
		"away, and too little":     {away(100, 40) + of(39, 0), HidesLittle},
		"away for some":            {`<style>p{display:none} b p{visibility:hidden;display:block}</style><b>` + strings.Repeat("<p>hhhhhhhhhh", 4) + "</b>", HidesMuch},
		"blanks without width":     {filler + "seen", HidesLittle},
		"what is no text":          {"<style>" + strings.Repeat(".a{color:red}", 50) + "</style><title>" + strings.Repeat("x", 300) + "</title>seen", HidesLittle},
		"a comment":                {"<!--" + strings.Repeat("x", 300) + "-->seen", HidesLittle},
		"what some readers see":    {`<p style="clip-path:inset(50%)">` + strings.Repeat("x", 300), HidesLittle},
		"narrow screens' own text": {`<style>.m{display:none} @media (max-width:600px){.m{display:block}}</style><p class=m>` + strings.Repeat("x", 300), HidesLittle},
		"too intricate":            {manyFonts(60) + "seen", HidesMost},
	} {
		if got := readHTML(c.html).Hides; got != c.want {
			t.Errorf("%s: hides %d, want %d", name, got, c.want)
		}
	}
}

// manyFonts are so many elements in each other, all different.
func manyFonts(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "<font style='font-size:%dpx'>", 10+i)
	}
	return b.String()
}

// TestHidesBeside: what is read only because a style hides the rest is not held against
// what is hidden; what is seen beside it is.
func TestHidesBeside(t *testing.T) {
	const hidden = "Content-Type: text/html\r\n\r\n<p style='visibility:hidden'>"
	text := strings.Repeat("seen ", 100)
	parts := func(kind string, list ...string) Body {
		return ReadBody([]Field{{"Content-Type", "multipart/" + kind + "; boundary=b"}}, []byte("--b\r\n"+strings.Join(list, "\r\n--b\r\n")+"\r\n--b--\r\n"))
	}
	few, many := hidden+strings.Repeat("h", 40), hidden+strings.Repeat("h", 200)
	alternatives := func(html string) string {
		return "Content-Type: multipart/alternative; boundary=a\r\n\r\n--a\r\n\r\n" + text + "\r\n--a\r\n" + html + "\r\n--a--"
	}
	for name, c := range map[string]struct {
		body Body
		want Hiding
	}{
		"another alternative":              {parts("alternative", "\r\n"+text, many), HidesMost},
		"an attachment":                    {parts("mixed", many, "Content-Disposition: attachment\r\n\r\n"+text), HidesMost},
		"a part of its own":                {parts("mixed", many, "\r\n"+text), HidesMuch},
		"alternatives behind another part": {parts("mixed", few, alternatives("Content-Type: text/html\r\n\r\n<p>"+text)), HidesLittle},
		"and one that shows nothing":       {parts("mixed", few, alternatives(few)), HidesMuch},
	} {
		if c.body.Hides != c.want {
			t.Errorf("%s: hides %d, want %d; text %q", name, c.body.Hides, c.want, c.body.Text)
		}
	}
}

// TestReadAllOfBroken: where the structure cannot be followed, ReadAll has what could be
// read, as nobody sees the rest.
func TestReadAllOfBroken(t *testing.T) {
	fields := []Field{{"Content-Type", "multipart/mixed; boundary=b"}}
	body := []byte("before\r\n--b\r\n\r\nseen\r\n--b\r\nX: y\r\nContent-Transfer-Encoding: x-none\r\n\r\n\r\n--b--\r\n")
	if got := ReadBody(fields, body); got.Raw == "" || !strings.Contains(got.Text, "before") {
		t.Errorf("got %q, raw %q; want the undecoded body", got.Text, got.Raw)
	}
	if got := ReadAll(fields, body); got.Raw == "" || got.Text != "seen" {
		t.Errorf("got %q, raw %q; want the text only", got.Text, got.Raw)
	}
}
