package hold

import (
	"strings"
	"testing"
	"time"

	"o2n-milter/rules"
	"o2n-milter/state"
)

// What somebody wants is done at once, also of mail that waits for an operator, and
// costs the others nothing.
func TestWishes(t *testing.T) {
	w := newWorld(t)
	w.burst("cron", 16)
	list := w.all()
	w.wish(list[5], state.WishRelease) // the last one
	w.wish(list[0], state.WishDelete)
	w.wish(list[1], state.WishBounce)
	w.run(3 * time.Second)
	w.wants(map[state.HeldState]int{state.HeldReleased: 1, state.HeldDeleted: 1, state.HeldBounced: 1, state.HeldWaiting: 3})
	if n := len(w.mta.arrived); n != 11 || w.mta.arrived[10].id != "Q00016" {
		t.Errorf("%d arrived", n)
	}
	if len(w.mta.queue) != 3 || len(w.reports) != 1 || w.reports[0] != "cron@web1.example" {
		t.Errorf("%d in the queue, reports to %q", len(w.mta.queue), w.reports)
	}
	if s := w.Stats(); s.Expired != 0 || s.Bounced != 1 {
		t.Errorf("%+v", s)
	}
	w.run(time.Minute)
	w.wants(map[state.HeldState]int{state.HeldReleased: 4, state.HeldDeleted: 1, state.HeldBounced: 1})
}

// Many wishes are few calls of the agent, and a Step of them ends.
func TestManyWishes(t *testing.T) {
	for wish, want := range map[state.Wish]state.HeldState{
		state.WishDelete: state.HeldDeleted, state.WishRelease: state.HeldReleased, state.WishBounce: state.HeldBounced,
	} {
		w := newWorld(t)
		w.burst("cron", 10+3*batch-7)
		w.run(time.Second)
		for _, h := range w.all() {
			w.wish(h, wish)
		}
		w.run(5 * time.Second)
		w.wants(map[state.HeldState]int{want: 3*batch - 7})
		if n := w.mta.calls["delete"]; wish == state.WishDelete && n != 3 {
			t.Errorf("%d calls", n)
		}
		if n := w.mta.calls["release"]; wish == state.WishRelease && n != 3 {
			t.Errorf("%d calls", n)
		}
		if len(w.mta.queue) > 0 {
			t.Errorf("%s: %d left", wish, len(w.mta.queue))
		}
	}
}

// A wish is done once, wherever the process dies.
func TestWishesDie(t *testing.T) {
	for _, wish := range []state.Wish{state.WishRelease, state.WishDelete, state.WishBounce} {
		for steps := 1; ; steps++ {
			w := newWorld(t)
			w.burst("cron", 11)
			w.run(time.Second)
			w.wish(w.all()[0], wish)
			w.mta.left = steps
			w.run(30 * time.Second)
			if len(w.mta.queue) > 0 {
				t.Fatalf("%s, step %d: it is still there", wish, steps)
			}
			got := w.all()[0].State
			want := map[state.Wish]state.HeldState{
				state.WishRelease: state.HeldReleased, state.WishDelete: state.HeldDeleted, state.WishBounce: state.HeldBounced,
			}[wish]
			// Who died between the deletion and its record does not know who deleted it.
			if got != want && !(wish == state.WishDelete && got == state.HeldGone) {
				t.Errorf("%s, step %d: it is %s", wish, steps, got)
			}
			if n := len(w.reports); (wish == state.WishBounce) != (n > 0) || n > 2 {
				t.Errorf("%s, step %d: %d reports", wish, steps, n)
			}
			if w.died == 0 {
				break
			}
		}
	}
}

// Mail without a sender of its own cannot go back: the wish is dropped, the mail stays.
func TestNobodyToGoBackTo(t *testing.T) {
	w := newWorld(t)
	w.burst("cron", 11)
	h := w.all()[0]
	h.Ask = []byte(strings.Replace(string(h.Ask), `"own":true`, `"own":false`, 1))
	w.wish(h, state.WishBounce)
	w.run(2 * time.Second)
	if h := w.all()[0]; h.State != state.HeldKept || h.Wish != "" || len(w.reports) > 0 {
		t.Errorf("%+v", h)
	}
}

// What people wish while the agent is away is done when it is back.
func TestWishWaitsForAgent(t *testing.T) {
	w := newWorld(t)
	w.burst("cron", 12)
	w.run(time.Second)
	w.mta.down = errBroken
	w.wish(w.all()[0], state.WishDelete)
	w.run(time.Hour)
	w.wants(map[state.HeldState]int{state.HeldWaiting: 2})
	if why := w.Away(); why != errBroken.Error() {
		t.Errorf("away: %q", why)
	}
	if n := strings.Count(w.log.String(), "hold agent is away"); n != 1 {
		t.Errorf("said %d times that it is away", n)
	}
	if n := w.Stats().AgentErrors; n["delete"]+n["host"]+n["list"] < 100 {
		t.Errorf("errors %v", n)
	}
	w.mta.down = nil
	w.run(10 * time.Second)
	w.wants(map[state.HeldState]int{state.HeldReleased: 1, state.HeldDeleted: 1})
	if why := w.Away(); why != "" {
		t.Errorf("away: %q", why)
	}
}

