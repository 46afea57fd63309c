package hold

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"o2n-milter/hold/wire"
	"o2n-milter/rules"
	"o2n-milter/state"
)

// flight is a message that is leaving: its record says so.
type flight struct {
	*item
	charges []state.Charge
	told    bool      // to the MTA, as far as we remember
	since   time.Time // when the MTA took it off hold; zero: it has not yet
	rest    time.Time // no word to the MTA before
	failed  int       // times that the MTA did not release it
}

// flightTime is how long a message may be under delivery before the next of its
// subject goes: a slow destination must not keep the others.
const flightTime = time.Minute

// arrivalTime is how long after the verdict the MTA may take to have a message in its
// queue: Sendmail writes it there when all milters have spoken.
const arrivalTime = 10 * time.Second

// mostRest bounds the rest of a message that the MTA does not release.
const mostRest = time.Minute

// costOf is what it counts in a window.
func (f *flight) costOf(w state.Window) int64 {
	n := int64(0)
	for _, c := range f.charges {
		if c.Limit == w.Limit && c.Subject == w.Subject {
			n += c.Cost
		}
	}
	return n
}

// release lets go what has room, the first of each subject that waits for nothing of
// its own, and says whether there may be more at once.
func (k *Keeper) release(ctx context.Context, now time.Time) (more bool) {
	tried := 0
	if now.Before(k.lanes.rest) && !now.Before(k.lanes.rest.Add(-2*restAfter)) {
		return false
	}
	k.lanes.ready(now, func(l *lane) bool {
		if tried == batch || now.Before(k.lanes.rest) || !k.store.here(now) || ctx.Err() != nil {
			more = tried == batch
			return false
		}
		tried++
		k.try(ctx, now, l)
		return true
	})
	k.launch(ctx, now)
	return more
}

// try lets the first of a ready lane pay, if it can, and puts down that it leaves.
func (k *Keeper) try(ctx context.Context, now time.Time, l *lane) {
	it := l.first(now)
	if !it.paid && !k.pay(ctx, now, l, it) {
		return
	}
	// From here on it has paid. A crash before the record says so costs its charges
	// once more; after it, the message is told to the MTA once more.
	if !k.put(ctx, now, it, func(h *state.Held) { h.State, h.Due = state.HeldLeaving, now.UTC() }) {
		l.next = now.Add(restAfter)
		return
	}
	l.fly(it)
	k.flights[it.ID] = &flight{item: it, charges: it.cost}
}

// pay says whether a message may leave and has been charged for it.
func (k *Keeper) pay(ctx context.Context, now time.Time, l *lane, it *item) bool {
	var full []string
	r, err := k.opts.Rules().Release(ctx, now, it.Held, func(charges []state.Charge) (free time.Time) {
		free, full = k.left.room(now, charges, k.flights)
		return free
	})
	if err != nil {
		k.opts.Log.Warn("held mail cannot be released now", "id", it.ID, "error", err)
		k.lanes.rest = now.Add(restAfter) // what did not answer for one will not for the others
		return false
	}
	r.For = append(r.For, full...)
	switch r.State {
	case rules.ReleasePaid:
		l.charges, l.blocked = r.Charges, false
		it.paid, it.cost = true, r.Charges
		return true
	case rules.ReleaseNever:
		k.keep(ctx, now, it, r.Rule, r.Why)
	default:
		l.wait(now, it, r)
	}
	return false
}

// keep leaves a message to an operator.
func (k *Keeper) keep(ctx context.Context, now time.Time, it *item, rule, why string) {
	kept := func(h *state.Held) {
		h.State, h.Due = state.HeldKept, time.Time{}
		if rule != "" {
			h.Rule, h.Reason = rule, why
		}
	}
	if !k.put(ctx, now, it, kept) {
		if it.lane != nil {
			it.lane.next = now.Add(restAfter)
		}
		return
	}
	k.lanes.remove(it)
	k.opts.Log.Warn("held mail waits for an operator", "id", it.ID, "qid", it.QueueID, "rule", it.Rule, "why", why)
}

// launch tells the MTA what leaves, all in one call.
func (k *Keeper) launch(ctx context.Context, now time.Time) {
	ids := map[string]*flight{}
	for _, f := range k.flights {
		if f.since.IsZero() && !now.Before(f.rest) && len(ids) < batch { // the others in a moment
			ids[f.QueueID] = f
		}
	}
	if len(ids) == 0 {
		return
	}
	call, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	was := map[*flight]bool{}
	for _, f := range ids {
		was[f], f.told = f.told, true
	}
	order := slices.Sorted(maps.Keys(ids))
	done, err := k.opts.Agent.Release(call, order...)
	k.heard(now, wire.VerbRelease, err)
	for _, qid := range order {
		f := ids[qid]
		switch problem, told := done[qid]; {
		case !told:
		case problem == nil:
			f.since = now
		case errors.Is(problem, ErrNotQueued) && was[f]:
			k.hasLeft(ctx, now, f) // the first time we did not hear, or were not there to see it
		case errors.Is(problem, ErrNotQueued) && isYoung(now, f.Held):
			f.told, f.rest = false, now.Add(time.Second)
		case errors.Is(problem, ErrNotQueued):
			k.end(ctx, now, f.item, state.HeldGone)
		default:
			k.tell.agentError(wire.VerbRelease)
			k.opts.Log.Warn("held mail is not released", "id", f.ID, "error", problem)
			f.rest = now.Add(min(restAfter<<min(f.failed, 6), mostRest))
			f.failed++
		}
	}
}

func isYoung(now time.Time, h state.Held) bool { return now.Sub(h.Since) < arrivalTime }

// watch looks where the messages are that are leaving. Whoever has left makes way
// for the next of its subject.
func (k *Keeper) watch(ctx context.Context, now time.Time) {
	ids := map[string]*flight{}
	for _, f := range k.flights {
		if !f.since.IsZero() && now.Sub(f.since) >= 0 {
			ids[f.QueueID] = f
		}
	}
	if len(ids) == 0 {
		return
	}
	call, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	order := slices.Sorted(maps.Keys(ids))
	found, err := k.opts.Agent.Find(call, order...)
	k.heard(now, wire.VerbFind, err)
	for _, qid := range order {
		f := ids[qid]
		switch queue, told := found[qid]; {
		case !told:
		case queue == QueueHold: // somebody put it back, or the MTA forgot
			f.since, f.rest = time.Time{}, now.Add(restAfter)
		case queue == QueueNone, queue == QueueDeferred, now.Sub(f.since) >= flightTime:
			// What is deferred was tried, and is tried again when the MTA sees fit.
			k.hasLeft(ctx, now, f)
		}
	}
}

// hasLeft ends the record of what is on its way without us. When the store cannot be
// told, it is looked for again.
func (k *Keeper) hasLeft(ctx context.Context, now time.Time, f *flight) {
	if k.end(ctx, now, f.item, state.HeldReleased) {
		k.left.add(now, f.charges)
	}
}

// watchEvery is how soon to look for what is leaving: most mail is gone in a moment.
func (k *Keeper) watchEvery(now time.Time) time.Duration {
	if len(k.flights) > batch {
		return 500 * time.Millisecond
	}
	for _, f := range k.flights {
		if f.since.IsZero() || now.Sub(f.since) < 2*time.Second {
			return 100 * time.Millisecond
		}
	}
	return time.Second
}
