package ledger

import "errors"

// Detach says that the store can neither be read nor written from now on. Judging
// goes on: what is in memory counts on, what is not begins at nothing, and no
// call's change is handed over. So a subject that was not in memory may get up to
// its Max once more. What is charged meanwhile stays in memory, up to some times
// the bound.
func (w *Windows) Detach() {
	w.Freeze(func() {
		for i := range w.shards {
			w.shards[i].away = true
		}
	})
}

// Attach says that the store is back. Changed gets what was charged meanwhile, a
// change for each shard, and what the store held of it counts again. It goes shard by
// shard, so calls go on. An error tells of what could not be read: that is an error
// for the calls that ask for it, and tried again by the next Attach.
func (w *Windows) Attach(changed func(*Change)) error {
	var faults []error
	for i := range w.shards {
		faults = append(faults, w.attach(i, changed))
	}
	return errors.Join(faults...)
}

func (w *Windows) attach(i int, changed func(*Change)) error {
	w.lock(1 << i)
	defer w.unlock(1 << i)
	sh := &w.shards[i]
	sh.away = false
	sh.clearStored()
	var faults []error
	c := newChange()
	for _, s := range sh.all {
		e := s.entry
		if !e.dirty {
			continue
		}
		if e.partial {
			if err := w.load(sh, e); err != nil {
				faults = append(faults, err)
				continue
			}
		}
		e.dirty = false
		c.posts = append(c.posts, post{entry: e, whole: &whole{again: true}})
	}
	c.handOver(changed)
	return errors.Join(faults...)
}

// clearStored makes what the store holds of subjects reset meanwhile be overwritten.
func (sh *shard) clearStored() {
	for subject := range sh.cleared {
		e := sh.entries[subject]
		if e == nil {
			e = sh.add(&Entry{Subject: subject})
		}
		e.dirty, e.stale = true, true
	}
	clear(sh.cleared)
}
