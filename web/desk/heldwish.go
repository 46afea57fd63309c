package desk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"o2n-milter/rules"
	"o2n-milter/state"
)

const (
	// mostWished bounds the messages that one call may name; the body of a request
	// holds some thousand ids.
	mostWished = 1000
	// mostWait bounds the seconds that a call waits for what becomes of a wish.
	mostWait = 10
	// wishers write at a time: the store commits for all of them at once. Ten thousand
	// messages of one subject take 2 s so.
	wishers = 32
	// lookAgain is how often a waiting call looks what has become of its wish.
	lookAgain = 200 * time.Millisecond
)

// granted is the state that mail has when a wish is fulfilled.
var granted = map[state.Wish]state.HeldState{
	state.WishRelease: state.HeldReleased, state.WishDelete: state.HeldDeleted, state.WishBounce: state.HeldBounced,
}

// WishHeld notes in held mail what is to become of it. The host that holds it does
// it; of several wishes it finds the last one.
func (d *Desk) WishHeld(ctx context.Context, who Actor, in WishHeld) (WishedList, error) {
	if err := in.check(); err != nil {
		return WishedList{}, err
	}
	list, err := d.wished(ctx, in)
	if err != nil {
		return WishedList{}, err
	}
	done := make([]WishedHeld, len(list))
	if in.DryRun {
		for i, h := range list {
			done[i] = WishedHeld{HeldDetail: heldDetail(h), Outcome: cmp.Or(settled(h, in.Wish), HeldWould)}
		}
		return WishedList{done}, nil
	}
	keep, cancel := carryOn(ctx)
	defer cancel()
	changed, err := d.wishAll(keep, who, in.Wish, list)
	for i, h := range list {
		done[i] = WishedHeld{HeldDetail: heldDetail(h), Outcome: cmp.Or(settled(h, in.Wish), stands(h, in.Wish)), Changed: changed[i]}
	}
	d.wishesMade(ctx, who, in, done)
	if err == nil {
		err = d.awaitHeld(ctx, in, done)
	}
	if err != nil {
		return WishedList{}, err
	}
	return WishedList{done}, nil
}

func (in *WishHeld) check() (err error) {
	if in.Reason, err = text("reason", in.Reason); err != nil {
		return err
	}
	switch {
	case granted[in.Wish] == "":
		return bad("wish %.20q: want release, delete or bounce", in.Wish)
	case len(in.IDs) == 0 == (in.Subject == ""):
		return bad("held mail: want ids, or a subject")
	case len(in.IDs) > mostWished:
		return bad("%d ids at once; want at most %d", len(in.IDs), mostWished)
	case len(in.IDs) > 0 && (in.Rule != "" || !in.Until.IsZero()):
		return bad("held mail: want ids, or a subject with a rule")
	case in.Wait < 0 || in.Wait > mostWait:
		return bad("wait %d: want 0 to %d seconds", in.Wait, mostWait)
	}
	return nil
}

// wished are the messages that are meant, each once. When one of them is not known,
// nothing happens to the others.
func (d *Desk) wished(ctx context.Context, in WishHeld) ([]state.Held, error) {
	if len(in.IDs) == 0 {
		list, err := d.heldOf(ctx, HeldQuery{Subject: in.Subject, Rule: in.Rule, Until: in.Until})
		if err == nil && len(list) == 0 {
			err = notFound("no held mail of %.400q", in.Subject)
		}
		return list, err
	}
	all, err := d.heldMail(ctx)
	if err != nil {
		return nil, err
	}
	var list []state.Held
	for _, name := range in.IDs {
		h, err := heldNamed(all, name)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(list, func(other state.Held) bool { return other.ID == h.ID }) {
			list = append(list, h)
		}
	}
	return list, nil
}

// wishAll writes the wish into each message of list, which is then as the store has
// it, and says which it has changed. What its host has changed meanwhile is looked at
// again, in another round.
func (d *Desk) wishAll(ctx context.Context, who Actor, wish state.Wish, list []state.Held) ([]bool, error) {
	changed, todo := make([]bool, len(list)), make([]int, len(list))
	for i := range todo {
		todo[i] = i
	}
	for len(todo) > 0 {
		docs, err := d.heldDocs(ctx, list)
		if err != nil {
			return changed, err
		}
		errs := make([]error, len(list))
		each(todo, func(i int) {
			list[i], changed[i], errs[i] = d.wish(ctx, who, wish, list[i], docs[list[i].ID])
		})
		todo = todo[:0]
		for i, err := range errs {
			switch {
			case errors.Is(err, state.ErrConflict):
				todo = append(todo, i)
			case err != nil:
				return changed, fmt.Errorf("held mail %s: %w", list[i].ID, err)
			}
		}
	}
	return changed, nil
}

