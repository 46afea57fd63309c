package pagetest

import (
	"slices"
	"strings"
	"testing"
)

// around makes a page of a body.
func around(body string) string {
	return `<html lang="en"><head><title>t</title></head><body><h1 id="top">Hello</h1>` + body + `</body></html>`
}

func TestFaults(t *testing.T) {
	sound := around(`<h2>a</h2><form method="post"><label for="i">x</label><input id="i"><button>Go</button></form><a href="#top">up</a>`)
	if got := Faults(sound); len(got) > 0 {
		t.Errorf("a sound page: %v", got)
	}
	for body, want := range map[string]string{
		`<h3>a</h3>`:                              `h3 "a" after h1`,
		`<h1>a</h1>`:                              `2 h1`,
		`<h2></h2>`:                               `empty h2`,
		`<p id="a"></p><p id="a"></p>`:            `2 of id "a"`,
		`<p onclick="x"></p>`:                     `p has onclick`,
		`<p style="x"></p>`:                       `p has style`,
		`<p aria-describedby="no"></p>`:           `p: aria-describedby names "no", of which there are 0`,
		`<input name="n">`:                        `input "n" has no label`,
		`<a href="x"></a>`:                        `nothing on a a to "x"`,
		`<a href="#no">x</a>`:                     `link to "no", of which there are 0`,
		`<form action="x"></form>`:                `form "x" by GET`,
		`<svg></svg>`:                             `a picture that is neither told nor hidden`,
		`<table><tr><th>x</th></tr></table>`:      `th "x" has no scope`,
		`<link href="https://remote.example/">`:   `link from "https://remote.example/"`,
		`<script></script>`:                       `a script`,
		`<a href="#ZgotmplZ" id="ZgotmplZ">x</a>`: `the template refused a value`,
		`<p>`: `</body> in [html body p]`,
	} {
		if got := Faults(around(body)); !slices.Contains(got, want) {
			t.Errorf("%s: %v; want %s", body, got, want)
		}
	}
	if got := Faults(strings.Replace(sound, `lang="en"`, "", 1)); !slices.Contains(got, `lang ""`) {
		t.Errorf("no language: %v", got)
	}
}
