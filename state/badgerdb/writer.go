package badgerdb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"

	"o2n-milter/state/internal/ledger"
)

// maxDecisions bounds how many decisions wait for a commit, at some KB each.
const maxDecisions = 4096

// op is what one call wants kept; one of windows, doc and decision is set.
type op struct {
	windows  *ledger.Change
	doc      *ledger.DocChange
	decision []record
	at       time.Time  // the call's time; zero when it has none
	done     chan error // takes one answer; nil for a decision
}

// writer is the only one that writes to Badger.
type writer struct {
	db      *badger.DB
	windows *ledger.Windows
	docs    *ledger.Docs
	log     *slog.Logger
	write   func([]record) error // commit; tests put faults here

	wake    chan struct{} // holds one when something is queued
	stop    chan struct{}
	stopped chan struct{}
	down    chan struct{} // closed when the writer has died
	room    chan struct{} // one for each decision queued

	mu         sync.Mutex
	queue      []op
	fault      error // why the last commit did not succeed; nil when it did
	dead       error // set once: why nothing will ever be written again
	lastCommit time.Time
}

func newWriter(db *badger.DB, windows *ledger.Windows, docs *ledger.Docs, log *slog.Logger) *writer {
	w := &writer{
		db: db, windows: windows, docs: docs, log: log,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{}),
		down: make(chan struct{}), room: make(chan struct{}, maxDecisions),
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

// putDecision queues a decision as soon as there is room.
func (w *writer) putDecision(ctx context.Context, o op) error {
	select {
	case w.room <- struct{}{}:
		w.put(o)
		return nil
	case <-w.down:
		return w.broken()
	case <-ctx.Done():
		return fmt.Errorf("decision: %d others wait to be written: %w", maxDecisions, ctx.Err())
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
	return w.lastCommit, w.fault
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
	var batch []op
	defer func() {
		if r := recover(); r != nil {
			w.log.Error("store: the writer died", "panic", r, "stack", string(debug.Stack()))
			w.die(fmt.Errorf("store: the writer died: %v", r), batch)
		}
	}()
	var records []record
	w.windows.Freeze(func() {
		batch = w.take()
		records = windowRecords(batch)
	})
	if len(batch) == 0 {
		return
	}
	records = append(records, w.docRecords(batch)...)
	err, lost := w.keep(records, decisions(batch))
	w.settle(batch, err)
	w.report(batch, err, lost)
	for _, o := range batch {
		if o.decision != nil {
			<-w.room
		}
		o.answer(err)
	}
}

func (w *writer) take() []op {
	w.mu.Lock()
	defer w.mu.Unlock()
	batch := w.queue
	w.queue = nil
	return batch
}

// windowRecords gives each window of the batch once, as it is now.
func windowRecords(batch []op) []record {
	var records []record
	seen := make(map[*ledger.Entry]bool)
	for _, o := range batch {
		if o.windows == nil {
			continue
		}
		o.windows.Each(func(e *ledger.Entry) {
			if !seen[e] {
				seen[e] = true
				records = append(records, windowRecord(e))
			}
		})
	}
	return records
}

func windowRecord(e *ledger.Entry) record {
	key := limitKey(e.Name, e.Subject)
	if e.Slots.Used() == 0 {
		return record{key: key, gone: true}
	}
	return record{key: key, value: e.Slots.Append(nil), ttl: 2 * e.Slots.Length()}
}

// docRecords gives the docs of the batch as they are now.
func (w *writer) docRecords(batch []op) []record {
	var records []record
	for _, o := range batch {
		if o.doc == nil {
			continue
		}
		r := record{key: docKey(o.doc.Kind, o.doc.ID), gone: true}
		if doc, ok := w.docs.Get(o.doc.Kind, o.doc.ID); ok {
			value, err := json.Marshal(doc)
			if err != nil { // checked when the call was made: a fault of ours
				panic(fmt.Sprintf("%s %s: %v", doc.Kind, doc.ID, err))
			}
			r.value, r.gone = value, false
		}
		records = append(records, r)
	}
	return records
}

func decisions(batch []op) []record {
	var records []record
	for _, o := range batch {
		records = append(records, o.decision...)
	}
	return records
}

// keep writes all in one commit where it fits; else what calls wait for first.
// Lost says why decisions were not written.
func (w *writer) keep(records, decisions []record) (err, lost error) {
	err = w.write(append(records[:len(records):len(records)], decisions...))
	if !errors.Is(err, badger.ErrTxnTooBig) {
		return err, err
	}
	if err = w.inParts(records); err != nil {
		return err, err
	}
	return nil, w.inParts(decisions)
}

// inParts writes records in as many commits as it takes. A crash between two may
// leave a message in some of its windows only; none of it was answered then.
func (w *writer) inParts(records []record) error {
	const part = 2000 // records: up to 12,000 fit, at up to 600 bytes each
	for len(records) > 0 {
		n := min(part, len(records))
		err := w.write(records[:n])
		for errors.Is(err, badger.ErrTxnTooBig) && n > 1 {
			n /= 2
			err = w.write(records[:n])
		}
		if err != nil {
			return err
		}
		records = records[n:]
	}
	return nil
}

// commit writes records in one transaction, all or none.
func (w *writer) commit(records []record) error {
	txn := w.db.NewTransaction(true)
	defer txn.Discard()
	for _, r := range records {
		if err := r.set(txn); err != nil {
			return err
		}
	}
	return txn.Commit()
}

func (r record) set(txn *badger.Txn) error {
	if r.gone {
		return txn.Delete(r.key)
	}
	e := badger.NewEntry(r.key, r.value)
	if r.ttl > 0 {
		e.WithTTL(r.ttl)
	}
	return txn.SetEntry(e)
}

// settle tells memory what became of the batch. Undoing goes backwards: a charge
// may stand on a reset before it.
func (w *writer) settle(batch []op, err error) {
	w.windows.Freeze(func() {
		for i := len(batch) - 1; i >= 0; i-- {
			switch o := batch[i]; {
			case o.windows != nil && err != nil:
				o.windows.Undo()
			case o.windows != nil:
				o.windows.Settle()
			case o.doc != nil && err != nil:
				w.docs.Undo(*o.doc)
			}
		}
	})
}

// report keeps the store's health and logs each batch that was not written.
func (w *writer) report(batch []op, err, lost error) {
	failed := errors.Join(err, lost)
	if err != nil {
		failed = err // lost says the same
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if failed != nil {
		w.fault = fmt.Errorf("commit: %w", failed)
		w.log.Error("store: commit", "err", failed, "calls", len(batch))
		return
	}
	if w.fault != nil {
		w.log.Info("store: commits succeed again")
		w.fault = nil
	}
	for _, o := range batch {
		if o.at.After(w.lastCommit) {
			w.lastCommit = o.at
		}
	}
}

// die answers everything that waits with err, now and from now on.
func (w *writer) die(err error, batch []op) {
	w.mu.Lock()
	first := w.dead == nil
	if first {
		w.dead = err
	}
	batch = append(batch, w.queue...)
	w.queue = nil
	w.mu.Unlock()
	if first {
		close(w.down)
	}
	for _, o := range batch {
		select {
		case o.done <- err:
		default: // answered before the panic, or a decision
		}
	}
}
