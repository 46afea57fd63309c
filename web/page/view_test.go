package page

import (
	"fmt"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/net/html"
)

func TestLang(t *testing.T) {
	tests := []struct {
		accept, language string
		want             Lang
	}{
		{"", "en", English},
		{"", "fr", French},
		{"", "en+fr", English},
		{"fr", "en", French},
		{"fr-CA,fr;q=0.9,en;q=0.5", "en", French},
		{"en-GB", "fr", English},
		{"de,fr;q=0.3,en;q=0.2", "en", French},
		{"de", "fr", French},
		{"de", "en", English},
		{"*", "fr", French},
		{"fr;q=0, en", "fr", English},
		{"\x00;;q=x,,", "fr", French},
		{strings.Repeat("fr,", 2000), "en", French},
	}
	for _, test := range tests {
		k := newKit(&clock{noon})
		k.language = func() string { return test.language }
		if got := k.Lang(get("/", "Accept-Language", test.accept)); got != test.want {
			t.Errorf("%.30q with %s: %s; want %s", test.accept, test.language, got, test.want)
		}
	}
}

func TestWordsMustMatch(t *testing.T) {
	tests := []struct {
		name   string
		en, fr map[string]string
		ok     bool
	}{
		{"same", map[string]string{"a": "%s of %d"}, map[string]string{"a": "%s sur %d"}, true},
		{"no French", map[string]string{"a": "x"}, map[string]string{}, false},
		{"no English", map[string]string{}, map[string]string{"a": "x"}, false},
		{"one argument less", map[string]string{"a": "%s %d"}, map[string]string{"a": "%s"}, false},
		{"other order", map[string]string{"a": "%s %d"}, map[string]string{"a": "%d %s"}, false},
	}
	for _, test := range tests {
		func() {
			defer func() {
				if p := recover(); (p == nil) != test.ok {
					t.Errorf("%s: panic %v", test.name, p)
				}
			}()
			NewWords(test.en, test.fr)
		}()
	}
}

func TestFrenchLinesDoNotBreakBeforeSigns(t *testing.T) {
	same := map[string]string{"a": "Quoi ? « Ceci » : oui"}
	w := NewWords(same, same)
	if got := w.Text(French, "a"); got != "Quoi\u00a0? «\u00a0Ceci\u00a0»\u00a0: oui" {
		t.Errorf("%q", got)
	}
	if got := w.Text(English, "a"); got != same["a"] {
		t.Errorf("%q", got)
	}
}

// TestContrast holds the style sheet to WCAG 2.2: 4.5 to 1 for text (1.4.3), 3 to 1
// for the edges of fields and for bars (1.4.11), in light and dark.
func TestContrast(t *testing.T) {
	light, dark, found := strings.Cut(string(style), "@media (prefers-color-scheme:dark)")
	if !found {
		t.Fatal("no dark colours")
	}
	dark, _, _ = strings.Cut(dark, "}}")
	for name, sheet := range map[string]string{"light": light, "dark": dark} {
		colour := map[string]float64{}
		for _, m := range regexp.MustCompile(`--([a-z0-9-]+):#([0-9a-f]+)`).FindAllStringSubmatch(sheet, -1) {
			colour[m[1]] = luminance(t, m[2])
		}
		check := func(front, back string, want float64) {
			a, okA := colour[front]
			b, okB := colour[back]
			if ratio := (max(a, b) + 0.05) / (min(a, b) + 0.05); !okA || !okB || ratio < want {
				t.Errorf("%s: %s on %s: %.2f; want %v", name, front, back, ratio, want)
			}
		}
		for _, back := range []string{"back", "sheet", "bad-back", "good-back", "warn-back", "info-back"} {
			for _, front := range []string{"ink", "link", "soft"} {
				check(front, back, 4.5)
			}
		}
		for _, kind := range []string{"bad", "good", "warn", "info"} {
			check(kind, kind+"-back", 4.5)
			check(kind, "sheet", 4.5)
		}
		check("press-ink", "press", 4.5)
		check("field", "sheet", 3)
		for i := range 8 {
			check(fmt.Sprint("s", i), "sheet", 3)
		}
	}
}

