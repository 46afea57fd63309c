package notify

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/state"
	"o2n-milter/state/memory"
)

// TestDigestAtItsBoundary: the digest goes out Settings.Digest after the first event
// in it, with all that came until then.
func TestDigestAtItsBoundary(t *testing.T) {
	h := start(t, memory.New(), "mx1", Settings{Operator: ops, Digest: time.Hour})
	sent := h.record(nil)
	at := func(d time.Duration, text string) {
		h.Notify(t.Context(), t0.Add(d), texted(alice, text))
		h.settleAt(t, t0.Add(d))
	}
	at(0, "first")
	at(10*time.Minute, "second")
	at(50*time.Minute, "third")
	if diff := cmp.Diff([]string{"operator first"}, sentTexts(*sent)); diff != "" {
		t.Fatal(diff)
	}
	due := t0.Add(70 * time.Minute)
	if next := h.settleAt(t, due.Add(-time.Nanosecond)); !next.Equal(due) || len(*sent) != 1 {
		t.Fatalf("next %s, sent %v", next, sentTexts(*sent))
	}
	h.settleAt(t, due)
	if diff := cmp.Diff([]string{"operator first", "digest second", "digest third"}, sentTexts(*sent)); diff != "" || len(*sent) != 2 {
		t.Fatalf("%d mails, %s", len(*sent), diff)
	}
	if got := h.Stats(); got.Channels[toDigest].Sent != 2 || got.Channels[toOperator].Sent != 1 {
		t.Errorf("counted %+v", got)
	}
}

// TestIncidentAtItsBoundary: Settings.Digest after its first mail an incident is over.
func TestIncidentAtItsBoundary(t *testing.T) {
	for _, digest := range []time.Duration{time.Minute, time.Hour, 24 * time.Hour} {
		for _, tt := range []struct {
			after time.Duration
			want  string
		}{{digest - 1, toDigest}, {digest, toOperator}, {digest + 1, toOperator}} {
			h := start(t, memory.New(), "mx1", Settings{Operator: ops, Digest: digest})
			h.record(nil)
			h.Notify(t.Context(), t0, blockOf(alice))
			h.settleAt(t, t0)
			h.Notify(t.Context(), t0.Add(tt.after), blockOf(alice))
			if left := h.left(t); len(left) != 1 || left[0].Channel != tt.want {
				t.Errorf("digest %s, after %s: %+v; want %s", digest, tt.after, left, tt.want)
			}
			h.settleAt(t, t0.Add(9*24*time.Hour))
			if docs, err := h.store.Docs(t.Context(), incidentKind); len(docs) != 0 || err != nil {
				t.Errorf("incidents stay: %v, %v", docs, err)
			}
		}
	}
}

func TestIncidentsAreKeptForAnHourAtLeast(t *testing.T) {
	h := start(t, memory.New(), "mx1", Settings{Operator: ops, Digest: time.Minute})
	h.record(nil)
	h.Notify(t.Context(), t0, blockOf(alice))
	h.settleAt(t, t0.Add(time.Hour-1))
	if docs, _ := h.store.Docs(t.Context(), incidentKind); len(docs) != 1 || len(h.incidents.own) != 1 {
		t.Errorf("within the hour: %d incidents", len(docs))
	}
	h.settleAt(t, t0.Add(time.Hour))
	if docs, _ := h.store.Docs(t.Context(), incidentKind); len(docs) != 0 || len(h.incidents.own) != 0 {
		t.Errorf("after an hour: %d incidents", len(docs))
	}
}

func TestOtherIncidentsHaveTheirOwnMail(t *testing.T) {
	h := start(t, memory.New(), "mx1", Settings{Operator: ops})
	sent := h.record(nil)
	lift := blockOf(alice)
	lift.What = Lift
	for _, e := range []Event{blockOf(alice), blockOf("account:bob@client-a.example"), lift, {What: Ceiling, Text: "1"}, {What: Store, Text: "1"}} {
		h.Notify(t.Context(), t0, e)
	}
	// What concerns the whole is one incident, whatever it names.
	h.Notify(t.Context(), t0.Add(alarmEvery), Event{What: Ceiling, Block: blockOf(alice).Block})
	h.Notify(t.Context(), t0, Event{What: Store, Text: "2"})
	h.settleAt(t, t0)
	if len(*sent) != 5 || len(h.left(t)) != 2 {
		t.Errorf("sent %d, left %d", len(*sent), len(h.left(t)))
	}
}

// TestLiftByRequest: the operator has one mail of an approved request, programs are
// told of the lift too.
func TestLiftByRequest(t *testing.T) {
	set := hook
	set.Operator = ops
	h := start(t, memory.New(), "mx1", set)
	told := map[string]int{}
	h.record(func(j job) error { told[j.Channel+" "+j.Event.What]++; return nil })
	e := blockOf(alice)
	e.Request = state.Request{ID: "R1", Subject: alice}
	for _, what := range []string{Approve, Lift} {
		e.What = what
		h.Notify(t.Context(), t0, e)
	}
	h.settleAt(t, t0)
	want := map[string]int{toOperator + " " + Approve: 1, toWebhook + " " + Approve: 1, toWebhook + " " + Lift: 1}
	if diff := cmp.Diff(want, told); diff != "" || len(h.left(t)) != 0 {
		t.Errorf("%s, %d left", diff, len(h.left(t)))
	}
}

