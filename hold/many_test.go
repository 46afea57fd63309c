package hold

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"o2n-milter/rules"
	"o2n-milter/state"
)

// megabytes are those in use.
func megabytes(t *testing.T) float64 {
	t.Helper()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / 1e6
}

// alike puts more messages like a held one on hold, until there are n.
func (w *world) alike(h state.Held, n int) {
	w.Helper()
	q := *w.mta.queue[h.QueueID]
	for i := 1; i < n; i++ {
		h.Rev, h.Since = 0, h.Since.Add(time.Millisecond)
		h.ID, h.QueueID = fmt.Sprintf("%s%02d", h.ID[:8], i), fmt.Sprintf("%s%02d", q.ID, i)
		if err := state.PutRecord(w.ctx, w.base, &h); err != nil {
			w.Fatal(err)
		}
		other := q
		other.ID = h.QueueID
		w.mta.queue[other.ID] = &other
	}
}

// Ten thousand held messages of 500 subjects: what a second costs, and a start.
func TestTenThousand(t *testing.T) {
	w := newWorld(t)
	w.rules.Limits[0].Max = 1
	w.set.MaxMessages = 500*heldEach + heldEach // nobody has more than what is left
	w.start()
	for i := range 1000 {
		v := w.submit(fmt.Sprintf("user%d", i%500))
		if i >= 500 && v.Action != rules.Quarantine {
			t.Fatal(v.Action, v.Rule, v.Err)
		}
	}
	for _, h := range w.all() {
		w.alike(h, heldEach)
	}
	w.start() // lets go of the one before
	before := megabytes(t)
	began := time.Now()
	w.Step(w.ctx, w.now)
	t.Logf("start: %s, %.1f MB", time.Since(began).Round(time.Millisecond), megabytes(t)-before)
	w.run(10 * time.Second) // dues are written
	if v := w.submit("user1"); v.Rule != "hold.full" {
		t.Errorf("one more: %s", v.Rule)
	}

	began = time.Now()
	w.now = w.now.Add(100 * time.Millisecond)
	w.nextRound = w.now.Add(time.Minute)
	const steps = 20
	for range steps {
		w.now = w.now.Add(syncEvery)
		w.Step(w.ctx, w.now)
	}
	quiet := time.Since(began) / steps
	began = time.Now()
	w.nextRound = time.Time{}
	w.Step(w.ctx, w.now)
	t.Logf("a second in which nothing happens: %s; with a look at the queue: %s", quiet.Round(10*time.Microsecond), time.Since(began).Round(time.Millisecond))

	began, sent := time.Now(), len(w.mta.arrived)
	w.run(2 * time.Minute)
	sent = len(w.mta.arrived) - sent
	t.Logf("2 minutes, in which %d left: %s", sent, time.Since(began).Round(time.Millisecond))
	if sent != 2*500 {
		t.Errorf("%d left in 2 minutes; want 500 a minute", sent)
	}
	w.neverOver(1, time.Minute)
	if n := w.records()[state.HeldWaiting]; n != 500*heldEach-sent {
		t.Errorf("%d wait", n)
	}
	if !testing.Short() && quiet > 100*time.Millisecond {
		t.Errorf("a second in which nothing happens costs %s", quiet)
	}
}
