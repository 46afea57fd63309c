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
	mark  state.Mark          // where a charge was put in a window
	known state.MemberMarks   // what was put into a set
	sent  state.CampaignMarks // what was put into campaigns
	stale bool                // the copy in the store read as more, before this is kept
	whole *whole              // nil: a charge
}

// whole is of an entry that was cleared, or is to be written whole.
type whole struct {
	taken   *Entry   // holds what a reset took; nil: nothing was
	members []Member // to write beside known and sent
	unread  bool     // what a reset took could not be read
	again   bool     // nothing was taken: it is Attach that wants it written
}

// Each calls f with every window changed; Freeze must be held.
func (c *Change) Each(f func(*Entry)) {
	for _, p := range c.posts {
		if p.entry.kind() == window {
			f(p.entry)
		}
	}
}

// EachMember calls f with every member of a set or campaign that was added, renewed,
// or forgotten; Freeze must be held. One may come twice. What it is now its entry
// says: Append.
func (c *Change) EachMember(f func(e *Entry, m Member)) {
	for _, p := range c.posts {
		p.known.Each(func(hash uint64) { f(p.entry, Member{Hash: hash}) })
		p.sent.Each(func(of state.Sketch, hash uint64) { f(p.entry, Member{of, hash}) })
		if p.whole != nil {
			for _, m := range p.whole.members {
				f(p.entry, m)
			}
		}
	}
}

// put puts members into a set.
func (c *Change) put(e *Entry, hashes []uint64, line int64) {
	known := e.Members.Put(hashes, line)
	c.note(post{entry: e, known: known}, known.Len())
}

// send puts a letter's recipients into its campaign.
func (c *Change) send(e *Entry, of state.Sketch, hashes []uint64, line int64) {
	sent := e.Campaigns.Put(of, hashes, line)
	c.note(post{entry: e, sent: sent}, sent.Len())
}

// note adds a post of so many members. The change also names an entry that another
// change is under way for, though nothing changed: this call took a member for known
// that the store does not hold yet, and must wait until it does.
func (c *Change) note(p post, changed int) {
	if p.entry.stale {
		p.whole = &whole{members: p.entry.members()}
	}
	if changed > 0 || p.entry.stale || p.entry.pinned > 0 {
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
		switch e.kind() {
		case campaigns:
			e.Campaigns.Undo(p.sent)
		case set:
			e.Members.Undo(p.known)
		default:
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
	if w.taken != nil {
		e.merge(w.taken)
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
