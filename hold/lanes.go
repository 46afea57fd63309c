package hold

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"

	"o2n-milter/rules"
	"o2n-milter/state"
)

// lane is the held mail of one subject that leaves by itself, the oldest first.
type lane struct {
	subject string
	queue   []*item
	flying  *item // on its way; nil for none
	delay         // of all that is not apart
	// apart is the mail of senders that waits for something other than the subject,
	// a block of theirs or a window: whoever shares the subject need not wait for it.
	apart map[string]*delay // by senderOf
	stale bool              // dues are to be looked at
}

// delay is until when mail waits, and for what.
type delay struct {
	// next is when the first of it is asked for again; zero: at once. room is when
	// there will be room for it, as far as is known.
	next, room time.Time
	blocked    bool
	charges    []state.Charge // of the first that asked, for the dues of the others
}

// askEvery bounds how long a lane waits without asking again, whatever the windows
// said: an operator may reset them, allow more, or lift a block on another host.
const askEvery = time.Minute

// wait puts off the next try until there is room, but not too long.
func (d *delay) wait(now time.Time, r rules.Release) {
	d.room, d.blocked, d.charges = r.NotBefore, r.State == rules.ReleaseBlocked, r.Charges
	d.next = now.Add(askEvery)
	if d.room.After(now) && d.room.Before(d.next) {
		d.next = d.room
	}
}

func (d *delay) isOver(now time.Time) bool {
	return !now.Before(d.next) || now.Before(d.next.Add(-2*askEvery))
}

// wait puts off a message that has asked, and with it the whole lane; or its sender's
// mail alone, where it waits for something other than the lane's subject, if for that too.
func (l *lane) wait(now time.Time, it *item, r rules.Release) {
	l.stale = true
	if !slices.ContainsFunc(r.For, func(s string) bool { return s != l.subject }) {
		l.delay.wait(now, r)
		return
	}
	if l.apart == nil {
		l.apart = map[string]*delay{}
	}
	d := &delay{}
	d.wait(now, r)
	l.apart[senderOf(it.Held)] = d
}

// senderOf is who sent a message: its account, else its envelope sender.
func senderOf(h state.Held) string { return cmp.Or(h.Account, h.From) }

// first is the message whose turn it is; nil when all wait for something of their own.
func (l *lane) first(now time.Time) *item {
	for _, it := range l.queue {
		if d := l.apart[senderOf(it.Held)]; d == nil || d.isOver(now) {
			return it
		}
	}
	return nil
}

// isReady says that its first message may be tried.
func (l *lane) isReady(now time.Time) bool {
	return l.flying == nil && l.delay.isOver(now) && l.first(now) != nil
}

// nextTry is when a lane that is not ready may be.
func (l *lane) nextTry(now time.Time) time.Time {
	if !l.delay.isOver(now) {
		return l.next
	}
	var next time.Time
	for _, d := range l.apart {
		next = earlier(next, d.next)
	}
	return next
}

// delayOf is what a message waits for.
func (l *lane) delayOf(now time.Time, it *item) *delay {
	d := l.apart[senderOf(it.Held)]
	if d == nil || !d.room.IsZero() && !d.room.After(now) {
		return &l.delay
	}
	return d
}

// lanes are the queues of all subjects, which take turns.
type lanes struct {
	of    map[string]*lane
	turn  []*lane
	at    int          // whose turn it is
	rest  time.Time    // nobody is tried before
	again *atomic.Bool // whoever waits is to ask again: settings have changed
}

func newLanes() lanes { return lanes{of: map[string]*lane{}, again: &atomic.Bool{}} }

// lane is that of a subject.
func (ls *lanes) lane(subject string) *lane {
	l := ls.of[subject]
	if l == nil {
		l = &lane{subject: subject}
		ls.of[subject] = l
		ls.turn = append(ls.turn, l)
	}
	return l
}

// add puts a message into its subject's lane, by its age.
func (ls *lanes) add(it *item) {
	l := ls.lane(it.Subject)
	i, _ := slices.BinarySearchFunc(l.queue, it, oldest)
	if i == 0 {
		l.next = time.Time{} // another first one may cost less
	}
	l.queue = slices.Insert(l.queue, i, it)
	l.stale = true
	it.lane = l
}

// remove takes a message out of its lane, wherever it is there.
func (ls *lanes) remove(it *item) {
	l := it.lane
	if l == nil {
		return
	}
	it.lane = nil
	delete(l.apart, senderOf(it.Held)) // another first one may cost less
	if l.flying == it {
		l.flying = nil
	}
	if i := slices.Index(l.queue, it); i >= 0 {
		l.queue = slices.Delete(l.queue, i, i+1)
		l.stale = true
		if i == 0 {
			l.next = time.Time{}
		}
	}
}

// resume has a message on its way that was so before a crash.
func (ls *lanes) resume(it *item) {
	it.lane = ls.lane(it.Subject)
	it.lane.flying = it
}

// fly takes a message of the lane on its way.
func (l *lane) fly(it *item) {
	l.queue = slices.DeleteFunc(l.queue, func(other *item) bool { return other == it })
	delete(l.apart, senderOf(it.Held))
	l.flying, l.next, l.stale = it, time.Time{}, true
}

// ready yields the lanes that may be tried, each once, and begins where it ended the
// last time. Those that are empty go.
func (ls *lanes) ready(now time.Time, yield func(*lane) bool) {
	ls.turn = slices.DeleteFunc(ls.turn, func(l *lane) bool {
		over := len(l.queue) == 0 && l.flying == nil
		if over {
			delete(ls.of, l.subject)
		}
		return over
	})
	if ls.again.Swap(false) {
		ls.askAgain()
	}
	for range len(ls.turn) {
		ls.at = (ls.at + 1) % len(ls.turn)
		if l := ls.turn[ls.at]; l.isReady(now) && !yield(l) {
			ls.at += len(ls.turn) - 1 // it was not tried: it is the first the next time
			return
		}
	}
}

// askAgain lets every lane ask at once.
func (ls *lanes) askAgain() {
	for _, l := range ls.turn {
		l.next = time.Time{}
		for _, d := range l.apart {
			d.next = time.Time{}
		}
	}
}

// next is when the first lane wants to be tried; zero: none does.
func (ls *lanes) next(now time.Time) time.Time {
	var next time.Time
	for _, l := range ls.turn {
		if l.flying != nil || len(l.queue) == 0 {
			continue
		}
		if l.isReady(now) {
			next = now
			break
		}
		next = earlier(next, l.nextTry(now))
	}
	if !next.IsZero() && next.Before(ls.rest) && ls.rest.Sub(now) <= restAfter {
		return ls.rest
	}
	return next
}
