package hold

import (
	"context"
	"errors"
	"time"

	"o2n-milter/hold/wire"
	"o2n-milter/rules"
	"o2n-milter/state"
)

// doWishes does what people want done with held mail, all of them before anything
// leaves by itself.
func (k *Keeper) doWishes(ctx context.Context, now time.Time) {
	for _, it := range k.book.wanted(now) {
		if !k.agent.here(now) || !k.store.here(now) || ctx.Err() != nil {
			return
		}
		switch it.Wish {
		case state.WishRelease:
			k.letGo(ctx, now, it)
		case state.WishDelete:
			k.remove(ctx, now, it)
		case state.WishBounce:
			k.sendBack(ctx, now, it)
		default:
			k.opts.Log.Warn("nobody knows what is wanted of held mail", "id", it.ID, "wish", string(it.Wish))
			k.forgetWish(ctx, now, it)
		}
	}
}

// letGo takes a message off hold because somebody says so: it pays nothing and waits
// for nobody.
func (k *Keeper) letGo(ctx context.Context, now time.Time, it *item) {
	if !k.put(ctx, now, it, func(h *state.Held) { h.State, h.Due = state.HeldLeaving, now.UTC() }) {
		it.rest = now.Add(restAfter)
		return
	}
	k.flights[it.ID] = &flight{item: it}
}

// remove deletes a message because somebody says so.
func (k *Keeper) remove(ctx context.Context, now time.Time, it *item) {
	it.rest = now.Add(restAfter)
	switch deleted, err := k.drop(ctx, now, it); {
	case err != nil: // again after a rest
	case deleted:
		k.end(ctx, now, it, state.HeldDeleted)
	default:
		k.end(ctx, now, it, state.HeldGone)
	}
}

// drop deletes a message in the MTA; it is false when there is none.
func (k *Keeper) drop(ctx context.Context, now time.Time, it *item) (deleted bool, err error) {
	call, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	done, err := k.opts.Agent.Delete(call, it.QueueID)
	if !k.heard(now, wire.VerbDelete, err) {
		return false, err
	}
	problem := done[it.QueueID]
	if problem != nil && !errors.Is(problem, ErrNotQueued) {
		k.tell.agentError(wire.VerbDelete)
		k.opts.Log.Warn("held mail is not deleted", "id", it.ID, "qid", it.QueueID, "error", problem)
		return false, problem
	}
	return problem == nil, nil
}

// sendBack bounces a message because somebody says so.
func (k *Keeper) sendBack(ctx context.Context, now time.Time, it *item) {
	if !rules.MayBounce(it.Held) {
		k.opts.Log.Warn("held mail has no sender to go back to; it stays", "id", it.ID, "from", it.From)
		k.forgetWish(ctx, now, it)
		return
	}
	k.bounce(ctx, now, it)
}

func (k *Keeper) forgetWish(ctx context.Context, now time.Time, it *item) {
	if k.put(ctx, now, it, func(h *state.Held) { h.Wish, h.State, h.Due = state.WishNone, state.HeldKept, time.Time{} }) {
		return
	}
	it.rest = now.Add(restAfter)
}

// wanted are the messages with which somebody wants something done, oldest first.
func (b *book) wanted(now time.Time) []*item {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []*item
	for id, it := range b.wishes {
		if !it.isOpen() || it.Wish == state.WishNone || it.deleted {
			delete(b.wishes, id)
			continue
		}
		if it.State != state.HeldLeaving && !now.Before(it.rest) {
			list = append(list, it)
		}
	}
	return sortedByAge(list)
}
