package ledger

import (
	"time"

	"o2n-milter/state"
)

// usual is how many charges a message has at most as a rule: so many take no
// memory of their own while they are looked at.
const usual = 8

// wish is one charge of the call at work, with what it is about.
type wish struct {
	*state.Charge
	window *Entry
	set    *Entry   // nil: the charge names none
	hashes []uint64 // of its members, in order and each once
	cost   int64
}

// Take is state.Store's Take, without the blocks and without the waiting. When a
// store must keep something and changed is not nil, changed is called with it while
// the entries are still locked, and whoever has the change must Settle, Undo or
// Park it. It is not called while the store is away.
func (w *Windows) Take(now time.Time, ask state.Ask, changed func(*Change)) (state.Answer, error) {
	if err := CheckAsk(now, ask); err != nil {
		return state.Answer{}, err
	}
	var few [usual]wish
	wishes := few[:0]
	var mask uint32
	for i := range ask.Charges {
		c := &ask.Charges[i]
		mask |= 1 << w.shardOf(c.Subject)
		wishes = append(wishes, wish{Charge: c, hashes: w.key.Hashes(c.Members), cost: c.Cost})
	}
	w.lock(mask)
	defer w.unlock(mask)
	// Read under the locks: what another call has put in these windows is never
	// ahead of this line.
	line, err := w.find(now, wishes, ask.Dry)
	if err != nil {
		return state.Answer{}, err
	}
	price(wishes)
	full, fits := decide(now, line, wishes)
	if fits && !ask.Dry {
		w.charge(wishes, line, changed)
	}
	return answer(now, line, wishes, full), nil
}

// find fills in the windows and sets, at the line that it returns. A dry call
// moves nothing, not even the clock: it gets copies.
func (w *Windows) find(now time.Time, wishes []wish, dry bool) (line int64, err error) {
	if dry {
		line = w.clock.Peek(now)
		return line, w.each(wishes, line, w.windowCopy, w.setCopy)
	}
	line = w.clock.At(now)
	// Swept first, so that none found is swept away again.
	for i := range wishes {
		w.sweep(&w.shards[w.shardOf(wishes[i].Subject)], line)
	}
	return line, w.each(wishes, line, w.window, w.set)
}

// each finds what the wishes are about, each entry once, by these functions.
func (w *Windows) each(wishes []wish, line int64, window, set func(name, subject string) (*Entry, error)) (err error) {
	for i := range wishes {
		x := &wishes[i]
		if x.window = earlierWindow(wishes[:i], x); x.window == nil {
			if x.window, err = window(x.Limit, x.Subject); err != nil {
				return err
			}
		}
		x.window.advance(x.Length, line)
		if x.Set == "" {
			continue
		}
		if x.set = earlierSet(wishes[:i], x); x.set == nil {
			if x.set, err = set(x.Set, x.Subject); err != nil {
				return err
			}
		}
		x.set.advance(x.Remember, line)
	}
	return nil
}

// earlierWindow is the one that a wish before x has found; nil when none has.
func earlierWindow(before []wish, x *wish) *Entry {
	for i := range before {
		if b := &before[i]; b.Limit == x.Limit && b.Subject == x.Subject {
			return b.window
		}
	}
	return nil
}

func earlierSet(before []wish, x *wish) *Entry {
	for i := range before {
		if b := &before[i]; b.Set == x.Set && b.Subject == x.Subject {
			return b.set
		}
	}
	return nil
}

func (e *Entry) advance(length time.Duration, line int64) {
	var folded bool
	if e.Members != nil {
		folded = e.Members.Advance(length, line)
	} else {
		folded = e.Slots.Advance(length, line)
	}
	e.stale = e.stale || folded
	e.recent = true
}

// price finds what charges with a set cost: all of them before any is charged.
func price(wishes []wish) {
	for i := range wishes {
		if x := &wishes[i]; x.set != nil {
			x.cost = x.set.Members.Unknown(x.hashes)
		}
	}
}

// decide answers for all charges at once: fits is false when any that is not
// CountOnly has no room. What each window is to be charged is left in its asked.
func decide(now time.Time, line int64, wishes []wish) (full []state.Full, fits bool) {
	for i := range wishes {
		// What costs nothing needs no room, even where Max has shrunk below Used.
		if x := &wishes[i]; !x.CountOnly && x.cost > 0 {
			x.window.asked = sum(x.window.asked, x.cost)
			if !x.window.Slots.Room(x.window.asked, x.Max) {
				full = append(full, report(now, line, i, x, x.window.asked))
			}
		}
	}
	if len(full) > 0 {
		return full, false
	}
	for i := range wishes {
		if x := &wishes[i]; x.CountOnly && x.cost > 0 {
			total := sum(x.window.asked, x.cost)
			if x.window.Slots.Room(total, x.Max) {
				x.window.asked = total
			} else {
				full = append(full, report(now, line, i, x, total))
			}
		}
	}
	return full, true
}

// report says that the window of wish i has no room for cost.
func report(now time.Time, line int64, i int, x *wish, cost int64) state.Full {
	f := state.Full{Index: i, Used: x.window.Slots.Used()}
	if at, ok := x.window.Slots.FreeAt(cost, x.Max, line); ok {
		f.Free = wall(now, line, at)
	}
	return f
}

// sum of two costs, at most the highest int64.
func sum(a, b int64) int64 {
	if s := a + b; s >= a {
		return s
	}
	return 1<<63 - 1
}

// charge charges what decide left in asked, and puts members where they belong.
func (w *Windows) charge(wishes []wish, line int64, changed func(*Change)) {
	c := newChange()
	for i := range wishes {
		x := &wishes[i]
		if x.window.asked > 0 {
			mark := x.window.Slots.Charge(x.window.asked, line)
			c.posts = append(c.posts, post{entry: x.window, mark: mark})
			x.window.asked = 0
		}
		if x.set != nil {
			c.put(x.set, x.hashes, line)
		}
	}
	c.handOver(changed)
}

// answer tells of the windows as they are now, and clears what decide has left.
func answer(now time.Time, line int64, wishes []wish, full []state.Full) state.Answer {
	if len(wishes) == 0 {
		return state.Answer{}
	}
	a := state.Answer{
		Full: full, Windows: make([]state.Usage, len(wishes)), Costs: make([]int64, len(wishes)),
	}
	for i := range wishes {
		x := &wishes[i]
		x.window.asked = 0
		a.Windows[i] = usage(x.window, x.Window, now, line)
		a.Costs[i] = x.cost
	}
	return a
}
