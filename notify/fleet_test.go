package notify

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"o2n-milter/state"
	"o2n-milter/state/memory"
)

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

// TestYoungNotices are left to a host that has given no sign of life yet.
func TestYoungNotices(t *testing.T) {
	store := memory.New()
	a, b := start(t, store, "mx1", hook), start(t, store, "mx2", hook)
	byB := b.record(nil)
	a.Notify(t.Context(), t0, blockOf(alice))
	for after, want := range []int{0, 1} {
		b.settleAt(t, t0.Add(gone-1+time.Duration(after)))
		if len(*byB) != want {
			t.Errorf("%d taken over; want %d", len(*byB), want)
		}
	}
}

// taken is a store in which another host is always faster.
type taken struct{ state.Store }

func (taken) PutDoc(context.Context, state.Doc) (state.Doc, error) {
	return state.Doc{}, state.ErrConflict
}

func TestAnotherHostTellsIt(t *testing.T) {
	h := start(t, taken{memory.New()}, "mx1", Settings{Operator: ops})
	if first, err := h.incidents.open(t.Context(), t0, time.Hour, blockOf(alice)); first || err != nil {
		t.Errorf("first %v, %v", first, err)
	}
}
