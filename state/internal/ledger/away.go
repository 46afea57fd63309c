package ledger

import (
	"errors"
	"slices"
)

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
	faults := w.clearStored(sh)
	c := newChange()
	for _, e := range sh.all {
		if !e.dirty {
			continue
		}
		members, err := w.reread(e)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		e.dirty, e.partial = false, false
		c.posts = append(c.posts, post{entry: e, whole: &whole{members: members, again: true}})
	}
	c.handOver(changed)
	return errors.Join(faults...)
}

// clearStored makes what the store holds of subjects reset meanwhile be overwritten.
func (w *Windows) clearStored(sh *shard) (faults []error) {
	for subject := range sh.cleared {
		limits, sets, err := w.source.Names(subject)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		for _, limit := range limits {
			sh.overwrite(newEntry(window, limit, subject))
		}
		for _, n := range sets {
			sh.overwrite(newEntry(set, n, subject))
		}
		sh.overwrite(newEntry(campaigns, "", subject))
		delete(sh.cleared, subject)
	}
	return faults
}

// overwrite makes an entry, or fresh where there is none, be written whole.
func (sh *shard) overwrite(fresh *Entry) {
	e := sh.tables[fresh.kind()][name{fresh.Name, fresh.Subject}]
	if e == nil {
		e = sh.add(fresh)
	}
	e.dirty, e.stale = true, true
}

// reread adds what the store holds of an entry that was made without it. It returns
// the members to write: all that are known, and all that the store knows.
func (w *Windows) reread(e *Entry) ([]Member, error) {
	if e.kind() == window && !e.partial {
		return nil, nil
	}
	stored := newEntry(e.kind(), e.Name, e.Subject)
	if err := stored.load(w.source); err != nil {
		return nil, err
	}
	was := stored.members()
	if e.partial {
		e.merge(stored)
	}
	members := e.members()
	is := make(map[Member]bool, len(members))
	for _, m := range members {
		is[m] = true
	}
	return append(members, slices.DeleteFunc(was, func(m Member) bool { return is[m] })...), nil
}
