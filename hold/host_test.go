package hold

import (
	"testing"
	"time"

	"o2n-milter/state"
)

// A host that is given another name takes over what it held under the old one.
func TestHostRenamed(t *testing.T) {
	w := newWorld(t)
	w.burst("cron", 13)
	w.mta.queue["Q00012"].From = "eve@elsewhere.example" // of the same id, and another message
	w.mta.host = "new.example"
	w.run(5 * time.Minute)
	w.wants(map[state.HeldState]int{state.HeldReleased: 2, state.HeldWaiting: 1})
	if n := w.Stats(); n.Unknown != 1 || n.Waiting != 0 || len(w.mta.queue) != 1 {
		t.Errorf("%+v", n)
	}
	w.neverOver(10, time.Minute)
	if b := w.book; b.total != 0 || len(b.open)+len(b.owned)+len(b.shares) > 0 {
		t.Errorf("nothing is held: %d, %v, %v, %v", b.total, b.open, b.owned, b.shares)
	}
}

// The agent may be started anew, for the MTA's other name, without our noticing.
func TestHostRenamedMeanwhile(t *testing.T) {
	w := newWorld(t)
	w.rules.Limits[0].Window = 10 * time.Minute
	w.start()
	w.burst("cron", 12)
	w.run(2 * time.Minute)
	w.mta.host = "NEW.example"
	w.run(2 * roundEvery)
	if w.Host() != "new.example" || w.Stats().Unknown != 0 || len(w.lanes.of) != 1 {
		t.Errorf("%s, %d lanes, %+v", w.Host(), len(w.lanes.of), w.Stats())
	}
	for _, h := range w.all() {
		if h.Host != "new.example" || h.State != state.HeldWaiting {
			t.Errorf("%+v", h)
		}
	}
	w.run(10 * time.Minute)
	w.inOrder(12)
	w.neverOver(10, 10*time.Minute)
}

// Two daemons on one host do each other no harm.
func TestTwoDaemons(t *testing.T) {
	w := newWorld(t)
	w.burst("cron", 30)
	other := New(w.opts, w.set)
	for range 4 * 60 * 10 {
		w.run(50 * time.Millisecond)
		other.Step(w.ctx, w.now)
		w.run(50 * time.Millisecond)
	}
	w.once(30)
	w.neverOver(10, time.Minute)
	w.wants(map[state.HeldState]int{state.HeldReleased: 20})
	if n := w.Stats().Released + other.Stats().Released; n != 20 {
		t.Errorf("%d were released; want 20", n)
	}
	if n := len(w.flights) + len(other.flights); n > 0 {
		t.Errorf("%d are on their way for ever", n)
	}
}
