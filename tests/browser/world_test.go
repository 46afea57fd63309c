//go:build browser

package browser

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"o2n-milter/accounts"
	"o2n-milter/config"
	"o2n-milter/message"
	"o2n-milter/rules"
	"o2n-milter/state"
	"o2n-milter/state/memory"
	"o2n-milter/web/console"
	"o2n-milter/web/customer"
	"o2n-milter/web/desk"
	"o2n-milter/web/page"
	"o2n-milter/web/stats"
)

const settings = `
[limit.minute]
subject = "account"
unit = "messages"
max = 10
window = "1m"
action = "tempfail"
[limit.daily]
subject = "account"
unit = "recipients"
max = 500
window = "24h"
action = "tempfail"
[account."alice@client-a.example"]
customer = "C-1001"
domains = ["client-a.example"]
[account."bob@client-b.example"]
customer = "C-1002"
domains = ["client-b.example"]
[account."newsletter@client-c.example"]
customer = "C-1003"
domains = ["client-c.example"]
`

// judge asks one Engine.
type judge struct {
	*rules.Engine
	*accounts.Table
	set *rules.Settings
}

func (j judge) Account(ctx context.Context, login string) (*accounts.Account, error) {
	return j.ByLogin(ctx, login)
}
func (j judge) Settings() *rules.Settings { return j.set }

// world is the filter without an MTA: mail is given to the Engine, and the pages
// are served on loopback.
type world struct {
	t      *testing.T
	url    string
	desk   *desk.Desk
	engine *rules.Engine
	at     time.Time // of the next mail
}

func newWorld(t *testing.T) *world {
	t.Helper()
	file := filepath.Join(t.TempDir(), "o2n-milter.toml")
	check(t, os.WriteFile(file, []byte(settings), 0o600))
	cfg, faults := config.Load(file, true)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	table, clashes := accounts.NewTable(slices.Collect(maps.Values(cfg.Accounts.Table)))
	if len(clashes) > 0 {
		t.Fatal(clashes)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	w := &world{t: t, url: "http://" + ln.Addr().String(), at: time.Now()}
	store := memory.New()
	w.engine = rules.New(cfg.Rules, table, store, func() time.Time { return w.at })
	links, err := desk.NewLinks(bytes.Repeat([]byte("k"), 32))
	check(t, err)
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	w.desk = &desk.Desk{
		Store: store, Judge: judge{w.engine, table, &cfg.Rules}, Log: log, Now: time.Now, Links: links,
		Stats: stats.New(store, "mx1", log), Sessions: func() int { return 2 }, Version: "test", PublicURL: w.url,
	}
	kit := page.New(page.Options{PublicURL: w.url, Language: func() string { return "en" }, Log: log, Now: time.Now})
	mux := http.NewServeMux()
	mux.Handle("/admin/", console.Handler(console.Options{Desk: w.desk, Page: kit, Now: time.Now}))
	mux.Handle("/c/", customer.Handler(w.desk, kit))
	server := &http.Server{Handler: mux}
	go func() { _ = server.Serve(ln) }()
	t.Cleanup(func() { _ = server.Close() })
	return w
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// mail is judged at a time that has been, and counted.
func (w *world) mail(ago time.Duration, login, from, subject string, rcpts ...string) rules.Verdict {
	w.t.Helper()
	w.at = time.Now().Add(-ago)
	m := &rules.Mail{
		Client: netip.MustParseAddr("198.51.100.7"), ClientName: "dsl.client.example", Host: "mx1.host.example", Login: login, Sender: login, QueueID: "4Xy1", Size: 2345,
		Header: []message.Field{{Name: "From", Value: " " + from}, {Name: "Subject", Value: " " + subject}, {Name: "Message-ID", Value: " <1@client.example>"}},
	}
	for _, r := range rcpts {
		m.Recipients = append(m.Recipients, rules.Recipient{Address: r})
		m.Header = append(m.Header, message.Field{Name: "Bcc", Value: " " + r})
	}
	v := w.engine.Decide(w.t.Context(), m)
	w.desk.Stats.Count(&v)
	check(w.t, w.desk.Store.Record(w.t.Context(), state.Decision{
		ID: v.ID, At: v.At.Truncate(time.Millisecond), Action: v.Action.String(), Rule: v.Rule, Account: v.Account, Client: m.Client.String(),
		From: m.Sender, Rcpts: len(rcpts), Subjects: v.Subjects, Detail: detail(w.t, rules.Detail{
			Reply: v.Reply(), QueueID: m.QueueID, ClientName: m.ClientName, MessageID: "<1@client.example>", Subject: subject, Size: m.Size, Evidence: v.Evidence, Charges: v.Charges,
		}),
	}))
	return v
}

func detail(t *testing.T, v any) json.RawMessage {
	t.Helper()
	text, err := json.Marshal(v)
	check(t, err)
	return text
}

// aDay is a day's mail of three accounts; alice's password was stolen.
func (w *world) aDay() {
	w.t.Helper()
	for hour := 23; hour >= 1; hour-- {
		ago := time.Duration(hour) * time.Hour
		for i := range 3 + hour%5 {
			w.mail(ago-time.Duration(i)*7*time.Minute, "bob@client-b.example", "bob@client-b.example", "Minutes of the meeting", "carol@remote.example")
		}
		w.mail(ago-20*time.Minute, "alice@client-a.example", "Alice <alice@client-a.example>", "Invoice 2026-114", "dave@remote.example")
	}
	for i := range 14 {
		w.mail(50*time.Minute-time.Duration(i)*time.Second, "newsletter@client-c.example", "newsletter@client-c.example", "Spring sale", fmt.Sprintf("reader%d@remote.example", i))
	}
	for i := range 5 {
		w.mail(30*time.Minute-time.Duration(i)*time.Minute, "alice@client-a.example",
			`"Your Bank" <service@bank.example>`, "Urgent: <b>verify</b> your account", fmt.Sprintf("victim%d@remote.example", i))
	}
}