// Whoever thinks better of a deletion is heard for as long as nothing is deleted.
func TestDeletionIsThoughtBetterOf(t *testing.T) {
	for _, better := range []state.Wish{state.WishRelease, state.WishNone} {
		w := newWorld(t)
		w.burst("cron", 11)
		w.run(time.Second)
		w.mta.down = errBroken
		w.wish(w.all()[0], state.WishDelete)
		w.run(syncEvery) // the agent is asked in vain, and rests
		w.mta.down = nil
		w.Step(w.ctx, w.now.Add(restAfter-syncEvery/2)) // reads what is wanted
		w.wish(w.all()[0], better)
		w.now = w.now.Add(restAfter) // before it is read again
		w.run(2 * time.Minute)
		w.wants(map[state.HeldState]int{state.HeldReleased: 1})
		w.inOrder(11)
	}
}

// A message that the MTA refuses to release keeps only its own subject waiting.
func TestReleaseFails(t *testing.T) {
	w := newWorld(t)
	w.burst("cron", 12)
	w.mta.fail = errBroken
	w.run(2 * time.Minute)
	if n := w.records()[state.HeldLeaving]; n != 1 {
		t.Errorf("%d are leaving; want 1", n)
	}
	if n := w.mta.calls["release"]; n > 7 {
		t.Errorf("it was tried %d times in 2 minutes", n)
	}
	w.mta.fail = nil
	w.run(mostRest)
	w.inOrder(12)
}

func TestBlockAndLift(t *testing.T) {
	w := newWorld(t)
	w.burst("cron", 13)
	b := state.Block{ID: "B1", Subject: "script:cron@web1.example", Rule: "manual", Since: w.now}
	if err := w.base.AddBlock(w.ctx, b); err != nil {
		t.Fatal(err)
	}
	w.run(5 * time.Minute)
	w.inOrder(10)
	for _, h := range w.all() {
		if h.State != state.HeldWaiting || !h.Due.IsZero() {
			t.Errorf("%s, due %s", h.State, h.Due)
		}
	}
	if _, err := w.base.LiftBlock(w.ctx, "B1", w.now, "root", ""); err != nil {
		t.Fatal(err)
	}
	w.run(3 * time.Second)
	w.inOrder(13)

	// One that ends by itself.
	w = newWorld(t)
	w.burst("cron", 12)
	b.Until = w.now.Add(10 * time.Minute)
	if err := w.base.AddBlock(w.ctx, b); err != nil {
		t.Fatal(err)
	}
	w.run(9 * time.Minute)
	w.inOrder(10)
	if due := w.all()[0].Due; due.Sub(b.Until).Abs() > time.Second {
		t.Errorf("due %s; want %s", due, b.Until)
	}
	w.run(time.Minute + 2*time.Second)
	w.inOrder(12)
}

// Whatever no limit holds waits for an operator.
func TestKept(t *testing.T) {
	w := newWorld(t)
	w.rules.Actions["recipients.envelope"], w.rules.MaxEnvelope = rules.Quarantine, 1
	w.start()
	if v := w.submit("cron", "a@x.example", "b@x.example"); v.Action != rules.Quarantine {
		t.Fatal(v.Rule)
	}
	w.run(time.Hour)
	w.wants(map[state.HeldState]int{state.HeldKept: 1})
	h := w.all()[0]
	if h.Subject != "script:cron@web1.example" || h.Rule != "recipients.envelope" || !h.Due.IsZero() {
		t.Errorf("%+v", h)
	}
	if s := w.Stats(); s.Kept != 1 || s.ByRule["recipients.envelope"] != 1 || s.Oldest != h.Since {
		t.Errorf("%+v", s)
	}
	w.wish(h, state.WishRelease)
	w.run(2 * time.Second)
	w.wants(map[state.HeldState]int{state.HeldReleased: 1})
}

// A wish that was made in vain is fulfilled when its message is there again.
func TestWishOfWhatIsBack(t *testing.T) {
	w := never(t)
	q := w.mta.queue["Q00011"]
	delete(w.mta.queue, "Q00011")
	w.run(time.Second)
	w.wish(w.all()[0], state.WishDelete)
	w.run(2 * time.Second)
	w.wants(map[state.HeldState]int{state.HeldGone: 1})
	w.mta.queue["Q00011"] = q
	w.run(3 * time.Minute)
	w.wants(map[state.HeldState]int{state.HeldDeleted: 1})
	if len(w.mta.queue) > 0 {
		t.Error("it is on hold for ever")
	}
}
