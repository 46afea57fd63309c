package ledger

import (
	"time"
	"unsafe"

	"o2n-milter/state"
)

// kind is what an entry is.
type kind int

const (
	window    kind = iota
	set            // of members
	campaigns      // of letters; its entries have no name
	kinds          // how many there are
)

// Entry is one window, one set, or the campaigns of one subject, in memory.
type Entry struct {
	Name    string // of the limit, or of the set
	Subject string
	// One of them says what it is; a window where both are nil.
	Members   *state.Members
	Campaigns *state.Campaigns
	Slots     state.Slots // of a window

	shard  *shard
	asked  int64 // what the call at work wants of a window; 0 between calls
	size   int   // bytes, as counted in the shard's
	pos    int   // in the shard's all
	pinned int   // changes under way: the copy in the store is older than this one
	recent bool  // used since the hand came by

	// What differs from the copy in the store while nothing is under way:
	stale   bool // the copy reads as more than this one, which must not be dropped for it
	dirty   bool // changed while the store was away
	partial bool // made while the store was away: the copy was not read
}

// Member is one of a set, or a recipient of one of a subject's campaigns.
type Member struct {
	Campaign state.Sketch // zero for a set's
	Hash     uint64
}

func newEntry(k kind, n, subject string) *Entry {
	e := &Entry{Name: n, Subject: subject}
	switch k {
	case set:
		e.Members = &state.Members{}
	case campaigns:
		e.Campaigns = &state.Campaigns{}
	}
	return e
}

func (e *Entry) kind() kind {
	switch {
	case e.Campaigns != nil:
		return campaigns
	case e.Members != nil:
		return set
	}
	return window
}

// Append encodes what the entry, which is no window, holds of m; false: nothing.
func (e *Entry) Append(b []byte, m Member) ([]byte, bool) {
	if e.Campaigns != nil {
		return e.Campaigns.Append(b, m.Campaign, m.Hash)
	}
	return e.Members.Append(b, m.Hash)
}

// members are all that the entry holds; none for a window.
func (e *Entry) members() (all []Member) {
	switch e.kind() {
	case campaigns:
		e.Campaigns.Each(func(of state.Sketch, hash uint64) { all = append(all, Member{of, hash}) })
	case set:
		for _, hash := range e.Members.Hashes() {
			all = append(all, Member{Hash: hash})
		}
	}
	return all
}

// load adds what source holds of the entry.
func (e *Entry) load(source Source) (err error) {
	stored := Entry{Name: e.Name, Subject: e.Subject}
	switch e.kind() {
	case campaigns:
		var found state.Campaigns
		found, err = source.Campaigns(e.Subject)
		stored.Campaigns = &found
	case set:
		var found state.Members
		found, err = source.Set(e.Name, e.Subject)
		stored.Members = &found
	default:
		stored.Slots, err = source.Window(e.Name, e.Subject)
	}
	if err == nil {
		e.merge(&stored)
	}
	return err
}

// merge adds what another entry of the kind holds, which is not to be used after.
func (e *Entry) merge(o *Entry) {
	switch {
	case e.empty():
		e.fill(o)
	case e.Campaigns != nil:
		e.Campaigns.Merge(*o.Campaigns)
	case e.Members != nil:
		e.Members.Merge(*o.Members)
	default:
		e.Slots.Merge(o.Slots)
	}
}

// fill puts what o holds in the place of what e holds.
func (e *Entry) fill(o *Entry) {
	switch e.kind() {
	case campaigns:
		*e.Campaigns = *o.Campaigns
	case set:
		*e.Members = *o.Members
	default:
		e.Slots = o.Slots
	}
}

// copied is another entry that holds the same, and belongs to no shard.
func (e *Entry) copied() *Entry {
	c := &Entry{Name: e.Name, Subject: e.Subject, Slots: e.Slots.Clone()}
	if e.Members != nil {
		m := e.Members.Clone()
		c.Members = &m
	}
	if e.Campaigns != nil {
		all := e.Campaigns.Clone()
		c.Campaigns = &all
	}
	return c
}

// taken empties the entry and returns one with what it held.
func (e *Entry) taken() *Entry {
	t := newEntry(e.kind(), e.Name, e.Subject)
	t.fill(e)
	e.fill(newEntry(e.kind(), e.Name, e.Subject))
	return t
}

func (e *Entry) advance(length time.Duration, line int64) {
	var folded bool
	switch e.kind() {
	case campaigns:
		folded = e.Campaigns.Advance(length, line)
	case set:
		folded = e.Members.Advance(length, line)
	default:
		folded = e.Slots.Advance(length, line)
	}
	e.stale = e.stale || folded
	e.recent = true
}

func (e *Entry) expire(line int64) {
	var folded bool
	switch e.kind() {
	case campaigns:
		folded = e.Campaigns.Expire(line)
	case set:
		folded = e.Members.Expire(line)
	default:
		folded = e.Slots.Expire(line)
	}
	e.stale = e.stale || folded
	e.account()
}

func (e *Entry) empty() bool {
	switch e.kind() {
	case campaigns:
		return e.Campaigns.Len() == 0
	case set:
		return e.Members.Len() == 0
	}
	return e.Slots.Used() == 0
}

// dead says that the entry makes no difference: a copy in the store has left too.
func (e *Entry) dead() bool { return e.empty() && !e.stale && e.pinned == 0 }

// account brings the entry's size, and its shard's, up to date.
func (e *Entry) account() {
	size := int(unsafe.Sizeof(*e)) + overhead + rounded(len(e.Subject))
	switch e.kind() {
	case campaigns:
		size += int(unsafe.Sizeof(*e.Campaigns)) + e.Campaigns.Size()
	case set:
		size += int(unsafe.Sizeof(*e.Members)) + e.Members.Size()
	default:
		size += e.Slots.Size()
	}
	e.shard.bytes += int64(size - e.size)
	e.size = size
}

// rounded is what n bytes take: small ones come in steps of 16.
func rounded(n int) int { return (n + 15) &^ 15 }
