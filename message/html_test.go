package message

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func readHTML(text string) Body {
	return ReadBody([]Field{{"Content-Type", "text/html; charset=utf-8"}}, []byte(text))
}

// TestVisible: "seen" is what a browser shows of each text, "not" never is.
func TestVisible(t *testing.T) {
	for _, c := range []struct{ html, want string }{
		{"<p>seen</p>", "seen"},
		{"seen &amp; s&eacute;en&nbsp;<br>seen", "seen & séen\nseen"},
		{"se<b></b>e<!-- not -->n<span></span>", "seen"},
		{"s&#8203;e&shy;e&zwnj;n", "seen"},
		{"e\u0301te\u0301 s\u0336een", "été seen"},
		{"<title>not</title><style>not</style><script>not</script>seen<template>not</template>", "seen"},
		{"<noscript>seen</noscript><iframe>not</iframe>", "seen"},
		{"<head>seen</head>", "seen"},
		{"<p>one<p>two<div>three</div>four", "one\ntwo\nthree\nfour"},
		{"<table><tr><td>one<td>two<tr><td>three</table>", "one\ntwo\nthree"},
		{"<pre>one\ntwo</pre>", "one\ntwo"},
		{"one\ntwo", "one two"},
		{`<div style="display:inline">se</div><div style="display:inline">en</div>`, "seen"},
		{`<span style="display:block">one</span>two`, "one\ntwo"},
		{`se<div style="display:none">not</div>en`, "seen"},

		{`<p hidden>not</p>seen`, "seen"},
		{`<p style="display:none">not</p>seen`, "seen"},
		{`<p style="DISPLAY : None ! important">not</p>seen`, "seen"},
		{`<p style="d\69 splay:/**/none">not</p>seen`, "seen"},
		{`<p style="display:none;display:block">seen</p>`, "seen"},
		{`<p style="display:none !important;display:block">not</p>seen`, "seen"},
		{`<p style="background:url('a;b');display:none">not</p>seen`, "seen"},
		{`<p style="visibility:hidden">not<b style="visibility:visible">seen</b></p>`, "seen"},
		{`<p style="display:none">not<b style="display:block">not</b></p>seen`, "seen"},
		{`<table><tr><td style="font-size:0px">not<div style="font-size:13px">seen</div></table>`, "seen"},
		{`<p style="font-size:0">not<b style="font-size:2em">not</b></p>seen`, "seen"},
		{`<p style="font-size:0;font-size:xyz">not</p>seen`, "seen"},
		{`<p style="font-size:1px">not</p><p style="font-size:2.9px">not</p><p style="font-size:3px">seen</p>`, "seen"},
		{`<p style="font:0/0 Arial">not</p><p style="font: bold 12px Arial">seen</p>`, "seen"},
		{`<p style="font-size:50%">seen</p>`, "seen"},
		{`<p style="opacity:0">not</p><p style="opacity:.07">not</p><p style="opacity:0.071">seen</p>`, "seen"},
		{`<p style="height:0;overflow:hidden">not</p><p style="height:0">seen</p><p style="overflow:hidden">seen</p>`, "seen\nseen"},
		{`<p style="max-height:0px;overflow:hidden">not</p><p style="width:0;overflow:hidden">not</p>seen`, "seen"},
		{`<p style="text-indent:-9999px">seen</p><p style="text-indent:-499px">seen</p>`, "seen\nseen"}, // the lines after the first one are
		{`<p style="position:absolute;left:-9999px">not</p><p style="left:-9999px">seen</p>`, "seen"},
		{`<p style="position:absolute;clip:rect(0,0,0,0)">not</p><p style="transform:scale(0)">not</p>seen`, "seen"},
		{`<p style="display:none;display:nonsense">not</p><p style="display:none;display:initial">seen</p>`, "seen"},
		{`<p style="visibility:hidden">not<b style="visibility:inherit">not</b></p><p style="visibility:hidden;visibility:x">not</p>seen`, "seen"},
		{`<p style="opacity:0;opacity:x">not</p><p style="height:0;overflow:hidden;height:x;overflow:x">not</p>seen`, "seen"},
		{`<p style="height:0;overflow:hidden;height:auto">seen</p><p style="text-indent:-999px;text-indent:0">seen</p>`, "seen\nseen"},
		{`<p style="font-size:0">not<b style="font-size:initial">seen</b><b style="font-size:larger">not</b><b style="font-size:-9px">not</b></p>`, "seen"},
		{`<p style="font-size:0;font-size:9pxx">not</p>seen`, "seen"},
		{`<p style="background-image:url(a.png);background-color:#fff;color:#fff">seen</p><p style="background:url(a);background:#fff;color:#fff">not</p>`, "seen"},
		{`<p style="mso-hide:all">seen</p>`, "seen"}, // by all readers but one

		{`<p style="color:#fff">not</p>seen`, "seen"},
		{`<p style="color:white">not</p><p style="color:#FFFFFE">not</p><p style="color:rgb(255,255,255)">not</p>seen`, "seen"},
		{`<p style="color:#eee">not</p><p style="color:#ededed">seen</p>`, "seen"},
		{`<p style="color:hsl(0,0%,100%)">not</p><p style="color:transparent">not</p><p style="color:rgba(0,0,0,.07)">not</p><p style="color:#00000011">not</p><p style="color:#00000012">seen</p>`, "seen"},
		{`<p style="color:#fff;color:nonsense">not</p><p style="color:papayawhip;background:PapayaWhip">not</p>seen`, "seen"},
		{`<p style="color:var(--x)">seen</p><p style="color:#fff"><font color="nonsense">seen</font>not</p>`, "seen\nseen"},
		{`<p style="color:#fff"><a href="https://x.fr/" style="color:inherit">not</a></p>seen`, "seen"},
		{`<font color=white>not</font><font color="#fff">not</font>seen`, "seen"},
		{`<table bgcolor="000000"><tr><td style="color:#fff">seen</td><td>not</td></tr></table>`, "seen"},
		{`<div style="background:#000 none;color:#000">not<b style="color:#ccc">seen</b></div>`, "seen"},
		{`<table background="a.png"><tr><td style="color:#fff">seen</td></tr></table>`, "seen"},
		{`<div style="background-image:url(a.png);color:#fff">seen</div>`, "seen"},
		{`<body bgcolor=black text=white>seen<font color=black>not</font>`, "seen"},
		{`<body style="background:#000">not<p style="color:#fff">seen`, "seen"},

		{`<style>.a{display:none}</style><p class="x a">not</p><p class="ab">seen</p>`, "seen"},
		{`<p class="a">not</p>seen<style>p.a, .b { display : none }</style>`, "seen"},
		{`<style>#a{display:none} i{display:none}</style><p id=a>not</p><i>not</i>seen`, "seen"},
		{`<style>div.a{display:none}</style><p class="a">seen</p>`, "seen"},
		{`<!--<style>.a{display:none}</style>--><p class="a">seen</p>`, "seen"},
		{`<style>@media (max-width:600px){.a{display:none}} .b{display:none}</style><p class="a">seen</p><p class=b>not</p>`, "seen"},
		{`<style>@media print, only  screen { .a{display:none} .b{display:none} } .c{display:none}</style><p class=a>not</p><p class=b>not</p><p class=c>not</p>seen`, "seen"},
		{`<style>@media print{ .a{display:none} } .c{display:none}</style><p class=a>seen</p><p class=c>not</p>`, "seen"},
		{`<style>@import "x"; .b{display:none}</style><p class=b>not</p>seen`, "seen"},
		{`<style>.a:hover{display:none} .c .a{display:none}</style><p class="a">seen</p>`, "seen"},
		{`<style>.a{display:none}</style><p class="a" style="display:block">seen</p>`, "seen"},
		{`<style>.a{display:none!important}</style><p class="a" style="display:block">not</p>seen`, "seen"},
		{`<style><!-- .a{display:none} --></style><p class="a">not</p>seen`, "seen"},
		{`<style>.a{display:none}.a{display:block}</style><p class="a">seen</p>`, "seen"},

		// What ends where, as HTML 13.2.6 has it.
		{`<div hidden><span></div>seen`, "seen"},
		{`<span hidden>not<div>not</span>not</div>not</span>seen`, "seen"},
		{`<b hidden>not<p>not</b>seen</p>seen`, "seen\nseen"},
		{`<p><b hidden>not</p>not</b>seen`, "seen"},
		{`<b><div hidden>not</b>not</div>seen`, "seen"},
		{`<p hidden>not<p>seen`, "seen"},
		{`<ul><li hidden>not<li>seen</ul>`, "seen"},
		{`<div hidden></p></span></td>not</div>seen`, "seen"},
		{`<table hidden>seen<tr><td>not</td></tr></table>`, "seen"},
		{`<table><b hidden>not<tr><td>seen</td></tr></table>not</b>seen`, "seen\nseen"},
		{`<table><tr><td><b hidden>not<td>seen</table>seen`, "seen\nseen"},
		{`<td hidden>seen</td>`, "seen"},
		{`<o:p hidden>not</o:p>seen`, "seen"},
		{`<div hidden/>not</div>seen`, "seen"},
		{`<br hidden>seen<img hidden>seen`, "seenseen"},
		{`seen</body></html>seen<div hidden>not`, "seenseen"},
		{`<a style="display:none" href="https://x.fr">not<a href="https://y.fr">seen</a>`, "seen"},
		{`<h1 hidden>not</h2>seen`, "seen"},

		{`<img src=a alt="seen"><img alt="not"><img src=a width=1 height=1 alt=not>`, "seen"},
		{`<input type=hidden value=not><input type=submit value="seen">`, "seen"},
		{"seen<!-- not", "seen"},
		{"seen<script>not", "seen"},
		{"seen<p not", "seen"},
		{"<![if !mso]>seen<![endif]><!--[if mso]>not<![endif]-->", "seen"},
	} {
		if got := readHTML(c.html); got.Text != c.want || got.Raw != "" {
			t.Errorf("%s\ngot  %q %s\nwant %q", c.html, got.Text, got.Raw, c.want)
		}
	}
}

