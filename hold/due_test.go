package hold

import (
	"testing"
	"time"

	"o2n-milter/state"
)

// The times at which mail is said to leave are those at which it leaves.
func TestDues(t *testing.T) {
	w := newWorld(t)
	w.burst("cron", 35)
	w.run(5 * time.Second)
	due := map[string]time.Time{}
	for i, h := range w.all() {
		due[h.QueueID] = h.Due
		want := start.Add(time.Duration(1+i/10) * time.Minute)
		if h.Due.Sub(want).Abs() > 3*time.Second {
			t.Errorf("%s is due at %s; want %s", h.QueueID, h.Due.Sub(start), want.Sub(start))
		}
	}
	w.run(4 * time.Minute)
	w.inOrder(35)
	for _, a := range w.mta.arrived[10:] {
		if late := a.at.Sub(due[a.id]); late.Abs() > 10*time.Second {
			t.Errorf("%s left %s later than it was said", a.id, late)
		}
	}
}

// A time is written once and not again as long as it holds.
func TestDuesAreCheap(t *testing.T) {
	w := newWorld(t)
	w.burst("cron", 60)
	w.run(5 * time.Second)
	was := w.all()
	w.run(3*time.Minute + 30*time.Second)
	for i, h := range w.all() {
		if h.State == state.HeldWaiting && h.Rev > was[i].Rev+1 {
			t.Errorf("%s was written %d times meanwhile", h.QueueID, h.Rev-was[i].Rev)
		}
	}
}

func TestNotable(t *testing.T) {
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	for name, c := range map[string]struct {
		was, is time.Time
		want    bool
	}{
		"five seconds":         {at(10), at(15), false},
		"more":                 {at(9), at(15), true},
		"a tenth of an hour":   {at(3600 - 360), at(3600), false},
		"more than that":       {at(3600 - 361), at(3600), true},
		"earlier":              {at(16), at(10), true},
		"now nobody knows":     {at(16), time.Time{}, true},
		"nobody knew":          {time.Time{}, at(1), true},
		"nobody knows or knew": {time.Time{}, time.Time{}, false},
		"that has passed":      {at(-100), at(0), true},
	} {
		if got := isNotable(start, c.was, c.is); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
