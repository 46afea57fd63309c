package customer

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"o2n-milter/accounts"
	"o2n-milter/message"
	"o2n-milter/rules"
	"o2n-milter/state"
	"o2n-milter/state/memory"
	"o2n-milter/web/desk"
	"o2n-milter/web/page"
	"o2n-milter/web/page/pagetest"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const (
	alice = "alice@client-a.example"
	amy   = "amy@client-a.example" // of the same customer
	bob   = "bob@client-b.example"
)

// judge asks a real engine, so that pages are tested with what rules write.
type judge struct {
	*rules.Engine
	*accounts.Table
	set rules.Settings
}

func (j *judge) Account(ctx context.Context, login string) (*accounts.Account, error) {
	return j.ByLogin(ctx, login)
}
func (j *judge) Settings() *rules.Settings { return &j.set }

// world is a desk on memory with a page in front, and a clock that tests move.
type world struct {
	testing.TB
	now   time.Time
	store state.Store
	judge *judge
	desk  *desk.Desk
	http  http.Handler
	log   bytes.Buffer
}

func newWorld(t testing.TB, change ...func(*rules.Settings)) *world {
	t.Helper()
	w := &world{TB: t, now: noon, store: memory.New()}
	clock := func() time.Time { return w.now }
	table, clashes := accounts.NewTable([]*accounts.Account{
		{Login: alice, Customer: "C-1001", Addresses: []string{alice}, Domains: []string{"client-a.example"}, Scripts: []string{"www-data@web1.example"}},
		{Login: amy, Customer: "C-1001"},
		{Login: bob, Customer: "C-2002"},
	})
	if len(clashes) > 0 {
		t.Fatal(clashes)
	}
	set := settings()
	for _, f := range change {
		f(&set)
	}
	w.judge = &judge{rules.New(set, table, w.store, clock), table, set}
	links, err := desk.NewLinks(bytes.Repeat([]byte("k"), 32))
	w.must(err)
	w.desk = &desk.Desk{Store: w.store, Judge: w.judge, Now: clock, Links: links, Log: slog.New(slog.NewTextHandler(&w.log, nil))}
	w.http = Handler(w.desk, page.New(page.Options{
		PublicURL: "https://sending.example", Key: []byte("for tests"), Language: func() string { return "en" },
		Log: w.desk.Log, Now: clock,
	}))
	return w
}

// settings have every rule on.
func settings() rules.Settings {
	set := rules.Settings{
		Actions: map[string]rules.Action{}, MaxVisible: 3, MaxEnvelope: 5, MaxDuplicates: 1, SelfUnblock: 2, Language: "en",
		Bulk:    rules.Bulk{Similar: 20, Window: 24 * time.Hour, MaxCampaign: 200, PaceMax: 10, PaceWindow: time.Minute},
		HelpURL: "https://help.example/sending-rules",
		Limits: []rules.Limit{
			{Name: "minute", Subject: "account", Unit: rules.Messages, Max: 10, Window: time.Minute, Action: rules.Tempfail},
			{Name: "daily", Subject: "account", Unit: rules.Recipients, Max: 2000, Window: 24 * time.Hour, Action: rules.Tempfail},
			{Name: "shared", Subject: "customer", Unit: rules.Bytes, Max: 1e6, Window: time.Hour, Action: rules.Tempfail},
		},
	}
	for _, id := range rules.IDs() {
		set.Actions[id] = rules.Reject
	}
	return set
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// send judges a message of an account; fields are header lines.
func (w *world) send(login string, rcpts int, fields ...string) rules.Verdict {
	w.Helper()
	m := &rules.Mail{Client: netip.MustParseAddr("192.0.2.7"), Login: login, Sender: login, Size: 4000}
	for i := range rcpts {
		m.Recipients = append(m.Recipients, rules.Recipient{Address: fmt.Sprintf("r%d@remote.example", i)})
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ":")
		m.Header = append(m.Header, message.Field{Name: name, Value: value})
	}
	v := w.judge.Decide(w.Context(), m)
	w.must(v.Err)
	return v
}

