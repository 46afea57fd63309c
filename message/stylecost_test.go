package message

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestStyleBombs: selectors of rules in rules are put together, which ten deep may be a
// list to the tenth power; and each is asked of each element, whatever that brings to look at.
func TestStyleBombs(t *testing.T) {
	open := func(list string) string {
		return "<style>.a{" + strings.Repeat(list+"{", maxNested-1) + "color:red" + strings.Repeat("}", maxNested) + "</style><p class=a>hello"
	}
	big := repeat("word ", 200_000)
	for name, html := range map[string]string{
		"names of the parent": open(strings.Repeat("&", 60)),
		"lists":               open(strings.Repeat("p,", 60) + "p"),
		"both":                open(strings.Repeat("& &,", 30) + "p"),
		"in brackets":         open(strings.Repeat(":is(&,&),", 30) + "p"),
		"siblings":            "<style>.a{" + repeat("b{c{color:red}}", 400_000),
		"tests":               "<style>" + repeat("[a][b]", 400_000) + "{color:red}",
		"selectors":           "<style>" + repeat("a,", 400_000) + "{color:red}</style><a>",
		"brackets":            "<style>p:is(" + repeat("a,", 400_000) + "){color:red}</style><p>a",
		"long class":          "<style>" + strings.Repeat(".x .y{color:red}", 900) + "</style><p class='" + big + "'>" + strings.Repeat("<b class=y>", 300) + "a",
		"long title":          "<style>" + strings.Repeat("p[title*=x] b{color:red}", 900) + "</style><p title='" + strings.Repeat("word ", 40_000) + "'>" + strings.Repeat("<b>", 300) + "a",
		"many attributes":     "<style>" + strings.Repeat("p[title*=x] b{color:red}", 900) + "</style><p " + strings.Repeat("a=b ", 40_000) + ">" + strings.Repeat("<b>", 300) + "a",
	} {
		t.Run(name, func(t *testing.T) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			begin := processorTime(t)
			got := ReadBody([]Field{{"Content-Type", "text/html"}}, []byte(html))
			took := processorTime(t) - begin
			runtime.ReadMemStats(&after)
			t.Logf("%d octets: %v, %d kB, raw %q", len(html), took, (after.TotalAlloc-before.TotalAlloc)>>10, got.Raw)
			// A tenth of either on a free machine.
			if took > time.Second || after.TotalAlloc-before.TotalAlloc > 200<<20 {
				t.Errorf("it took %v and %d MB", took, (after.TotalAlloc-before.TotalAlloc)>>20)
			}
		})
	}
}

// TestStyleBounds: who hides a text by more than is read of his styles is not taken at
// his word: what is seen is not known then.
func TestStyleBounds(t *testing.T) {
	nested := func(n int) string { return strings.Repeat(".a{", n) + ".u{display:none}" + strings.Repeat("}", n) }
	parts := func(n int) string { return strings.Repeat("p ", n) + ".u{display:none}" }
	brackets := func(n int) string {
		return strings.Repeat(":is(", n) + ".u" + strings.Repeat(")", n) + "{display:none}"
	}
	many := func(n int) string { return ".u{color:red}" + strings.Repeat(".v{color:red}", n-2) + ".u{display:none}" }
	list := func(n int) string { return strings.Repeat("a,", n-1) + ".u{display:none}" }
	for _, c := range []struct {
		name  string
		most  int // is read
		style func(n int) string
	}{
		{"rules in rules", maxNested - 1, nested}, {"parts", maxCompounds - 1, parts}, {"brackets", maxBrackets - 1, brackets},
		{"rules", maxRules, many}, {"selectors", maxSelectors, list},
	} {
		for n := c.most - 1; n <= c.most+1; n++ {
			got := ReadBody([]Field{{"Content-Type", "text/html"}}, fmt.Appendf(nil, "<style>%s</style><p>seen <a class=u href=https://x.fr/>here</a>", c.style(n)))
			if known := n <= c.most; (got.Raw == "") != known || !known && len(got.Links) > 0 {
				t.Errorf("%d %s: raw %q, links %v", n, c.name, got.Raw, got.Links)
			}
		}
	}
}
