package desk

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/state"
)

// hold stores a held message of alice's, as more changes it.
func (f *fixture) hold(t *testing.T, id string, more ...func(*state.Held)) state.Held {
	t.Helper()
	h := state.Held{
		ID: id, Subject: "account:" + aliceLogin, Rule: "limit.minute", Reason: "too fast", Account: aliceLogin, Customer: "C-1",
		Host: "mx1.host.example", QueueID: "Q" + id, From: aliceLogin, Recipients: []string{"x@remote.example", "y@remote.example"},
		About: "Hello", Size: 4711, Since: f.now, Ask: json.RawMessage(`{"v":1,"own":true}`), State: state.HeldWaiting, Due: f.now.Add(time.Minute),
	}
	for _, change := range more {
		change(&h)
	}
	if err := state.PutRecord(t.Context(), f.Store, &h); err != nil {
		t.Fatal(err)
	}
	return h
}

func in(s state.HeldState) func(*state.Held) { return func(h *state.Held) { h.State = s } }

func of(subject string) func(*state.Held) {
	return func(h *state.Held) { h.Subject, h.Account, h.Customer = subject, "", "" }
}

// held is a message as the store has it.
func (f *fixture) held(t *testing.T, id string) state.Held {
	t.Helper()
	all, err := state.Records[state.Held](t.Context(), f.Store)
	i := slices.IndexFunc(all, func(h state.Held) bool { return h.ID == id })
	if err != nil || i < 0 {
		t.Fatalf("held %s: %v", id, err)
	}
	return all[i]
}

