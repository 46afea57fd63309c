package notify

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/state"
	"o2n-milter/state/memory"
)

func fill(t *testing.T, h *house, channel string, count int) {
	t.Helper()
	for i := range count {
		h.box.add(t.Context(), newNotice(t0.Add(time.Duration(i)), channel, "mx1", t0.Add(time.Hour), texted(alice, fmt.Sprint(channel, i))))
	}
}

// TestOutboxIsBounded: the oldest that wait for a digest make room, then the oldest.
func TestOutboxIsBounded(t *testing.T) {
	for _, before := range []int{mostNotices - 2, mostNotices - 1, mostNotices, mostNotices + 3} {
		h := start(t, memory.New(), "mx1", hook)
		fill(t, h, toExec, before-2)
		fill(t, h, toDigest, 2)
		h.Notify(t.Context(), t0.Add(time.Second), texted(alice, "new"))
		left := h.left(t)
		if want := min(before+1, mostNotices); len(left) != want {
			t.Fatalf("%d before: %d left; want %d", before, len(left), want)
		}
		if left[len(left)-1].Event.Text != "new" {
			t.Error("the new one is not there")
		}
		dropped := before + 1 - len(left)
		stats := h.Stats()
		if got := stats.Channels[toDigest].Dropped; got != int64(min(dropped, 2)) {
			t.Errorf("%d before: %d digests dropped", before, got)
		}
		if got := stats.Channels[toExec].Dropped; got != int64(max(dropped-2, 0)) {
			t.Errorf("%d before: %d others dropped", before, got)
		}
		if got := strings.Count(h.log.String(), "notice dropped"); got != dropped {
			t.Errorf("%d before: %d lines in the log; want %d", before, got, dropped)
		}
		if dropped == 1 && slices.ContainsFunc(left, func(v notice) bool { return v.Event.Text == "digest0" }) {
			t.Error("not the oldest was dropped")
		}
		if h.missed.Load() != int64(min(dropped, 2)) {
			t.Errorf("the digest will say that %d are missing", h.missed.Load())
		}
	}
}

// TestWhatCannotBeReadIsDropped: it would stay for ever.
func TestWhatCannotBeReadIsDropped(t *testing.T) {
	h := start(t, memory.New(), "mx1", Settings{})
	if _, err := h.store.PutDoc(t.Context(), state.Doc{Kind: noticeKind, ID: "1", Data: []byte(`{"due":"yesterday"}`)}); err != nil {
		t.Fatal(err)
	}
	other := newNotice(t0, "pigeon", "mx1", t0, blockOf(alice)) // of a later version
	h.box.add(t.Context(), other)
	h.settleAt(t, t0)
	if docs, _ := h.store.Docs(t.Context(), noticeKind); len(docs) != 0 {
		t.Errorf("left %v", docs)
	}
	wantParts(t, h.log.String(), "cannot be read is dropped", "no such channel")
}

func TestWhatIsConfiguredNoMoreIsDropped(t *testing.T) {
	set := hook
	set.Operator, set.Customer, set.Exec = ops, true, map[string][]string{Block: {"/bin/true"}}
	h := start(t, memory.New(), "mx1", set)
	h.Notify(t.Context(), t0, blockOf(alice))
	h.Notify(t.Context(), t0, blockOf(alice))
	if len(h.left(t)) != 8 {
		t.Fatalf("%d notices", len(h.left(t)))
	}
	if err := h.Configure(Settings{}); err != nil {
		t.Fatal(err)
	}
	h.settleAt(t, t0.Add(24*time.Hour))
	if len(h.left(t)) != 0 {
		t.Errorf("left %+v", h.left(t))
	}
	for c, want := range map[string]int64{toOperator: 1, toDigest: 1, toCustomer: 2, toWebhook: 2, toExec: 2} {
		if got := h.Stats().Channels[c].Dropped; got != want {
			t.Errorf("%s: %d dropped; want %d", c, got, want)
		}
	}
}

func TestNobodyIsToldOfAnUnknownEvent(t *testing.T) {
	h := start(t, memory.New(), "mx1", hook)
	h.Notify(t.Context(), t0, Event{What: "party"})
	if len(h.left(t)) != 0 {
		t.Error("it is in the outbox")
	}
	wantParts(t, h.log.String(), "unknown event")
}

// TestStoreAway: what there is to say then is in memory, and said.
func TestStoreAway(t *testing.T) {
	store := newAway()
	set := hook
	set.Operator = ops
	h := start(t, store, "mx1", set)
	sent := h.record(nil)
	h.Notify(t.Context(), t0, texted("account:bob@client-a.example", "before")) // stays in the store
	store.set(true)
	h.Notify(t.Context(), t0, Event{What: Store, Text: "away"})
	h.Notify(t.Context(), t0, texted(alice, "block"))
	h.Notify(t.Context(), t0, texted(alice, "block again"))
	next := h.settleAt(t, t0)
	if next.After(t0.Add(restAfter)) {
		t.Errorf("next look in %s", next.Sub(t0))
	}
	got := sentTexts(*sent)
	slices.Sort(got)
	want := []string{"operator away", "operator block", "webhook away", "webhook block", "webhook block again"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	store.set(false)
	h.settleAt(t, next)
	if got := sentTexts(*sent); len(got) != 7 {
		t.Errorf("sent in all: %v", got)
	}
	h.settleAt(t, t0.Add(24*time.Hour))
	if got := sentTexts(*sent); len(got) != 8 || got[7] != "digest block again" || len(h.left(t)) != 0 {
		t.Errorf("sent in all: %v", got)
	}
	wantParts(t, h.log.String(), "kept in memory only")
}

// TestStoreAwayAtTheClaim: without a claim nothing is sent, and it is tried again.
func TestStoreAwayAtTheClaim(t *testing.T) {
	store := newAway()
	h := start(t, store, "mx1", hook)
	sent := h.record(nil)
	h.Notify(t.Context(), t0, blockOf(alice))
	list := h.left(t)
	store.set(true)
	next := h.sendDue(t.Context(), t0, list)
	if len(*sent) != 0 || !next.Equal(t0.Add(restAfter)) {
		t.Errorf("sent %d, next %s", len(*sent), next)
	}
	store.set(false)
	h.settleAt(t, next)
	if len(*sent) != 1 {
		t.Errorf("sent %d", len(*sent))
	}
}

// TestStoreEventsAskNothingOfTheStore: it may not answer at all.
func TestStoreEventsAskNothingOfTheStore(t *testing.T) {
	store := newAway()
	h := start(t, store, "mx1", Settings{Operator: ops})
	if first, err := h.incidents.open(t.Context(), t0, time.Hour, Event{What: Store}); !first || err != nil {
		t.Errorf("first %v, %v", first, err)
	}
	if docs, _ := store.Docs(t.Context(), incidentKind); len(docs) != 0 {
		t.Error("it is in the store")
	}
}

// TestStoredAfterAll: a notice in memory that turns out to be stored is one notice.
func TestStoredAfterAll(t *testing.T) {
	h := start(t, memory.New(), "mx1", hook)
	sent := h.record(nil)
	v := newNotice(t0, toWebhook, "mx1", t0, blockOf(alice))
	h.box.memory[v.id] = v
	if _, err := h.box.put(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	h.settleAt(t, t0)
	if len(*sent) != 1 || len(h.left(t)) != 0 {
		t.Errorf("sent %d, left %d", len(*sent), len(h.left(t)))
	}
}
