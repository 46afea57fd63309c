// Package hold keeps the mail that the MTA holds for us, and lets it go: at the pace
// of its limits, when somebody says so, or back to its sender when it has waited too
// long. The Agent is the hand in the MTA's queue; the Keeper decides what it does.
//
// It judges nothing: what a release costs, and whether there is room, is asked of the
// rules. A held message is a state.Held of the store, so what people want
// done is written there (Wish) and a restart forgets nothing. What the store cannot
// take is kept in memory until it can.
//
// Invariants: nothing is released that has not paid, or that somebody has released; a
// message is told to the MTA only after its record says that it leaves, so after a
// crash it is told again, which does no harm; of one subject one message at a time is
// on its way; what is not ours in the MTA's queue is never touched.
package hold

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"o2n-milter/internal/chaos"
	"o2n-milter/rules"
	"o2n-milter/state"
)

// mta is the hand in the MTA's queue: the Agent.
type mta interface {
	Host(ctx context.Context) (Host, error)
	List(ctx context.Context, yield func(Queued) error, queues ...Queue) error
	Hold(ctx context.Context, ids ...string) (map[string]error, error)
	Release(ctx context.Context, ids ...string) (map[string]error, error)
	Delete(ctx context.Context, ids ...string) (map[string]error, error)
	Find(ctx context.Context, ids ...string) (map[string]Queue, error)
}

// Options are what a Keeper works with.
type Options struct {
	Store state.Store
	Agent mta
	Log   *slog.Logger
	// Rules are those in force.
	Rules func() *rules.Engine
	// Send gives the local MTA a report to this address, with the null sender; it
	// must carry the value that text is called with. An error that Lasting knows is
	// for ever.
	Send    func(ctx context.Context, now time.Time, to string, text func(value string) []byte) error
	Lasting func(error) bool
}

// Settings are those of [hold].
type Settings struct {
	MaxAge        time.Duration
	MaxPerSubject int
	MaxMessages   int
	Keep          []string // rule ids and tables whose mail is not sent back at MaxAge
	Queued        bool     // hold what a blocked sender still has in the queue
	Language      string   // of reports: en, fr, en+fr
}

// Keeper keeps held mail. Put, Configure, Wake, Stats, Away and Unknown are safe for
// concurrent use; there is one Step at a time.
type Keeper struct {
	opts Options
	set  atomic.Pointer[Settings]
	book *book
	wake chan struct{}
	tell *counts

	// Of Step's goroutine.
	agent    lookout // how the agent is
	store    lookout // and the store, when something is written
	reads    lookout // and when it is read
	lanes    lanes
	flights  map[string]*flight // by record id
	left     departures
	adopted  string // the host whose unknown mail was looked for among other hosts'
	blocks   blockWatch
	refused  int       // reports that were not taken, one after another
	returned time.Time // when the agent was first heard, or heard again
	// Not before these.
	nextSync, nextRound, nextExpire, nextReport time.Time
}

// Intervals and bounds of a Step.
const (
	syncEvery  = time.Second     // a look at the store, without being woken
	roundEvery = time.Minute     // a look at the MTA's queue, and at what is old
	restAfter  = 5 * time.Second // what did not answer
	batch      = 50              // releases that a Step pays for, so that it ends soon
	callTime   = 30 * time.Second
	listTime   = 3 * time.Minute // ten thousand messages and a slow disk
)

// New returns a Keeper that does nothing before its first Step, but takes mail.
func New(opts Options, set Settings) *Keeper {
	k := &Keeper{
		opts: opts, book: newBook(opts.Store), wake: make(chan struct{}, 1), tell: newCounts(),
		lanes: newLanes(), flights: map[string]*flight{}, left: departures{}, blocks: blockWatch{},
	}
	k.agent = lookout{log: opts.Log, away: "hold agent is away: held mail stays", back: "hold agent is back", idle: k.book.isEmpty}
	k.store = lookout{log: opts.Log, away: "store is away: held mail stays", back: "store is back: held mail leaves again"}
	k.reads = lookout{log: opts.Log, away: "store is away: nobody knows what is held", back: "store is back: it is known what is held"}
	k.set.Store(&set)
	return k
}

// Configure puts other settings in force, and asks again what has room under the
// rules of now.
func (k *Keeper) Configure(set Settings) {
	k.set.Store(&set)
	k.lanes.again.Store(true)
	k.Wake()
}

