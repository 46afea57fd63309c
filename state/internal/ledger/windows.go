// Package ledger is what every driver holds in memory: the windows that decide,
// and the blocks. A driver adds where they come from and where they are kept.
//
// Invariant: a window's slots change only while its shard is locked, and a call
// locks all the shards of all its windows before it looks, in ascending order.
// So a call is atomic, and Freeze, which locks every shard, sees each message in
// all its windows or in none.
package ledger

import (
	"fmt"
	"hash/maphash"
	"math/bits"
	"sync"
	"time"

	"o2n-milter/state"
)

const (
	// shards bound how many calls wait for one another; one bit each in a mask.
	shards = 32
	// swept is how many windows each charge looks at for dead ones. More than one,
	// so that sweeping is faster than the coming of new windows.
	swept = 2
	// maxName bounds limit and subject, in bytes: three times that (escaped) must
	// fit every store's keys.
	maxName = 4096
)

// Entry is one window in memory.
type Entry struct {
	Limit   string
	Subject string
	Slots   state.Slots

	asked  int64 // what the call at work wants of it; 0 between calls
	pinned int   // changes not yet durable: the copy in the store is older than this one
	pos    int   // in its shard's all
	// folded: the copy in the store has slots from the future, which this one
	// counts for no longer than W. Read again, they would count anew.
	folded bool
}

type name struct{ limit, subject string }

type shard struct {
	mu     sync.Mutex
	byName map[name]*Entry
	all    []*Entry // for sweeping
	hand   int      // where the sweep goes on
}

// Windows are all windows that live in memory, in shards by subject.
type Windows struct {
	clock  state.Clock
	seed   maphash.Seed
	load   func(limit, subject string) (state.Slots, error) // nil when there is no store behind
	shards [shards]shard
}

// NewWindows returns an empty set. Load, where there is a store behind, reads a
// window that is not in memory; the zero Slots when there is none.
func NewWindows(load func(limit, subject string) (state.Slots, error)) *Windows {
	w := &Windows{seed: maphash.MakeSeed(), load: load}
	for i := range w.shards {
		w.shards[i].byName = make(map[name]*Entry)
	}
	return w
}

// Latest is the time of the newest call.
func (w *Windows) Latest() time.Time { return w.clock.Latest() }

// Take is state.Store's Take, without the blocks and without the waiting. When
// something was charged and changed is not nil, changed is called with it while the
// windows are still locked, and whoever has the change must Settle or Undo it.
func (w *Windows) Take(now time.Time, ask state.Ask, changed func(*Change)) (state.Answer, error) {
	charges := ask.Charges
	if err := checkCharges(now, charges); err != nil {
		return state.Answer{}, err
	}
	var mask uint32
	for _, c := range charges {
		mask |= 1 << w.shardOf(c.Subject)
	}
	w.lock(mask)
	defer w.unlock(mask)
	// Read under the locks: what another call has put in these windows is never
	// ahead of this line.
	line := w.clock.At(now)
	entries, err := w.find(charges, line)
	if err != nil {
		return state.Answer{}, err
	}
	full, fits := decide(now, line, charges, entries)
	c := apply(entries, line, fits && !ask.Dry)
	if changed != nil && len(c.posts) > 0 {
		c.pin()
		changed(c)
	}
	return state.Answer{Full: full}, nil
}

func checkCharges(now time.Time, charges []state.Charge) error {
	if err := state.CheckTime(now); err != nil {
		return err
	}
	for _, c := range charges {
		if err := checkWindow(c.Window); err != nil {
			return err
		}
		if c.Cost < 0 {
			return fmt.Errorf("limit %s: cost %d is negative", c.Limit, c.Cost)
		}
	}
	return nil
}

func checkWindow(w state.Window) error {
	switch {
	case w.Limit == "" || w.Subject == "":
		return fmt.Errorf("window %q of %q: a name is empty", w.Limit, w.Subject)
	case len(w.Limit)+len(w.Subject) > maxName:
		return fmt.Errorf("limit %.100q: names of %d bytes; want at most %d", w.Limit, len(w.Limit)+len(w.Subject), maxName)
	case w.Length < time.Second:
		return fmt.Errorf("limit %s: window of %s; want at least a second", w.Limit, w.Length)
	case w.Max < 0:
		return fmt.Errorf("limit %s: max %d is negative", w.Limit, w.Max)
	}
	return nil
}

