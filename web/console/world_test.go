package console

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"o2n-milter/accounts"
	"o2n-milter/rules"
	"o2n-milter/state"
	"o2n-milter/state/memory"
	"o2n-milter/web/desk"
	"o2n-milter/web/page"
	"o2n-milter/web/page/pagetest"
	"o2n-milter/web/stats"
)

// judge is a desk.Judge over a fixed table.
type judge struct {
	*accounts.Table
	set rules.Settings
}

func (j *judge) Account(ctx context.Context, login string) (*accounts.Account, error) {
	return j.ByLogin(ctx, login)
}

func (j *judge) WindowsOf(_ context.Context, now time.Time, subject string) ([]rules.Window, error) {
	if subject != alice {
		return nil, nil
	}
	return []rules.Window{
		{Limit: "minute", Unit: rules.Messages, Window: "1m", Used: 10, Max: 10, NextFree: now.Add(40 * time.Second)},
		{Limit: "daily", Unit: rules.Recipients, Window: "1d", Used: 12_345, Max: 20_000, NextFree: now},
	}, nil
}

func (j *judge) Settings() *rules.Settings { return &j.set }

const alice = "account:alice@client-a.example"

// world is a console over a store in memory, with its clock.
type world struct {
	t     *testing.T
	desk  *desk.Desk
	store state.Store
	now   time.Time
	log   bytes.Buffer
	http  http.Handler
}

