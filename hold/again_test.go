package hold

import (
	"testing"
	"time"

	"o2n-milter/state"
)

// A release of which we did not hear has happened: it left, and counts.
func TestReleaseUnheard(t *testing.T) {
	w := newWorld(t)
	w.burst("cron", 12)
	w.mta.unheard = errBroken
	w.run(61 * time.Second) // the first has left
	w.mta.unheard = nil
	w.run(time.Minute)
	w.wants(map[state.HeldState]int{state.HeldReleased: 2})
	if s := w.Stats(); s.Gone > 0 || len(w.left) != 1 {
		t.Errorf("%+v, %d windows", s, len(w.left))
	}
	w.inOrder(12)
}

// What somebody puts back on hold in mid-flight is released again: it has paid.
func TestPutBackInFlight(t *testing.T) {
	w := newWorld(t)
	w.burst("cron", 11)
	w.mta.delay = time.Hour
	w.run(61 * time.Second)
	w.wants(map[state.HeldState]int{state.HeldLeaving: 1})
	w.mta.queue["Q00011"].Queue = QueueHold
	w.run(2 * restAfter)
	if q := w.mta.queue["Q00011"].Queue; q != QueueActive {
		t.Errorf("it is %s", q)
	}
	w.mta.delay = 0
	w.run(2 * time.Second)
	w.wants(map[state.HeldState]int{state.HeldReleased: 1})
}

// What somebody puts on hold when it has left us is his.
func TestPutBackAfterwards(t *testing.T) {
	w := newWorld(t)
	w.burst("cron", 11)
	q := w.mta.queue["Q00011"]
	w.run(65 * time.Second)
	w.wants(map[state.HeldState]int{state.HeldReleased: 1})
	q.Queue = QueueHold
	w.mta.queue["Q00011"] = q
	w.run(5 * time.Minute)
	w.wants(map[state.HeldState]int{state.HeldReleased: 1})
	if w.Stats().Unknown != 1 || q.Queue != QueueHold {
		t.Errorf("%d unknown, it is %s", w.Stats().Unknown, q.Queue)
	}
}

// What went on its way since the queue was last looked at does not go back.
func TestNotSentBackOnItsWay(t *testing.T) {
	w := never(t)
	w.run(time.Second)
	w.mta.queue["Q00011"].Queue = QueueDeferred
	w.now = w.now.Add(w.set.MaxAge)
	w.nextRound = w.now.Add(roundEvery)
	w.run(0)
	w.wants(map[state.HeldState]int{state.HeldGone: 1})
	if len(w.reports) > 0 || len(w.mta.queue) != 1 {
		t.Errorf("reports to %q, %d in the queue", w.reports, len(w.mta.queue))
	}
}

// What an operator let go takes nobody's place, nor does it after a restart.
func TestWishCountsNowhere(t *testing.T) {
	w := newWorld(t)
	w.burst("cron", 11)
	w.run(time.Second)
	w.wish(w.all()[0], state.WishRelease)
	w.run(2 * time.Second)
	w.wants(map[state.HeldState]int{state.HeldReleased: 1})
	w.start()
	w.run(time.Second)
	if len(w.left) > 0 {
		t.Errorf("it counts in %v", w.left)
	}
}

// A clock that is set back lets nobody wait longer than he would have.
func TestLaneClock(t *testing.T) {
	for next, want := range map[time.Duration]bool{0: true, 1: false, 2 * askEvery: false, 2*askEvery + 1: true} {
		l := &lane{queue: []*item{{}}, delay: delay{next: start.Add(next)}}
		if got := l.isReady(start); got != want {
			t.Errorf("next in %s: %v", next, got)
		}
	}
}
