package hold

import (
	"context"
	"errors"
	"slices"
	"time"

	"o2n-milter/hold/wire"
	"o2n-milter/rules"
	"o2n-milter/state"
)

// doWishes does what people want done with held mail, before anything leaves by
// itself, and says whether there is more: a Step must end.
func (k *Keeper) doWishes(ctx context.Context, now time.Time) (more bool) {
	var doomed []*item
	released, bounced := 0, 0
	for _, it := range k.book.wanted(now) {
		if !k.store.here(now) || !k.agent.here(now) || ctx.Err() != nil {
			return false
		}
		switch it.Wish {
		case state.WishRelease:
			if released++; released <= batch {
				k.letGo(ctx, now, it)
			}
		case state.WishDelete:
			doomed = append(doomed, it)
		case state.WishBounce:
			if bounced++; bounced <= mostBounces {
				k.sendBack(ctx, now, it)
			}
		default:
			k.opts.Log.Warn("nobody knows what is wanted of held mail", "id", it.ID, "wish", string(it.Wish))
			k.forgetWish(ctx, now, it)
		}
	}
	k.remove(ctx, now, doomed[:min(len(doomed), batch)])
	return len(doomed) > batch || released > batch || bounced > mostBounces
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

// remove deletes messages because somebody says so. Their records are written first:
// one whose wish has changed since it was read stays, and is read again.
func (k *Keeper) remove(ctx context.Context, now time.Time, list []*item) {
	list = slices.DeleteFunc(list, func(it *item) bool {
		it.rest = now.Add(restAfter)
		return !k.store.here(now) || !k.put(ctx, now, it, func(h *state.Held) { h.Due = time.Time{} })
	})
	done := k.drop(ctx, now, list)
	for _, it := range list {
		switch deleted, told := done[it]; {
		case !told: // again after the rest
		case deleted:
			k.end(ctx, now, it, state.HeldDeleted)
		default:
			k.end(ctx, now, it, state.HeldGone)
		}
	}
}

// drop deletes messages in the MTA: false for those that were not there, nothing for
// those of which nobody knows.
func (k *Keeper) drop(ctx context.Context, now time.Time, list []*item) map[*item]bool {
	if len(list) == 0 {
		return nil
	}
	call, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	done, err := k.opts.Agent.Delete(call, queueIDs(list)...)
	k.heard(now, wire.VerbDelete, err)
	deleted := map[*item]bool{}
	for _, it := range list {
		switch problem, told := done[it.QueueID]; {
		case !told:
		case problem == nil, errors.Is(problem, ErrNotQueued):
			deleted[it] = problem == nil
		default:
			k.tell.agentError(wire.VerbDelete)
			k.opts.Log.Warn("held mail is not deleted", "id", it.ID, "qid", it.QueueID, "error", problem)
		}
	}
	return deleted
}

func queueIDs(list []*item) []string {
	ids := make([]string, len(list))
	for i, it := range list {
		ids[i] = it.QueueID
	}
	return ids
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
