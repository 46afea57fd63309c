package message

import (
	"testing"
)

// TestDoubt: what some readers see is the letter's text, and is not surely seen.
func TestDoubt(t *testing.T) {
	for _, c := range []struct{ html, text, surely string }{
		{`<p style="clip-path:inset(50%)">x</p>y`, "x\ny", "y"},
		{`<p style="clip-path:inset(50%);filter:none">x</p>y`, "x\ny", "y"},
		{`<p style="clip-path:inset(50%);clip-path:none">x</p>y`, "x\ny", "x\ny"},
		{`<p style="opacity:.3"><b style="opacity:.3"><i style="opacity:.3">x</i>y</b></p>z`, "xy\nz", "y\nz"},
		{`<p style="position:relative;left:-9999px">x</p><p style="position:relative;left:9px">y`, "x\ny", "y"},
		{`<p style="position:absolute;left:-9999px;right:auto">x</p>y`, "x\ny", "y"},
		{`<p style="margin:0 0 0 -9999px">x</p><p style="margin:0 auto">y`, "x\ny", "y"},
		{`<p style="height:5px;overflow:hidden">x</p><p style="height:6px;overflow:hidden">y`, "x\ny", "y"},
		{`<p style="transform:translateY(-50%) rotate(2deg)">x</p><p style="transform:scale(.3)">y</p>z`, "x\ny\nz", "x\nz"},
		{`<p style="color:red;-webkit-text-fill-color:#fff">x<a href="https://x.fr/">y</a></p>z`, "xy\nz", "z"},
		{`<p style="font-size:calc(2px*8)">x</p><p style="font-size:calc(1px + 1px)">not</p><p style="font-size:0;font-size:var(--x)">y</p>`, "x\ny", "x"},
		{`<p style="display:none;display:var(--x)">x</p>y`, "x\ny", "y"},
		{`<p style="display:none;all:initial">x</p>`, "x", "x"},
		{`<p style="font-size:0;font-size:2vmin">x</p><p style="font-size:1e-3px">not`, "x", "x"},
		{`<p style="color:oklch(100% 0 0)">x</p><p style="color:oklch(50% .1 20)">y`, "x\ny", "y"},
		{`<p style="color:#000;background:linear-gradient(#000,black)">x</p><p style="color:#fff;background:linear-gradient(#000,red)">y`, "x\ny", "y"},
		{`<p style="background-color:currentcolor">not</p>x`, "x", "x"},
		{`<p style="opacity:0;animation:a 1s forwards">x</p>y`, "xy", "y"},
		{`<p style="font-size:1%">x</p><p style="font-size:0"><b style="font-size:2em">not</b></p>y`, "x\ny", "y"}, // Chromium shows 6 px
		{`<dialog>x</dialog><video>y</video>z`, "x\nyz", "z"},

		{`<style>div p{display:none}</style><div><p>x</div>y`, "x\ny", "y"},
		{`<style>p{display:none} div p{display:block}</style><div><p>x</div><p>not`, "x", ""},
		{`<style>div>p{display:none}</style><div><p>x</p><b><p>y</p></b></div>`, "x\ny", "y"},
		{`<style>p.a.b{display:none}</style><p class="b a">x<p class=a>y`, "x\ny", "y"},
		{`<style>p:not(.a){display:none}</style><p class=a>x<p>y`, "x\ny", "x"},
		{`<style>a[href*=stop]{display:none}</style><a href="https://x.fr/stop">x</a><a href="https://x.fr/">y</a>`, "xy", "y"},
		{`<style>a:link{display:none} a:hover{display:none}</style><a href="https://x.fr/">x</a>y`, "xy", "y"},
		{`<style>.q{p{display:none} color:red;& b{display:none}}</style><div class=q><p>x</p><b>y</b>z</div>`, "x\nyz", "z"},
		{`<style>@media (min-width:1px){p{display:none}}</style><p>not</p>x`, "x", "x"},
		{`<style>@media (max-width:600px){p{display:none}}</style><p>x</p>`, "x", "x"},
		{`<style>p{display:none} @media (min-width:600px){p{display:block}}</style><p>x</p>y`, "xy", "y"},
		{`<style>@media not print{p{display:none}}</style><p>not</p>x`, "x", "x"},
		{`<style>@supports (x:y){p{display:none}}</style><p>x</p>y`, "x\ny", "y"},
		{`<style>[data-ogsc] p{display:none} .gone p{display:none}</style><p>x`, "x", "x"},
		{`<style>#a{color:#fff} .f #a{color:#000}</style><div class=f><p id=a>x</div>y`, "x\ny", "y"},
		{`<style>.f{background:#000} .f p{color:#fff}</style><div class=f><p>x`, "x", ""},
	} {
		fields := []Field{{"Content-Type", "text/html"}}
		all, surely := ReadBody(fields, []byte(c.html)), ReadSurely(fields, []byte(c.html))
		if all.Text != c.text || surely.Text != c.surely {
			t.Errorf("%s\ngot  %q, surely %q\nwant %q, surely %q", c.html, all.Text, surely.Text, c.text, c.surely)
		}
		if all.Doubtful != (c.text != c.surely) {
			t.Errorf("%s: doubtful %v", c.html, all.Doubtful)
		}
	}
}

func TestComputed(t *testing.T) {
	for in, want := range map[string]string{
		"calc(1px + 2px)": "3px", "calc(2 * (1 + 1))": "4", "min(0px, 5px)": "0", "max(1px,2em)": "32px", "clamp(1px,5px,3px)": "3px", "calc(100% - 20px)": "1580px",
		"calc(1px + var(--x))": "calc(1px + var(--x))", "minmax(1px,2px)": "minmax(1px,2px)", "calc(": "calc(", "calc(1px": "calc(1px", "calc(1px +2px)": "calc(1px +2px)",
		"0 calc(1px*3) 0": "0 3px 0", "min(calc(1px), 2px)": "1px",
	} {
		if got := computed(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func TestScreens(t *testing.T) {
	for query, want := range map[string]int{
		"": allScreens, "all": allScreens, "print": noScreen, "not print": allScreens, "not screen": noScreen, "screen and (min-width:300px)": allScreens, "(min-width:301px)": someScreens,
		"(max-width:8000px)": allScreens, "(max-width:7999px)": someScreens, "print, screen": allScreens, "only screen and (color)": allScreens, "(prefers-color-scheme: dark)": someScreens,
		"not all and (min-width:1px)": noScreen, "(min-width:1px) and (max-width:600px)": someScreens,
	} {
		if got := screensOf(query); got != want {
			t.Errorf("%q: got %d, want %d", query, got, want)
		}
	}
}
