package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"o2n-milter/state"
	"o2n-milter/state/badgerdb"
	"o2n-milter/web/desk"
)

// holdMail stores a held message of alice's.
func holdMail(ctx context.Context, store state.Store, id string, more ...func(*state.Held)) error {
	h := state.Held{
		ID: id, Subject: "account:" + login, Rule: "limit.minute", Reason: "10 used, 1 more", Account: login, Customer: "C-1001",
		Host: "mx9.host.example", QueueID: "4Xy" + id, From: login, Recipients: []string{"a@remote.example", "b@remote.example\x1b[2J"},
		Ask:   json.RawMessage(`{"v":1,"own":true}`),
		About: "Offer\x1b[2J\nof today", Size: 4711, Since: time.Now().Add(-2 * time.Hour), State: state.HeldWaiting, Due: time.Now().Add(time.Hour),
	}
	for _, change := range more {
		change(&h)
	}
	return state.PutRecord(ctx, store, &h)
}

// cmdHoldMail puts messages that a host holds into the store of a folder: "holdmail
// DIR HOST STATE ID...".
func cmdHoldMail(ts *testscript.TestScript, _ bool, args []string) {
	store, err := badgerdb.Open(badgerdb.Options{Path: ts.MkAbs(args[0])})
	ts.Check(err)
	for _, id := range args[3:] {
		ts.Check(holdMail(context.Background(), store, id, func(h *state.Held) { h.Host, h.State = args[1], state.HeldState(args[2]) }))
	}
	ts.Check(store.Close())
}

// held puts messages into the office's store.
func (o *office) held(t *testing.T, id string, more ...func(*state.Held)) {
	t.Helper()
	if err := holdMail(t.Context(), o.Store, id, more...); err != nil {
		t.Fatal(err)
	}
}

// obeys makes the office's desk one of a host that does what is wanted at once; end
// says what becomes of a message.
func (o *office) obeys(t *testing.T, end func(*state.Held)) {
	o.HeldChanged = func() {
		list, err := state.Records[state.Held](context.Background(), o.Store)
		if err != nil {
			t.Error(err)
		}
		for _, h := range list {
			if h.Wish == state.WishNone || !h.Ended.IsZero() {
				continue
			}
			end(&h)
			if err := state.PutRecord(context.Background(), o.Store, &h); err != nil {
				t.Error(err)
			}
		}
	}
}

// fulfil is what a host makes of a wish.
func fulfil(h *state.Held) {
	h.State = map[state.Wish]state.HeldState{
		state.WishRelease: state.HeldReleased, state.WishDelete: state.HeldDeleted, state.WishBounce: state.HeldBounced,
	}[h.Wish]
	h.Ended = time.Now()
}

