package message

import (
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMade: what a browser shows of styles and attributes is no text that is seen, and is
// counted as text that is hidden.
func TestMade(t *testing.T) {
	const long = "this text is made by a style and has more than forty letters in all"
	for _, html := range []string{
		`<style>p::before{content:"TEXT"}</style><p>`, `<style>p::before{content:'TEXT'}</style><p>`, `<style>P::BEFORE{CONTENT:"TEXT"}</style><p>`, `<style>p{color:red;content : "TEXT"</style><p>`,
		`<style>@media screen{p::after{color:red;content:"a" attr(x) "TEXT"}}</style><p>`, `<style>p::after{c\6fntent:/**/"TEXT"}</style><p>`, `<style>:root{--t:"TEXT"}p::before{content:var(--t)}</style><p>`,
		`<style>@counter-style x{system:cyclic;symbols:"TEXT"}li{list-style:x}</style><li>`, `<style>li{list-style-type:"TEXT"}</style><li>`, `<style>q{quotes:"TEXT" ""}</style><q></q>`,
		`<style>p::before{background:url("a;b");content:"TEXT"}</style><p>`, `<style>p::before{content:"TEXT`,
		`<li style="list-style:'TEXT'">`, `<p style='--t:"TEXT"'>`, `<style>p::before{content:attr(title)}</style><p title="TEXT">`, `<style>p::before{content:"x" attr( DATA-A string , "y")}</style><p data-a="TEXT">`,
		`<optgroup label="TEXT">`, `<input placeholder="TEXT">`, `<textarea placeholder="TEXT"></textarea>`,
	} {
		html = strings.ReplaceAll(html, "TEXT", long)
		if got := readHTML(html); got.Hides != HidesMuch || strings.Contains(got.Text, "made") {
			t.Errorf("%s: hides %d, text %q", html, got.Hides, got.Text)
		}
		if all := ReadAll(htmlField, []byte(html)); strings.Count(all.Text, long) != 1 {
			t.Errorf("%s: got %q in all, want the text once", html, all.Text)
		}
	}
	words := `<style>p.a::before{content:"one"}p.b::before{content:"two"}</style><p class=a></p>three<p class=b></p>`
	if got := ReadAll(htmlField, []byte(words)).Text; got != "one two\nthree" {
		t.Errorf("words of several strings: got %q", got)
	}
}

// TestMadeNone: strings in styles that nobody reads are no text.
func TestMadeNone(t *testing.T) {
	const long = "this text is no text though it has more than forty letters in all"
	for _, html := range []string{
		`<style>p{font-family:"TEXT"}</style><p>`, `<style>@import "TEXT";</style><p>`, `<style>p{background:url("TEXT")}</style><p>`, `<style>p[title="TEXT"]{color:red}</style><p>`,
		`<style>@font-face{font-family:x;src:local("TEXT")}</style><p>`, `<style>.content{font:12px "TEXT"}</style><p>`, `<style>p{content:url("TEXT")}</style><p>`, `<style>/* p::before{content:"TEXT"} */</style><p>`,
		`<p style="font-family:'TEXT'">`, `<p title="TEXT">`, `<style>p{width:attr(title)}</style><p title="TEXT">`, `<img alt="">`,
		`<style>@media print{a:after{content:" (" attr(href) ")"}}</style><a href="https://client.example/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa">x</a>`,
	} {
		html = strings.ReplaceAll(html, "TEXT", long)
		if got := readHTML(html); got.Hides != HidesLittle {
			t.Errorf("%s: hides %d", html, got.Hides)
		}
		if all := ReadAll(htmlField, []byte(html)); strings.Contains(all.Text, "text is") {
			t.Errorf("%s: got %q in all", html, all.Text)
		}
	}
	cell := `<td data-label="The head of a column">x</td>`
	if got := readHTML(`<style>td::before{content:attr(data-label)}</style><table>` + strings.Repeat(cell, 50)); got.Hides != HidesLittle {
		t.Error("the head of a column is counted beside each of its cells")
	}
}

// TestMadeCost: a declaration that never ends is read once.
func TestMadeCost(t *testing.T) {
	for _, css := range []string{`p{content:` + repeat(`"a"`, 400_000), `p{` + repeat(`"a"`, 400_000), `p{content` + repeat(` attr(a)`, 400_000), `p{content:` + repeat(`attr(`, 400_000), repeat(`'`, 400_000), repeat(`--a:"`, 400_000)} {
		runtime.LockOSThread()
		begin := processorTime(t)
		ReadBody(htmlField, []byte("<style>"+css+"</style><p a=b>x"))
		took := processorTime(t) - begin
		runtime.UnlockOSThread()
		if took > time.Second { // a tenth of it on a free machine
			t.Errorf("%.20s: %v", css, took)
		}
	}
}
