package ledger

import "o2n-milter/state"

// Change is what one call did to windows that a store must still keep.
type Change struct{ posts []post }

type post struct {
	entry  *Entry
	mark   state.Mark  // where a charge was put
	before state.Slots // what a reset cleared; empty for a charge
}

// Each calls f with every window changed; Freeze must be held.
func (c *Change) Each(f func(*Entry)) {
	for _, p := range c.posts {
		f(p.entry)
	}
}

// pin keeps the windows from being swept while the store's copy is older.
func (c *Change) pin() {
	for _, p := range c.posts {
		p.entry.pinned++
	}
}

// Settle says that the change is kept; Freeze must be held.
func (c *Change) Settle() {
	for _, p := range c.posts {
		p.entry.pinned--
		p.entry.folded = false
	}
}

// Undo takes the change back: it could not be kept. Freeze must be held. Of
// several changes the newest is undone first.
func (c *Change) Undo() {
	for _, p := range c.posts {
		if p.before.Used() > 0 {
			p.entry.Slots.Merge(p.before)
		} else {
			p.entry.Slots.Undo(p.mark)
		}
		p.entry.pinned--
	}
}

// sweep looks at a few windows and forgets the dead ones.
func (sh *shard) sweep(line int64) {
	for range swept {
		if len(sh.all) == 0 {
			return
		}
		if sh.hand >= len(sh.all) {
			sh.hand = 0
		}
		e := sh.all[sh.hand]
		e.folded = e.Slots.Expire(line) || e.folded
		if e.pinned == 0 && !e.folded && e.Slots.Used() == 0 {
			sh.drop(e)
		} else {
			sh.hand++
		}
	}
}

func (sh *shard) add(limit, subject string, slots state.Slots) *Entry {
	e := &Entry{Limit: limit, Subject: subject, Slots: slots, pos: len(sh.all)}
	sh.byName[name{limit, subject}] = e
	sh.all = append(sh.all, e)
	return e
}

func (sh *shard) drop(e *Entry) {
	last := len(sh.all) - 1
	moved := sh.all[last]
	sh.all[e.pos], moved.pos = moved, e.pos
	sh.all[last] = nil
	sh.all = sh.all[:last]
	delete(sh.byName, name{e.Limit, e.Subject})
}

// Reset clears the windows of a subject: those in memory and, of the limits that
// stored names, those that are not. It returns how many held anything.
func (w *Windows) Reset(subject string, stored func() ([]string, error), changed func(*Change)) (int, error) {
	i := w.shardOf(subject)
	w.lock(1 << i)
	defer w.unlock(1 << i)
	c := &Change{}
	if stored != nil {
		limits, err := stored()
		if err != nil {
			return 0, err
		}
		for _, limit := range limits {
			if _, err := w.entry(limit, subject); err != nil {
				// What cannot be read is cleared all the same: it is the way to get rid of it.
				c.posts = append(c.posts, post{entry: w.shards[i].add(limit, subject, state.Slots{})})
			}
		}
	}
	line := w.clock.Line()
	for _, e := range w.shards[i].all {
		if e.Subject != subject {
			continue
		}
		e.folded = e.Slots.Expire(line) || e.folded
		if e.Slots.Used() > 0 {
			c.posts = append(c.posts, post{entry: e, before: e.Slots})
			e.Slots = state.Slots{}
		}
	}
	if changed != nil && len(c.posts) > 0 {
		c.pin()
		changed(c)
	}
	return len(c.posts), nil
}
