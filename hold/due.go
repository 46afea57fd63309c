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

// dues are when each of a lane's messages leaves if all cost what its first one does:
// each a window after the message that left so many before it as the window holds.
// Of several windows the latest time is right. Zero: nobody knows.
func (k *Keeper) dues(now time.Time, l *lane) []time.Time {
	dues := make([]time.Time, len(l.queue))
	if l.blocked && l.room.IsZero() {
		return dues
	}
	start := now
	if l.room.After(now) {
		start = l.room
	}
	for i := range dues {
		dues[i] = start.UTC().Truncate(time.Second)
	}
	for _, c := range l.charges {
		fit := int(c.Max / max(c.Cost, 1))
		if fit < 1 {
			continue
		}
		left := fit
		if l.flying != nil {
			left--
		}
		before, free := k.left.places(c.Window, c.Cost, left, len(dues))
		if l.flying != nil {
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
