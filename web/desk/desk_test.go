package desk

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"o2n-milter/accounts"
	"o2n-milter/rules"
	"o2n-milter/state"
	"o2n-milter/state/memory"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// judge is a Judge over a fixed table.
type judge struct {
	*accounts.Table
	set     rules.Settings
	windows map[string][]rules.Window
	err     error
}

func (j *judge) Account(ctx context.Context, login string) (*accounts.Account, error) {
	if j.err != nil {
		return nil, j.err
	}
	return j.ByLogin(ctx, login)
}

func (j *judge) WindowsOf(_ context.Context, _ time.Time, subject string) ([]rules.Window, error) {
	return j.windows[subject], j.err
}

func (j *judge) Settings() *rules.Settings { return &j.set }

// fixture is a desk whose clock, log and events a test sees.
type fixture struct {
	*Desk
	now    time.Time
	log    bytes.Buffer
	judge  *judge
	events []string
}

var (
	root  = Actor{Name: "root", From: "cli"}
	alice = Actor{Name: "customer alice@client-a.example", From: "page 192.0.2.7"}
)

func newDesk(t *testing.T) *fixture {
	t.Helper()
	table, clashes := accounts.NewTable([]*accounts.Account{
		{Login: "alice@client-a.example", Customer: "C-1", Scripts: []string{"www-a@web1.example"}},
		{Login: "bob@client-a.example", Customer: "C-1"},
		{Login: "carol@client-c.example", Customer: "C-2", Scripts: []string{"www-c@web1.example"}},
		{Login: "dave@client-d.example"},
	})
	if len(clashes) > 0 {
		t.Fatal(clashes)
	}
	links, err := NewLinks(bytes.Repeat([]byte("k"), 32))
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{now: start, judge: &judge{Table: table, windows: map[string][]rules.Window{}}}
	f.judge.set.SelfUnblock = 2
	f.judge.set.Limits = []rules.Limit{{Name: "minute", Subject: "account", Unit: rules.Messages, Max: 10, Window: time.Minute}}
	f.Desk = &Desk{
		Store: memory.New(), Judge: f.judge, Log: slog.New(slog.NewTextHandler(&f.log, nil)),
		Now: func() time.Time { return f.now }, Links: links, Sessions: func() int { return 3 },
		Version: "v1", PublicURL: "https://sending.example",
		Changed: func(e Event) { f.events = append(f.events, e.What+" "+e.Block.ID+e.Request.ID) },
	}
	return f
}

// automatic blocks a subject as the rules do.
func (f *fixture) automatic(t *testing.T, id, subject string, more ...func(*state.Block)) state.Block {
	t.Helper()
	b := state.Block{
		ID: id, Subject: subject, Rule: "identity.header_from", Reason: "5 strikes",
		Since: f.now, Until: f.now.Add(4 * time.Hour), By: rules.Automatic,
	}
	for _, f := range more {
		f(&b)
	}
	if err := f.Store.AddBlock(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	return b
}

func (f *fixture) block(t *testing.T, subject string) BlockView {
	t.Helper()
	v, err := f.AddBlock(t.Context(), root, AddBlock{Subject: subject, For: "4h", Reason: "ticket 1"})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (f *fixture) ask(t *testing.T, account, block string) RequestView {
	t.Helper()
	v, err := f.Ask(t.Context(), alice, AskUnblock{Account: account, Block: block, Happened: "stolen password", Done: "changed it", Password: true})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (f *fixture) stateOf(t *testing.T, id string) state.BlockState {
	t.Helper()
	v, err := f.Block(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return v.State
}

// everything is all that the store has of docs, to compare.
func (f *fixture) everything(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, kind := range []string{"block", "request", "exemption", "audit", "stats"} {
		docs, err := f.Store.Docs(t.Context(), kind)
		if err != nil {
			t.Fatal(err)
		}
		for _, doc := range docs {
			all.WriteString(kind + " " + doc.ID + " " + string(doc.Data) + "\n")
		}
	}
	return all.String()
}

// wants checks the kind of an error and a part of its sentence; nil: none.
func wants(t *testing.T, err, kind error, part string) {
	t.Helper()
	if !errors.Is(err, kind) || err != nil && !strings.Contains(err.Error(), part) {
		t.Errorf("got %v, want %v with %q", err, kind, part)
	}
}