// luminance is WCAG's relative luminance of rgb or rrggbb.
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	if len(hex) == 3 {
		hex = string([]byte{hex[0], hex[0], hex[1], hex[1], hex[2], hex[2]})
	}
	rgb, err := strconv.ParseUint(hex, 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	linear := func(c uint64) float64 {
		f := float64(c&255) / 255
		if f <= 0.04045 {
			return f / 12.92
		}
		return math.Pow((f+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(rgb>>16) + 0.7152*linear(rgb>>8) + 0.0722*linear(rgb)
}

func TestCount(t *testing.T) {
	w := NewWords(map[string]string{"m.one": "%s message", "m.other": "%s messages"},
		map[string]string{"m.one": "%s message", "m.other": "%s messages"})
	for _, test := range []struct {
		lang Lang
		n    int64
		want string
	}{
		{English, 0, "0 messages"}, {English, 1, "1 message"}, {English, 2, "2 messages"}, {English, 1234567, "1,234,567 messages"},
		{French, 0, "0 message"}, {French, 1, "1 message"}, {French, 2, "2 messages"}, {French, 1234567, "1\u202f234\u202f567 messages"},
	} {
		if got := w.Count(test.lang, "m", test.n); got != test.want {
			t.Errorf("%s %d: %q; want %q", test.lang, test.n, got, test.want)
		}
	}
	if got := Number(English, -1234); got != "-1,234" {
		t.Error(got)
	}
	if got := Number(English, -123); got != "-123" {
		t.Error(got)
	}
}

func TestTimes(t *testing.T) {
	v := newKit(&clock{noon}).View(get("/"))
	fr := newKit(&clock{noon}).View(get("/", "Accept-Language", "fr"))
	check := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%q; want %q", got, want)
		}
	}
	check(string(v.Date(noon)), `<time datetime="2026-11-23T12:00:00Z">23 Nov 2026, 12:00 UTC</time>`)
	check(string(fr.Date(noon)), `<time datetime="2026-11-23T12:00:00Z">23 nov. 2026, 12:00 UTC</time>`)
	check(string(fr.Short(noon)), `<time datetime="2026-11-23T12:00:00Z">23 nov., 12:00 UTC</time>`)
	check(fr.DayHour(noon), "23 nov. 12:00")
	check(v.UTCDay(noon), "23 Nov")
	check(v.Away(noon.Add(999*time.Millisecond)), "now")
	check(v.Away(noon.Add(time.Second)), "in 1 second")
	check(v.Away(noon.Add(time.Minute-1)), "in 59 seconds")
	check(v.Away(noon.Add(time.Minute)), "in 1 minute")
	check(v.Away(noon.Add(2*time.Minute-1)), "in 1 minute")
	check(v.Away(noon.Add(-2*time.Minute+1)), "1 minute ago")
	check(v.Away(noon.Add(-time.Hour-5*time.Minute)), "1 hour 5 minutes ago")
	check(fr.Away(noon.Add(-49*time.Hour)), "il y a 2 jours 1 heure")
	check(v.Span(24*time.Hour), "1 day")
	check(v.Span(24*time.Hour-time.Second), "23 hours 59 minutes")
	check(v.Span(0), "0 seconds")

	k := newKit(&clock{noon})
	k.zone = time.FixedZone("CET", 3600)
	check(string(k.View(get("/")).Date(noon)), `<time datetime="2026-11-23T12:00:00Z">23 Nov 2026, 13:00 CET</time>`)
	check(k.View(get("/")).DayHour(noon.Add(11*time.Hour)), "24 Nov 00:00")
	check(k.View(get("/")).UTCDay(noon.Add(11*time.Hour)), "23 Nov")
}

func TestAddress(t *testing.T) {
	k := newKit(&clock{noon}) // 192.0.2.0/28 are proxies
	tests := []struct{ name, peer, forwarded, want string }{
		{"direct", "203.0.113.7:1", "", "203.0.113.7"},
		{"a stranger's word", "203.0.113.7:1", "198.51.100.1", "203.0.113.7"},
		{"through a proxy", "192.0.2.1:1", "198.51.100.1", "198.51.100.1"},
		{"through two", "192.0.2.1:1", "198.51.100.1, 192.0.2.2", "198.51.100.1"},
		{"with the client's invention in front", "192.0.2.1:1", "10.9.9.9, 198.51.100.1", "198.51.100.1"},
		{"proxy says nothing", "192.0.2.1:1", "", "192.0.2.1"},
		{"proxy says nonsense", "192.0.2.1:1", "198.51.100.1, unknown", "192.0.2.1"},
		{"only proxies", "192.0.2.1:1", "192.0.2.3", "192.0.2.3"},
		{"mapped", "[::ffff:192.0.2.1]:1", "::ffff:198.51.100.1", "198.51.100.1"},
		{"just outside", "192.0.2.16:1", "198.51.100.1", "192.0.2.16"},
		{"unix socket", "@", "198.51.100.1", "invalid IP"},
	}
	for _, test := range tests {
		r := get("/", "X-Forwarded-For", test.forwarded)
		r.RemoteAddr = test.peer
		if got := k.Address(r).String(); got != test.want {
			t.Errorf("%s: %s; want %s", test.name, got, test.want)
		}
	}
}

func TestHSTSOnlyBehindTLS(t *testing.T) {
	k := newKit(&clock{noon})
	h := k.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for _, test := range []struct {
		peer, proto string
		want        bool
	}{{"192.0.2.1:1", "https", true}, {"192.0.2.1:1", "http", false}, {"192.0.2.1:1", "", false}, {"203.0.113.7:1", "https", false}} {
		r := get("http://sending.example/", "X-Forwarded-Proto", test.proto)
		r.RemoteAddr = test.peer
		if got := serve(h, r).Header().Get("Strict-Transport-Security") != ""; got != test.want {
			t.Errorf("%s %s: %v", test.peer, test.proto, got)
		}
	}
}

func TestVisible(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"plain", "Été à 18 h — “ok” 日本 עברית", "Été à 18 h — “ok” 日本 עברית"},
		{"escape", "a\x1b[31mb", "a[U+001B][31mb"},
		{"NUL and DEL", "\x00\x7f", "[U+0000][U+007F]"},
		{"C1", "\u0085", "[U+0085]"},
		{"right to left override", "invoice\u202efdp.exe", "invoice[U+202E]fdp.exe"},
		{"isolates and marks", "\u2066\u2069\u200e\u200f\u061c", "[U+2066][U+2069][U+200E][U+200F][U+061C]"},
		{"zero width", "a\u200bb\u200cc\u200dd\ufeffe\u2060", "a[U+200B]b[U+200C]c[U+200D]d[U+FEFF]e[U+2060]"},
		{"soft hyphen", "a\u00adb", "a[U+00AD]b"},
		{"tags", "\U000e0041", "[U+E0041]"},
		{"fillers", "\u3164\u115f\u2800", "[U+3164][U+115F][U+2800]"},
		{"private use", "\ue000", "[U+E000]"},
		{"line separators", "a\u2028b\u2029", "a[U+2028]b[U+2029]"},
		{"line ends stay", "a\r\nb\tc", "a\nb\tc"},
		{"other blanks", "a\u00a0b\u3000c", "a b c"},
		{"emoji style is dropped", "\u2764\ufe0f", "\u2764"},
		{"accents", "e\u0301\u0323", "e\u0301\u0323"},
		{"pile of accents", "e" + strings.Repeat("\u0301", 50) + "x", "e" + strings.Repeat("\u0301", mostMarks) + "x"},
		{"no UTF-8", "a\xffb", "a\ufffdb"},
		{"as long as may be", strings.Repeat("é", mostForeign), strings.Repeat("é", mostForeign)},
		{"too long", strings.Repeat("é", mostForeign+1), strings.Repeat("é", mostForeign) + " …"},
	}
	for _, test := range tests {
		if got := Visible(test.in); got != test.want {
			t.Errorf("%s: %.80q; want %.80q", test.name, got, test.want)
		}
	}
}

