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
	var fewer [1]parcel
	wishes, parcels := few[:0], fewer[:0]
	var mask uint32
	for i := range ask.Charges {
		c := &ask.Charges[i]
		mask |= 1 << w.shardOf(c.Subject)
		wishes = append(wishes, wish{Charge: c, hashes: w.key.Hashes(c.Members), cost: c.Cost})
	}
	for i := range ask.Letters {
		l := &ask.Letters[i]
		mask |= 1 << w.shardOf(l.Subject)
		parcels = append(parcels, parcel{Letter: l, hashes: w.key.Hashes(l.Members)})
	}
	w.lock(mask)
	defer w.unlock(mask)
	// Read under the locks: what another call has put in these windows is never
	// ahead of this line.
	line, err := w.find(now, wishes, parcels, ask.Dry)
	if err != nil {
		return state.Answer{}, err
	}
	price(wishes)
	match(parcels)
	full, fits := decide(now, line, wishes, !anyFull(parcels))
	if fits && !ask.Dry {
		w.charge(wishes, parcels, line, changed)
	}
	a := answer(now, line, wishes, full)
	a.Campaigns = found(parcels)
	return a, nil
}

// find fills in the windows, sets and campaigns, at the line that it returns. A dry
// call moves nothing, not even the clock: it gets copies.
func (w *Windows) find(now time.Time, wishes []wish, parcels []parcel, dry bool) (line int64, err error) {
	get := w.entry
	if dry {
		line, get = w.clock.Peek(now), w.duplicate
	} else {
		line = w.clock.At(now)
		// Swept first, so that none found is swept away again.
		for i := range wishes {
			w.sweep(&w.shards[w.shardOf(wishes[i].Subject)], line)
		}
		for i := range parcels {
			w.sweep(&w.shards[w.shardOf(parcels[i].Subject)], line)
		}
	}
	if err := each(wishes, line, get); err != nil {
		return 0, err
	}
	return line, eachLetter(parcels, line, get)
}

// each finds what the wishes are about, each entry once, by get.
func each(wishes []wish, line int64, get func(k kind, n, subject string) (*Entry, error)) (err error) {
	for i := range wishes {
		x := &wishes[i]
		if x.window = earlierWindow(wishes[:i], x); x.window == nil {
			if x.window, err = get(window, x.Limit, x.Subject); err != nil {
				return err
			}
		}
		x.window.advance(x.Length, line)
		if x.Set == "" {
			continue
		}
		if x.set = earlierSet(wishes[:i], x); x.set == nil {
			if x.set, err = get(set, x.Set, x.Subject); err != nil {
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

// price finds what charges with a set cost: all of them before any is charged.
func price(wishes []wish) {
	for i := range wishes {
		if x := &wishes[i]; x.set != nil {
			x.cost = x.set.Members.Unknown(x.hashes)
		}
	}
}

// decide answers for all charges at once: fits is false when any that is not
// CountOnly has no room, or no letter may go. What each window is to be charged is
// left in its asked.
func decide(now time.Time, line int64, wishes []wish, letters bool) (full []state.Full, fits bool) {
	for i := range wishes {
		// What costs nothing needs no room, even where Max has shrunk below Used.
		if x := &wishes[i]; !x.CountOnly && x.cost > 0 {
			x.window.asked = sum(x.window.asked, x.cost)
			if !x.window.Slots.Room(x.window.asked, x.Max) {
				full = append(full, report(now, line, i, x, x.window.asked))
			}
		}
	}
	if len(full) > 0 || !letters {
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
func (w *Windows) charge(wishes []wish, parcels []parcel, line int64, changed func(*Change)) {
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
	for i := range parcels {
		if x := &parcels[i]; len(x.hashes) > 0 {
			c.send(x.all, x.of, x.hashes, line)
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