// each calls f with each of list, some of them at a time. A panic in f is the caller's.
func each(list []int, f func(int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	var thrown atomic.Pointer[string]
	for range min(wishers, len(list)) {
		wg.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					text := fmt.Sprintf("%v\n%s", p, debug.Stack())
					thrown.Store(&text)
				}
			}()
			for n := next.Add(1) - 1; int(n) < len(list); n = next.Add(1) - 1 {
				f(list[n])
			}
		})
	}
	wg.Wait()
	if text := thrown.Load(); text != nil {
		panic(*text)
	}
}

// wish writes a wish into the message h, of which doc is what the store had; Rev 0:
// nothing. Mail with a sender who may not get it back is left as it is.
func (d *Desk) wish(ctx context.Context, who Actor, wish state.Wish, h state.Held, doc state.Doc) (state.Held, bool, error) {
	if doc.Rev == 0 { // it has ended so long ago that nobody remembers
		h.State = state.HeldGone
		return h, false, nil
	}
	h, err := state.DecodeRecord[state.Held](doc)
	if err != nil || settled(h, wish) != "" || h.State == state.HeldLeaving || h.Wish == wish {
		return h, false, err
	}
	if wish == state.WishBounce && !rules.MayBounce(h) {
		return h, false, nil
	}
	h.Wish, h.WishBy = wish, who.by()
	err = state.PutRecord(ctx, d.Store, &h)
	return h, err == nil, err
}

// settled is what has become of a wish without anybody's doing more; empty: it
// stands, or can be made.
func settled(h state.Held, wish state.Wish) HeldOutcome {
	switch {
	case h.State == granted[wish]:
		return HeldDone
	case !stillHeld(h), h.State == state.HeldLeaving && wish != state.WishRelease:
		return HeldLate
	}
	return ""
}

// wishesMade leaves the audit lines, one for each message that was named, and one
// for all of a subject, and wakes who does it.
func (d *Desk) wishesMade(ctx context.Context, who Actor, in WishHeld, done []WishedHeld) {
	ctx, cancel := carryOn(ctx)
	defer cancel()
	what, n := "held "+string(in.Wish), 0
	for _, h := range done {
		if !h.Changed {
			continue
		}
		n++
		if len(in.IDs) > 0 {
			d.audit(ctx, who, change{what, h.ID, h.Subject, in.Reason})
		}
	}
	if n == 0 {
		return
	}
	if len(in.IDs) == 0 {
		d.audit(ctx, who, change{what, "", in.Subject, wishedInWords(n, in)})
	}
	if d.HeldChanged != nil {
		d.HeldChanged()
	}
}

func wishedInWords(n int, in WishHeld) string {
	words := fmt.Sprintf("%d messages", n)
	if in.Rule != "" {
		words += " held by " + in.Rule
	}
	if in.Reason != "" {
		words += ": " + in.Reason
	}
	return words
}

// awaitHeld waits until the messages have gone as was wanted, for in.Wait at most.
func (d *Desk) awaitHeld(ctx context.Context, in WishHeld, done []WishedHeld) error {
	open := func(h WishedHeld) bool { return h.Outcome == HeldAsked }
	if in.Wait == 0 || !slices.ContainsFunc(done, open) {
		return nil
	}
	over := time.NewTimer(time.Duration(in.Wait) * time.Second)
	defer over.Stop()
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for slices.ContainsFunc(done, open) {
		select {
		case <-over.C:
			return nil // what stands is told
		case <-tick.C:
		}
		all, err := d.heldMail(ctx)
		if err != nil {
			return err
		}
		look(all, in.Wish, done)
	}
	return nil
}

// look brings what is still asked for up to date.
func look(all []state.Held, wish state.Wish, done []WishedHeld) {
	byID := make(map[string]state.Held, len(all))
	for _, h := range all {
		byID[h.ID] = h
	}
	for i := range done {
		h, known := byID[done[i].ID]
		switch {
		case done[i].Outcome != HeldAsked:
		case !known:
			done[i].State, done[i].Outcome = state.HeldGone, HeldLate
		default:
			done[i].HeldDetail = heldDetail(h)
			done[i].Outcome = cmp.Or(settled(h, wish), stands(h, wish))
		}
	}
}

// stands says whether a wish is still to be done, or was put away.
func stands(h state.Held, wish state.Wish) HeldOutcome {
	if h.Wish == wish || h.State == state.HeldLeaving {
		return HeldAsked
	}
	return HeldUndone
}
