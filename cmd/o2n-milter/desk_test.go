package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"o2n-milter/accounts"
	"o2n-milter/config"
	"o2n-milter/rules"
	"o2n-milter/state"
	"o2n-milter/state/memory"
	"o2n-milter/web"
	"o2n-milter/web/desk"
)

// office is a desk behind an admin socket, for commands that are run in-process.
type office struct {
	*desk.Desk
	config string
}

func newOffice(t *testing.T) *office {
	t.Helper()
	dir := t.TempDir()
	o := &office{config: filepath.Join(dir, "o2n-milter.toml")}
	text := fmt.Sprintf("[admin]\nsocket = %q\n", filepath.Join(dir, "admin.sock"))
	if err := os.WriteFile(o.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, faults := config.Load(o.config, true)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	store := memory.New()
	var engine atomic.Pointer[rules.Engine]
	table, _ := accounts.NewTable(nil)
	engine.Store(rules.New(cfg.Rules, table, store, time.Now))
	log := slog.New(slog.DiscardHandler)
	o.Desk = newDesk(cfg, store, &engine, nil, log, newHostClock(log))
	o.Sessions = func() int { return 0 }
	ln, err := net.Listen("unix", cfg.Admin.Socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := web.NewServer((&web.Admin{Desk: o.Desk}).Handler())
	t.Cleanup(func() { _ = srv.Close() })
	go func() { _ = srv.Serve(ln) }()
	return o
}

// runs runs a command and wants its exit code and what it prints, as a pattern.
func (o *office) runs(t *testing.T, code int, pattern string, args ...string) string {
	t.Helper()
	var out, errOut bytes.Buffer
	got := run(append(args, "--config", o.config), strings.NewReader(""), &out, &errOut)
	all := out.String() + errOut.String()
	if got != code || !regexp.MustCompile("(?m)"+pattern).MatchString(all) {
		t.Errorf("%v: exit %d, want %d and %s:\n%s", args, got, code, pattern, all)
	}
	return out.String()
}

const login = "alice@client-a.example"

// blocked is a block of alice's that she has asked about.
func (o *office) blocked(t *testing.T, id string) desk.RequestView {
	t.Helper()
	evidence, err := json.Marshal([]rules.Evidence{{Rule: "identity.header_from", Fact: "header From", Got: "boss@bank.example", Want: "an own address"}})
	if err != nil {
		t.Fatal(err)
	}
	detail, err := json.Marshal(rules.Detail{Subject: "Urgent\x1b[2J transfer"})
	if err != nil {
		t.Fatal(err)
	}
	err = o.Store.Record(t.Context(), state.Decision{ID: "D" + id, At: time.Now(), Action: "reject", Rule: "identity.header_from", Rcpts: 9, Detail: detail})
	if err != nil {
		t.Fatal(err)
	}
	err = o.Store.AddBlock(t.Context(), state.Block{
		ID: id, Subject: "account:" + login, Rule: "identity.header_from", Reason: "5 strikes", Since: time.Now(), By: rules.Automatic,
		Account: login, Customer: "C-1001", Evidence: evidence, Decisions: []string{"D" + id},
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := o.Ask(t.Context(), desk.Actor{Name: "customer " + login, From: "page 192.0.2.7"}, desk.AskUnblock{
		Account: login, Block: id, Happened: "My password was\nstolen " + strings.Repeat("\u00e9", 60), Done: "changed it", Password: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRequestCommands(t *testing.T) {
	o := newOffice(t)
	r := o.blocked(t, "B1")
	o.runs(t, 0, `^`+r.ID+` +B1 +account:alice@client-a\.example +alice@client-a\.example +20\S+Z +open +My password was stolen \x{e9}{34}\.\.\.$`, "request", "list")
	var list desk.RequestList
	if err := json.Unmarshal([]byte(o.runs(t, 0, `"text":"My password was\\nstolen`, "request", "list", "--json")), &list); err != nil || len(list.Requests) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	o.runs(t, 0, `^would deny `+r.ID+` of `+login+`$`, "request", "deny", r.ID, "--reason", "no", "--dry-run")
	o.runs(t, 64, `^o2n-milter: reason is empty`, "request", "deny", r.ID, "--reason", "")
	o.runs(t, 0, `^denied `+r.ID, "request", "deny", r.ID, "--reason", "scan first")
	o.runs(t, 1, `answered already: denied by `, "request", "approve", r.ID)
	o.runs(t, 0, `^ID +BLOCK`, "request", "list")

	again, err := o.Ask(t.Context(), desk.Actor{}, desk.AskUnblock{Account: login, Block: "B1", Happened: "scanned"})
	if err != nil {
		t.Fatal(err)
	}
	o.runs(t, 0, `^would approve `+again.ID+` of \S+\nwould lift B1 of account:`+login+`$`, "request", "approve", again.ID, "--dry-run")
	o.runs(t, 0, `^approved `+again.ID+` of \S+\nlifted B1 of account:`+login+`$`, "request", "approve", again.ID, "--reason", "thanks")
	o.runs(t, 0, `"id":"`+again.ID+`".*"state":"approved"`, "request", "list", "--all", "--json")
	o.runs(t, 0, `^\{"blocks":\[\]\}$`, "block", "list", "--json")
}

func TestBlockShow(t *testing.T) {
	o := newOffice(t)
	r := o.blocked(t, "B1")
	if _, err := o.Deny(t.Context(), desk.Actor{Name: "root"}, desk.AnswerRequest{Request: r.ID, Text: "scan\nfirst"}); err != nil {
		t.Fatal(err)
	}
	out := o.runs(t, 0, `^customer +C-1001$`, "block", "show", "B1")
	for _, part := range []string{
		`^evidence +identity.header_from: header From is boss@bank.example; want an own address$`,
		`^request +` + r.ID + `$`, `^happened +My password was\n +stolen `, `^password +changed$`, `^answer +scan\n +first$`,
		`^asked +20\S+Z by alice@client-a.example, page 192.0.2.7$`,
		`^20\S+Z +DB1 +reject +identity.header_from +9 +Urgent\?\[2J transfer$`,
	} {
		if !regexp.MustCompile("(?m)" + part).MatchString(out) {
			t.Errorf("no %s in\n%s", part, out)
		}
	}
	if strings.ContainsAny(out, "\x1b\t") {
		t.Errorf("control characters in %q", out)
	}
}