// TestFloodAtTheCeiling: each refused message of it is an event. Programs are called
// once a minute, and what waits for others is not driven out.
func TestFloodAtTheCeiling(t *testing.T) {
	h := start(t, memory.New(), "mx1", hook)
	told := map[string]int{}
	h.record(func(j job) error { told[j.Event.What]++; return nil })
	h.Notify(t.Context(), t0, blockOf(alice))
	for i := range mostNotices + 100 {
		h.Notify(t.Context(), t0.Add(time.Duration(i)*time.Millisecond), Event{What: Ceiling})
	}
	h.Notify(t.Context(), t0.Add(alarmEvery-1), Event{What: Ceiling})
	h.Notify(t.Context(), t0.Add(alarmEvery), Event{What: Ceiling})
	h.Notify(t.Context(), t0, Event{What: Ceiling}) // the clock was set back
	h.settleAt(t, t0.Add(alarmEvery))
	if diff := cmp.Diff(map[string]int{Block: 1, Ceiling: 3}, told); diff != "" {
		t.Error(diff)
	}
}

// TestFlood: a thousand blocks make a handful of mails, and none is forgotten.
func TestFlood(t *testing.T) {
	h := start(t, memory.New(), "mx1", Settings{Operator: ops})
	sent := h.record(nil)
	for i := range 1000 {
		if i == 500 {
			h.settleAt(t, t0.Add(time.Second))
		}
		h.Notify(t.Context(), t0.Add(time.Duration(i)*time.Millisecond), texted(fmt.Sprintf("account:u%d@client-a.example", i), fmt.Sprint(i)))
	}
	h.Notify(t.Context(), t0.Add(time.Second), Event{What: Ceiling}) // its mail does not wait for a day
	h.settleAt(t, t0.Add(time.Second))
	if len(*sent) != mostFirst+1 {
		t.Errorf("%d mails at once; want %d", len(*sent), mostFirst+1)
	}
	h.settleAt(t, t0.Add(25*time.Hour))
	if len(*sent) != mostFirst+2 || len(h.left(t)) != 0 {
		t.Fatalf("%d mails, %d notices left", len(*sent), len(h.left(t)))
	}
	if texts := sentTexts(*sent); len(texts) != 1001 {
		t.Errorf("told of %d events", len(texts))
	}
}

func TestRateOfFirstMails(t *testing.T) {
	for _, tt := range []struct {
		before int
		after  time.Duration
		want   string
	}{
		{mostFirst - 1, 0, toOperator}, {mostFirst, 0, toDigest}, {mostFirst + 1, 0, toDigest},
		{mostFirst, time.Hour - 1, toDigest}, {mostFirst, time.Hour, toOperator},
	} {
		h := start(t, memory.New(), "mx1", Settings{Operator: ops})
		h.record(nil)
		for i := range tt.before {
			h.Notify(t.Context(), t0, blockOf(fmt.Sprintf("account:u%d@client-a.example", i)))
		}
		h.settleAt(t, t0)
		h.Notify(t.Context(), t0.Add(tt.after), blockOf(alice))
		left := h.left(t)
		if got := left[len(left)-1].Channel; got != tt.want {
			t.Errorf("%d before, after %s: %s; want %s", tt.before, tt.after, got, tt.want)
		}
	}
}

// TestDigestTellsWhatIsMissing, once.
func TestDigestTellsWhatIsMissing(t *testing.T) {
	mta := newMTA(t)
	fails := true
	mta.dataErr = func() error {
		if fails {
			return answer(451)
		}
		return nil
	}
	h := start(t, memory.New(), "mx1", Settings{Operator: ops, SMTP: mta.address})
	h.missed.Store(7)
	for now := t0; now.Before(t0.Add(10 * time.Minute)); now = now.Add(time.Minute) {
		if now.Equal(t0) || now.Equal(t0.Add(5*time.Minute)) {
			h.box.add(t.Context(), newNotice(now, toDigest, "mx1", now, blockOf(alice)))
		}
		fails = now.Equal(t0)
		h.settleAt(t, now)
	}
	got := mta.got()
	if len(got) != 2 {
		t.Fatalf("%d digests; %s", len(got), h.log)
	}
	wantParts(t, open(t, got[0].text).body, "7 more were dropped")
	wantNone(t, open(t, got[1].text).body, "dropped")
}

func TestDigestIsBounded(t *testing.T) {
	h := start(t, memory.New(), "mx1", Settings{})
	for _, n := range []int{mostLines - 1, mostLines, mostLines + 1} {
		j := job{notice: newNotice(t0, toDigest, "mx1", t0, blockOf(alice))}
		j.rest = slices.Repeat([]notice{j.notice}, n-1)
		d := h.digest(j, 0)
		if d.Events != n || len(d.Lines) != min(n, mostLines) || d.More != max(0, n-mostLines) {
			t.Errorf("of %d: %d lines and %d more", n, len(d.Lines), d.More)
		}
	}
}