func TestHeldCommands(t *testing.T) {
	o := newOffice(t)
	o.runs(t, 0, `^\{"held":\[\],"more":0,"unknown":\[\]\}$`, "held", "list", "--json")
	for _, id := range []string{"H1", "H2", "H3"} {
		o.held(t, id)
	}
	o.held(t, "H4", func(h *state.Held) { h.State, h.Rule = state.HeldKept, "content.score" })
	o.HeldUnknown = func() []desk.UnknownHeld {
		return []desk.UnknownHeld{{Host: "mx1.host.example", QueueID: "4Zz1", From: "x@y.example\x1b[2J", Recipients: 1, Since: time.Now(), Reason: "by hand"}}
	}
	out := o.runs(t, 0, `^H1 +waiting +account:alice@client-a\.example +limit\.minute +20\S+Z +20\S+Z +mx9\.host\.example +4XyH1 +2 +Offer\?\[2J of today$`, "held", "list")
	for _, part := range []string{`^H4 +kept .* - +mx9`, `^on hold, and not by o2n-milter$`, `^mx1\.host\.example +4Zz1 +20\S+Z +x@y\.example\?\[2J +1 +by hand$`} {
		if !regexp.MustCompile("(?m)" + part).MatchString(out) {
			t.Errorf("no %s in\n%s", part, out)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Errorf("control characters in %q", out)
	}
	var list desk.HeldList
	if err := json.Unmarshal([]byte(o.runs(t, 0, `^\{"held":\[\{"id":"H4","host":"mx9.host.example","queue_id":"4XyH4","subject":"account:alice@client-a.example","rule":"content.score","since":"20[^"]+Z","due":null,`,
		"held", "list", "--json", "--rule", "content.score")), &list); err != nil || len(list.Held) != 1 || len(list.Unknown) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	for _, tt := range []struct {
		args string
		n    int
	}{
		{"--subject account:" + login, 4}, {"--subject customer:C-1001", 4}, {"--subject account:bob@client-a.example", 0}, {"--host mx9.host.example", 4},
		{"--host mx1.host.example", 0}, {"--older-than 1h", 4}, {"--older-than 3h", 0}, {"--older-than 0s --rule limit.minute", 3},
	} {
		out := o.runs(t, 0, `^\{"held":`, append([]string{"held", "list", "--json"}, strings.Fields(tt.args)...)...)
		if err := json.Unmarshal([]byte(out), &list); err != nil || len(list.Held) != tt.n {
			t.Errorf("%s: %d, want %d, %v", tt.args, len(list.Held), tt.n, err)
		}
	}
	o.runs(t, 64, `--older-than "long": no duration; want 30m, 4h or 2d`, "held", "list", "--older-than", "long")
	o.runs(t, 64, `--older-than "-1h": no duration`, "held", "list", "--older-than", "-1h")
	o.runs(t, 64, `subject "alice".*want account:`, "held", "list", "--subject", "alice")
	o.runs(t, 0, `^held +4$`, "status")
	o.runs(t, 0, `"held":4,`, "status", "--json")

	out = o.runs(t, 0, `^held +H1$`, "held", "show", "4XyH1")
	for _, part := range []string{`^state +waiting$`, `^about +Offer\?\[2J\?of today$`, `^to +<a@remote.example>$`, `^to +<b@remote.example\?\[2J>$`, `^size +4.7 kB$`, `^reason +10 used, 1 more$`} {
		if !regexp.MustCompile("(?m)" + part).MatchString(out) {
			t.Errorf("no %s in\n%s", part, out)
		}
	}
	o.runs(t, 0, `^\{"id":"H1",.*"to":\["a@remote.example",`, "held", "show", "h1", "--json")
	o.runs(t, 1, `no held mail "H9"`, "held", "show", "H9")
}

func TestHeldWishes(t *testing.T) {
	o := newOffice(t)
	for i := range 9 {
		o.held(t, fmt.Sprint("H", i))
	}
	o.held(t, "HB", func(h *state.Held) { h.Rule = "block.active" })
	o.held(t, "HL", func(h *state.Held) { h.State = state.HeldLeaving })
	o.obeys(t, fulfil)
	o.runs(t, 64, `want ids, or a subject`, "held", "release")
	o.runs(t, 64, `want ids, or a subject`, "held", "delete", "H1", "--subject", "account:"+login)
	o.runs(t, 1, `no held mail "H99"`, "held", "delete", "H1", "H99")
	o.runs(t, 0, `^would send back H1 of account:`+login+`$`, "held", "delete", "H1", "--bounce", "--dry-run")
	o.runs(t, 0, `^would release H1 of \S+\nwould release H2 of `, "held", "release", "H1", "H2", "--dry-run")
	if list, err := o.Audit(t.Context(), desk.AuditQuery{}); err != nil || len(list.Audit) != 0 {
		t.Errorf("changed by then: %+v, %v", list, err)
	}
	o.runs(t, 0, `^released H1 of account:`+login+`\nreleased H2 of account:`+login+`$`, "held", "release", "H1", "4XyH2", "--reason", "ticket 7")
	o.runs(t, 0, `^H1 of \S+ was released already$`, "held", "release", "H1")
	o.runs(t, 1, `^H1 of \S+ was released already: nothing was changed\ndeleted H3 of `, "held", "delete", "H1", "H3")
	o.runs(t, 0, `^sent back H4 of `, "held", "delete", "--bounce", "H4")
	o.runs(t, 1, `^HL of \S+ is leaving already: nothing was changed$`, "held", "delete", "HL")
	o.runs(t, 0, `^\{"held":\[\{"id":"H5",.*"state":"deleted",.*"to":\[.*\],"outcome":"done","changed":true\}\]\}$`, "held", "delete", "H5", "--json")
	o.runs(t, 0, `\Awould release HB of account:`+login+`\n\z`, "held", "release", "--subject", "customer:C-1001", "--rule", "block.active", "--dry-run")
	o.held(t, "HN", func(h *state.Held) { h.From = "" })
	o.runs(t, 1, `^HN of \S+ is still held: its sender <> is not known to be who sent it, and gets nothing back$`, "held", "delete", "HN", "--bounce")
	o.obeys(t, func(h *state.Held) { h.Wish = state.WishRelease })
	o.runs(t, 1, `^HB of \S+ is still held: somebody wants something else done with it$`, "held", "delete", "HB")
	audit, err := o.Audit(t.Context(), desk.AuditQuery{Target: "H1"})
	if err != nil || len(audit.Audit) != 1 || audit.Audit[0].What != "held release" || audit.Audit[0].Reason != "ticket 7" {
		t.Errorf("%+v, %v", audit, err)
	}
}

func TestHeldLines(t *testing.T) {
	h := desk.WishedHeld{HeldDetail: desk.HeldDetail{HeldView: desk.HeldView{ID: "H1", Subject: "account:x", Host: "mx9", State: state.HeldWaiting}}, Outcome: desk.HeldAsked, Changed: true}
	if got, want := wishedLine(h, state.WishBounce), "H1 of account:x is to be sent back: mx9 has not done it yet"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	h.State = state.HeldLeaving
	if got, want := wishedLine(h, state.WishRelease), "H1 of account:x is leaving"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for s := range heldEnds {
		if s != state.HeldLeaving && heldEnds[s] == "" {
			t.Errorf("no words for %s", s)
		}
	}
	if got := heldState(desk.HeldView{State: state.HeldKept, Wish: state.WishDelete}); got != "kept, to delete" {
		t.Error(got)
	}
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	q, err := heldFlags{olderThan: "2d", all: true}.query(now)
	if want := (url.Values{"subject": {""}, "rule": {""}, "host": {""}, "all": {"1"}, "until": {"2026-11-21T12:00:00Z"}}); err != nil || q.Encode() != want.Encode() {
		t.Errorf("%v, %v", q, err)
	}
}
