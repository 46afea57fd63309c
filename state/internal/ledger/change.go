package ledger

import (
	"slices"
	"sync"

	"o2n-milter/state"
)

// Change is what one call did that a store must still keep: Records say how. A store
// keeps each entry as it is when it is written, not as it was: then no record goes back
// to an older one, whatever order the changes are written in.
//
// What left by itself, because its time was over, is in no change: a driver
// cleans it up by the times in its records.
type Change struct {
	posts []post
	few   [6]post // where the posts of most changes are: one piece of memory for all
}

// settled are changes that are over, empty, for other calls.
var settled = sync.Pool{New: func() any { return &Change{} }}

func newChange() *Change {
	c := settled.Get().(*Change)
	c.posts = c.few[:0]
	return c
}

// over gives the change back: nobody uses it after.
func (c *Change) over() {
	*c = Change{}
	settled.Put(c)
}

// post is what happened to an entry: in one window, one set, or its campaigns.
type post struct {
	entry *Entry
	name  string              // of the limit or set
	mark  state.Mark          // where a charge was put in the window
	known *state.MemberMarks  // what was put into the set; nil: nothing
	sent  state.CampaignMarks // what was put into campaigns
	stale bool                // the copy in the store read as more, before this is kept
	whole *whole              // nil: a charge
}

// whole is of an entry that was cleared, or is to be written whole.
type whole struct {
	taken  *Entry // holds what a reset took; nil: nothing was
	unread bool   // what a reset took could not be read
	again  bool   // nothing was taken: it is Attach that wants it written
}

// put puts members into a set.
func (c *Change) put(e *Entry, at int, hashes []uint64, line int64) {
	known := e.sets[at].members.Put(hashes, line)
	p := post{entry: e}
	if known.Len() > 0 {
		p.name, p.known = e.sets[at].name, &known
	}
	c.note(p, known.Len())
}

// send puts a letter's recipients into its campaign.
func (c *Change) send(e *Entry, of state.Sketch, hashes []uint64, line int64) {
	sent := e.letters.Put(of, hashes, line)
	c.note(post{entry: e, sent: sent}, sent.Len())
}

// note adds a post of so many members. The change also names an entry that another
// change is under way for, though nothing changed: this call took a member for known
// that the store does not hold yet, and must wait until it does.
func (c *Change) note(p post, changed int) {
	if changed > 0 || p.entry.stale || p.entry.pinned > 0 {
		c.posts = append(c.posts, p)
	}
}

// handOver gives the change to the store. What belongs to a shard whose store is
// away waits in memory for Attach.
func (c *Change) handOver(changed func(*Change)) {
	if changed == nil {
		c.over()
		return
	}
	kept := c.posts[:0]
	for i := range c.posts {
		p := &c.posts[i]
		e := p.entry
		p.stale = p.stale || e.stale
		if e.shard.away {
			e.dirty, e.stale = true, p.stale
			continue
		}
		e.kept.anew = e.kept.anew || e.stale || p.whole != nil
		e.stale = false // pinned as long as it may be
		e.pinned++
		kept = append(kept, *p)
	}
	if c.posts = kept; len(kept) == 0 {
		c.over()
		return
	}
	changed(c)
}

// Subjects is how many posts there are: of an Attach, one for each subject.
func (c *Change) Subjects() int { return len(c.posts) }

// Settle says that the change is kept, and is the end of it; Freeze must be held.
func (c *Change) Settle() {
	for i := range c.posts {
		c.posts[i].entry.pinned--
	}
	c.over()
}

// Undo takes the change back: it could not be kept. Freeze must be held. Changes
// handed over since must be undone too, the newest first: they stand on this one,
// and may have taken a member for known, or a window for reset, for nothing.
func (c *Change) Undo() {
	for i := range slices.Backward(c.posts) {
		p := &c.posts[i]
		e := p.entry
		e.pinned--
		e.stale = e.stale || p.stale
		e.kept.anew = true // whatever became of what was written
		p.undo()
		if p.whole != nil {
			p.whole.giveBack(e)
		}
		e.account()
		e.lookSoon()
	}
}

func (p *post) undo() {
	e := p.entry
	switch {
	case p.sent != nil:
		e.campaigns().Undo(p.sent)
	case p.known != nil:
		e.sets[e.set(p.name)].members.Undo(*p.known)
	case p.name != "":
		e.limits[e.limit(p.name)].slots.Undo(p.mark)
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
	for i := range c.posts {
		p := &c.posts[i]
		e := p.entry
		e.pinned--
		e.stale = e.stale || p.stale
		e.dirty, e.kept.anew = true, true
	}
}
