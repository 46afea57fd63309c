package replay

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"o2n-milter/rules"
	"o2n-milter/state"
)

// held is what waits on hold in simulated time, by the subject that it waits behind, the
// oldest first: as in life, one leaves after the other.
type held struct {
	of   map[string]*waiting
	next time.Time // when the first of all is asked for; of no meaning when there is none
}

type waiting struct {
	list []state.Held
	next time.Time // when the first of it is asked for
}

// put is rules.Settings.Hold. What an operator has to decide on stays for good.
func (hs *held) put(_ context.Context, now time.Time, h state.Held) error {
	if h.State != state.HeldWaiting {
		return nil
	}
	w := hs.of[h.Subject]
	if w == nil {
		w = &waiting{next: now}
		hs.of[h.Subject] = w
		hs.next = earliest(hs.of)
	}
	w.list = append(w.list, h)
	return nil
}

func earliest(of map[string]*waiting) (next time.Time) {
	for _, w := range of {
		if next.IsZero() || w.next.Before(next) {
			next = w.next
		}
	}
	return next
}

// leave lets go what may leave until then, each message at its time and charged at it.
func (hs *held) leave(ctx context.Context, until time.Time, e *rules.Engine) error {
	for len(hs.of) > 0 && !hs.next.After(until) {
		for _, subject := range slices.Sorted(maps.Keys(hs.of)) { // a replay is the same each time
			w := hs.of[subject]
			if !w.next.Equal(hs.next) {
				continue
			}
			if err := w.try(ctx, e); err != nil {
				return fmt.Errorf("held mail of %s: %w", subject, err)
			}
			if len(w.list) == 0 {
				delete(hs.of, subject)
			}
		}
		hs.next = earliest(hs.of)
	}
	return nil
}

// askEvery is when mail is asked for again of which nobody knows when there is room.
const askEvery = time.Minute

// try lets the first one go, if it has room. What never will have, or waits for an
// operator to lift a block, stays for good, and keeps nobody else.
func (w *waiting) try(ctx context.Context, e *rules.Engine) error {
	now := w.next
	r, err := e.Release(ctx, now, w.list[0], func([]state.Charge) time.Time { return now })
	switch {
	case err != nil:
		w.next = now.Add(askEvery)
	case r.State == rules.ReleaseLater || r.State == rules.ReleaseBlocked && !r.NotBefore.IsZero():
		if w.next = r.NotBefore; !w.next.After(now) {
			w.next = now.Add(askEvery)
		}
	default:
		w.list = w.list[1:]
	}
	return err
}
