package notify

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/state"
	"o2n-milter/state/memory"
)

var (
	ops  = []string{"ops@isp.example"}
	hook = Settings{Webhook: "https://hook.example/", WebhookKey: []byte("0123456789abcdef")}
)

func sentTexts(sent []job) []string {
	var list []string
	for _, j := range sent {
		for _, v := range append([]notice{j.notice}, j.rest...) {
			list = append(list, v.Channel+" "+v.Event.Text)
		}
	}
	return list
}

func texted(subject, text string) Event {
	e := blockOf(subject)
	e.Text = text
	return e
}

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
	for after, want := range map[time.Duration]int{time.Hour - 1: 1, time.Hour: 0} {
		if want == 0 {
			continue // below: it removes
		}
		h.settleAt(t, t0.Add(after))
		if docs, _ := h.store.Docs(t.Context(), incidentKind); len(docs) != want {
			t.Errorf("after %s: %d incidents; want %d", after, len(docs), want)
		}
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
	h.Notify(t.Context(), t0, Event{What: Ceiling, Block: blockOf(alice).Block})
	h.Notify(t.Context(), t0, Event{What: Store, Text: "2"})
	h.settleAt(t, t0)
	if len(*sent) != 5 || len(h.left(t)) != 2 {
		t.Errorf("sent %d, left %d", len(*sent), len(h.left(t)))
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

// TestPauses: each try waits as long as the ones before, up to six hours; after three
// days it is given up.
func TestPauses(t *testing.T) {
	h := start(t, memory.New(), "mx1", hook)
	tries := 0
	h.record(func(job) error { tries++; return errors.New("no") })
	h.Notify(t.Context(), t0, blockOf(alice))
	now := t0
	var pauses []time.Duration
	for len(h.left(t)) > 0 {
		before := tries
		h.settleAt(t, now)
		if tries != before+1 {
			t.Fatalf("%d tries at %s", tries-before, now)
		}
		left := h.left(t)
		if len(left) == 0 {
			break
		}
		pauses = append(pauses, left[0].Due.Sub(now))
		now = left[0].Due
		h.settleAt(t, now.Add(-time.Nanosecond))
		if tries != before+1 {
			t.Fatalf("a try too early, before %s", now)
		}
	}
	want := []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute, 32 * time.Minute, 64 * time.Minute,
		128 * time.Minute, 256 * time.Minute, 6 * time.Hour, 6 * time.Hour}
	if diff := cmp.Diff(want, pauses[:len(want)]); diff != "" {
		t.Error(diff)
	}
	if total := now.Sub(t0); total > giveUp || total < giveUp-mostPause {
		t.Errorf("given up after %s", total)
	}
	if got := h.Stats().Channels[toWebhook]; got.Failed != 1 || got.Retried != int64(len(pauses)) {
		t.Errorf("counted %+v", got)
	}
	wantParts(t, h.log.String(), "notice given up")
}

func TestPauseOf(t *testing.T) {
	for tries, want := range map[int]time.Duration{1: time.Minute, 2: 2 * time.Minute, 9: 256 * time.Minute, 10: mostPause, 11: mostPause, 1 << 30: mostPause} {
		if got := pause(tries); got != want {
			t.Errorf("after %d: %s; want %s", tries, got, want)
		}
	}
}

func TestGiveUpAtItsBoundary(t *testing.T) {
	h := start(t, memory.New(), "mx1", hook)
	h.record(func(job) error { return errors.New("no") })
	for d, again := range map[time.Duration]bool{-1: true, 0: true, 1: false} {
		v := newNotice(t0, toWebhook, "mx1", t0, blockOf(alice))
		v.First = t0.Add(firstPause).Add(-giveUp).Add(-d)
		h.box.add(t.Context(), v)
		h.settleAt(t, t0)
		left := h.left(t)
		if (len(left) == 1) != again {
			t.Errorf("next try %s over three days: left %d", d, len(left))
		}
		for _, v := range left {
			h.box.remove(t.Context(), v)
		}
		clear(h.rest)
	}
}

// TestAChannelRests: where one try did not succeed, the others wait a minute, and
// other channels do not.
func TestAChannelRests(t *testing.T) {
	set := hook
	set.Operator = ops
	h := start(t, memory.New(), "mx1", set)
	tries := map[string]int{}
	h.record(func(j job) error {
		tries[j.Channel]++
		if j.Channel == toWebhook {
			return errors.New("dead")
		}
		return nil
	})
	for i := range 5 {
		h.Notify(t.Context(), t0, blockOf(fmt.Sprintf("account:u%d@client-a.example", i)))
	}
	for i, now := range []time.Time{t0, t0.Add(restAfter - 1), t0.Add(restAfter), t0.Add(2*restAfter - 1), t0.Add(2 * restAfter)} {
		next := h.settleAt(t, now)
		want := map[string]int{toOperator: 5, toWebhook: 1 + i/2}
		if diff := cmp.Diff(want, tries); diff != "" {
			t.Errorf("at %s: %s", now.Sub(t0), diff)
		}
		if next.After(now.Add(restAfter)) {
			t.Errorf("at %s: next %s", now.Sub(t0), next.Sub(t0))
		}
	}
}

func TestProgramsAreTriedAFewTimes(t *testing.T) {
	h := start(t, memory.New(), "mx1", Settings{Exec: map[string][]string{Block: {"/bin/true"}}})
	tries := 0
	h.record(func(job) error { tries++; return errors.New("no") })
	h.Notify(t.Context(), t0, blockOf(alice))
	for now := t0; now.Before(t0.Add(24 * time.Hour)); now = now.Add(time.Minute) {
		h.settleAt(t, now)
	}
	if tries != mostHooks || h.Stats().Channels[toExec].Failed != 1 {
		t.Errorf("%d tries; want %d", tries, mostHooks)
	}
}

// TestRestart: what waits is sent by the process that comes after, once, and it
// knows what people were told.
func TestRestart(t *testing.T) {
	store := memory.New()
	set := hook
	set.Operator, set.Customer = ops, true
	first := start(t, store, "mx1", set)
	first.record(func(job) error { return errors.New("no") })
	first.Notify(t.Context(), t0, texted(alice, "1"))
	first.settleAt(t, t0)

	second := start(t, store, "mx1", set)
	sent := second.record(nil)
	second.Notify(t.Context(), t0.Add(time.Second), texted(alice, "2"))
	second.settleAt(t, t0.Add(time.Minute))
	got := sentTexts(*sent)
	slices.Sort(got)
	want := []string{"customer 1", "customer 2", "operator 1", "webhook 1", "webhook 2"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if left := second.left(t); len(left) != 1 || left[0].Channel != toDigest {
		t.Errorf("left %+v", left)
	}
	for _, j := range *sent {
		if j.Event.Text == "1" && j.Tries != 2 {
			t.Errorf("%s: try %d; want 2", j.Channel, j.Tries)
		}
	}
}

// TestStopping: what is on its way when we stop is tried again, without a fault.
func TestStopping(t *testing.T) {
	h := start(t, memory.New(), "mx1", hook)
	ctx, stop := context.WithCancel(t.Context())
	h.record(func(job) error { stop(); return context.Canceled })
	h.Notify(ctx, t0, blockOf(alice))
	h.Step(ctx, t0)
	if left := h.left(t); len(left) != 1 || h.Stats().Channels[toWebhook] != (Count{}) {
		t.Errorf("left %d, counted %+v", len(left), h.Stats())
	}
	h.Notify(ctx, t0, blockOf(alice)) // also then
	if left := h.left(t); len(left) != 2 || left[1].rev == 0 {
		t.Errorf("an event while we stop is lost: %+v", left)
	}
}

// TestDoneWhileStopping: what was sent does not come twice.
func TestDoneWhileStopping(t *testing.T) {
	h := start(t, memory.New(), "mx1", hook)
	ctx, stop := context.WithCancel(t.Context())
	h.record(func(job) error { stop(); return nil })
	h.Notify(ctx, t0, blockOf(alice))
	h.Step(ctx, t0)
	if left := h.left(t); len(left) != 0 {
		t.Errorf("left %+v", left)
	}
}

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

// TestFleet: each host sends what it has made; another one does when it is gone.
func TestFleet(t *testing.T) {
	store := memory.New()
	a, b := start(t, store, "mx1", hook), start(t, store, "mx2", hook)
	fails := true
	byA := a.record(func(job) error {
		if fails {
			return errors.New("no")
		}
		return nil
	})
	byB := b.record(nil)
	a.Notify(t.Context(), t0, texted(alice, "1"))
	a.settleAt(t, t0) // tried, and a sign of life
	b.settleAt(t, t0.Add(gone-1))
	if len(*byB) != 0 {
		t.Fatal("a notice of a living host was taken")
	}
	old := a.left(t)
	b.settleAt(t, t0.Add(gone))
	if len(*byB) != 1 || len(b.left(t)) != 0 {
		t.Fatalf("taken over: %d", len(*byB))
	}
	wantParts(t, b.log.String(), "notice taken over")
	fails = false
	a.sendDue(t.Context(), t0.Add(gone), old) // a was not gone, only slow
	if len(*byA) != 0 {
		t.Error("sent twice")
	}
}

// TestSignsOfLife: a host with notices gives one each quarter of an hour.
func TestSignsOfLife(t *testing.T) {
	store := memory.New()
	a, b := start(t, store, "mx1", hook), start(t, store, "mx2", hook)
	a.record(func(job) error { return errors.New("no") })
	byB := b.record(nil)
	a.Notify(t.Context(), t0, texted(alice, "1"))
	for now := t0; now.Before(t0.Add(6 * time.Hour)); now = now.Add(beatEvery) {
		if next := a.settleAt(t, now); next.After(now.Add(beatEvery)) {
			t.Fatalf("a sleeps for %s", next.Sub(now))
		}
		b.settleAt(t, now)
	}
	if len(*byB) != 0 {
		t.Error("a notice of a living host was taken")
	}
	if docs, _ := store.Docs(t.Context(), hostKind); len(docs) != 1 || docs[0].ID != "mx1" {
		t.Errorf("signs of life: %v; want mx1's only", docs)
	}
	b.settleAt(t, t0.Add(forgotten+6*time.Hour))
	if docs, _ := store.Docs(t.Context(), hostKind); len(docs) != 1 || docs[0].ID != "mx2" {
		t.Errorf("signs of life a day later: %v; want mx2's only", docs)
	}
}

// TestOneMailForTheFleet: of many hosts that see the same at once one tells it.
func TestOneMailForTheFleet(t *testing.T) {
	store := memory.New()
	var hosts []*house
	for i := range 8 {
		hosts = append(hosts, start(t, store, fmt.Sprintf("mx%d", i), Settings{Operator: ops}))
	}
	var wg sync.WaitGroup
	for _, h := range hosts {
		wg.Go(func() { h.Notify(t.Context(), t0, blockOf(alice)) })
	}
	wg.Wait()
	first := 0
	left := hosts[0].left(t)
	for _, v := range left {
		if v.Channel == toOperator {
			first++
		}
	}
	if first != 1 || len(left) != len(hosts) {
		t.Errorf("%d first mails, %d notices", first, len(left))
	}
}

// TestGoneHostsNoticesAreSentOnce: several hosts take over at once.
func TestGoneHostsNoticesAreSentOnce(t *testing.T) {
	store := memory.New()
	lost := start(t, store, "mx0", hook)
	for i := range 20 {
		lost.Notify(t.Context(), t0, texted(alice, fmt.Sprint(i)))
	}
	var mu sync.Mutex
	got := map[string]int{}
	var wg sync.WaitGroup
	for i := range 4 {
		h := start(t, store, fmt.Sprintf("mx%d", i+1), hook)
		h.record(func(j job) error {
			mu.Lock()
			defer mu.Unlock()
			got[j.Event.Text]++
			return nil
		})
		wg.Go(func() {
			for range 20 {
				h.Step(t.Context(), t0.Add(2*time.Hour))
			}
		})
	}
	wg.Wait()
	if len(got) != 20 {
		t.Errorf("%d of 20 sent", len(got))
	}
	for text, n := range got {
		if n != 1 {
			t.Errorf("%s was sent %d times", text, n)
		}
	}
}

// TestEveryEventIsTold: over random traffic, faults, restarts and hosts, each event
// comes out of each channel once: of the operator's two, out of one.
func TestEveryEventIsTold(t *testing.T) {
	for seed := range uint64(6) {
		random := rand.New(rand.NewPCG(seed, 1))
		store := memory.New()
		set := hook
		set.Operator, set.Customer, set.Digest = ops, true, time.Hour
		set.Exec = map[string][]string{Block: {"/bin/true"}, Lift: {"/bin/true"}}
		told := map[string]int{}
		var hosts [2]*house
		restart := func(i int) {
			hosts[i] = start(t, store, fmt.Sprintf("mx%d", i), set)
			hosts[i].record(func(j job) error {
				if random.IntN(4) == 0 && j.Tries < mostHooks {
					return errors.New("no")
				}
				for _, v := range append([]notice{j.notice}, j.rest...) {
					told[strings.NewReplacer(toOperator, "people", toDigest, "people").Replace(v.Channel)+" "+v.Event.Text]++
				}
				return nil
			})
		}
		restart(0)
		restart(1)
		want := map[string]int{}
		now := t0
		for i := range 200 {
			now = now.Add(time.Duration(random.IntN(600)) * time.Second)
			h := hosts[random.IntN(2)]
			e := texted(fmt.Sprintf("account:u%d@client-a.example", random.IntN(30)), fmt.Sprint(i))
			e.What = All()[random.IntN(5)] // those about a subject
			h.Notify(t.Context(), now, e)
			want[fmt.Sprint("people ", i)], want[fmt.Sprint("webhook ", i)] = 1, 1
			if e.forCustomer() {
				want[fmt.Sprint("customer ", i)] = 1
			}
			if len(set.Exec[e.What]) > 0 {
				want[fmt.Sprint("exec ", i)] = 1
			}
			for k, h := range hosts {
				if random.IntN(3) > 0 {
					h.Step(t.Context(), now)
				}
				if random.IntN(20) == 0 {
					restart(k)
				}
			}
		}
		for end := now.Add(4 * 24 * time.Hour); now.Before(end); {
			now = earlier(hosts[0].settleAt(t, now), hosts[1].settleAt(t, now))
		}
		if diff := cmp.Diff(want, told); diff != "" {
			t.Errorf("seed %d: %s", seed, diff)
		}
		if left := hosts[0].left(t); len(left) != 0 {
			t.Errorf("seed %d: left %d", seed, len(left))
		}
	}
}

// TestRun: the loop sends at once, wakes for the digest by itself, and ends.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, memory.New(), "mx1", Settings{Operator: ops})
		h.opts.Now = time.Now
		began := time.Now()
		type at struct {
			text  string
			after time.Duration
		}
		var got []at
		h.record(func(j job) error {
			got = append(got, at{j.Event.Text, time.Since(began)})
			if len(got) == 1 {
				return errors.New("not yet")
			}
			return nil
		})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			h.Run(ctx)
		}()
		time.Sleep(time.Hour)
		h.Notify(ctx, time.Now(), texted(alice, "first"))
		time.Sleep(time.Hour)
		h.Notify(ctx, time.Now(), texted(alice, "second"))
		time.Sleep(48 * time.Hour)
		stop()
		<-done
		want := []at{{"first", time.Hour}, {"first", time.Hour + time.Minute}, {"second", 26 * time.Hour}}
		if !slices.Equal(got, want) {
			t.Errorf("got %v; want %v", got, want)
		}
	})
}

