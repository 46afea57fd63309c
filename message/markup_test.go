package message

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// cutPlainly is what golang.org/x/net/html makes of HTML, one line for each text or tag.
func cutPlainly(text string) []string {
	var list []string
	z := html.NewTokenizer(strings.NewReader(text))
	for {
		switch kind := z.Next(); kind {
		case html.ErrorToken:
			return list
		case html.TextToken:
			list = appendText(list, string(z.Text()))
		case html.StartTagToken, html.SelfClosingTagToken, html.EndTagToken:
			name, more := z.TagName()
			line := fmt.Sprintf("start %q", name)
			if kind == html.EndTagToken {
				line = fmt.Sprintf("end %q", name)
			}
			for more {
				var key, value []byte
				key, value, more = z.TagAttr()
				line += fmt.Sprintf(" %q=%q", key, value)
			}
			list = append(list, line)
		}
	}
}

// appendText adds a text; texts with nothing but a comment between them are one.
func appendText(list []string, text string) []string {
	if n := len(list); n > 0 && strings.HasPrefix(list[n-1], "text ") {
		list[n-1] += text
		return list
	}
	return append(list, "text "+text)
}

// cutFast is what markup makes of it.
func cutFast(text string) []string {
	var list []string
	m := markup{html: []byte(text)}
	for {
		switch kind := m.next(); kind {
		case noPiece:
			return list
		case textPiece:
			list = appendText(list, string(m.shown()))
		case endPiece:
			list = append(list, fmt.Sprintf("end %q", m.name))
		case startPiece:
			line := fmt.Sprintf("start %q", m.name)
			var known [][]byte
			for _, a := range m.attrs {
				key := slices.Clone(m.key(a))
				if !slices.ContainsFunc(known, func(k []byte) bool { return bytes.Equal(k, key) }) {
					known = append(known, key)
					line += fmt.Sprintf(" %q=%q", key, m.value(a))
				}
			}
			list = append(list, line)
		}
	}
}

func FuzzMarkup(f *testing.F) {
	for _, s := range []string{
		"", "<", "</", "<a", "<a ", "<a b", "<a b=", "<a b='", "<a b='c'", "<a b=c>", "<a b=c/>", "<a/b>", "<a / b / >", "<a =b>", "<a b = c d>", "<a b\r\n=\r\n'c\r\nd\re'>",
		"a<b>c</b>d", "a < b <c", "1<2>3", "</>", "</ a>x", "</a b=c>d", "<A HREF=X Href=y>Z</A>", "<a b=\"1>2\">", "<a b='\x00' \x00c>\x00</\x00a><d\x00>",
		"<!-->a-->b", "<!--->a-->b", "<!----!>a", "<!--a--!>b", "<!--a--!-->b", "<!--a--!x-->b", "<!--a--", "<!-", "<!", "<!doctype html>a", "<!a>b", "<?xml a>b", "<!>a", "<![CDATA[a]]>b",
		"<title>a&amp;b</title>c", "<style>a&amp;<b></styles></style >c", "<textarea>\x00&lt;</TEXTAREA/>d", "<xmp></xm</xmp>", "<plaintext>a</plaintext>b", "<noscript><a></noscript>", "<iframe/>a</iframe",
		"<script>a</script>b", "<script><!--a</script>b", "<script><!--<script>a</script>b</script>c", "<script><!-- <x </script>a", "<script><!--<script </script><a>", "<script></script>", "<script><!-->a</script>b",
		"&amp;&lt&gt=&notit;&#65;&#x41;&#X41;&#0;&#128;&#xd800;&#99999999;&#;&#x;&;&eacute;&eacute&fjlig;&semi;&ampx&a#b&amp&lt;&#65&CounterClockwiseContourIntegral;&nbsp",
		"<a b='&amp;&lt&gt=&notit;&#65;&#x41;&#X41;&#0;&#128;&#xd800;&#99999999;&#;&#x;&;&eacute;&eacute&fjlig;&semi;&ampx&a#b&amp&lt;&#65&not=&not;=&copy' c=&lt d=&amp=e>",
		"a\r\nb\rc\n\r", "<pre>\r", "\xff<\xff>&\xff;", "<a b=c b=d>", "<a\fb>",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got, want := cutFast(text), cutPlainly(text); !slices.Equal(got, want) {
			t.Fatalf("%q:\ngot  %q\nwant %q", text, got, want)
		}
	})
}

// TestMarkupLikeTokenizer: however the signs of HTML are thrown together.
func TestMarkupLikeTokenizer(t *testing.T) {
	signs := strings.Split("<;>;/;=;\";';!;-;--;<!--;-->;<a ;<p>;</p>;</;<script>;</script>;<!--<script>;<style>;</style;<title>;</TITLE>;<plaintext>;<textarea/>;href;HREF;b; ;\n;\r;\r\n;\x00;\xff;é;&;&amp;&#65;&lt;&notit;&#x;#;x;x", ";")
	signs = append(signs, ";", "&amp;", "&#233;", "&#x20ac;", "&nbsp;", "&eacute;", "&euro;")
	random := rand.New(rand.NewPCG(8, 9))
	for range 60_000 {
		var b strings.Builder
		for range 1 + random.IntN(16) {
			b.WriteString(signs[random.IntN(len(signs))])
		}
		text := b.String()
		if got, want := cutFast(text), cutPlainly(text); !slices.Equal(got, want) {
			t.Fatalf("%q:\ngot  %q\nwant %q", text, got, want)
		}
	}
}
