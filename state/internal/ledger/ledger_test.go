package ledger

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"o2n-milter/state"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func one(subject string) []state.Charge {
	return []state.Charge{{
		Window: state.Window{Limit: "minute", Subject: subject, Length: time.Minute, Max: 10}, Cost: 1,
	}}
}

// windowSource is a store that holds nothing but the minute's windows, by their subjects.
type windowSource func(subject string) (state.Slots, error)

func (s windowSource) Subject(subject string) (*Entry, error) {
	slots, err := s(subject)
	return &Entry{Subject: subject, limits: []limit{{name: "minute", slots: slots}}}, err
}

func (w *Windows) size() (n int) {
	w.Freeze(func() {
		for i := range w.shards {
			n += len(w.shards[i].all)
			if len(w.shards[i].all) != len(w.shards[i].entries) {
				n += 1_000_000
			}
		}
	})
	return n
}

// Subjects that come once each take memory for those of the last
// minute or so, not for all.
func TestMemoryFollowsTraffic(t *testing.T) {
	w := NewWindows(Options{})
	const perMinute = 6000
	most := 0
	for i := range 8 * perMinute {
		now := start.Add(time.Duration(i) * time.Minute / perMinute)
		if _, err := w.Take(now, state.Ask{Charges: one(fmt.Sprint("account:", i))}, nil); err != nil {
			t.Fatal(err)
		}
		if i%1000 == 0 {
			most = max(most, w.size())
		}
	}
	if most > 3*perMinute || most < perMinute {
		t.Errorf("%d windows in memory at most; want between %d and %d", most, perMinute, 3*perMinute)
	}
}

// sweepAll makes calls until every window has been looked at.
func sweepAll(t *testing.T, w *Windows, now time.Time) {
	t.Helper()
	for i := range 1000 {
		if _, err := w.Take(now, state.Ask{Charges: one(fmt.Sprint("account:sweep", i))}, nil); err != nil {
			t.Fatal(err)
		}
	}
}

func (w *Windows) has(subject string) (ok bool) {
	w.Freeze(func() { _, ok = w.shards[w.shardOf(subject)].entries[subject] })
	return ok
}

// While a change is not kept, its window stays: read again, it would be the old one.
func TestPinned(t *testing.T) {
	for _, undo := range []bool{false, true} {
		w := NewWindows(Options{})
		var change *Change
		if _, err := w.Take(start, state.Ask{Charges: one("account:a")}, func(c *Change) { change = c }); err != nil {
			t.Fatal(err)
		}
		later := start.Add(time.Hour)
		sweepAll(t, w, later)
		if !w.has("account:a") {
			t.Fatal("a pinned window was swept")
		}
		w.Freeze(func() {
			if undo {
				change.Undo()
			} else {
				change.Settle()
			}
		})
		sweepAll(t, w, later)
		if w.has("account:a") {
			t.Errorf("undo %v: a dead window was not swept", undo)
		}
	}
}

// A stored window from the future counts for one W, not for one W each time that
// it is read.
func TestFoldedStays(t *testing.T) {
	var stored state.Slots
	ahead := start.Add(24 * time.Hour).UnixNano()
	stored.Advance(time.Minute, ahead)
	stored.Charge(10, ahead)
	loads := 0
	w := NewWindows(Options{Source: windowSource(func(subject string) (state.Slots, error) {
		if subject != "account:a" {
			return state.Slots{}, nil
		}
		loads++
		return stored.Clone(), nil
	})})
	take := func(now time.Time) int {
		answer, err := w.Take(now, state.Ask{Charges: one("account:a")}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return len(answer.Full)
	}
	if take(start) != 1 {
		t.Error("a window full in the future let one through")
	}
	sweepAll(t, w, start.Add(2*time.Minute))
	if take(start.Add(2*time.Minute)) != 0 || loads != 1 {
		t.Errorf("refused for more than W, or read %d times", loads)
	}
}

func TestLoadFails(t *testing.T) {
	fault := errors.New("unreadable")
	w := NewWindows(Options{Source: windowSource(func(subject string) (state.Slots, error) {
		if subject == "account:b" {
			return state.Slots{}, fault
		}
		return state.Slots{}, nil
	})})
	if _, err := w.Take(start, state.Ask{Charges: append(one("account:a"), one("account:b")...)}, nil); !errors.Is(err, fault) {
		t.Errorf("take: %v; want %v", err, fault)
	}
	u, err := w.Usage(start, []state.Window{one("account:a")[0].Window})
	if err != nil || u[0].Used != 0 {
		t.Errorf("usage of the other window: %v, %v; want 0", u, err)
	}
}
