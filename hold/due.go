package hold

import (
	"context"
	"time"

	"o2n-milter/state"
)

// mostDues is how many records a Step changes only because their mail leaves at
// another time than was thought.
const mostDues = 100

// putDues writes down when the mail of lanes that have changed leaves, where that is
// another time than was thought, and says whether some is left to be written.
func (k *Keeper) putDues(ctx context.Context, now time.Time) (more bool) {
	puts := 0
	for _, l := range k.lanes.turn {
		if !l.stale {
			continue
		}
		for i, due := range k.dues(now, l) {
			it := l.queue[i]
			if !isNotable(now, it.Due, due) {
				continue
			}
			if puts == mostDues || !k.store.here(now) {
				return k.store.here(now)
			}
			puts++
			k.put(ctx, now, it, func(h *state.Held) { h.Due = due })
		}
		l.stale = false
	}
	return false
}

// dues are when each of a lane's messages leaves, in the order of its queue.
func (k *Keeper) dues(now time.Time, l *lane) []time.Time {
	places := map[*delay][]int{} // in the queue
	for i, it := range l.queue {
		d := l.delayOf(now, it)
		places[d] = append(places[d], i)
	}
	dues := make([]time.Time, len(l.queue))
	for d, list := range places {
		for i, due := range k.duesOf(now, d, len(list), l.flying != nil && d == &l.delay) {
			dues[list[i]] = due
		}
	}
	return dues
}

// duesOf are when n messages that wait together leave if all cost what the first of
// them does, with or without one on its way before them: each a window after the message
// that left so many before it as the window holds. Of several windows the latest time is
// right. Zero: nobody knows.
func (k *Keeper) duesOf(now time.Time, d *delay, n int, isFlying bool) []time.Time {
	dues := make([]time.Time, n)
	if d.blocked && d.room.IsZero() {
		return dues
	}
	start := now
	if d.room.After(now) {
		start = d.room
	}
	for i := range dues {
		dues[i] = start.UTC().Truncate(time.Second)
	}
	for _, c := range d.charges {
		fit := int(c.Max / max(c.Cost, 1))
		if fit < 1 {
			continue
		}
		left := fit
		if isFlying {
			left--
		}
		before, free := k.left.places(c.Window, c.Cost, left, len(dues))
		if isFlying {
			before = append(before, now)
		}
		for i := range dues {
			var one time.Time // whose place it takes
			if i >= fit {
				one = dues[i-fit]
			} else if j := i - free; j >= 0 && j < len(before) {
				one = before[j].UTC()
			}
			if at := one.Add(c.Length); !one.IsZero() && at.After(dues[i]) {
				dues[i] = at.Truncate(time.Second)
			}
		}
	}
	return dues
}

// isNotable says that a time is worth writing down: it differs by 5 seconds, and by
// a tenth of what is left until then.
func isNotable(now, was, is time.Time) bool {
	if was.IsZero() || is.IsZero() {
		return was.IsZero() != is.IsZero()
	}
	return is.Sub(was).Abs() > max(5*time.Second, is.Sub(now)/10)
}
