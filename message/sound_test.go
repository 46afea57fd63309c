package message

import (
	"strings"
	"testing"
)

// TestSound: a style that a browser passes over hides nothing, however near it is to one
// that it does not.
func TestSound(t *testing.T) {
	const text = "<p class=x>SEEN"
	for _, css := range []string{
		// Parts that are no rules of their own.
		`({}.x{display:none}`, `a"{}.x{display:none}`, `@import url("a"; .x{display:none}`, `.a{b:(}.x{display:none}`, `.a{b:[}.x{display:none}]}`,
		`.a\2c .x{display:none}`, `.a\,.x{display:none}`, `.a{b:'c` + "\n" + `}.x{display:none}`, `.x{d:e\;display:none}`, `.x{d:(;display:none}`, `.x{d:[;display:none;]}`,
		`.x{display:no/**/ne}`, `.x{display:no<!--ne}`, `.x{display:no-->ne}`, `.x{display:none/*`, `[{].x{display:none}`, strings.Repeat("(", maxSound+1) + `.x{display:none}`,
		// Lists in which one is no selector.
		`.x,4{display:none}`, `.x,{display:none}`, `.x,,p{display:none}`, `.x,::nobody{display:none}`, `.x,:nobody{display:none}`, `.x,:hover(1){display:none}`, `.x,#1a{display:none}`,
		`.x,.1a{display:none}`, `.x,.-1{display:none}`, `.x,[a!=b]{display:none}`, `.x,[a=]{display:none}`, `.x,[a=1]{display:none}`, `.x,[1]{display:none}`, `.x,[]{display:none}`,
		`.x,a>{display:none}`, `.x,:not(:nobody){display:none}`, `.x,:not(){display:none}`, `.x,*p{display:none}`, `.x,a&&b{display:none}`,
		// Selectors that ask for what is not so.
		`.x:nth-child(7){display:none}`, `.x:last-of-type:first-of-type{display:none}`, `.x+.x{display:none}`, `b~.x{display:none}`, `:is(.x:nth-child(7)){display:none}`,
	} {
		if got := readHTML("<style>" + css + "</style>" + text).Text; !strings.Contains(got, "SEEN") {
			t.Errorf("%s: got %q, want it shown", css, got)
		}
	}
	for _, tag := range []string{`media=print`, `MEDIA="not all"`, `media="tv, speech"`, `type=text/less`, `type=" text/css"`, `media="(min-width:9000px)"`, `media=print media=all`} {
		if got := readHTML("<style " + tag + ">.x{display:none}</style>" + text).Text; !strings.Contains(got, "SEEN") {
			t.Errorf("style %s: got %q, want it shown", tag, got)
		}
	}
	for _, around := range []string{"<template>%</template>", "<select>%</select>"} {
		html := strings.Replace(around, "%", "<style>.x{display:none}</style>", 1) + text
		if got := readHTML(html).Text; !strings.Contains(got, "SEEN") {
			t.Errorf("%s: got %q, want it shown", html, got)
		}
	}
	for _, css := range []string{"display:no/**/ne", "a:(;display:none", "a:[;display:none;]", "a:{;display:none;}", `a:\;display:none`, "a:';\ndisplay:none", "a:);display:none"} {
		if got := readHTML(`<p style="` + css + `">SEEN`).Text; got != "SEEN" {
			t.Errorf("style attribute %q: got %q, want it shown", css, got)
		}
	}
}

// TestSoundHides: styles as people write them hide what they hide.
func TestSoundHides(t *testing.T) {
	for _, css := range []string{
		`.x{display:none}`, `<!-- .x{display:none} -->`, "<!--\n.a{b:c}\n.x{display:none}\n-->", `/* a's */ .x /* b */ { /**/display: none /* c */ }`, `p.x, a:hover, a::before, td[class="a b"], [a=b i], #-a, td > .b{display:none}`,
		`@font-face{font-family:"A";src:url(https://a.example/a.woff2) format('woff2')} .x{display:none!important}`, `@media print{.a{b:c}} .x{display:none}`, `@media (min-width:1px){.x{display:none}}`,
		`.a{background:url("data:image/png;base64,iVBOR/+=")} .x{display:none}`, `.a{content:"\201C}("} .x{display:none}`, `.x{dis\70lay:none}`, `.É,.x{display:none}`, `a:not(.b):first-child,.x{display:none}`,
	} {
		html := "<style>" + css + "</style><p class=x>not<div>seen"
		if got := readHTML(html).Text; got != "seen" {
			t.Errorf("%s: got %q, want it hidden", css, got)
		}
	}
	for _, css := range []string{"display:none", "background:url(a.png) no-repeat;display:none", `font-family:"A, B";display:none`, "/* a */display:none", "color:rgb(1,2,3);display:none;", "display:none /*"} {
		want := ""
		if strings.HasSuffix(css, "/*") {
			want = "not"
		}
		if got := readHTML(`<p style='` + css + `'>not`).Text; got != want {
			t.Errorf("style attribute %q: got %q, want %q", css, got, want)
		}
	}
}

// TestCapitals: in a text with a doctype capitals in classes and ids count, and in one without
// they do not.
func TestCapitals(t *testing.T) {
	for _, html := range []string{
		`<style>.x{display:none}</style><p class=X>SEEN`, `<style>.X{display:none}</style><p class=x>SEEN`, `<style>#x{display:none}</style><p id=X>SEEN`,
		`<style>.x{display:none}.X{color:red}</style><p class=X>SEEN`, `<style>.x{display:none}</style><p class="a X">SEEN`,
	} {
		surely := ReadSurely([]Field{{"Content-Type", "text/html"}}, []byte(html))
		if got := readHTML("<!doctype html>" + html).Text; got != "SEEN" || surely.Text != "" {
			t.Errorf("%s: got %q and surely %q, want it shown and not surely", html, got, surely.Text)
		}
	}
	for _, html := range []string{`<style>.Xy{display:none}</style><p class="a Xy">not`, `<style>#Xy{display:none}</style><p id=Xy>not`, `<style>P{DISPLAY:NONE}</style><p>not`} {
		if got := readHTML(html).Text; got != "" {
			t.Errorf("%s: got %q, want it hidden", html, got)
		}
	}
}
