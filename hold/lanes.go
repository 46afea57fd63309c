package hold

import (
	"slices"
	"sync/atomic"
	"time"

	"o2n-milter/state"
)

// lane is the held mail of one subject that leaves by itself, the oldest first.
type lane struct {
	subject string
	queue   []*item
	flying  *item // on its way; nil for none
	// next is when the first of it is asked for again; zero: at once. room is when
	// there will be room for it, as far as is known.
	next, room time.Time
	blocked    bool
	charges    []state.Charge // of the first that asked, for the dues of the others
	stale      bool           // dues are to be looked at
}

// askEvery bounds how long a lane waits without asking again, whatever the windows
// said: an operator may reset them, allow more, or lift a block on another host.
const askEvery = time.Minute

// wait puts off the next try until there is room, but not too long.
func (l *lane) wait(now, room time.Time) {
	l.room = room
	l.next = now.Add(askEvery)
	if room.After(now) && room.Before(l.next) {
		l.next = room
	}
	l.stale = true
}

// isReady says that its first message may be tried.
func (l *lane) isReady(now time.Time) bool {
	return l.flying == nil && len(l.queue) > 0 && (!now.Before(l.next) || now.Before(l.next.Add(-2*askEvery)))
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

// fly takes the first message of its lane on its way.
func (l *lane) fly() *item {
	it := l.queue[0]
	l.queue = slices.Delete(l.queue, 0, 1)
	l.flying, l.next, l.stale = it, time.Time{}, true
	return it
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
		next = earlier(next, l.next)
	}
	if !next.IsZero() && next.Before(ls.rest) && ls.rest.Sub(now) <= restAfter {
		return ls.rest
	}
	return next
}
