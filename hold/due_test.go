package hold

import (
	"slices"
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

// A wide window with room for all of it makes nobody later.
func TestDuesOfTwoLimits(t *testing.T) {
	w := newWorld(t)
	w.limit("day", "script", 1000, 24*time.Hour)
	w.start()
	w.burst("cron", 35)
	w.run(90 * time.Second) // ten have left, and count in both windows
	waiting := 0
	for _, h := range w.all() {
		if h.State == state.HeldWaiting {
			waiting++
			if h.Due.After(start.Add(4 * time.Minute)) {
				t.Errorf("%s is due at %s", h.QueueID, h.Due.Sub(start))
			}
		}
	}
	if waiting != 15 {
		t.Errorf("%d wait; want 15", waiting)
	}
}

// Whose places in a window the next four messages take.
func TestPlaces(t *testing.T) {
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	w := state.Window{Limit: "minute", Subject: "script:cron", Length: time.Hour, Max: 10}
	ds := departures{}
	for s, cost := range []int64{1, 2, 3} { // six in all
		ds.add(at(10*s), []state.Charge{{Window: w, Cost: cost}})
	}
	for fit, want := range map[int]struct {
		taken []time.Time
		free  int
	}{
		0:  {nil, 0},
		2:  {[]time.Time{at(20), at(20)}, 0},
		5:  {[]time.Time{at(10), at(10), at(20), at(20)}, 0},
		6:  {[]time.Time{at(0), at(10), at(10), at(20)}, 0},
		7:  {[]time.Time{at(0), at(10), at(10), at(20)}, 1},
		10: {[]time.Time{at(0), at(10), at(10), at(20)}, 4},
	} {
		taken, free := ds.places(w, 1, fit, 4)
		if !slices.Equal(taken, want.taken) || free != want.free {
			t.Errorf("fit %d: %v, %d free; want %v", fit, taken, free, want)
		}
	}
	if taken, free := ds.places(w, 2, 4, 4); free != 0 || !slices.Equal(taken, []time.Time{at(0), at(10), at(20), at(20)}) {
		t.Errorf("two each: %v, %d free", taken, free)
	}
	if taken, free := ds.places(state.Window{Limit: "day"}, 1, 3, 4); taken != nil || free != 3 {
		t.Errorf("an empty window: %v, %d free", taken, free)
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
