package hold

import (
	"context"
	"slices"
	"strings"
	"time"

	"o2n-milter/hold/wire"
	"o2n-milter/rules"
	"o2n-milter/state"
)

const (
	// grace is how long after the verdict the MTA may take to put a message on hold:
	// milters behind us have their say first.
	grace = 2 * time.Minute
	// slack is by how much an MTA's clock of whole seconds and ours may differ.
	slack = 5 * time.Second
	// mostUnknown is how many messages that are not ours are told of; all are counted.
	mostUnknown = 1000
)

// reconcile compares the records with what the MTA has on hold: what people did by
// hand is noticed, what a crash left half done is finished, and what was never ours
// is listed and left alone.
func (k *Keeper) reconcile(ctx context.Context, now time.Time) {
	onHold, err := k.list(ctx, QueueHold)
	if !k.heard(now, wire.VerbList, err) {
		return
	}
	all := k.book.all()
	slices.Reverse(all) // of two records with one queue id the younger is right
	for _, it := range all {
		if ctx.Err() != nil || !k.store.here(now) {
			return // what is unknown is not known either
		}
		q, isOn := onHold[it.QueueID]
		isOn = isOn && isSame(it.Held, q)
		if isOn && it.State != state.HeldReleased { // else somebody has put it back
			delete(onHold, it.QueueID)
		}
		k.compare(ctx, now, it, isOn)
	}
	k.adopt(ctx, now, onHold)
	k.tell.unknown(onHold)
}

// adopt takes over what is held here by a record of another host: this one had another
// name then. It looks once under each name, and after a start.
func (k *Keeper) adopt(ctx context.Context, now time.Time, unknown map[string]Queued) {
	if k.adopted == k.Host() || len(unknown) == 0 {
		return
	}
	docs, err := k.opts.Store.Docs(ctx, heldKind)
	if !k.reads.heard(now, err) {
		return
	}
	whole := true
	for _, doc := range docs {
		h, err := state.DecodeRecord[state.Held](doc)
		q, isOn := unknown[h.QueueID]
		if err != nil || !isOn || !isSame(h, q) || !isSameSender(h.From, q.From) || strings.EqualFold(h.Host, k.Host()) {
			continue
		}
		was, it := h.Host, &item{}
		h.Host = k.Host()
		if !k.put(ctx, now, it, func(ours *state.Held) { *ours = h }) {
			whole = false
			continue
		}
		delete(unknown, h.QueueID)
		k.opts.Log.Warn("held mail of this host under another name", "id", h.ID, "qid", h.QueueID, "was", was)
		k.place(ctx, now, it)
	}
	if whole {
		k.adopted = k.Host()
	}
}

// compare finds out what became of one record.
func (k *Keeper) compare(ctx context.Context, now time.Time, it *item, isOn bool) {
	switch waits := it.State == state.HeldWaiting || it.State == state.HeldKept; {
	case waits && !isOn && now.Sub(it.Since) >= grace:
		k.end(ctx, now, it, state.HeldGone)
	case !isOn, waits, it.State == state.HeldLeaving:
	case it.State == state.HeldGone:
		// The queue was not whole when it was looked at, or somebody put it back.
		k.revive(ctx, now, it)
	case it.State == state.HeldBounced, it.State == state.HeldDeleted:
		k.drop(ctx, now, []*item{it})
	}
}

// revive has a record go on that was given up.
func (k *Keeper) revive(ctx context.Context, now time.Time, it *item) {
	as := state.HeldKept
	if rules.LeavesByItself(it.Rule) {
		as = state.HeldWaiting
	}
	if k.put(ctx, now, it, func(h *state.Held) { h.State, h.Ended = as, time.Time{} }) {
		k.opts.Log.Warn("held mail is back", "id", it.ID, "qid", it.QueueID)
		k.place(ctx, now, it)
	}
}

// list is what the MTA has in these queues, by queue id.
func (k *Keeper) list(ctx context.Context, queues ...Queue) (map[string]Queued, error) {
	ctx, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	found := map[string]Queued{}
	err := k.opts.Agent.List(ctx, func(q Queued) error {
		found[q.ID] = q
		return nil
	}, queues...)
	return found, err
}

// isSame says that a message in the queue is the record's, and not a later one that
// was given its queue id. An MTA may write the sender in another way than we heard it,
// so it is only asked where there is no time.
func isSame(h state.Held, q Queued) bool {
	if q.Arrived.IsZero() {
		return strings.EqualFold(h.From, q.From)
	}
	return !q.Arrived.After(h.Since.Add(slack))
}
