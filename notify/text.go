package notify

import (
	"cmp"
	"embed"
	"maps"
	"slices"
	"strings"
	"text/template"
	"time"
)

//go:embed texts
var texts embed.FS

// languages are the templates, by language: for each kind of mail a title and a body.
var languages = map[string]*template.Template{
	"en": template.Must(template.ParseFS(texts, "texts/en.txt")),
	"fr": template.Must(template.ParseFS(texts, "texts/fr.txt")),
}

// letter is a mail's text; the title is one clean line.
type letter struct{ title, body string }

// mostTitle is in octets: what is longer no list of mails shows.
const mostTitle = 200

// render writes a kind of mail in a language, or in several, one after the other.
func render(language, kind string, data any) (letter, error) {
	var titles, bodies []string
	for lang := range strings.SplitSeq(language, "+") {
		var title, body strings.Builder
		t := languages[lang]
		if err := cmp.Or(t.ExecuteTemplate(&title, kind+" title", data), t.ExecuteTemplate(&body, kind+" body", data)); err != nil {
			return letter{}, err
		}
		titles, bodies = append(titles, title.String()), append(bodies, body.String())
	}
	return letter{
		title: strings.TrimSpace(clean(strings.Join(titles, " / "), mostTitle)),
		body:  strings.Join(bodies, "\n"+strings.Repeat("=", 72)+"\n\n"),
	}, nil
}

// view is an event as the templates see it: every string is clean, so that none of
// them can look like a line of ours.
type view struct {
	What, Host, At            string
	Subject, Kind, Name       string // of "script:x": all, "script", "x"
	Account, Customer         string
	Block, Rule, Reason, By   string
	Family                    string // the rule's id up to its dot
	Since, Until              string // Until: empty when it stays until it is lifted
	Before                    int
	LiftedBy, Note            string
	Evidence, Decisions, Text []string
	MoreEvidence              int
	Request, AnsweredBy       string
	Self, Password            bool
	Happened, Done, Answer    []string
	Console, Page, Help       string
}

// mostSeen is how many lines of evidence a mail shows.
const mostSeen = 20

func (n *Notifier) view(e Event) view {
	b, r := &e.Block, &e.Request
	short := func(s string) string { return clean(s, 400) }
	v := view{
		What: e.What, Host: n.opts.Host, At: when(e.At),
		Subject: short(e.subject()), Account: short(e.account()), Customer: short(b.Customer),
		Block: short(e.block()), Rule: short(b.Rule), Reason: short(b.Reason), By: short(b.By),
		Since: when(b.Since), Until: when(b.Until), Before: b.Before, LiftedBy: short(b.LiftedBy), Note: short(b.Note),
		Text: lines(e.Text), Request: short(r.ID), AnsweredBy: short(r.AnsweredBy), Self: r.Self, Password: r.Password,
		Happened: lines(r.Happened), Done: lines(r.Done), Answer: lines(r.Answer),
		Console: link(n.opts.Console, e), Page: link(n.opts.Page, e.account()), Help: link(n.opts.Help, b.Rule),
	}
	v.Kind, v.Name, _ = strings.Cut(v.Subject, ":")
	v.Name = cmp.Or(v.Name, v.Account)
	v.Family, _, _ = strings.Cut(b.Rule, ".")
	seen := e.evidence()
	v.Evidence = seen[:min(len(seen), mostSeen)]
	v.MoreEvidence = len(seen) - len(v.Evidence)
	for _, id := range b.Decisions {
		v.Decisions = append(v.Decisions, clean(id, 100))
	}
	return v
}

// link asks for one, of which there is none about nothing.
func link[T any](of func(T) string, about T) string {
	if login, ok := any(about).(string); of == nil || ok && login == "" {
		return ""
	}
	return clean(of(about), 1000)
}

// when is a time as mails show it; empty for none.
func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}

// digest is what the operator's digest says.
type digest struct {
	Host, From, To string
	Events         int
	Counts         []digestCount
	Lines          []view
	More           int
	Missed         int64 // that waited for it and were dropped
	Console        string
}

type digestCount struct {
	What string
	N    int
}

// mostLines is how many events a digest names one by one.
const mostLines = 200

func (n *Notifier) digest(j job, missed int64) digest {
	all := append([]notice{j.notice}, j.rest...)
	d := digest{
		Host: n.opts.Host, Events: len(all), Missed: missed,
		From: when(all[0].Event.At), To: when(all[len(all)-1].Event.At), Console: link(n.opts.Console, Event{At: all[0].Event.At}),
	}
	number := map[string]int{}
	for _, v := range all {
		number[v.Event.What]++
	}
	for _, what := range slices.SortedFunc(maps.Keys(number), func(a, b string) int {
		return cmp.Or(cmp.Compare(number[b], number[a]), cmp.Compare(a, b))
	}) {
		d.Counts = append(d.Counts, digestCount{what, number[what]})
	}
	for _, v := range all[:min(len(all), mostLines)] {
		d.Lines = append(d.Lines, view{
			What: v.Event.What, At: when(v.Event.At), Subject: clean(v.Event.subject(), 400), Rule: clean(v.Event.Block.Rule, 400),
		})
	}
	d.More = len(all) - len(d.Lines)
	return d
}
