package hold

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"o2n-milter/hold/wire"
	"o2n-milter/rules"
	"o2n-milter/state"
)

// Bounds of what is looked for when a sender is blocked.
const (
	queuedFor  = 5 * 24 * time.Hour // Postfix gives up then (maximal_queue_lifetime)
	mostPassed = 5000               // decisions
	passedPage = 500
	// settleTime is how long a message that passed just before the block may need to
	// be in the records.
	settleTime = 2 * time.Second
	// freshBlock is how old a block may be that was made while no Keeper looked.
	freshBlock = time.Hour
)

// blockWatch notices that blocks begin and end. It is by the block's id.
type blockWatch map[string]*watchedBlock

type watchedBlock struct {
	rev int64
	state.Block
	seen bool      // what its subject had in the queue was looked for
	due  time.Time // when to look for it
}

// sync reads the blocks that have changed; whatever did may let somebody's mail go.
func (w blockWatch) sync(ctx context.Context, store state.Store, now time.Time, changed func()) error {
	known := make(map[string]int64, len(w))
	for id, b := range w {
		known[id] = b.rev
	}
	docs, err := store.ChangedDocs(ctx, state.BlockKind, known)
	if err != nil || len(docs) == 0 {
		return err
	}
	blocks, err := store.Blocks(ctx)
	if err != nil {
		return err
	}
	for _, doc := range docs {
		switch b := w[doc.ID]; {
		case doc.Rev == 0:
			delete(w, doc.ID)
		case b == nil:
			w[doc.ID] = &watchedBlock{rev: doc.Rev, due: now.Add(settleTime)}
		default:
			b.rev = doc.Rev
		}
	}
	for _, block := range blocks {
		if b := w[block.ID]; b != nil {
			b.Block = block
			b.seen = b.seen || now.Sub(b.Since) > freshBlock
		}
	}
	changed()
	return nil
}

// holdQueued puts on hold what blocked senders still have in the queue.
func (k *Keeper) holdQueued(ctx context.Context, now time.Time) {
	if !k.set.Load().Queued {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(k.blocks)) {
		b := k.blocks[id]
		kind, _, _ := strings.Cut(b.Subject, ":")
		if b.seen || now.Before(b.due) || !slices.Contains([]string{"account", "script", "ip"}, kind) {
			continue
		}
		if b.State(now) == state.BlockActive && !k.holdQueuedOf(ctx, now, b.Block) {
			b.due = now.Add(restAfter)
			return
		}
		b.seen = true
	}
}

// holdQueuedOf says whether it is done.
func (k *Keeper) holdQueuedOf(ctx context.Context, now time.Time, b state.Block) bool {
	queue, err := k.list(ctx, QueueIncoming, QueueActive, QueueDeferred)
	if !k.heard(now, wire.VerbList, err) {
		return false
	}
	found, err := k.passed(ctx, now, b, queue)
	if err != nil {
		k.opts.Log.Error("mail in the queue is not put on hold yet", "block", b.ID, "subject", b.Subject, "error", err)
		return false
	}
	// Written down first: what is on hold without a record never leaves.
	var put []*item
	for _, h := range found {
		it := k.book.item(h.ID)
		if it != nil && it.isOpen() { // a crash came between the two
			put = append(put, it)
			continue
		}
		if it == nil {
			it = &item{}
		}
		h.Rev = it.Rev
		if !k.put(ctx, now, it, func(was *state.Held) { *was = h }) {
			continue // on hold already, or changed meanwhile
		}
		k.place(ctx, now, it)
		put = append(put, it)
	}
	if len(put) == 0 {
		return k.store.here(now)
	}
	return k.putOnHold(ctx, now, b, put)
}

// putOnHold tells the MTA.
func (k *Keeper) putOnHold(ctx context.Context, now time.Time, b state.Block, list []*item) bool {
	call, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	done, err := k.opts.Agent.Hold(call, queueIDs(list)...)
	here := k.heard(now, wire.VerbHold, err)
	held := 0
	for _, it := range list {
		if problem, told := done[it.QueueID]; told && problem == nil {
			held++
		} else if told || !here {
			k.end(ctx, now, it, state.HeldGone) // if it is on hold after all, the next round finds it
		}
	}
	k.opts.Log.Warn("mail in the queue was put on hold, as its sender is blocked", "block", b.ID, "subject", b.Subject, "messages", held)
	return here
}

// passed are the messages of a blocked subject that passed and are in the queue
// still. At most hold.max_per_subject of them, the newest first.
func (k *Keeper) passed(ctx context.Context, now time.Time, b state.Block, queue map[string]Queued) ([]state.Held, error) {
	q := state.Query{Subject: b.Subject, Since: now.Add(-queuedFor), Limit: passedPage}
	var found []state.Held
	for seen := 0; len(queue) > 0 && seen < mostPassed; seen += passedPage {
		page, err := k.opts.Store.Decisions(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, d := range page {
			h, ok := k.inQueue(ctx, now, b, d, queue)
			if ok && len(found) < k.set.Load().MaxPerSubject {
				delete(queue, h.QueueID)
				found = append(found, h)
			}
		}
		if len(page) < passedPage {
			break
		}
		q.Before = page[len(page)-1].At // of one time some may be missed: it is a search, not a count
	}
	return found, nil
}

// inQueue is the record of a decision whose message is in the queue and on nobody's
// hold.
func (k *Keeper) inQueue(ctx context.Context, now time.Time, b state.Block, d state.Decision, queue map[string]Queued) (state.Held, bool) {
	if d.Action != rules.Accept.String() && d.Action != rules.Tag.String() {
		return state.Held{}, false
	}
	h, err := k.opts.Rules().HeldInQueue(ctx, now, b, d)
	if err != nil {
		k.opts.Log.Warn("decision", "id", d.ID, "error", err)
		return h, false
	}
	q, isIn := queue[h.QueueID]
	if !isIn || !isSameQueued(d, q) {
		return h, false
	}
	if it := k.book.item(h.ID); it != nil && it.State == state.HeldLeaving {
		return h, false // somebody let it go just now
	}
	h.Host, h.From, h.Recipients = k.Host(), q.From, q.Recipients // the decision may hold hashes
	return h, true
}

// isSameQueued says that a message in the queue is the decision's: records of a fleet
// do not say on which host it was.
func isSameQueued(d state.Decision, q Queued) bool {
	if q.Arrived.After(d.At.Add(slack)) || q.Arrived.Before(d.At.Add(-time.Hour)) {
		return false
	}
	return isSameSender(d.From, q.From)
}

// isSameSender allows for an MTA that writes a sender in another way than we heard it;
// but where both have a domain they must agree. Of a sender that the decision keeps as
// a hash (state.addresses) the domain must.
func isSameSender(x, y string) bool {
	if domain, is := rules.HiddenDomain(x); is {
		return strings.EqualFold(domain, y[strings.LastIndexByte(y, '@')+1:])
	}
	return strings.EqualFold(x, y) || !strings.Contains(x, "@") || !strings.Contains(y, "@")
}

// item is our record of this id, or nil.
func (b *book) item(id string) *item {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.items[id]
}
