package badgerdb

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"o2n-milter/internal/chaos"
	"o2n-milter/state/internal/journal"
	"o2n-milter/state/internal/ledger"
)

// stuck is after how long a commit under way is a fault: a message waits for 8 s.
const stuck = 5 * time.Second

// maxSpare is how many calls an empty queue has room for, at 100 bytes each.
const maxSpare = 256

// op is what one call wants kept; one of windows, doc, history and dead is set, or none:
// see mark.
type op struct {
	windows *ledger.Change
	doc     *ledger.DocChange
	history *change    // of decisions
	dead    []corpse   // what the sweeper found
	at      time.Time  // the call's time; zero when it has none
	done    chan error // takes one answer; nil for a decision
}

// writer is the only one that writes to Badger, and to the journal.
type writer struct {
	base    *base
	windows *ledger.Windows
	docs    *ledger.Docs
	journal *journal.Journal
	log     *slog.Logger
	write   func([]record, []corpse) error // commit; tests put faults here
	trouble func(fault string)             // is told, in mid-turn, of a disk that cannot be written to
	away    func() bool                    // the windows are detached: what cannot be written stays in memory

	wake    chan struct{} // holds one when something is queued
	stop    chan struct{}
	stopped chan struct{}
	down    chan struct{} // closed when the writer has died
	turn    chan struct{} // holds one while a batch is written, or the database changed

	ahead reserve // only who has the turn may use it

	markDue atomic.Bool  // the next commit writes a link of the chain
	dropped atomic.Int64 // decisions that could not be kept

	mu         sync.Mutex
	queue      []op
	spare      []op  // the one before it, empty
	fault      error // why the last commit did not succeed; nil when it did
	dead       error // set once: why nothing will ever be written again
	lastCommit time.Time
	begun      time.Time // the batch under way, by the host's clock; zero: there is none
	stand      stand     // as of the last commit
	signed     stand     // as the database has it
	onDisk     stand     // the signed one as of the last sync
	chain      chain
}

func newWriter(b *base, log *slog.Logger) *writer {
	w := &writer{
		base: b, log: log, trouble: func(string) {}, away: func() bool { return false },
		wake: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{}),
		down: make(chan struct{}), turn: make(chan struct{}, 1),
	}
	w.write = w.commit
	return w
}

// put queues o. Where o waits for an answer, the caller gets it from o.done.
func (w *writer) put(o op) {
	w.mu.Lock()
	dead := w.dead
	if dead == nil {
		w.queue = append(w.queue, o)
	}
	w.mu.Unlock()
	if dead != nil {
		o.answer(dead)
		return
	}
	select {
	case w.wake <- struct{}{}:
	default: // it is awake already, and will look again
	}
}

func (o op) answer(err error) {
	if o.done != nil {
		o.done <- err // holds one, and gets one
	}
}

// broken is the error of every call once the writer has died.
func (w *writer) broken() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dead
}

// health is for Status.
func (w *writer) health() (lastCommit time.Time, fault error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead != nil {
		return w.lastCommit, w.dead
	}
	if took := time.Since(w.begun); !w.begun.IsZero() && took >= stuck {
		return w.lastCommit, fmt.Errorf("commit: under way for %s: the disk is slow, or hangs", took.Round(time.Second))
	}
	return w.lastCommit, w.fault
}

// standing is how far the database says that it is.
func (w *writer) standing() stand {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.signed
}

// unsigned says that the database is further than that.
func (w *writer) unsigned() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stand.Commit != w.signed.Commit
}

// mark makes the database say how far it is.
func (w *writer) mark() error {
	w.markDue.Store(true)
	done := make(chan error, 1)
	w.put(op{done: done})
	return <-done
}

// close commits what is queued and ends the writer; nothing may be put any more.
func (w *writer) close() error {
	close(w.stop)
	<-w.stopped
	return w.broken()
}

func (w *writer) run() {
	defer close(w.stopped)
	for {
		select {
		case <-w.wake:
			w.flush()
		case <-w.stop:
			w.flush()
			return
		}
	}
}

// flush commits all that is queued at one moment. A panic in it is the writer's
// end: everything that waits, now and later, is told so.
func (w *writer) flush() {
	w.turn <- struct{}{}
	defer func() { <-w.turn }()
	var b batch
	defer func() {
		if r := recover(); r != nil {
			w.log.Error("store: the writer died", "panic", r, "stack", string(debug.Stack()))
			w.die(fmt.Errorf("store: the writer died: %v", r), b.ops)
		}
	}()
	w.windows.Freeze(func() {
		b.ops = w.take()
		b.records = subjectRecords(b.ops)
	})
	if len(b.ops) == 0 {
		return
	}
	w.underWay(time.Now())
	defer w.underWay(time.Time{})
	w.keepDocs(&b)
	w.keep(&b)
	chaos.Point("committed")
	w.settle(&b)
	w.report(&b)
	for _, o := range b.ops {
		if o.history != nil {
			o.history.settled(b.fate(o.history))
		}
		o.answer(w.verdict(o, &b))
	}
	w.again(b.ops)
}

func (w *writer) underWay(since time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.begun = since
}

func (w *writer) take() []op {
	w.mu.Lock()
	defer w.mu.Unlock()
	ops := w.queue
	w.queue, w.spare = w.spare, nil
	return ops
}

// again gives what take gave back, to be filled again. Nothing of a great crowd stays.
func (w *writer) again(ops []op) {
	if cap(ops) > maxSpare {
		return
	}
	clear(ops)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.spare = ops[:0]
}

// die answers everything that waits with err, now and from now on.
func (w *writer) die(err error, ops []op) {
	w.mu.Lock()
	first := w.dead == nil
	if first {
		w.dead = err
	}
	ops = append(ops, w.queue...)
	w.queue = nil
	w.mu.Unlock()
	if first {
		close(w.down)
	}
	for _, o := range ops {
		select {
		case o.done <- err:
		default: // answered before the panic, or a decision
		}
	}
}