// TestOurs: Ours knows a mail once, for its recipients, for an hour.
func TestOurs(t *testing.T) {
	now := t0
	h := start(t, memory.New(), "mx1", Settings{})
	h.opts.Now = func() time.Time { return now }
	two := []string{"ops@isp.example", "night@isp.example"}
	for name, tt := range map[string]struct {
		after time.Duration
		rcpts []string
		want  bool
	}{
		"exactly":       {0, two, true},
		"other order":   {0, []string{"night@isp.example", "ops@isp.example"}, true},
		"other case":    {0, []string{"Ops@ISP.example", "night@isp.example"}, true},
		"with brackets": {0, []string{"<ops@isp.example>", "night@isp.example"}, true},
		"one less":      {0, two[:1], false},
		"one more":      {0, append(slices.Clone(two), "x@bank.example"), false},
		"one twice":     {0, []string{"ops@isp.example", "ops@isp.example"}, false},
		"another":       {0, []string{"ops@isp.example", "x@bank.example"}, false},
		"none":          {0, nil, false},
		"late":          {nonceLife - 1, two, true},
		"too late":      {nonceLife, two, false},
	} {
		now = t0
		nonce := h.nonces.make(now, two)
		if len(nonce) < 26 { // base32: five bits each, at least 128 in all
			t.Fatalf("nonce %q", nonce)
		}
		now = t0.Add(tt.after)
		if got := h.Ours(nonce, tt.rcpts); got != tt.want {
			t.Errorf("%s: %v; want %v", name, got, tt.want)
		}
		if h.Ours(nonce, two) {
			t.Errorf("%s: good for a second mail", name)
		}
	}
	if h.Ours("", nil) || h.Ours("AAAAAAAAAAAAAAAAAAAAAAAAAA", two) {
		t.Error("a nonce that was never made is ours")
	}
	now = t0
	h.nonces.make(t0, two)
	h.nonces.make(t0.Add(nonceLife), two)
	if len(h.nonces.known) != 1 {
		t.Errorf("%d nonces are kept; want 1", len(h.nonces.known))
	}
}

func TestOursIsSingleUseAtOnce(t *testing.T) {
	h := start(t, memory.New(), "mx1", Settings{})
	nonce := h.nonces.make(t0, ops)
	var mu sync.Mutex
	known := 0
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if h.Ours(nonce, ops) {
				mu.Lock()
				defer mu.Unlock()
				known++
			}
		})
	}
	wg.Wait()
	if known != 1 {
		t.Errorf("known %d times", known)
	}
}
