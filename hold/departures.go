package hold

import (
	"slices"
	"time"

	"o2n-milter/state"
)

// departures are the messages that have really left, by the windows that they count
// in. The store's windows count when a message pays. Between that and its departure
// the MTA may have been down: what had piled up must not leave all at once.
type departures map[windowName]*departed

type windowName struct{ limit, subject string }

type departed struct {
	length time.Duration
	list   []departure // by time
}

// departure is what left at about one time.
type departure struct {
	first, at time.Time // of the first and the last message
	cost      int64
}

// grain is into how many parts of a window departures are told apart. What leaves in
// the same part counts from the last of it.
const grain = 600

// add notes that a message left at a time, mostly the latest so far.
func (ds departures) add(at time.Time, charges []state.Charge) {
	for _, c := range charges {
		name := windowName{c.Limit, c.Subject}
		d := ds[name]
		if d == nil {
			d = &departed{}
			ds[name] = d
		}
		d.length = c.Length
		d.add(at, c.Cost)
	}
}

func (d *departed) add(at time.Time, cost int64) {
	i := len(d.list)
	for i > 0 && d.list[i-1].at.After(at) {
		i--
	}
	if i == len(d.list) && i > 0 && at.Sub(d.list[i-1].first) < d.length/grain {
		d.list[i-1].at = at
		d.list[i-1].cost += cost
		return
	}
	d.list = slices.Insert(d.list, i, departure{at, at, cost})
}

// room is when a message with these charges may leave so that no window holds more
// than its max, counting also those on their way; now when it may at once. Full are the
// subjects for whose windows it waits.
func (ds departures) room(now time.Time, charges []state.Charge, flights map[string]*flight) (free time.Time, full []string) {
	free = now
	for _, c := range charges {
		d := ds[windowName{c.Limit, c.Subject}]
		if d == nil {
			d = &departed{}
		}
		under := int64(0)
		for _, f := range flights {
			under += f.costOf(c.Window)
		}
		at := d.room(now, c, under)
		if at.After(now) {
			full = append(full, c.Subject)
		}
		if at.After(free) {
			free = at
		}
	}
	return free, full
}

// room is when c fits; under is the cost of what is on its way.
func (d *departed) room(now time.Time, c state.Charge, under int64) time.Time {
	spare := c.Max - min(c.Cost, c.Max) - under
	if spare < 0 {
		return now.Add(time.Second) // when what is on its way has left, it is known
	}
	d.setBack(now)
	for i := len(d.list) - 1; i >= 0; i-- {
		if leaves := d.list[i].at.Add(c.Length); leaves.After(now) {
			if spare -= d.list[i].cost; spare < 0 {
				return leaves
			}
		}
	}
	return now
}

// setBack takes what left by a clock that was ahead for what leaves now: it counts for a
// whole window, and no longer.
func (d *departed) setBack(now time.Time) {
	for i := len(d.list) - 1; i >= 0 && d.list[i].at.After(now); i-- {
		d.list[i].first, d.list[i].at = now, now
	}
}

// places are the departures whose places in a window that fits so many the next n
// messages take, in order, once those that are free are taken.
func (ds departures) places(w state.Window, each int64, fit, n int) (taken []time.Time, free int) {
	d := ds[windowName{w.Limit, w.Subject}]
	if d == nil {
		return nil, fit
	}
	each = max(each, 1)
	count := func(x departure) int { return int((x.cost + each - 1) / each) }
	free = fit
	for _, x := range d.list {
		free -= count(x)
	}
	passed := max(0, -free) // those before them count no more when the first one leaves
	for _, x := range d.list {
		for range count(x) {
			if passed--; passed < 0 && len(taken) < n {
				taken = append(taken, x.at)
			}
		}
	}
	return taken, max(0, free)
}

// forget drops what no window holds any more.
func (ds departures) forget(now time.Time) {
	for name, d := range ds {
		d.list = slices.DeleteFunc(d.list, func(x departure) bool { return !x.at.Add(d.length).After(now) })
		if len(d.list) == 0 {
			delete(ds, name)
		}
	}
}
