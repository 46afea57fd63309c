// Package ledger is what every driver holds in memory: the windows and sets that
// decide, and the docs. A driver adds where they come from and where they are kept.
//
// Invariant: what an entry holds changes only while its shard is locked, and a
// call locks the shards of all its subjects before it looks, in ascending order.
// So a call is atomic, and Freeze, which locks every shard, sees each message in
// all its windows and sets or in none.
package ledger

import (
	"hash/maphash"
	"math/bits"
	"sync"
	"time"

	"o2n-milter/state"
)

// shards bound how many calls wait for one another; one bit each in a mask.
const shards = 32

// Entry is one window, or one set, in memory.
type Entry struct {
	Name    string // of the limit, or of the set
	Subject string
	Slots   state.Slots    // of a window
	Members *state.Members // of a set; nil: this is a window

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

// Source is the store behind: where entries are read that are not in memory. It
// is called while their shard is locked.
type Source interface {
	// Window reads a window; the zero Slots when there is none.
	Window(limit, subject string) (state.Slots, error)
	// Set reads a set; the zero Members when there is none. A member that cannot
	// be read is left out, as if forgotten.
	Set(set, subject string) (state.Members, error)
	// Names are the limits and sets under which anything of subject is stored.
	Names(subject string) (limits, sets []string, err error)
}

type name struct{ name, subject string }

type shard struct {
	mu      sync.Mutex
	windows map[name]*Entry
	sets    map[name]*Entry
	all     []*Entry        // of both, for the hand
	hand    int             // where sweeping goes on
	bytes   int64           // an estimate of what all take
	lost    int64           // forgotten though charged while the store was away
	away    bool            // the store cannot be read or written
	cleared map[string]bool // subjects reset while it is
}

// Options of Windows.
type Options struct {
	Key    state.MemberKey // of the store that the sets are kept in
	Source Source          // nil: no store behind
	Bytes  int64           // memory to keep to; 0: not bounded. Without a Source nothing alive is let go
	Clock  *state.Clock    // nil: one that begins with the first call
}

// Windows are all windows and sets that live in memory, in shards by subject.
type Windows struct {
	clock  *state.Clock
	seed   maphash.Seed
	key    state.MemberKey
	source Source
	share  int64 // of the bytes, for each shard; 0: not bounded
	shards [shards]shard
}

// NewWindows returns an empty set.
func NewWindows(o Options) *Windows {
	w := &Windows{clock: o.Clock, seed: maphash.MakeSeed(), key: o.Key, source: o.Source}
	if w.clock == nil {
		w.clock = &state.Clock{}
	}
	if o.Bytes > 0 && o.Source != nil {
		w.share = max(1, o.Bytes/shards)
	}
	for i := range w.shards {
		w.shards[i].windows = make(map[name]*Entry)
		w.shards[i].sets = make(map[name]*Entry)
		w.shards[i].cleared = make(map[string]bool)
	}
	return w
}

// Latest is the time of the newest call.
func (w *Windows) Latest() time.Time { return w.clock.Latest() }

// Usage is state.Store's. It takes nothing into memory.
func (w *Windows) Usage(now time.Time, windows []state.Window) ([]state.Usage, error) {
	if err := CheckWindows(now, windows); err != nil {
		return nil, err
	}
	out := make([]state.Usage, len(windows))
	for i, win := range windows {
		e, err := w.copied(win.Limit, win.Subject)
		if err != nil {
			return nil, err
		}
		line := w.clock.Peek(now)
		e.Slots.Advance(win.Length, line)
		out[i] = usage(e, win, now, line)
	}
	return out, nil
}

// copied locks, copies and unlocks one window.
func (w *Windows) copied(limit, subject string) (*Entry, error) {
	mask := uint32(1) << w.shardOf(subject)
	w.lock(mask)
	defer w.unlock(mask)
	return w.windowCopy(limit, subject)
}

// usage is the state of a window advanced to line.
func usage(e *Entry, win state.Window, now time.Time, line int64) state.Usage {
	u := state.Usage{Window: win, Used: e.Slots.Used()}
	if at, ok := e.Slots.FreeAt(1, win.Max, line); ok {
		u.NextFree = wall(now, line, at)
	}
	return u
}

// wall turns a time on the line into the callers' time.
func wall(now time.Time, line, at int64) time.Time {
	return now.UTC().Add(time.Duration(at - line))
}

// window finds a window or loads it; its shard is locked.
func (w *Windows) window(limit, subject string) (*Entry, error) {
	sh := &w.shards[w.shardOf(subject)]
	e := sh.windows[name{limit, subject}]
	if e != nil && (!e.partial || sh.away) {
		return e, nil
	}
	slots, err := w.loadWindow(sh, limit, subject)
	switch {
	case err != nil:
		return nil, err
	case e != nil:
		e.Slots.Merge(slots)
		e.partial = false
	default:
		e = sh.add(&Entry{Name: limit, Subject: subject, Slots: slots})
		e.partial = w.unread(sh, subject)
	}
	return e, nil
}

// set finds a set or loads it; its shard is locked.
func (w *Windows) set(set, subject string) (*Entry, error) {
	sh := &w.shards[w.shardOf(subject)]
	e := sh.sets[name{set, subject}]
	if e != nil && (!e.partial || sh.away) {
		return e, nil
	}
	members, err := w.loadSet(sh, set, subject)
	switch {
	case err != nil:
		return nil, err
	case e != nil:
		e.Members.Merge(members)
		e.partial = false
	default:
		e = sh.add(&Entry{Name: set, Subject: subject, Members: &members})
		e.partial = w.unread(sh, subject)
	}
	return e, nil
}

// unread says that the store may hold more of subject than can be read now.
func (w *Windows) unread(sh *shard, subject string) bool { return sh.away && !sh.cleared[subject] }

func (w *Windows) loadWindow(sh *shard, limit, subject string) (state.Slots, error) {
	if w.source == nil || sh.away {
		return state.Slots{}, nil
	}
	return w.source.Window(limit, subject)
}

func (w *Windows) loadSet(sh *shard, set, subject string) (state.Members, error) {
	if w.source == nil || sh.away {
		return state.Members{}, nil
	}
	return w.source.Set(set, subject)
}

// windowCopy is a window as it is, to be changed at will: nothing comes into memory.
func (w *Windows) windowCopy(limit, subject string) (*Entry, error) {
	sh := &w.shards[w.shardOf(subject)]
	c := &Entry{Name: limit, Subject: subject}
	e := sh.windows[name{limit, subject}]
	if e != nil {
		c.Slots = e.Slots.Clone()
	}
	if e == nil || (e.partial && !sh.away) {
		slots, err := w.loadWindow(sh, limit, subject)
		if err != nil {
			return nil, err
		}
		c.Slots.Merge(slots)
	}
	return c, nil
}

// setCopy is a set as it is, to be changed at will.
func (w *Windows) setCopy(set, subject string) (*Entry, error) {
	sh := &w.shards[w.shardOf(subject)]
	c := &Entry{Name: set, Subject: subject, Members: &state.Members{}}
	e := sh.sets[name{set, subject}]
	if e != nil {
		*c.Members = e.Members.Clone()
	}
	if e == nil || (e.partial && !sh.away) {
		members, err := w.loadSet(sh, set, subject)
		if err != nil {
			return nil, err
		}
		c.Members.Merge(members)
	}
	return c, nil
}

func (w *Windows) shardOf(subject string) int {
	return int(maphash.String(w.seed, subject) % shards)
}

func (w *Windows) lock(mask uint32) {
	for ; mask != 0; mask &= mask - 1 {
		w.shards[bits.TrailingZeros32(mask)].mu.Lock()
	}
}

func (w *Windows) unlock(mask uint32) {
	for ; mask != 0; mask &= mask - 1 {
		w.shards[bits.TrailingZeros32(mask)].mu.Unlock()
	}
}

// Freeze calls f while no window and no set changes.
func (w *Windows) Freeze(f func()) {
	w.lock(1<<shards - 1)
	defer w.unlock(1<<shards - 1)
	f()
}
