package ledger

import (
	"slices"

	"o2n-milter/state"
)

// Change is what one call did that a store must still keep. A store writes each
// entry and member of it as it is when it is written, not as it was: then no key
// goes back to an older value, whatever order the changes are written in.
//
// What left by itself, because its time was over, is in no change: a driver
// cleans it up by the times in its records.
type Change struct {
	posts []post
	few   [3]post // where the posts of most changes are: one piece of memory for all
}

func newChange() *Change {
	c := &Change{}
	c.posts = c.few[:0]
	return c
}

type post struct {
	entry *Entry
	mark  state.Mark        // where a charge was put in a window
	known state.MemberMarks // what was put into a set
	stale bool              // the copy in the store read as more, before this is kept
	whole *whole            // nil: a charge
}

// whole is of an entry that was cleared, or is to be written whole.
type whole struct {
	slots   state.Slots   // what a reset took
	members state.Members // the same, of a set
	hashes  []uint64      // members to write beside known
	unread  bool          // what a reset took could not be read
	again   bool          // nothing was taken: it is Attach that wants it written
}

// Each calls f with every window changed; Freeze must be held.
func (c *Change) Each(f func(*Entry)) {
	for _, p := range c.posts {
		if p.entry.Members == nil {
			f(p.entry)
		}
	}
}

// EachMember calls f with every member that was added to its set, renewed, or
// forgotten; Freeze must be held. One may come twice. What it is now its set says:
// Members.Append.
func (c *Change) EachMember(f func(set *Entry, hash uint64)) {
	for _, p := range c.posts {
		p.known.Each(func(hash uint64) { f(p.entry, hash) })
		if p.whole != nil {
			for _, hash := range p.whole.hashes {
				f(p.entry, hash)
			}
		}
	}
}

// put puts members into a set. The change also names a set that another change is
// under way for, though nothing changed: this call took a member for known that
// the store does not hold yet, and must wait until it does.
func (c *Change) put(e *Entry, hashes []uint64, line int64) {
	p := post{entry: e, known: e.Members.Put(hashes, line)}
	if e.stale {
		p.whole = &whole{hashes: e.Members.Hashes()}
	}
	if p.known.Len() > 0 || e.stale || e.pinned > 0 {
		c.posts = append(c.posts, p)
	}
}

// handOver gives the change to the store. What belongs to a shard whose store is
// away waits in memory for Attach.
func (c *Change) handOver(changed func(*Change)) {
	for _, p := range c.posts {
		p.entry.account()
	}
	if changed == nil {
		return
	}
	kept := c.posts[:0]
	for _, p := range c.posts {
		e := p.entry
		p.stale = p.stale || e.stale
		if e.shard.away {
			e.dirty, e.stale = true, p.stale
			continue
		}
		e.stale = false // pinned as long as it may be
		e.pinned++
		kept = append(kept, p)
	}
	if c.posts = kept; len(kept) > 0 {
		changed(c)
	}
}

// Settle says that the change is kept; Freeze must be held.
func (c *Change) Settle() {
	for _, p := range c.posts {
		p.entry.pinned--
	}
}

// Undo takes the change back: it could not be kept. Freeze must be held. Changes
// handed over since must be undone too, the newest first: they stand on this one,
// and may have taken a member for known, or a window for reset, for nothing.
func (c *Change) Undo() {
	for _, p := range slices.Backward(c.posts) {
		e := p.entry
		e.pinned--
		e.stale = e.stale || p.stale
		if e.Members != nil {
			e.Members.Undo(p.known)
		} else {
			e.Slots.Undo(p.mark)
		}
		if p.whole != nil {
			p.whole.giveBack(e)
		}
		e.account()
	}
}

func (w *whole) giveBack(e *Entry) {
	e.partial = e.partial || w.unread
	e.dirty = e.dirty || w.again
	if e.Members != nil {
		e.Members.Merge(w.members)
	} else {
		e.Slots.Merge(w.slots)
	}
}

// Park leaves the change standing in memory alone, for Attach to hand over again:
// the store went away before it was kept. Freeze must be held, and Detach called.
func (c *Change) Park() {
	for _, p := range c.posts {
		e := p.entry
		e.pinned--
		e.stale = e.stale || p.stale
		e.dirty = true
	}
}
