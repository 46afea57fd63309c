package badgerdb

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/dgraph-io/badger/v4"
)

// batch is what is written at one time.
type batch struct {
	ops      []op
	records  []record // what calls wait for
	history  []record // of decisions
	dead     []corpse
	docFault error // why the journal did not take the docs
	err      error // why Badger did not take the rest
	lost     error // why something of decisions was not written
	parked   bool  // it could not be written, and waits in memory
}

// verdict is what the caller behind o is told.
func (w *writer) verdict(o op, b *batch) error {
	if o.doc != nil && b.docFault != nil {
		return b.docFault
	}
	return b.err
}

// keep writes all in one commit where it fits; else what calls wait for first.
func (w *writer) keep(b *batch) {
	for _, o := range b.ops {
		if o.history != nil {
			b.history = append(b.history, o.history.records...)
		}
		b.dead = append(b.dead, o.dead...)
	}
	b.err = w.write(append(slices.Clip(b.records), b.history...), b.dead)
	if errors.Is(b.err, badger.ErrTxnTooBig) {
		if b.err = w.inParts(b.records); b.err == nil {
			b.lost = errors.Join(w.eachChange(b.ops), w.write(nil, b.dead))
		}
	}
	if b.err != nil {
		w.fail(b)
	}
}

// fail finds out whether it is the disk: then judging goes on from memory, and the
// calls that wait are answered from there.
func (w *writer) fail(b *batch) {
	if fault := diskFault(b.err); fault != "" {
		w.trouble(fault)
	}
}

// eachChange writes what is to become of decisions one by one: none is done by halves.
func (w *writer) eachChange(ops []op) error {
	var errs []error
	for _, o := range ops {
		if o.history != nil {
			o.history.err = w.write(o.history.records, nil)
			errs = append(errs, o.history.err)
		}
	}
	return errors.Join(errs...)
}

// fate is what became of a change; nil: it is written.
func (b *batch) fate(c *change) error {
	if b.parked {
		return errWhileAway
	}
	return cmp.Or(b.err, c.err)
}

// inParts writes records in as many commits as it takes. A crash between two may
// leave a message in some of its windows only; none of it was answered then.
func (w *writer) inParts(records []record) error {
	const part = 2000 // records: up to 12,000 fit, at up to 600 bytes each
	for len(records) > 0 {
		n := min(part, len(records))
		err := w.write(records[:n], nil)
		for errors.Is(err, badger.ErrTxnTooBig) && n > 1 {
			n /= 2
			err = w.write(records[:n], nil)
		}
		if err != nil {
			return err
		}
		records = records[n:]
	}
	return nil
}

// settle tells memory what became of the batch.
func (w *writer) settle(b *batch) {
	switch {
	case b.err == nil:
		w.windows.Freeze(func() {
			for _, o := range b.ops {
				if o.windows != nil {
					o.windows.Settle()
				}
			}
		})
	case w.away():
		w.park(b)
	default:
		w.undo(b)
	}
}

// park leaves what could not be written in memory, for the day that the database is
// back. The docs are in the journal.
func (w *writer) park(b *batch) {
	w.windows.Freeze(func() {
		for _, o := range b.ops {
			if o.windows != nil {
				o.windows.Park()
			}
		}
	})
	b.err, b.parked = nil, true
}

// undo takes back what was not written, and all that was charged upon it since: what
// is queued by now. Of that, docs and decisions stay queued. It goes backwards: a
// charge may stand on a reset before it.
func (w *writer) undo(b *batch) {
	w.windows.Freeze(func() {
		var stay []op
		for _, o := range w.take() {
			if o.windows != nil {
				b.ops = append(b.ops, o)
			} else {
				stay = append(stay, o)
			}
		}
		w.requeue(stay)
		for _, o := range slices.Backward(b.ops) {
			if o.windows != nil {
				o.windows.Undo()
			}
		}
	})
	w.undoDocs(b)
}

func (w *writer) requeue(ops []op) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue = append(ops, w.queue...)
	if len(w.queue) > 0 {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// report keeps the store's health and logs each batch that was not written.
func (w *writer) report(b *batch) {
	if b.parked && b.docFault == nil {
		return
	}
	failed := b.err
	if failed == nil {
		failed = errors.Join(b.docFault, b.lost)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if failed != nil {
		w.fault = fmt.Errorf("commit: %w", failed)
		w.log.Error("store: commit", "err", failed, "calls", len(b.ops))
		return
	}
	if w.fault != nil {
		w.log.Info("store: commits succeed again")
		w.fault = nil
	}
	for _, o := range b.ops {
		if o.at.After(w.lastCommit) {
			w.lastCommit = o.at
		}
	}
}