func FuzzForeign(f *testing.F) {
	f.Add("<script>alert(1)</script>")
	f.Add("\"' onmouseover=x \u202e\x1b")
	f.Fuzz(func(t *testing.T, s string) {
		text := string(Foreign(s))
		doc, err := html.ParseFragment(strings.NewReader(text), nil)
		if err != nil || len(doc) != 1 {
			t.Fatalf("%q: %d nodes, %v", text, len(doc), err)
		}
		walk(doc[0], func(n *html.Node) {
			if n.Type == html.ElementNode && n.Data != "bdi" && n.Data != "html" && n.Data != "head" && n.Data != "body" {
				t.Fatalf("%q became an element %s", s, n.Data)
			}
		})
		for _, r := range text {
			if isHidden(r) && r != '\n' && r != '\t' {
				t.Fatalf("%q lets %U through", s, r)
			}
		}
	})
}

func walk(n *html.Node, see func(*html.Node)) {
	see(n)
	for c := range n.ChildNodes() {
		walk(c, see)
	}
}

const nasty = `</p><script>alert(1)</script>"' onclick=x ` + "\x1b\u202e"

func TestPageEscapes(t *testing.T) {
	k := newKit(&clock{noon})
	c := Chart{ID: "c", Title: nasty, Desc: nasty, Series: []string{nasty, "b"},
		Bars: []Bar{{nasty, []int64{1, 2}}, {"last", []int64{0, 0}}}}
	w := render(t, k, get("http://localhost/"), sampleData{Text: nasty, At: noon, Chart: c})
	body := w.Body.String()
	for _, bad := range []string{"<script", "\x1b\u202e</bdi>", `"' onclick`} {
		if strings.Contains(body, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	if want := "[U+001B][U+202E]</bdi>"; !strings.Contains(body, want) {
		t.Errorf("the page lacks %q", want)
	}
}

func TestChart(t *testing.T) {
	c := Chart{ID: "c", Title: "T", Desc: "D", Series: []string{"passed", "refused"}}
	for i := range 4 {
		c.Bars = append(c.Bars, Bar{fmt.Sprint("h", i), []int64{int64(i) * 1000, 1}})
	}
	out, err := newKit(&clock{noon}).View(get("/")).Chart(c)
	if err != nil {
		t.Fatal(err)
	}
	text := string(out)
	for _, want := range []string{
		`<title id="c-t">T</title><desc id="c-d">D</desc>`, `role="img" aria-labelledby="c-t c-d"`, `viewBox="0 0 40 100"`,
		`<title>h3: passed 3,000, refused 1</title>`, `<td class="number">3,000</td>`, `<th scope="row">h3</th>`,
		`<rect class="s0" x="31" y="0.03" width="8" height="99.97"/>`, // 3,000 of 3,001
		`<rect class="s1" x="31" y="0.00" width="8" height="2.00"/>`,  // 1 is seen
		`>3,001</p>`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the chart lacks %s", want)
		}
	}
	if n := strings.Count(text, `class="s0"`); n != 3+1 { // with the legend; nothing is not drawn
		t.Errorf("%d parts of the first series", n)
	}
	empty, err := newKit(&clock{noon}).View(get("/")).Chart(Chart{ID: "e", Title: "T", Series: []string{"a"}})
	if c.Empty() || !(Chart{Bars: []Bar{{"x", []int64{0, 0}}}}).Empty() {
		t.Error("Empty is wrong")
	}
	// A single series is named, too: its title does not say which one it is.
	if err != nil || strings.Contains(string(empty), "NaN") || !strings.Contains(string(empty), `</svg> a</span>`) {
		t.Errorf("%v: %s", err, empty)
	}
}

func TestGauge(t *testing.T) {
	v := newKit(&clock{noon}).View(get("/"))
	for _, test := range []struct {
		used, most  int64
		class, wide string
	}{
		{0, 10, "part", "0.00"}, {79, 100, "part", "79.00"}, {80, 100, "near", "80.00"}, {99, 100, "near", "99.00"},
		{100, 100, "full", "100.00"}, {250, 100, "full", "100.00"}, {0, 0, "full", "100.00"},
	} {
		if got := string(v.Gauge(test.used, test.most)); !strings.Contains(got, `class="`+test.class+`" width="`+test.wide+`"`) {
			t.Errorf("%d of %d: %s", test.used, test.most, got)
		}
	}
}

// broken fails when it is executed.
var broken = Parse(nil, fstest.MapFS{"b.html": {Data: []byte(`{{define "main"}}half{{.Nothing}}{{end}}`)}}, "b.html")

func TestBrokenPageIs500AndWhole(t *testing.T) {
	k := newKit(&clock{noon})
	w := serve(k.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k.Render(w, r, 200, broken, k.View(r))
	})), get("http://localhost/"))
	if w.Code != 500 || strings.Contains(w.Body.String(), "half") {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
}

func TestFailPages(t *testing.T) {
	k := newKit(&clock{noon})
	for _, status := range []int{400, 403, 404, 405, 409, 413, 421, 429, 500, 503} {
		for _, lang := range []string{"en", "fr"} {
			w := serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { k.Fail(w, r, status) }), get("/", "Accept-Language", lang))
			body := w.Body.String()
			if w.Code != status || strings.Contains(body, "[fail") || !strings.Contains(body, `<html lang="`+lang+`">`) {
				t.Errorf("%d %s: status %d: %s", status, lang, w.Code, body[strings.Index(body, "<main"):])
			}
		}
	}
}