func TestLinks(t *testing.T) {
	for _, c := range []struct {
		html string
		want []Link
	}{
		{`<p>before <a href=" https://x.fr/u?a=1&amp;b=2 "> un<b>sub</b>scribe </a> after</p><p>other</p>`,
			[]Link{{"https://x.fr/u?a=1&b=2", "unsubscribe", "before unsubscribe after"}}},
		{`one<br><a href="mailto:a@x.fr?subject=off">two</a><br>three`, []Link{{"mailto:a@x.fr?subject=off", "two", "one\ntwo\nthree"}}},
		{`<a href="#">x</a><a href="">x</a><a>x</a><a href="javascript:x">x</a><a href="data:x">x</a><a href="cid:x">x</a><a href="/u">x</a><a href="https://">x</a><a href="mailto:">x</a><a href="{{u}}">x</a>`, nil},
		{`<a style="display:none" href="https://x.fr/">x</a><a href="https://x.fr/"></a><a href="https://x.fr/"> </a><a href="https://x.fr/"><span hidden>x</span></a>`, nil},
		{`<p style="color:#fff"><a href="https://x.fr/">blue</a> not</p>`, []Link{{"https://x.fr/", "blue", "blue"}}},
		{`<a style="color:#fff" href="https://x.fr/">x</a><a href="https://x.fr/"><font color=white>x</font></a>`, nil},
		{`<body link=white><a href="https://x.fr/">x</a>`, nil},
		{`<a href="https://x.fr/"><img src="b.png" alt="Off"></a>`, []Link{{"https://x.fr/", "Off", "Off"}}},
		{`<a href="https://x.fr/"><img src="b.png"></a>`, []Link{{"https://x.fr/", "", ""}}},
		{`<a href="https://x.fr/"><img src="b.png" width=1 height=1></a><a href="https://x.fr/"><img alt=x></a>`, nil},
		{`<p>a <a href="https://x.fr/">b</p><p>c</a> d</p>`, []Link{{"https://x.fr/", "b\nc", "a b\nc d"}}},
		{`<a href="https://x.fr/">a<a href="https://y.fr/">b`, []Link{{"https://x.fr/", "a", "ab"}, {"https://y.fr/", "b", "ab"}}},
		{`<a href="https://x.fr/"><div>a</div></a>`, []Link{{"https://x.fr/", "a", "a"}}},
		{`<base href="https://x.fr/d/"><a href="u">x</a><a href="#a">y</a>`, []Link{{"https://x.fr/d/u", "x", "xy"}}},
		{`<a href="ht` + "\n" + `tps://x.fr/">x</a>`, []Link{{"https://x.fr/", "x", "x"}}},
		{`write to off@x.fr, or see www.x.fr. Or <a href="https://y.fr/">https://z.fr/</a>`, []Link{
			{"mailto:off@x.fr", "", "write to off@x.fr, or see www.x.fr. Or https://z.fr/"},
			{"http://www.x.fr", "", "write to off@x.fr, or see www.x.fr. Or https://z.fr/"},
			{"https://y.fr/", "https://z.fr/", "write to off@x.fr, or see www.x.fr. Or https://z.fr/"}}},
		{`<form action="https://x.fr/u">mail <input type=submit value=Off><button>Out</button><button type=reset>No</button></form>`,
			[]Link{{"https://x.fr/u", "Off", "mail OffOutNo"}, {"https://x.fr/u", "Out", "mail OffOutNo"}}},
		{`<form action="https://x.fr/"><button>see <a href="https://y.fr/">https://y.fr/</a></button></form>`,
			[]Link{{"https://x.fr/", "see https://y.fr/", "see https://y.fr/"}, {"https://y.fr/", "https://y.fr/", "see https://y.fr/"}}},
		{`<map>text <area href="https://x.fr/" alt=" Off  it "></map>`, []Link{{"https://x.fr/", "Off it", "text"}}},
		{`<table><tr><td>left</td><td><a href="https://x.fr/">right</a></td></tr><tr><td>other</td></tr></table>`,
			[]Link{{"https://x.fr/", "right", "left\nright"}}},
	} {
		if diff := cmp.Diff(c.want, readHTML(c.html).Links); diff != "" {
			t.Errorf("%s -want +got:\n%s", c.html, diff)
		}
	}
}

// TestAround: at most 300 bytes, those next to the link.
func TestAround(t *testing.T) {
	before, after := strings.Repeat("b", 400), strings.Repeat("a", 400)
	for _, c := range []struct{ html, want string }{
		{before + `<a href="https://x.fr">link</a>` + after, before[:148] + "link" + after[:148]},
		{`<a href="https://x.fr">link</a>` + after, "link" + after[:296]},
		{before + `<a href="https://x.fr">link</a>`, before[:296] + "link"},
		{`<a href="https://x.fr">` + before + `</a>` + after, before[:300]},
	} {
		if got := readHTML(c.html).Links[0].Around; got != c.want {
			t.Errorf("got  %q\nwant %q", got, c.want)
		}
	}
}
