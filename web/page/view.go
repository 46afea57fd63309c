package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"time"
)

//go:embed layout.html chart.html fail.html style.css
var files embed.FS

var (
	style = styleSheet()
	// styleHash is what the Content-Security-Policy knows the style sheet by.
	styleHash = hashOf(style)
	layout    = template.Must(template.New("").Funcs(funcs).ParseFS(files, "layout.html"))
	chart     = template.Must(template.New("chart.html").Funcs(funcs).ParseFS(files, "chart.html"))
	failure   = Parse(own, files, "fail.html")
)

var funcs = template.FuncMap{
	"style":   func() template.CSS { return style },
	"foreign": Foreign,
	"visible": Visible,
}

func styleSheet() template.CSS {
	text, err := files.ReadFile("style.css")
	if err != nil {
		panic(err) // embedded
	}
	return template.CSS(text)
}

func hashOf(text template.CSS) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// Template is a page: the layout around what its files define.
type Template struct {
	tree  *template.Template
	words *Words
}

// Parse makes a Template of files that define "main", and may define "header",
// which else shows the view's Site. Beside a View's methods they have the functions
// foreign, for what others wrote, and visible, the same for attributes. words may be
// nil. Faults in the files are programming mistakes: it panics.
func Parse(words *Words, files fs.FS, names ...string) *Template {
	tree := template.Must(layout.Clone())
	if words == nil {
		words = own
	}
	return &Template{template.Must(tree.ParseFS(files, names...)), words}
}

// View is what a Template shows.
type View struct {
	Lang  Lang
	Title string
	Site  string // stands above each page of the handler
	Wide  bool   // for tables of many columns
	Bound string // what the page's form tokens are bound to: a session's id, a customer's link
	Data  any

	kit   *Kit
	words *Words
	now   time.Time
}

// View begins a page for whoever sent r.
func (k *Kit) View(r *http.Request) *View {
	return &View{Lang: k.Lang(r), kit: k, words: own, now: k.now()}
}

// Render writes the page.
func (k *Kit) Render(w http.ResponseWriter, r *http.Request, status int, t *Template, v *View) {
	v.words = t.words
	var out bytes.Buffer
	if err := t.tree.ExecuteTemplate(&out, "layout", v); err != nil {
		k.log.Error("page", "title", v.Title, "error", err)
		if t != failure {
			k.Fail(w, r, http.StatusInternalServerError)
		}
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Language", string(v.Lang))
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes()) // the browser may have gone
}

// Fail writes the page of a refusal: 400, 403, 404, 405, 409, 413, 421, 429, 500 or 503.
func (k *Kit) Fail(w http.ResponseWriter, r *http.Request, status int) {
	v := k.View(r)
	v.Title = own.Text(v.Lang, fmt.Sprintf("fail.%d.title", status))
	v.Data = own.Text(v.Lang, fmt.Sprintf("fail.%d.text", status))
	k.Render(w, r, status, failure, v)
}

// With is v with other data, for a template inside a template.
func (v *View) With(data any) *View {
	inner := *v
	inner.Data = data
	return &inner
}

// T is the text of key in the page's language, with its arguments.
func (v *View) T(key string, args ...any) string { return v.words.Text(v.Lang, key, args...) }

// Has says whether the page's words have this key.
func (v *View) Has(key string) bool { return v.words.Has(key) }

// Count is the text of key for n things.
func (v *View) Count(key string, n int64) string { return v.words.Count(v.Lang, key, n) }

// Number writes n with its thousands apart.
func (v *View) Number(n int64) string { return Number(v.Lang, n) }

// Span is a length of time in words.
func (v *View) Span(d time.Duration) string { return Span(v.Lang, d) }

// Date is a point in time, for people and machines.
func (v *View) Date(t time.Time) template.HTML { return v.timeTag(t, date(v.Lang, t.In(v.kit.zone))) }

// Short is Date without the year, for tables of recent things.
func (v *View) Short(t time.Time) template.HTML {
	in := t.In(v.kit.zone)
	return v.timeTag(t, shortDay(v.Lang, in)+", "+in.Format("15:04 MST"))
}

// DayHour is t for a chart of hours: "23 Nov 12:00".
func (v *View) DayHour(t time.Time) string {
	in := t.In(v.kit.zone)
	return shortDay(v.Lang, in) + " " + in.Format("15:04")
}

// UTCDay is t for a chart of days, which begin at midnight UTC: "23 Nov".
func (v *View) UTCDay(t time.Time) string { return shortDay(v.Lang, t.UTC()) }

// Away is how far t is from now: "in 3 hours", "2 days ago".
func (v *View) Away(t time.Time) string {
	d := t.Sub(v.now)
	if d.Abs() > time.Minute {
		d = d.Truncate(time.Minute) // nobody waits for the second
	}
	switch {
	case d >= time.Second:
		return own.Text(v.Lang, "in", Span(v.Lang, d))
	case d <= -time.Second:
		return own.Text(v.Lang, "ago", Span(v.Lang, -d))
	}
	return own.Text(v.Lang, "now")
}

func (v *View) timeTag(t time.Time, text string) template.HTML {
	return template.HTML(`<time datetime="` + t.UTC().Format(time.RFC3339) + `">` + template.HTMLEscapeString(text) + `</time>`)
}

// Token is the hidden field that every form of the page named must hold; CheckForm
// wants the same name.
func (v *View) Token(page string) template.HTML {
	token := v.kit.formToken(v.Bound, page, v.now)
	return template.HTML(`<input type="hidden" name="` + tokenField + `" value="` + template.HTMLEscapeString(token) + `">`)
}