func newWorld(t *testing.T, change ...func(*Options)) *world {
	t.Helper()
	table, clashes := accounts.NewTable([]*accounts.Account{{Login: "alice@client-a.example", Customer: "C-1001"}})
	if len(clashes) > 0 {
		t.Fatal(clashes)
	}
	w := &world{t: t, store: memory.New(), now: noon}
	now := func() time.Time { return w.now }
	log := slog.New(slog.NewTextHandler(&w.log, nil))
	j := &judge{Table: table}
	j.set.SelfUnblock = 2
	j.set.Limits = []rules.Limit{{Name: "minute", Subject: "account", Unit: rules.Messages, Max: 10, Window: time.Minute}}
	links, err := desk.NewLinks(bytes.Repeat([]byte("k"), 32))
	if err != nil {
		t.Fatal(err)
	}
	w.desk = &desk.Desk{
		Store: w.store, Judge: j, Log: log, Now: now, Links: links, Stats: stats.New(w.store, "mx1", log),
		Sessions: func() int { return 3 }, Version: "1.2.3", PublicURL: "https://sending.example",
	}
	o := Options{
		Desk: w.desk, Now: now,
		Page: page.New(page.Options{PublicURL: "https://sending.example", Language: func() string { return "fr" }, Log: log, Now: now}),
	}
	for _, f := range change {
		f(&o)
	}
	w.http = Handler(o)
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// decision records one, with the evidence and the charges of every kind.
func (w *world) decision(id string, at time.Time, text string) {
	detail, err := json.Marshal(rules.Detail{
		Reply: "550 5.7.1 " + text, QueueID: cmp.Or(text, "4Xy1"), ClientName: text, MessageID: text, Subject: text, Size: 4711,
		Evidence: []rules.Evidence{{Rule: "identity.header_from", Fact: text, Got: text, Want: text, Shadow: true},
			{Rule: "identity.sender", Fact: text, Got: text, Want: text},
			{Rule: "limit.day", Fact: text, Got: text, Want: text, Shadow: true, Exempt: text},
			{Rule: "limit.hour", Fact: text, Got: text, Want: text, Exempt: text}},
		Charges:  []rules.Charge{{Limit: "minute", Subject: alice, Unit: rules.Messages, Cost: 1}},
		Campaign: &rules.Campaign{ID: cmp.Or(text, "ab12"), Subject: alice, Recipients: 21},
		Login:    text, Authors: []string{text}, ReplyTo: []string{text}, Score: text, Version: cmp.Or(text, "a1b2c3"),
		Config:  []rules.Line{{File: text, Line: 7, Key: "identity.header_from", Value: text}, {Key: "identity.alignment", Value: `"relaxed"`}},
		Windows: []rules.Window{{Limit: "minute", Subject: alice, Unit: rules.Messages, Window: "1m", Used: 10, Max: 10, NextFree: at}},
	})
	w.must(err)
	w.must(w.store.Record(w.t.Context(), state.Decision{
		ID: id, At: at, Action: "reject", Rule: "identity.header_from", Account: text, Client: "192.0.2.7",
		From: text, Rcpts: 3, Subjects: []string{alice, "ip:192.0.2.7"}, To: []string{text, "bob@remote.example"}, Detail: detail,
	}))
}

// block stores one as the rules make it.
func (w *world) block(id, subject, text string) {
	evidence, err := json.Marshal([]rules.Evidence{{Rule: "identity.header_from", Fact: text, Got: text, Want: text}})
	w.must(err)
	w.must(w.store.AddBlock(w.t.Context(), state.Block{
		ID: id, Subject: subject, Rule: "identity.header_from", Reason: text, Since: w.now.Add(-time.Hour), Until: w.now.Add(3 * time.Hour),
		By: cmp.Or(text, "o2n-milter"), Account: text, Customer: text, Evidence: evidence, Decisions: []string{"7K3QF2M9", "GONE0000"},
	}))
}

func (w *world) request(id, block, subject, text string) {
	w.must(state.PutRecord(w.t.Context(), w.store, &state.Request{
		ID: id, Block: block, Subject: subject, Account: "alice@client-a.example", At: w.now.Add(-10 * time.Minute),
		Happened: text, Done: text, Password: true, From: text, State: state.RequestOpen,
	}))
}

func (w *world) exemption(id, text string) {
	w.must(state.PutRecord(w.t.Context(), w.store, &state.Exemption{
		ID: id, Subject: alice, Rule: "limit.minute", Factor: 3, Domain: text, Owner: text, Reason: text,
		Since: w.now.Add(-time.Hour), Until: w.now.Add(30 * 24 * time.Hour), By: text,
	}))
}

// held stores a held message of alice's, as more changes it.
func (w *world) held(id, text string, more ...func(*state.Held)) {
	h := state.Held{
		ID: id, Subject: alice, Rule: "limit.minute", Reason: text, Account: text, Customer: text, Host: text, QueueID: "Q" + text,
		From: text, Recipients: []string{text, "b@remote.example"}, About: text, Size: 4711, Since: w.now.Add(-time.Hour),
		State: state.HeldWaiting, Due: w.now.Add(20 * time.Minute), Ask: json.RawMessage(`{"v":1,"own":true}`),
	}
	for _, change := range more {
		change(&h)
	}
	w.must(state.PutRecord(w.t.Context(), w.store, &h))
}

// fill puts one of everything into the store, with text wherever foreign text may
// stand.
func (w *world) fill(text string) {
	w.decision("7K3QF2M9", w.now.Add(-2*time.Hour), text)
	w.block("B1111111", alice, text)
	w.block("B2222222", "customer:"+text, text)
	w.request("R1111111", "B1111111", alice, text)
	w.exemption("E1111111", text)
	w.held("H1111111", text)
	w.held("H2222222", text, func(h *state.Held) {
		h.Subject, h.Rule, h.State, h.Wish, h.WishBy = "customer:"+text, text, state.HeldKept, state.WishBounce, text
	})
	w.desk.HeldUnknown = func() []desk.UnknownHeld {
		return []desk.UnknownHeld{{Host: text, QueueID: text, From: text, Recipients: 7, Since: w.now.Add(-24 * time.Hour), Reason: text}}
	}
	w.must(state.PutRecord(w.t.Context(), w.store, &state.AuditLine{
		ID: "20260314T110000.000000-AAAAAAAA", At: w.now.Add(-time.Hour), By: text, From: text, What: text, Target: text, Subject: alice, Reason: text,
	}))
	count := w.desk.Stats.Count
	for range 40 {
		count(&rules.Verdict{Action: rules.Accept, Rule: "none", At: w.now.Add(-time.Minute), Subjects: []string{alice}})
	}
	for i := range 9 {
		count(&rules.Verdict{Action: rules.Reject, Rule: fmt.Sprintf("rule.n%d", i), At: w.now.Add(-time.Hour), Subjects: []string{"account:" + text}})
	}
}

// everything is all that the store holds, to compare.
func (w *world) everything() string {
	var all strings.Builder
	for _, kind := range []string{"block", "request", "exemption", "audit", "stats", "notice", "held"} {
		docs, err := w.store.Docs(w.t.Context(), kind)
		w.must(err)
		for _, d := range docs {
			fmt.Fprintf(&all, "%s %s %d %s\n", d.Kind, d.ID, d.Rev, d.Data)
		}
	}
	return all.String()
}

// browser is one, without scripts. It tells where its requests come from.
type browser struct {
	w       *world
	peer    string
	header  http.Header
	cookies map[string]string
}

func (w *world) browser() *browser {
	return &browser{w: w, peer: "192.0.2.50:4711", header: http.Header{"Sec-Fetch-Site": {"same-origin"}}, cookies: map[string]string{}}
}

// operator is a browser that is logged in.
func (w *world) operator(name string) *browser {
	w.t.Helper()
	b := w.browser()
	b.login(w.link(name))
	return b
}

// link is the path of a one-time link.
func (w *world) link(name string) string {
	w.t.Helper()
	link, err := w.desk.ConsoleLink(w.t.Context(), desk.Actor{Name: name, From: "cli"})
	w.must(err)
	return strings.TrimPrefix(link.URL, "https://sending.example")
}

func (b *browser) login(path string) {
	b.w.t.Helper()
	if p := b.submit(path, loginPath, nil); p.status != http.StatusOK || p.path != "/admin/" {
		b.w.t.Fatalf("login: %d at %s", p.status, p.path)
	}
}

// reply is a page as the browser got it.
type reply struct {
	status int
	path   string // where it was led to
	header http.Header
	body   string
	tree   *html.Node
}

func (b *browser) do(method, path string, form url.Values) reply {
	b.w.t.Helper()
	r := httptest.NewRequest(method, "https://sending.example"+path, strings.NewReader(form.Encode()))
	r.RemoteAddr = b.peer
	for name, values := range b.header {
		r.Header[name] = values
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	rec := httptest.NewRecorder()
	b.w.http.ServeHTTP(rec, r)
	for _, c := range rec.Result().Cookies() {
		b.cookies[c.Name] = c.Value
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	tree, err := html.Parse(bytes.NewReader(rec.Body.Bytes()))
	b.w.must(err)
	return reply{rec.Code, path, rec.Header(), rec.Body.String(), tree}
}

func (b *browser) get(path string) reply {
	b.w.t.Helper()
	return b.do(http.MethodGet, path, nil)
}

// submit opens a page, fills in the form with this action, sends it and follows
// where it leads.
func (b *browser) submit(path, action string, fill url.Values) reply {
	b.w.t.Helper()
	p := b.do(http.MethodPost, action, b.form(path, action, fill))
	if p.status == http.StatusSeeOther {
		p = b.get(p.header.Get("Location"))
	}
	return p
}

// form is what the form with this action sends.
func (b *browser) form(path, action string, fill url.Values) url.Values {
	b.w.t.Helper()
	p := b.get(path)
	values := url.Values{}
	for form := range all(p.tree, atom.Form) {
		if pagetest.Attr(form, "action") != action {
			continue
		}
		for in := range form.Descendants() {
			if name := pagetest.Attr(in, "name"); name != "" && in.DataAtom != atom.Button {
				values.Set(name, valueOf(in))
			}
		}
	}
	if len(values) == 0 {
		b.w.t.Fatalf("%s (%d) has no form for %s:\n%s", path, p.status, action, p.body)
	}
	for name, v := range fill {
		values[name] = v
	}
	return values
}

func valueOf(in *html.Node) string {
	switch in.DataAtom {
	case atom.Textarea:
		return textOf(in)
	case atom.Select:
		first := ""
		for option := range all(in, atom.Option) {
			if pagetest.HasAttr(option, "selected") {
				return textOf(option)
			}
			first = cmp.Or(first, textOf(option))
		}
		return first
	}
	return pagetest.Attr(in, "value")
}

func all(n *html.Node, a atom.Atom) func(func(*html.Node) bool) {
	return func(yield func(*html.Node) bool) {
		for d := range n.Descendants() {
			if d.Type == html.ElementNode && d.DataAtom == a && !yield(d) {
				return
			}
		}
	}
}

func textOf(n *html.Node) string {
	var out strings.Builder
	for d := range n.Descendants() {
		switch {
		case d.Type == html.TextNode:
			out.WriteString(d.Data)
		case slices.Contains([]string{"td", "th", "dt", "dd", "p", "li"}, d.Data):
			out.WriteByte(' ')
		}
	}
	return strings.TrimSpace(out.String())
}

// text is what a reader sees of the page, on one line.
func (p reply) text() string {
	for n := range all(p.tree, atom.Body) {
		return strings.Join(strings.Fields(textOf(n)), " ")
	}
	return ""
}

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, p := range list {
		out[i] = netip.MustParsePrefix(p)
	}
	return out
}
