package ledger

import (
	"math"
	"slices"
	"time"
	"unsafe"

	"o2n-milter/state"
)

// Entry is all that is remembered of one subject, in memory: its windows, its sets, and
// the campaigns of its letters.
type Entry struct {
	Subject string
	limits  []limit
	sets    []set
	letters *state.Campaigns // nil: it never had any
	kept    kept             // how the store holds it

	shard  *shard
	size   int   // bytes, as counted in the shard's
	counts int   // windows, as counted in the shard's
	pos    int   // of its seat in the shard's all
	pinned int   // changes under way: the copy in the store is older than this one
	used   int64 // what the shard had looked at when it was used last
	listed bool  // among those being encoded

	// What differs from the copy in the store while nothing is under way:
	stale   bool // the copy reads as more than this one, which must not be dropped for it
	dirty   bool // changed while the store was away
	partial bool // made while the store was away: the copy was not read
}

// limit is the window of one limit.
type limit struct {
	name  string
	slots state.Slots
	asked int64 // what the call at work wants of it; 0 between calls
}

type set struct {
	name    string
	members state.Members
}

// limit is where the window of a limit is, which is made if there is none.
func (e *Entry) limit(name string) int {
	for i := range e.limits {
		if e.limits[i].name == name {
			return i
		}
	}
	e.limits = append(e.limits, limit{name: name})
	return len(e.limits) - 1
}

// set is where a set is, which is made if there is none.
func (e *Entry) set(name string) int {
	for i := range e.sets {
		if e.sets[i].name == name {
			return i
		}
	}
	e.sets = append(e.sets, set{name: name})
	return len(e.sets) - 1
}

func (e *Entry) campaigns() *state.Campaigns {
	if e.letters == nil {
		e.letters = &state.Campaigns{}
	}
	return e.letters
}

// merge adds what another entry holds, which is not to be used after.
func (e *Entry) merge(o *Entry) {
	if e.empty() {
		e.fill(o)
		return
	}
	for i := range o.limits {
		e.limits[e.limit(o.limits[i].name)].slots.Merge(o.limits[i].slots)
	}
	for i := range o.sets {
		e.sets[e.set(o.sets[i].name)].members.Merge(o.sets[i].members)
	}
	if o.letters != nil {
		e.campaigns().Merge(*o.letters)
	}
}

// fill puts what o holds in the place of what e holds.
func (e *Entry) fill(o *Entry) { e.limits, e.sets, e.letters = o.limits, o.sets, o.letters }

// copied is another entry that holds the same, and belongs to no shard.
func (e *Entry) copied() *Entry {
	c := &Entry{Subject: e.Subject, limits: slices.Clone(e.limits), sets: slices.Clone(e.sets)}
	for i := range c.limits {
		c.limits[i].slots = c.limits[i].slots.Clone()
	}
	for i := range c.sets {
		c.sets[i].members = c.sets[i].members.Clone()
	}
	if e.letters != nil {
		all := e.letters.Clone()
		c.letters = &all
	}
	return c
}

// taken empties the entry and returns one with what it held.
func (e *Entry) taken() *Entry {
	t := &Entry{Subject: e.Subject}
	t.fill(e)
	e.fill(&Entry{})
	return t
}

// window is that of a limit, brought to this length and time.
func (e *Entry) window(name string, length time.Duration, line int64) (at int) {
	at = e.limit(name)
	e.seen(e.limits[at].slots.Advance(length, line))
	return at
}

// known is a set, brought to this time.
func (e *Entry) known(name string, remember time.Duration, line int64) (at int) {
	at = e.set(name)
	e.seen(e.sets[at].members.Advance(remember, line))
	return at
}

// sent are the campaigns, brought to this time.
func (e *Entry) sent(remember time.Duration, line int64) {
	e.seen(e.campaigns().Advance(remember, line))
}

func (e *Entry) seen(folded bool) { e.stale = e.stale || folded }

// expire drops what has left.
func (e *Entry) expire(line int64) {
	folded := false
	for i := range e.limits {
		folded = e.limits[i].slots.Expire(line) || folded
	}
	for i := range e.sets {
		folded = e.sets[i].members.Expire(line) || folded
	}
	if e.letters != nil {
		folded = e.letters.Expire(line) || folded
	}
	e.stale = e.stale || folded
	e.trim()
	e.account()
}

// rests is when the first window or set is over if nothing is charged; 0: it is empty.
func (e *Entry) rests() int64 {
	first := int64(math.MaxInt64)
	for i := range e.limits {
		first = min(first, e.limits[i].slots.Leaves())
	}
	for i := range e.sets {
		first = min(first, e.sets[i].members.Leaves())
	}
	if e.letters != nil {
		first = min(first, e.letters.Leaves())
	}
	if first == math.MaxInt64 {
		return 0
	}
	return first
}

// lookSoon lets the hand look at e when it comes by next: it may be empty before its time.
func (e *Entry) lookSoon() { e.shard.all[e.pos].rests = 0 }

// trim lets go of what is empty.
func (e *Entry) trim() {
	e.limits = slices.DeleteFunc(e.limits, func(x limit) bool { return x.slots.Used() == 0 })
	e.sets = slices.DeleteFunc(e.sets, func(x set) bool { return x.members.Len() == 0 })
	if e.letters != nil && e.letters.Len() == 0 {
		e.letters = nil
	}
}

func (e *Entry) empty() bool {
	for i := range e.limits {
		if e.limits[i].slots.Used() > 0 {
			return false
		}
	}
	for i := range e.sets {
		if e.sets[i].members.Len() > 0 {
			return false
		}
	}
	return e.letters == nil || e.letters.Len() == 0
}

// members is how many there are in all sets and campaigns.
func (e *Entry) members() (n int) {
	for i := range e.sets {
		n += e.sets[i].members.Len()
	}
	if e.letters != nil {
		n += e.letters.Recipients()
	}
	return n
}

// dead says that the entry makes no difference: a copy in the store has left too.
func (e *Entry) dead() bool { return e.empty() && !e.stale && e.pinned == 0 }

// account brings the entry's size, and its shard's, up to date.
func (e *Entry) account() {
	size := int(unsafe.Sizeof(*e)) + overhead + rounded(len(e.Subject)) + cap(e.kept.tail.bytes) +
		cap(e.limits)*int(unsafe.Sizeof(limit{})) + cap(e.sets)*int(unsafe.Sizeof(set{}))
	for i := range e.limits {
		size += e.limits[i].slots.Size()
	}
	for i := range e.sets {
		size += e.sets[i].members.Size()
	}
	if e.letters != nil {
		size += int(unsafe.Sizeof(*e.letters)) + e.letters.Size()
	}
	e.shard.bytes += int64(size - e.size)
	e.shard.windows += len(e.limits) - e.counts
	e.size, e.counts = size, len(e.limits)
}

// rounded is what n bytes take: small ones come in steps of 16.
func rounded(n int) int { return (n + 15) &^ 15 }