// forge sends mail with a foreign From.
func (w *world) forge(login, subject string) rules.Verdict {
	w.Helper()
	return w.send(login, 2, "From: boss@bank.example", "Subject: "+subject)
}

// block makes an automatic block, as the rules do.
func (w *world) block(id, subject, account string, struck ...rules.Verdict) state.Block {
	w.Helper()
	b := state.Block{
		ID: id, Subject: subject, Rule: "identity.header_from", Since: w.now, Until: w.now.Add(4 * time.Hour),
		By: rules.Automatic, Account: account,
	}
	var evidence []rules.Evidence
	for _, v := range struck {
		b.Decisions = append(b.Decisions, v.ID)
		evidence = append(evidence, v.Evidence...)
	}
	var err error
	b.Evidence, err = json.Marshal(evidence)
	w.must(err)
	w.must(w.store.AddBlock(w.Context(), b))
	return b
}

// blockByHand makes an operator's.
func (w *world) blockByHand(subject, length, reason string) desk.BlockView {
	w.Helper()
	v, err := w.desk.AddBlock(w.Context(), operator, desk.AddBlock{Subject: subject, For: length, Reason: reason})
	w.must(err)
	return v
}

var operator = desk.Actor{Name: "olivia", From: "console 192.0.2.9"}

// link is an account's path.
func (w *world) link(account string) string { return w.scoped(account, desk.ScopeFull) }

func (w *world) scoped(account string, scope desk.Scope) string {
	return "/c/" + w.desk.Links.Mint(account, scope, w.now.Add(24*time.Hour))
}

func (w *world) serve(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "https://sending.example"+path, strings.NewReader(body))
	r.TLS = nil
	r.RemoteAddr = "192.0.2.66:4711"
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	out := httptest.NewRecorder()
	w.http.ServeHTTP(out, r)
	return out
}

// from posts a form from a client's address.
func (w *world) from(address, path, body string) int {
	r := httptest.NewRequest(http.MethodPost, "https://sending.example"+path, strings.NewReader(body))
	r.RemoteAddr = address + ":4711"
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	out := httptest.NewRecorder()
	w.http.ServeHTTP(out, r)
	return out.Code
}

// get is a page that must be there.
func (w *world) get(path string, headers ...string) string {
	w.Helper()
	out := w.serve(http.MethodGet, path, "", headers...)
	if out.Code != http.StatusOK {
		w.Fatalf("status %d: %s\n%s", out.Code, seen(w, out.Body.String()), w.log.String())
	}
	w.sound(out.Body.String())
	return out.Body.String()
}

// form is the first form of a page, filled in soundly.
func (w *world) form(page string) url.Values {
	w.Helper()
	form := url.Values{"happened": {"My website was hacked."}, "done": {"I have updated it."}, "password": {"yes"}}
	for n := range parse(w, page).Descendants() {
		if n.Data == "input" && pagetest.Attr(n, "type") == "hidden" && form.Get(pagetest.Attr(n, "name")) == "" {
			form.Set(pagetest.Attr(n, "name"), pagetest.Attr(n, "value"))
		}
	}
	if form.Get("block") == "" {
		w.Fatal("the page has no form")
	}
	return form
}

// ask fills in and sends the form of an account's page.
func (w *world) ask(path string, change ...string) *httptest.ResponseRecorder {
	w.Helper()
	form := w.form(w.get(path))
	for i := 0; i < len(change); i += 2 {
		form.Set(change[i], change[i+1])
	}
	return w.serve(http.MethodPost, path, form.Encode())
}

// requests are all that the store has.
func (w *world) requests() []state.Request {
	w.Helper()
	list, err := state.Records[state.Request](w.Context(), w.store)
	w.must(err)
	return list
}

func parse(t testing.TB, page string) *html.Node {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// seen is what a reader sees of a page.
func seen(t testing.TB, page string) string { return pagetest.Text(parse(t, page)) }

// sound checks that a page is well-formed and accessible as far as a machine can tell.
func (w *world) sound(page string) {
	w.Helper()
	for _, fault := range pagetest.Faults(page) {
		w.Errorf("page: %s", fault)
	}
}
