package hold

import (
	"errors"
	"strings"
	"testing"
	"time"

	"o2n-milter/state"
)

// never is a limit that lets the held mail of the tests wait for as long as they want.
func never(t *testing.T) *world {
	w := newWorld(t)
	w.rules.Limits[0].Window = 300 * 24 * time.Hour
	w.start()
	w.burst("cron", 11)
	return w
}

// jump sets the clock, and has the Keeper do what needs no haste.
func (w *world) jump(d time.Duration) {
	w.now = w.now.Add(d)
	w.run(0)
}

func TestMaxAge(t *testing.T) {
	w := never(t)
	since := w.all()[0].Since
	w.run(time.Second)
	w.jump(since.Add(w.set.MaxAge - 1).Sub(w.now))
	w.wants(map[state.HeldState]int{state.HeldWaiting: 1})
	w.jump(roundEvery)
	w.wants(map[state.HeldState]int{state.HeldBounced: 1})
	if len(w.mta.queue) > 0 || len(w.reports) != 1 || w.reports[0] != "cron@web1.example" {
		t.Errorf("%d in the queue, reports to %q", len(w.mta.queue), w.reports)
	}
	if s := w.Stats(); s.Expired != 1 || s.Bounced != 1 || s.Waiting != 0 {
		t.Errorf("%+v", s)
	}
}

func TestNotSentBack(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(*world)
		want state.HeldState
	}{
		"the rule is kept":        {func(w *world) { w.set.Keep = []string{"limit.minute"} }, state.HeldKept},
		"its table is":            {func(w *world) { w.set.Keep = []string{"content", "limit"} }, state.HeldKept},
		"another rule is":         {func(w *world) { w.set.Keep = []string{"limit.min", "content"} }, state.HeldBounced},
		"a foreign sender":        {func(w *world) { w.edit(`"own":true`, `"own":false`) }, state.HeldKept},
		"the report is refused":   {func(w *world) { w.sendErr = errors.New("550 no") }, state.HeldKept},
		"the report is put off":   {func(w *world) { w.sendErr = errors.New("451 later") }, state.HeldWaiting},
		"it is on its way":        {func(w *world) { w.mta.queue["Q00011"].Queue = QueueDeferred }, state.HeldGone},
		"it was deleted meantime": {func(w *world) { delete(w.mta.queue, "Q00011") }, state.HeldGone},
		"the agent is away":       {func(w *world) { w.mta.down = errBroken }, state.HeldWaiting},
	} {
		t.Run(name, func(t *testing.T) {
			w := never(t)
			w.run(time.Second)
			c.set(w)
			w.Configure(w.set)
			w.jump(w.set.MaxAge)
			w.wants(map[state.HeldState]int{c.want: 1})
			if bounced := c.want == state.HeldBounced; len(w.reports) > 0 != bounced {
				t.Errorf("reports to %q", w.reports)
			}
			if _, there := w.mta.queue["Q00011"]; !there && c.want == state.HeldKept {
				t.Error("it was deleted")
			}
		})
	}
}

// edit changes what the release of the only message costs.
func (w *world) edit(was, is string) {
	w.Helper()
	h := w.all()[0]
	ask := strings.Replace(string(h.Ask), was, is, 1)
	if ask == string(h.Ask) {
		w.Fatalf("no %s in %s", was, ask)
	}
	h.Ask = []byte(ask)
	if err := state.PutRecord(w.ctx, w.base, &h); err != nil {
		w.Fatal(err)
	}
}

// A report that the MTA does not take now is tried again, an hour later.
func TestReportLater(t *testing.T) {
	w := never(t)
	w.run(time.Second)
	w.sendErr = errors.New("451 later")
	w.jump(w.set.MaxAge)
	w.sendErr = nil
	w.run(bounceAgain - 2*time.Minute)
	w.wants(map[state.HeldState]int{state.HeldWaiting: 1})
	w.run(4 * time.Minute)
	w.wants(map[state.HeldState]int{state.HeldBounced: 1})
}

// What had room only while the agent or this daemon was away leaves when they are back,
// however old it is; what has none then goes back.
func TestOldWhileAway(t *testing.T) {
	for name, restart := range map[string]bool{"agent": false, "daemon": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.burst("cron", 40)
			w.run(time.Second)
			w.mta.down = errors.New("away")
			w.run(2 * roundEvery)
			w.now = w.now.Add(w.set.MaxAge)
			w.mta.down = nil
			if restart {
				w.start()
			}
			w.run(mostPatience - roundEvery)
			w.wants(map[state.HeldState]int{state.HeldReleased: 30})
		})
	}
	w := never(t)
	w.run(time.Second)
	w.start()
	w.jump(w.set.MaxAge)
	w.run(mostPatience - time.Second)
	w.wants(map[state.HeldState]int{state.HeldWaiting: 1})
	w.run(2 * roundEvery)
	w.wants(map[state.HeldState]int{state.HeldBounced: 1})
}

// Wherever the process dies, the message goes back and is deleted; at worst its sender
// is told twice.
func TestBounceDies(t *testing.T) {
	for steps := 1; ; steps++ {
		w := never(t)
		w.run(time.Second)
		w.mta.left = steps
		w.jump(w.set.MaxAge)
		w.run(mostPatience + 3*roundEvery)
		w.wants(map[state.HeldState]int{state.HeldBounced: 1})
		if n := len(w.reports); len(w.mta.queue) > 0 || n == 0 || n > 2 {
			t.Errorf("step %d: %d in the queue, %d reports", steps, len(w.mta.queue), n)
		}
		if w.died == 0 {
			break
		}
	}
}

// Records of mail that is over are kept for a day, and a thousand of them.
func TestForget(t *testing.T) {
	w := newWorld(t)
	w.burst("cron", 14)
	w.run(2 * time.Minute)
	w.wants(map[state.HeldState]int{state.HeldReleased: 4})
	ended := w.all()[3].Ended
	w.jump(ended.Add(endedFor - 1).Sub(w.now))
	w.wants(map[state.HeldState]int{state.HeldReleased: 1})
	w.jump(roundEvery)
	w.wants(nil)
	if n := len(w.book.items) + len(w.book.known); n > 0 {
		t.Errorf("%d are still in mind", n)
	}
}

// A mail system that takes no reports is left alone for a while, and keeps nothing else.
func TestReportsRest(t *testing.T) {
	for _, wish := range []state.Wish{state.WishNone, state.WishBounce} {
		w := newWorld(t)
		w.rules.Limits[0].Window = 300 * 24 * time.Hour
		w.start()
		w.burst("cron", 15)
		w.run(time.Second)
		w.sendErr = errors.New("451 later")
		if wish != state.WishNone {
			for _, h := range w.all() {
				w.wish(h, wish)
			}
			w.run(2 * time.Second)
		} else {
			w.jump(w.set.MaxAge)
		}
		if w.tries != mostRefused {
			t.Errorf("%d tries; want %d", w.tries, mostRefused)
		}
		w.run(reportRest - 3*time.Second)
		if w.tries != mostRefused {
			t.Errorf("%d tries while it is left alone", w.tries)
		}
		w.sendErr = nil
		w.run(bounceAgain + 2*roundEvery)
		w.wants(map[state.HeldState]int{state.HeldBounced: 5})
		if len(w.reports) != 5 || w.tries != mostRefused+5 {
			t.Errorf("%d reports, %d tries", len(w.reports), w.tries)
		}
	}
}
