package ledger

import (
	"time"

	"o2n-milter/state"
)

// usual is how many charges a message has at most as a rule: so many take no
// memory of their own while they are looked at.
const usual = 8

// call is what a Take is about while it is at work.
type call struct {
	whom    []about
	wishes  []wish
	parcels []parcel
}

// about is one subject of the call at work.
type about struct {
	subject string
	shard   int
	entry   *Entry
}

// wish is one charge of the call at work, with what it is about.
type wish struct {
	*state.Charge
	about  int // of whom
	entry  *Entry
	window int      // in its limits
	set    int      // in its sets; -1: the charge names none
	hashes []uint64 // of its members, in order and each once
	cost   int64
}

func (x *wish) limit() *limit { return &x.entry.limits[x.window] }

// Take is state.Store's Take, without the blocks and without the waiting. When a
// store must keep something and changed is not nil, changed is called with it while
// the entries are still locked, and whoever has the change must Settle, Undo or
// Park it. It is not called while the store is away.
func (w *Windows) Take(now time.Time, ask state.Ask, changed func(*Change)) (state.Answer, error) {
	if err := CheckAsk(now, ask); err != nil {
		return state.Answer{}, err
	}
	var few [usual]about
	var fewer [usual]wish
	var fewest [1]parcel
	c := w.read(ask, call{few[:0], fewer[:0], fewest[:0]})
	mask := c.shards()
	w.lock(mask)
	defer w.unlock(mask)
	// Read under the locks: what another call has put in these windows is never
	// ahead of this line.
	line, err := w.find(now, c, ask.Dry)
	if err != nil {
		return state.Answer{}, err
	}
	price(c.wishes)
	match(c.parcels)
	full, fits := decide(now, line, c.wishes, !anyFull(c.parcels))
	if fits && !ask.Dry {
		charge(c.wishes, c.parcels, line, changed)
	}
	if !ask.Dry {
		c.account()
	}
	a := answer(now, line, c.wishes, full)
	a.Campaigns = found(c.parcels)
	return a, nil
}

// read adds what ask says.
func (w *Windows) read(ask state.Ask, c call) call {
	var in subjects
	for i := range ask.Charges {
		x := &ask.Charges[i]
		var of int
		c.whom, of = w.among(c.whom, &in, x.Subject)
		c.wishes = append(c.wishes, wish{Charge: x, about: of, set: -1, hashes: w.key.Hashes(x.Members), cost: x.Cost})
	}
	for i := range ask.Letters {
		x := &ask.Letters[i]
		var of int
		c.whom, of = w.among(c.whom, &in, x.Subject)
		c.parcels = append(c.parcels, parcel{Letter: x, about: of, hashes: w.key.Hashes(x.Members)})
	}
	return c
}

// subjects is where each is among those of the call, once there are more than usual.
type subjects map[string]int

// among is where a subject is among those of the call, to whom it is added if need be.
func (w *Windows) among(whom []about, in *subjects, subject string) ([]about, int) {
	if *in == nil && len(whom) >= usual {
		*in = subjects{}
		for i := range whom {
			(*in)[whom[i].subject] = i
		}
	}
	if *in != nil {
		if i, ok := (*in)[subject]; ok {
			return whom, i
		}
		(*in)[subject] = len(whom)
	} else {
		for i := range whom {
			if whom[i].subject == subject {
				return whom, i
			}
		}
	}
	return append(whom, about{subject: subject, shard: w.shardOf(subject)}), len(whom)
}

// shards are those of the call's subjects, a bit each.
func (c call) shards() (mask uint32) {
	for i := range c.whom {
		mask |= 1 << c.whom[i].shard
	}
	return mask
}

// account counts what the entries take now.
func (c call) account() {
	for i := range c.whom {
		c.whom[i].entry.account()
	}
}

// find fills in the entries, at the line that it returns. A dry call moves nothing, not
// even the clock: it gets copies.
func (w *Windows) find(now time.Time, c call, dry bool) (line int64, err error) {
	get := w.entry
	if dry {
		line, get = w.clock.Peek(now), w.duplicate
	} else {
		line = w.clock.At(now)
		// Swept first, so that none found is swept away again.
		for i := range c.whom {
			w.sweep(&w.shards[c.whom[i].shard], line)
		}
	}
	for i := range c.whom {
		x := &c.whom[i]
		sh := &w.shards[x.shard]
		if x.entry, err = get(sh, x.subject); err != nil {
			return 0, err
		}
		x.entry.used = sh.looked
	}
	for i := range c.wishes {
		x := &c.wishes[i]
		x.entry = c.whom[x.about].entry
		x.window = x.entry.window(x.Limit, x.Length, line)
		if x.Set != "" {
			x.set = x.entry.known(x.Set, x.Remember, line)
		}
	}
	for i := range c.parcels {
		x := &c.parcels[i]
		x.entry = c.whom[x.about].entry
		x.entry.sent(x.Remember, line)
	}
	return line, nil
}

// price finds what charges with a set cost: all of them before any is charged.
func price(wishes []wish) {
	for i := range wishes {
		if x := &wishes[i]; x.set >= 0 {
			x.cost = x.entry.sets[x.set].members.Unknown(x.hashes)
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
			l := x.limit()
			l.asked = sum(l.asked, x.cost)
			if !l.slots.Room(l.asked, x.Max) {
				full = append(full, report(now, line, i, x, l.asked))
			}
		}
	}
	if len(full) > 0 || !letters {
		return full, false
	}
	for i := range wishes {
		if x := &wishes[i]; x.CountOnly && x.cost > 0 {
			l := x.limit()
			total := sum(l.asked, x.cost)
			if l.slots.Room(total, x.Max) {
				l.asked = total
			} else {
				full = append(full, report(now, line, i, x, total))
			}
		}
	}
	return full, true
}

// report says that the window of wish i has no room for cost.
func report(now time.Time, line int64, i int, x *wish, cost int64) state.Full {
	slots := &x.limit().slots
	f := state.Full{Index: i, Used: slots.Used()}
	if at, ok := slots.FreeAt(cost, x.Max, line); ok {
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
func charge(wishes []wish, parcels []parcel, line int64, changed func(*Change)) {
	c := newChange()
	for i := range wishes {
		x := &wishes[i]
		if l := x.limit(); l.asked > 0 {
			c.posts = append(c.posts, post{entry: x.entry, name: l.name, mark: l.slots.Charge(l.asked, line)})
			l.asked = 0
		}
		if x.set >= 0 {
			c.put(x.entry, x.set, x.hashes, line)
		}
	}
	for i := range parcels {
		if x := &parcels[i]; len(x.hashes) > 0 {
			c.send(x.entry, x.of, x.hashes, line)
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
		l := x.limit()
		l.asked = 0
		a.Windows[i] = usage(&l.slots, x.Window, now, line)
		a.Costs[i] = x.cost
	}
	return a
}
