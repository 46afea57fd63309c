package hold

import (
	"testing"
	"time"

	"o2n-milter/state"
)

func costs(most, cost int64) []state.Charge {
	return []state.Charge{{Window: state.Window{Limit: "minute", Subject: "account:a", Length: time.Minute, Max: most}, Cost: cost}}
}

func TestDepartures(t *testing.T) {
	ds := departures{}
	for i := range 10 {
		at := start.Add(time.Duration(i) * time.Second)
		if free := roomIn(ds, at, costs(10, 1), nil); free.After(at) {
			t.Errorf("the %dth may leave at %s", i+1, free)
		}
		ds.add(at, costs(10, 1))
	}
	now := start.Add(9 * time.Second)
	for name, c := range map[string]struct {
		at         time.Time
		most, cost int64
		want       time.Duration // from start
	}{
		"full":                    {now, 10, 1, time.Minute},
		"two more":                {now, 10, 2, 61 * time.Second},
		"all":                     {now, 10, 10, 69 * time.Second},
		"more than ever fits":     {now, 10, 11, 69 * time.Second},
		"one more is allowed":     {now, 11, 1, 9 * time.Second},
		"less is allowed":         {now, 5, 1, 65 * time.Second},
		"a moment before":         {start.Add(time.Minute - 1), 10, 1, time.Minute},
		"the first has left it":   {start.Add(time.Minute), 10, 1, time.Minute},
		"it has emptied":          {start.Add(2 * time.Minute), 10, 10, 2 * time.Minute},
		"it costs nothing":        {now, 10, 0, 9 * time.Second},
		"nothing is allowed more": {now, 0, 1, 69 * time.Second},
	} {
		if got := roomIn(ds, c.at, costs(c.most, c.cost), nil); got.Sub(start) != c.want {
			t.Errorf("%s: %s; want %s", name, got.Sub(start), c.want)
		}
	}
	f := map[string]*flight{"x": {charges: costs(10, 1)}}
	if got := roomIn(ds, start.Add(time.Minute), costs(10, 1), f); got != start.Add(61*time.Second) {
		t.Errorf("with one on its way: %s", got.Sub(start))
	}
	if got := roomIn(ds, start.Add(time.Hour), costs(1, 1), f); got != start.Add(time.Hour+time.Second) {
		t.Errorf("with one on its way, of one: %s", got.Sub(start))
	}
	ds.forget(start.Add(69*time.Second - 1))
	if len(ds) != 1 {
		t.Error("the last one is forgotten early")
	}
	if ds.forget(start.Add(69 * time.Second)); len(ds) > 0 {
		t.Error("it is not forgotten")
	}
}

// Departures that a start reads come in any order; of many close to each other the
// last one's time counts.
func TestDeparturesOrder(t *testing.T) {
	ds := departures{}
	for _, s := range []int{30, 10, 20} {
		ds.add(start.Add(time.Duration(s)*time.Second), costs(3, 1))
	}
	if got := roomIn(ds, start.Add(31*time.Second), costs(3, 1), nil); got != start.Add(70*time.Second) {
		t.Errorf("room at %s", got.Sub(start))
	}
	many := departures{}
	for i := range 100_000 {
		many.add(start.Add(time.Duration(i)*time.Millisecond), costs(1<<20, 1))
	}
	d := many[windowName{"minute", "account:a"}]
	if sum := int64(0); len(d.list) > 1100 {
		t.Errorf("%d entries", len(d.list))
	} else {
		for _, x := range d.list {
			sum += x.cost
		}
		if sum != 100_000 {
			t.Errorf("%d of 100000 count", sum)
		}
	}
	// The window that ends with the last of them holds 60,000.
	end := start.Add(99_999 * time.Millisecond)
	if got := roomIn(many, end, costs(60_300, 1), nil); got != end {
		t.Errorf("no room until %s", got.Sub(end))
	}
	if got := roomIn(many, end, costs(60_000, 1), nil); !got.After(end) {
		t.Error("there is room though it is full")
	}
}

// What left before the clock was set back, or before the start of a process whose clock
// is behind, counts for its window from then on, and no longer.
func TestDeparturesWhenTheClockIsSetBack(t *testing.T) {
	ds, now := departures{}, start.Add(-time.Hour)
	ds.add(start, costs(1, 1))
	ds.add(start.Add(time.Second), costs(1, 1))
	for after, want := range map[time.Duration]time.Duration{0: time.Minute, time.Minute - 1: time.Minute, time.Minute: time.Minute, time.Hour: time.Hour} {
		if got := roomIn(ds, now, costs(2, 1), nil); got.Sub(now) != time.Minute {
			t.Errorf("at once: %s", got.Sub(now))
		}
		if got := roomIn(ds, now.Add(after), costs(2, 1), nil); got.Sub(now) != want {
			t.Errorf("after %s: %s; want %s", after, got.Sub(now), want)
		}
	}
	if ds.forget(now.Add(time.Minute)); len(ds) > 0 {
		t.Error("they are not forgotten")
	}
}

// roomIn is when there is room.
func roomIn(ds departures, now time.Time, charges []state.Charge, flights map[string]*flight) time.Time {
	free, _ := ds.room(now, charges, flights)
	return free
}