// ids of what q lists, in order.
func (f *fixture) ids(t *testing.T, q HeldQuery) string {
	t.Helper()
	list, err := f.Held(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, h := range list.Held {
		ids = append(ids, h.ID)
	}
	return strings.Join(ids, " ")
}

func TestHeldIsListed(t *testing.T) {
	f := newDesk(t)
	list, err := f.Held(t.Context(), HeldQuery{})
	if raw, _ := json.Marshal(list); err != nil || string(raw) != `{"held":[],"more":0,"unknown":[]}` {
		t.Errorf("nothing: %s, %v", raw, err)
	}
	f.hold(t, "H2")
	f.now = start.Add(-time.Hour)
	f.hold(t, "H1", func(h *state.Held) { h.Rule, h.Host = "block.active", "mx2.host.example" })
	f.hold(t, "H3", of("host:web1.example"), in(state.HeldKept))
	f.hold(t, "H4", in(state.HeldReleased), func(h *state.Held) { h.Ended = start })
	f.hold(t, "H5", in(state.HeldLeaving), func(h *state.Held) { h.Subject = "domain:remote.example" })
	f.now = start
	for _, tt := range []struct {
		name string
		q    HeldQuery
		want string
	}{
		{"all that is held, oldest first", HeldQuery{}, "H1 H3 H5 H2"},
		{"ended too", HeldQuery{All: true}, "H1 H3 H4 H5 H2"},
		{"its subject, or who sent it", HeldQuery{Subject: "account:Alice@client-a.example"}, "H1 H5 H2"},
		{"its customer", HeldQuery{Subject: "customer:C-1"}, "H1 H5 H2"},
		{"what it waits behind", HeldQuery{Subject: "domain:remote.example"}, "H5"},
		{"another's", HeldQuery{Subject: "account:bob@client-a.example"}, ""},
		{"a rule", HeldQuery{Rule: "block.active"}, "H1"},
		{"no rule", HeldQuery{Rule: "block"}, ""},
		{"a host", HeldQuery{Host: "MX2.host.example"}, "H1"},
		{"an id", HeldQuery{ID: "h3"}, "H3"},
		{"a queue id", HeldQuery{ID: "QH3"}, "H3"},
		{"a queue id in other letters", HeldQuery{ID: "qh3"}, ""},
		{"just older", HeldQuery{Until: start.Add(-time.Hour - 1)}, ""},
		{"as old", HeldQuery{Until: start.Add(-time.Hour)}, "H1 H3 H5"},
		{"just younger", HeldQuery{Until: start.Add(-time.Hour + 1)}, "H1 H3 H5"},
		{"all of it", HeldQuery{Subject: "customer:C-1", Rule: "limit.minute", Host: "mx1.host.example", Until: start, All: true}, "H4 H5 H2"},
	} {
		if got := f.ids(t, tt.q); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	_, err = f.Held(t.Context(), HeldQuery{Subject: "alice"})
	wants(t, err, ErrBad, "want account:")
	if all, kept, err := f.HeldCount(t.Context()); all != 4 || kept != 1 || err != nil {
		t.Errorf("%d, %d kept, %v", all, kept, err)
	}
	if s, err := f.Status(t.Context()); err != nil || s.Held != 4 {
		t.Errorf("status: %d, %v", s.Held, err)
	}
	if o, err := f.Overview(t.Context()); err != nil || o.Held != 4 || o.HeldKept != 1 {
		t.Errorf("overview: %d, %d, %v", o.Held, o.HeldKept, err)
	}
	if found, err := f.Search(t.Context(), "web1"); err != nil || !slices.Equal(found, []string{"host:web1.example"}) {
		t.Errorf("search: %q, %v", found, err)
	}
	raw, err := json.Marshal(heldView(f.held(t, "H2")))
	want := `{"id":"H2","host":"mx1.host.example","queue_id":"QH2","subject":"account:alice@client-a.example","rule":"limit.minute",` +
		`"since":"2026-03-01T12:00:00Z","due":"2026-03-01T12:01:00Z","state":"waiting","account":"alice@client-a.example","customer":"C-1",` +
		`"from":"alice@client-a.example","recipients":2,"about":"Hello","size":4711,"ended":null,"wish":"","wish_by":""}`
	if diff := cmp.Diff(want, string(raw)); diff != "" || err != nil {
		t.Errorf("(-want +got): %s%v", diff, err)
	}
	// What does not leave by itself is due at no time.
	if v := heldView(f.held(t, "H3")); v.Due != nil {
		t.Errorf("kept and due at %s", v.Due)
	}
}

// That nothing is released is worth an alarm while something is held.
func TestHoldIsAway(t *testing.T) {
	f := newDesk(t)
	f.HoldAway = func() string { return "hold agent: no such file" }
	if o, err := f.Overview(t.Context()); err != nil || len(o.Alarms) != 0 {
		t.Errorf("nothing is held: %q, %v", o.Alarms, err)
	}
	f.hold(t, "H1", in(state.HeldKept))
	if o, err := f.Overview(t.Context()); err != nil || len(o.Alarms) != 1 || o.Alarms[0] != "held mail stays: hold agent: no such file" {
		t.Errorf("%q, %v", o.Alarms, err)
	}
	if s, err := f.Status(t.Context()); err != nil || s.Hold != "hold agent: no such file" {
		t.Errorf("%+v, %v", s, err)
	}
	f.HoldAway = func() string { return "" }
	if o, err := f.Overview(t.Context()); err != nil || len(o.Alarms) != 0 {
		t.Errorf("it is back: %q, %v", o.Alarms, err)
	}
}

// The book follows every change of the store, its own and others'.
func TestHeldIsAlwaysAsItIs(t *testing.T) {
	f := newDesk(t)
	h := f.hold(t, "H1")
	if got := f.ids(t, HeldQuery{}); got != "H1" {
		t.Fatalf("%q", got)
	}
	h.State = state.HeldDeleted
	if err := state.PutRecord(t.Context(), f.Store, &h); err != nil {
		t.Fatal(err)
	}
	if got, all := f.ids(t, HeldQuery{}), f.ids(t, HeldQuery{All: true}); got != "" || all != "H1" {
		t.Errorf("ended: %q of %q", got, all)
	}
	if err := state.DeleteRecord(t.Context(), f.Store, h); err != nil {
		t.Fatal(err)
	}
	if got := f.ids(t, HeldQuery{All: true}); got != "" {
		t.Errorf("deleted: %q", got)
	}
	if f.hold(t, "H1"); f.ids(t, HeldQuery{}) != "H1" {
		t.Error("it is held again, and not listed")
	}
	if _, err := f.Store.PutDoc(t.Context(), state.Doc{Kind: "held", ID: "H2", Data: []byte(`{"size":"x"}`)}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := f.Held(t.Context(), HeldQuery{}); err == nil || !strings.Contains(err.Error(), "held H2") {
			t.Errorf("a record that cannot be read: %v", err)
		}
	}
}

func TestHeldListIsBounded(t *testing.T) {
	for _, n := range []int{MostShown - 1, MostShown, MostShown + 1} {
		if views := heldViews(make([]state.Held, n)); len(views) != min(n, MostShown) {
			t.Errorf("of %d: %d", n, len(views))
		}
	}
	f := newDesk(t)
	f.HeldUnknown = func() []UnknownHeld { return make([]UnknownHeld, MostShown+1) }
	if list, err := f.Held(t.Context(), HeldQuery{}); err != nil || len(list.Unknown) != MostShown {
		t.Errorf("unknown: %d, %v", len(list.Unknown), err)
	}
}

func TestUnknownHeld(t *testing.T) {
	f := newDesk(t)
	f.HeldUnknown = func() []UnknownHeld {
		return []UnknownHeld{{Host: "mx1", QueueID: "U1", Since: start}, {Host: "mx1", QueueID: "U2", Since: start.Add(-time.Hour)}}
	}
	for _, tt := range []struct {
		q    HeldQuery
		want int
	}{
		{HeldQuery{}, 2}, {HeldQuery{ID: "U1"}, 1}, {HeldQuery{ID: "u1"}, 0}, {HeldQuery{Host: "MX1"}, 2}, {HeldQuery{Host: "mx2"}, 0},
		{HeldQuery{Until: start.Add(-1)}, 1}, {HeldQuery{Until: start}, 2}, {HeldQuery{Rule: "limit.minute"}, 0},
		{HeldQuery{Subject: "account:" + aliceLogin}, 0},
	} {
		if list, err := f.Held(t.Context(), tt.q); err != nil || len(list.Unknown) != tt.want {
			t.Errorf("%+v: %d, want %d, %v", tt.q, len(list.Unknown), tt.want, err)
		}
	}
	_, err := f.HeldMail(t.Context(), "U1")
	wants(t, err, ErrNotFound, "no held mail")
	_, err = f.WishHeld(t.Context(), root, WishHeld{Wish: state.WishDelete, IDs: []string{"U1"}})
	wants(t, err, ErrNotFound, `no held mail "U1"`)
}

func TestHeldGroups(t *testing.T) {
	f := newDesk(t)
	f.hold(t, "H1", in(state.HeldKept))
	f.hold(t, "H2", func(h *state.Held) { h.Due = start.Add(2 * time.Minute) })
	f.hold(t, "H3", func(h *state.Held) { h.Due = start.Add(time.Minute) })
	f.hold(t, "H4", func(h *state.Held) { h.Rule, h.Since, h.Due = "block.active", start.Add(-time.Hour), time.Time{} })
	f.hold(t, "H5", in(state.HeldDeleted))
	got, err := f.HeldGroups(t.Context())
	next := start.Add(time.Minute)
	want := []HeldGroup{
		{Subject: "account:" + aliceLogin, Rule: "block.active", Count: 1, Oldest: start.Add(-time.Hour)},
		{Subject: "account:" + aliceLogin, Rule: "limit.minute", Count: 3, Kept: 1, Oldest: start, Next: &next},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("(-want +got): %s%v", diff, err)
	}
}

// A queue id is used again, and by other hosts; what is held now is meant first.
func TestHeldByQueueID(t *testing.T) {
	f := newDesk(t)
	same := func(h *state.Held) { h.QueueID = "4Xy1" }
	f.hold(t, "H1", same, in(state.HeldReleased))
	f.hold(t, "H2", same)
	f.hold(t, "QH1") // a decision's id counts before a queue id
	if v, err := f.HeldMail(t.Context(), "4Xy1"); err != nil || v.ID != "H2" || v.Reason != "too fast" || len(v.To) != 2 {
		t.Errorf("%+v, %v", v, err)
	}
	f.hold(t, "H3", same, func(h *state.Held) { h.Host = "mx2" })
	_, err := f.HeldMail(t.Context(), "4Xy1")
	wants(t, err, ErrConflict, `queue id "4Xy1": 2 messages have it, the first is H2 on mx1.host.example; want the decision's id`)
	if v, err := f.HeldMail(t.Context(), "qh1"); err != nil || v.ID != "QH1" {
		t.Errorf("%s, %v", v.ID, err)
	}
	for _, name := range []string{"", "4xy1", "H"} {
		_, err = f.HeldMail(t.Context(), name)
		wants(t, err, ErrNotFound, fmt.Sprintf("no held mail %q", name))
	}
	f.hold(t, "H9", func(h *state.Held) { h.Recipients = nil })
	if v, err := f.HeldMail(t.Context(), "H9"); err != nil || v.To == nil {
		t.Errorf("recipients null, %v", err)
	}
}