// find returns the entry of each charge at this line. Dead windows are swept
// first, so that none found here is swept away again.
func (w *Windows) find(charges []state.Charge, line int64) ([]*Entry, error) {
	for _, c := range charges {
		w.shards[w.shardOf(c.Subject)].sweep(line)
	}
	entries := make([]*Entry, len(charges))
	for i, c := range charges {
		e, err := w.entry(c.Limit, c.Subject)
		if err != nil {
			return nil, err
		}
		e.folded = e.Slots.Advance(c.Length, line) || e.folded
		entries[i] = e
	}
	return entries, nil
}

// entry finds a window or loads it; its shard is locked.
func (w *Windows) entry(limit, subject string) (*Entry, error) {
	sh := &w.shards[w.shardOf(subject)]
	if e := sh.byName[name{limit, subject}]; e != nil {
		return e, nil
	}
	slots, err := w.loaded(limit, subject)
	if err != nil {
		return nil, err
	}
	return sh.add(limit, subject, slots), nil
}

func (w *Windows) loaded(limit, subject string) (state.Slots, error) {
	if w.load == nil {
		return state.Slots{}, nil
	}
	return w.load(limit, subject)
}

// decide answers for all charges at once: fits is false when any that is not
// CountOnly has no room. What each window is to be charged is left in its asked.
func decide(now time.Time, line int64, charges []state.Charge, entries []*Entry) (full []state.Full, fits bool) {
	report := func(i int, cost int64) {
		e := entries[i]
		f := state.Full{Index: i, Used: e.Slots.Used()}
		if at, ok := e.Slots.FreeAt(cost, charges[i].Max, line); ok {
			f.Free = wall(now, line, at)
		}
		full = append(full, f)
	}
	for i, c := range charges {
		// What costs nothing needs no room, even where Max has shrunk below Used.
		if e := entries[i]; !c.CountOnly && c.Cost > 0 {
			e.asked = sum(e.asked, c.Cost)
			if !e.Slots.Room(e.asked, c.Max) {
				report(i, e.asked)
			}
		}
	}
	if len(full) > 0 {
		return full, false
	}
	for i, c := range charges {
		if e := entries[i]; c.CountOnly && c.Cost > 0 {
			total := sum(e.asked, c.Cost)
			if e.Slots.Room(total, c.Max) {
				e.asked = total
			} else {
				report(i, total)
			}
		}
	}
	return full, true
}

// sum of two costs, at most the highest int64.
func sum(a, b int64) int64 {
	if s := a + b; s >= a {
		return s
	}
	return 1<<63 - 1
}

// wall turns a time on the line into the callers' time.
func wall(now time.Time, line, at int64) time.Time {
	return now.UTC().Add(time.Duration(at - line))
}

// apply charges what decide left in asked, if it fits, and clears asked.
func apply(entries []*Entry, line int64, fits bool) *Change {
	c := &Change{}
	for _, e := range entries {
		if e.asked > 0 && fits {
			c.posts = append(c.posts, post{entry: e, mark: e.Slots.Charge(e.asked, line)})
		}
		e.asked = 0
	}
	return c
}

// Usage is state.Store's.
func (w *Windows) Usage(now time.Time, windows []state.Window) ([]state.Usage, error) {
	if err := state.CheckTime(now); err != nil {
		return nil, err
	}
	out := make([]state.Usage, 0, len(windows))
	for _, win := range windows {
		if err := checkWindow(win); err != nil {
			return nil, err
		}
		slots, err := w.peek(win.Limit, win.Subject)
		if err != nil {
			return nil, err
		}
		line := w.clock.Peek(now)
		slots.Advance(win.Length, line)
		u := state.Usage{Window: win, Used: slots.Used()}
		if at, ok := slots.FreeAt(1, win.Max, line); ok {
			u.NextFree = wall(now, line, at)
		}
		out = append(out, u)
	}
	return out, nil
}

// peek copies a window without taking it into memory.
func (w *Windows) peek(limit, subject string) (state.Slots, error) {
	sh := &w.shards[w.shardOf(subject)]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if e := sh.byName[name{limit, subject}]; e != nil {
		return e.Slots.Clone(), nil
	}
	return w.loaded(limit, subject)
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

// Freeze calls f while no window changes.
func (w *Windows) Freeze(f func()) {
	w.lock(1<<shards - 1)
	defer w.unlock(1<<shards - 1)
	f()
}
