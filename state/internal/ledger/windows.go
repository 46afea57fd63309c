// Package ledger is what every driver holds in memory: of each subject the windows, sets
// and campaigns that decide; and the docs. A driver adds where they come from and where they are kept.
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

// Source is the store behind: where entries are read that are not in memory. It
// is called while their shard is locked.
type Source interface {
	// Subject reads what the store holds of one, as Decode does; nil when that is nothing.
	Subject(subject string) (*Entry, error)
}

type shard struct {
	mu      sync.Mutex
	entries map[string]*Entry // by subject
	all     []seat            // the same, for the hand
	hand    int               // where sweeping goes on
	looked  int64             // how many it has passed, ever
	bytes   int64             // an estimate of what all take
	windows int               // in all
	lost    int64             // forgotten though charged while the store was away
	away    bool              // the store cannot be read or written
	cleared map[string]bool   // subjects reset while it is
}

// seat is where the hand finds an entry.
type seat struct {
	entry *Entry
	rests int64 // the hand need not look at it before: no window and no set is over by then
}

// Options of Windows.
type Options struct {
	Key    state.MemberKey // of the store that the sets are kept in
	Source Source          // nil: no store behind
	Bytes  int64           // memory to keep to; 0: not bounded. Without a Source nothing alive is let go
	Clock  *state.Clock    // nil: one that begins with the first call
}

// Windows are all entries that live in memory, in shards by subject.
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
		w.shards[i].entries = make(map[string]*Entry)
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
		slots, err := w.copied(win.Limit, win.Subject)
		if err != nil {
			return nil, err
		}
		line := w.clock.Peek(now)
		slots.Advance(win.Length, line)
		out[i] = usage(&slots, win, now, line)
	}
	return out, nil
}

// copied locks, copies and unlocks one window.
func (w *Windows) copied(limit, subject string) (state.Slots, error) {
	shard := w.shardOf(subject)
	w.lock(1 << shard)
	defer w.unlock(1 << shard)
	e, err := w.duplicate(&w.shards[shard], subject)
	if err != nil {
		return state.Slots{}, err
	}
	return e.limits[e.limit(limit)].slots, nil
}

// usage is the state of a window advanced to line.
func usage(slots *state.Slots, win state.Window, now time.Time, line int64) state.Usage {
	u := state.Usage{Window: win, Used: slots.Used()}
	if at, ok := slots.FreeAt(1, win.Max, line); ok {
		u.NextFree = wall(now, line, at)
	}
	return u
}

// wall turns a time on the line into the callers' time.
func wall(now time.Time, line, at int64) time.Time {
	return now.UTC().Add(time.Duration(at - line))
}

// entry finds one or loads it; its shard is locked.
func (w *Windows) entry(sh *shard, subject string) (*Entry, error) {
	e := sh.entries[subject]
	if e != nil && (!e.partial || sh.away) {
		return e, nil
	}
	if e == nil {
		e = &Entry{Subject: subject, partial: sh.away && !sh.cleared[subject]}
	}
	if err := w.load(sh, e); err != nil {
		return nil, err
	}
	if e.shard == nil {
		sh.add(e)
	}
	return e, nil
}

// load adds to an entry what the store holds of it, unless it is away.
func (w *Windows) load(sh *shard, e *Entry) error {
	if w.source == nil || sh.away {
		return nil
	}
	stored, err := w.source.Subject(e.Subject)
	if err != nil {
		return err
	}
	if stored != nil {
		stored.kept.anew = e.kept.anew || !e.empty()
		e.kept = stored.kept
		e.merge(stored)
	}
	e.partial = false
	return nil
}

// duplicate is an entry as it is, to be changed at will: nothing comes into memory.
func (w *Windows) duplicate(sh *shard, subject string) (*Entry, error) {
	e := sh.entries[subject]
	if e != nil && (!e.partial || sh.away) {
		return e.copied(), nil
	}
	c := &Entry{Subject: subject}
	if e != nil {
		c = e.copied()
	}
	return c, w.load(sh, c)
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

// Freeze calls f while no entry changes.
func (w *Windows) Freeze(f func()) {
	w.lock(1<<shards - 1)
	defer w.unlock(1<<shards - 1)
	f()
}