// Wake makes Run look at the store at once.
func (k *Keeper) Wake() {
	select {
	case k.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// Put writes down what the MTA is about to hold. With an error it must not be held.
// While the store is away the record is kept in memory, and written when it is back.
func (k *Keeper) Put(ctx context.Context, _ time.Time, h state.Held) error {
	it, err := k.book.reserve(h, k.set.Load())
	if err != nil {
		return err
	}
	if k.book.isStrange(h.Host) {
		k.opts.Log.Warn("mail is held on a host whose queue is not our agent's: a daemon there must release it", "host", h.Host)
	}
	err = state.PutRecord(ctx, k.opts.Store, &h)
	if err == nil {
		k.Wake()
		return nil
	}
	if err := k.book.unsaved(it, err); err != nil {
		return err
	}
	k.opts.Log.Warn("held mail is in memory only until the store is back", "id", h.ID, "qid", h.QueueID, "error", err)
	return nil
}

// Run steps until ctx ends.
func (k *Keeper) Run(ctx context.Context, now func() time.Time) {
	for ctx.Err() == nil {
		at := now()
		timer := time.NewTimer(max(k.Step(ctx, at).Sub(at), 0))
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-k.wake:
			k.nextSync = time.Time{}
		}
		timer.Stop()
	}
}

// Step does what is to be done at now and says when the next one is wanted.
func (k *Keeper) Step(ctx context.Context, now time.Time) time.Time {
	defer func() { k.tell.away(cmp.Or(k.agent.why, k.store.why, k.reads.why)) }()
	if !now.Before(k.nextSync) || now.Before(k.nextSync.Add(-2*syncEvery)) { // or the clock was set back
		k.nextSync = now.Add(syncEvery)
		k.sync(ctx, now)
	}
	chaos.Point("held")
	if k.reads.why != nil || !k.store.here(now) || !k.isHere(ctx, now) {
		return now.Add(syncEvery)
	}
	more := k.doWishes(ctx, now)
	k.watch(ctx, now)
	more = k.release(ctx, now) || more
	k.holdQueued(ctx, now)
	if !now.Before(k.nextRound) || now.Before(k.nextRound.Add(-2*roundEvery)) {
		k.nextRound = now.Add(roundEvery)
		k.round(ctx, now)
	}
	if !now.Before(k.nextExpire) || now.Before(k.nextExpire.Add(-2*roundEvery)) {
		k.expire(ctx, now)
	}
	more = k.putDues(ctx, now) || more
	return k.next(now, more)
}

// round is what needs no haste.
func (k *Keeper) round(ctx context.Context, now time.Time) {
	if k.agent.here(now) && k.askHost(ctx, now) {
		k.reconcile(ctx, now)
	}
	k.forget(ctx, now)
	k.left.forget(now)
}

// next is when the next Step is wanted.
func (k *Keeper) next(now time.Time, more bool) time.Time {
	next := k.nextSync
	switch {
	case more:
		next = now
	case len(k.flights) > 0:
		next = earlier(next, now.Add(k.watchEvery(now)))
	}
	return earlier(next, k.lanes.next(now))
}

// sync brings the book and the lanes to what the store has now.
func (k *Keeper) sync(ctx context.Context, now time.Time) {
	if saved, err := k.book.save(ctx); saved || err != nil {
		k.store.heard(now, err)
	}
	changed, unread, err := k.book.sync(ctx)
	if unread != nil {
		k.opts.Log.Error("held mail that cannot be read stays on hold", "error", unread)
	}
	for _, it := range changed {
		k.place(ctx, now, it)
	}
	if err == nil {
		err = k.blocks.sync(ctx, k.opts.Store, now, k.lanes.askAgain)
	}
	k.reads.heard(now, err)
}

// place puts a record where it belongs, whatever it was before.
func (k *Keeper) place(ctx context.Context, now time.Time, it *item) {
	k.lanes.remove(it)
	if it.deleted || !it.isOpen() { // the latter by another daemon
		delete(k.flights, it.ID)
	}
	switch {
	case it.deleted:
	case it.State == state.HeldWaiting && it.Wish == state.WishNone:
		k.lanes.add(it)
	case it.State == state.HeldLeaving && k.flights[it.ID] == nil:
		// It had paid when somebody ended the process.
		k.flights[it.ID] = &flight{item: it, charges: k.costs(ctx, now, it), told: true}
		k.lanes.resume(it)
	case it.State == state.HeldReleased:
		k.left.add(it.Ended, k.costs(ctx, now, it))
	}
}

// costs are what a record counts in the windows of those that have left.
func (k *Keeper) costs(ctx context.Context, now time.Time, it *item) []state.Charge {
	if it.Wish == state.WishRelease {
		return nil // somebody let it go, whatever the windows say
	}
	charges, err := k.opts.Rules().ReleaseCosts(ctx, now, it.Held)
	if err != nil {
		k.opts.Log.Warn("held mail that has left counts nowhere", "id", it.ID, "error", err)
	}
	return charges
}

// isHere says whether the agent answers. One that was away is asked whose queue it
// has before anything pays: that decides which records are ours.
func (k *Keeper) isHere(ctx context.Context, now time.Time) bool {
	if k.agent.why == nil && k.Host() != "" {
		return true
	}
	if !k.agent.here(now) || !k.askHost(ctx, now) {
		return false
	}
	k.returned = now
	return true
}

// askHost asks the agent whose queue it has, and says whether it answers. An MTA may
// be given another name while we run.
func (k *Keeper) askHost(ctx context.Context, now time.Time) bool {
	call, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	host, err := k.opts.Agent.Host(call)
	if !k.heard(now, "host", err) {
		return false
	}
	if !strings.EqualFold(host.Name, k.Host()) {
		k.opts.Log.Info("held mail", "mta", host.MTA, "host", host.Name)
		k.book.setHost(strings.ToLower(host.Name))
		k.sync(ctx, now)
	}
	return true
}

// heard notes what the agent said to a call, and says whether it is there.
func (k *Keeper) heard(now time.Time, verb string, err error) bool {
	if err != nil {
		k.tell.agentError(verb)
	}
	return k.agent.heard(now, err)
}

// put stores a changed record. A record that somebody else has changed meanwhile is
// read again before anything else is done with it.
func (k *Keeper) put(ctx context.Context, now time.Time, it *item, change func(*state.Held)) bool {
	h := it.Held
	change(&h)
	err := state.PutRecord(ctx, k.opts.Store, &h)
	if errors.Is(err, state.ErrConflict) {
		k.nextSync = time.Time{}
		return false
	}
	if err != nil && !errors.Is(err, state.ErrUnavailable) {
		k.opts.Log.Error("held mail cannot be changed", "id", it.ID, "error", err)
		return false
	}
	if !k.store.heard(now, err) {
		return false
	}
	k.book.changed(it, h)
	return true
}

// end is put for a record that is over.
func (k *Keeper) end(ctx context.Context, now time.Time, it *item, as state.HeldState) bool {
	if !k.put(ctx, now, it, func(h *state.Held) { h.State, h.Ended, h.Due = as, now.UTC(), time.Time{} }) {
		return false
	}
	k.lanes.remove(it)
	delete(k.flights, it.ID)
	k.tell.ended(as)
	k.opts.Log.Info("held mail", "became", string(as), "id", it.ID, "qid", it.QueueID, "rule", it.Rule, "subject", it.Subject,
		"held", now.Sub(it.Since).Round(time.Second).String(), "by", it.WishBy)
	return true
}

// lookout says once that something is away, and once that it is back, and lets it
// rest in between.
type lookout struct {
	log        *slog.Logger
	away, back string
	idle       func() bool // nobody waits for it: no error yet; nil: somebody always does
	why        error
	alarmed    bool // it was told as an error
	rest       time.Time
}

func (l *lookout) heard(now time.Time, err error) bool {
	if errors.Is(err, context.Canceled) { // we are stopping
		return false
	}
	switch {
	case err == nil && l.why != nil:
		l.log.Warn(l.back)
		l.alarmed = false
	case err != nil && !l.alarmed && (l.idle == nil || !l.idle()):
		l.log.Error(l.away, "error", err)
		l.alarmed = true
	case err != nil && l.why == nil:
		l.log.Info(l.away, "error", err)
	}
	if l.why = err; err != nil {
		l.rest = now.Add(restAfter)
	}
	return err == nil
}

// here says whether it is worth asking.
func (l *lookout) here(now time.Time) bool {
	return l.why == nil || !now.Before(l.rest) || now.Before(l.rest.Add(-2*restAfter))
}

func earlier(a, b time.Time) time.Time {
	if b.IsZero() || !a.IsZero() && a.Before(b) {
		return a
	}
	return b
}
