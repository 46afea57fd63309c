// Package ledger is what every driver holds in memory: the windows, sets and campaigns
// that decide, and the docs. A driver adds where they come from and where they are kept.
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
	// Window reads a window; the zero Slots when there is none.
	Window(limit, subject string) (state.Slots, error)
	// Set reads a set; the zero Members when there is none. A member that cannot
	// be read is left out, as if forgotten.
	Set(set, subject string) (state.Members, error)
	// Campaigns reads a subject's campaigns; the same holds for their recipients.
	Campaigns(subject string) (state.Campaigns, error)
	// Names are the limits and sets under which anything of subject is stored.
	Names(subject string) (limits, sets []string, err error)
}

type name struct{ name, subject string }

type shard struct {
	mu      sync.Mutex
	tables  [kinds]map[name]*Entry
	all     []*Entry        // of all kinds, for the hand
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
		for k := range w.shards[i].tables {
			w.shards[i].tables[k] = make(map[name]*Entry)
		}
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
	return w.duplicate(window, limit, subject)
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

// entry finds one or loads it; its shard is locked.
func (w *Windows) entry(k kind, n, subject string) (*Entry, error) {
	sh := &w.shards[w.shardOf(subject)]
	e := sh.tables[k][name{n, subject}]
	if e != nil && (!e.partial || sh.away) {
		return e, nil
	}
	if e == nil {
		e = newEntry(k, n, subject)
		e.partial = sh.away && !sh.cleared[subject]
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
	if err := e.load(w.source); err != nil {
		return err
	}
	e.partial = false
	return nil
}

// duplicate is an entry as it is, to be changed at will: nothing comes into memory.
func (w *Windows) duplicate(k kind, n, subject string) (*Entry, error) {
	sh := &w.shards[w.shardOf(subject)]
	e := sh.tables[k][name{n, subject}]
	if e != nil && (!e.partial || sh.away) {
		return e.copied(), nil
	}
	c := newEntry(k, n, subject)
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

// Freeze calls f while no window and no set changes.
func (w *Windows) Freeze(f func()) {
	w.lock(1<<shards - 1)
	defer w.unlock(1<<shards - 1)
	f()
}
