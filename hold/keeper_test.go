package hold

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"o2n-milter/rules"
	"o2n-milter/state"
)

// Sixty in a burst: ten pass, fifty are held and leave at exactly the pace: a place
// comes free up to W/60 late, and looking for what has left takes a moment each.
func TestPace(t *testing.T) {
	w := newWorld(t)
	w.burst("cron", 60)
	w.run(59 * time.Second)
	w.inOrder(10)
	w.run(4*time.Minute + 13*time.Second)
	w.inOrder(60)
	w.neverOver(10, time.Minute)
	w.wants(map[state.HeldState]int{state.HeldReleased: 50})
	if s := w.Stats(); s.Released != 50 || s.Waiting+s.Kept+s.Leaving != 0 {
		t.Errorf("%+v", s)
	}
}

// However the process dies, between any two things that it does, nothing is lost, sent
// twice, out of order or too fast.
func TestDiesAnywhere(t *testing.T) {
	for steps := 1; ; steps++ {
		w := newWorld(t)
		w.rules.Limits[0].Window = 6 * time.Second
		w.start()
		w.burst("cron", 23)
		w.mta.left = steps
		w.run(30 * time.Second)
		w.inOrder(23)
		w.neverOver(10, 6*time.Second)
		w.wants(map[state.HeldState]int{state.HeldReleased: 13})
		if w.died == 0 {
			t.Logf("%d places to die", steps-1)
			break
		}
		if t.Failed() {
			t.Fatalf("after %d steps", steps)
		}
	}
}

// Many users, several limits, an MTA that is slow or stands still, an agent and a store
// that go away, and many deaths.
func TestNeverOver(t *testing.T) {
	unknown := 0
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 1))
		w := newWorld(t)
		w.limit("host", "host", 25, time.Minute)
		w.limit("long", "script", 40, 5*time.Minute)
		w.start()
		sent := 0
		for range 40 {
			for range r.IntN(12) {
				w.submit(fmt.Sprintf("u%d", r.IntN(3)))
				sent++
			}
			w.mta.delay = time.Duration(r.IntN(3)) * time.Second
			w.mta.stopped = !w.mta.stopped && r.IntN(5) == 0
			w.mta.down, w.store.away = nil, r.IntN(8) == 0
			if r.IntN(5) == 0 {
				w.mta.down = errBroken
			}
			if r.IntN(2) == 0 {
				w.mta.left = 1 + r.IntN(20)
			}
			w.run(time.Duration(r.IntN(30)) * time.Second)
			w.mta.left = 0 // not while somebody submits
		}
		w.mta.down, w.mta.delay, w.mta.stopped, w.store.away = nil, 0, false, false
		w.run(20 * time.Minute)
		lost := w.Stats().Unknown // what died with the process while the store was away
		w.once(sent - lost)
		unknown += lost
		// What is held never bunches. Of the rest, one message of each of its two
		// subjects may have been in the MTA's hands when it stood still.
		released := slices.DeleteFunc(slices.Clone(w.mta.arrived), func(a arrival) bool { return !a.held })
		w.neverOverOf(released, 10, time.Minute)
		w.neverOverOf(released, 40, 5*time.Minute)
		w.neverOver(10+2, time.Minute)
		w.neverOver(40+2, 5*time.Minute)
		if got := w.records(); got[state.HeldWaiting]+got[state.HeldLeaving]+got[state.HeldGone]+got[state.HeldKept] > 0 || t.Failed() {
			t.Fatalf("seed %d: %v\n%s", seed, got, w.log)
		}
	}
	if unknown == 0 {
		t.Error("nothing ever died with the process")
	}
}

// Subjects take turns, whoever has how much waiting.
func TestTurns(t *testing.T) {
	w := newWorld(t)
	w.limit("host", "host", 10, time.Minute)
	w.start()
	for range 10 {
		w.submit("greedy")
	}
	w.held("greedy", 90)
	w.held("modest", 5)
	w.run(62 * time.Second)
	modest := 0
	for _, a := range w.mta.arrived {
		if a.user == "modest" {
			modest++
		}
	}
	// Each limit that is full is found by the first that is: of the host's.
	if modest != 5 {
		t.Errorf("%d of the modest have left after a window; want 5", modest)
	}
}

// A subject whose MTA stands still sends no second message meanwhile.
func TestOneAtATime(t *testing.T) {
	w := newWorld(t)
	w.burst("cron", 20)
	w.mta.stopped = true
	w.run(5 * time.Minute)
	if n := w.records()[state.HeldLeaving]; n != 1 {
		t.Errorf("%d are leaving; want 1", n)
	}
	w.mta.stopped = false
	w.run(3 * time.Minute)
	w.inOrder(20)
	w.neverOver(10, time.Minute)
}

// What paid before the MTA stood still does not leave all at once after it.
func TestDeparturesCount(t *testing.T) {
	w := newWorld(t)
	w.limit("short", "script", 2, 2*time.Second)
	w.start()
	w.burst2("cron", 2, 12)
	w.mta.delay = 1500 * time.Millisecond // the store's windows empty meanwhile
	w.run(time.Minute)
	w.neverOver(2, 2*time.Second)
	w.mta.delay = 0
	w.run(2 * time.Minute)
	w.inOrder(12)
	w.neverOver(2, 2*time.Second)
}

func TestCaps(t *testing.T) {
	w := newWorld(t)
	w.set.MaxPerSubject, w.set.MaxMessages = 3, 6
	w.start()
	for _, user := range []string{"a", "b", "c", "d"} {
		for range 10 {
			w.submit(user)
		}
	}
	full := func(user string) {
		t.Helper()
		v := w.submit(user)
		if v.Action != rules.Reject || v.Rule != "hold.full" || v.Code != 550 {
			t.Errorf("%s %s %d; want hold.full", v.Action, v.Rule, v.Code)
		}
	}
	w.held("a", 3)
	full("a")
	w.held("b", 2)
	full("b") // though two of its own: the last place is for others
	w.held("c", 1)
	full("d")
	if s := w.Stats(); s.Waiting != 6 {
		t.Errorf("%d wait", s.Waiting)
	}
	w.run(62 * time.Second) // all have left
	for range 7 {
		w.submit("a")
	}
	w.held("a", 3)
	full("a")
	w.start() // what is held counts after a restart too
	w.run(time.Second)
	full("a")
}

// A limit that is raised, lowered below what the message costs, or gone, is in force
// for what waits.
func TestSettingsChange(t *testing.T) {
	w := newWorld(t)
	w.burst("cron", 40)
	w.rules.Limits[0].Max = 30
	w.configure()
	w.run(10 * time.Second)
	w.inOrder(30)
	w.rules.Limits = nil
	w.configure()
	w.run(10 * time.Second)
	w.inOrder(40)

	w = newWorld(t)
	w.limit("rcpts", "script", 3, time.Minute)
	w.rules.Limits[1].Unit = rules.Recipients
	w.start()
	w.submit("cron", "a@x.example", "b@x.example", "c@x.example")
	if v := w.submit("cron", "a@x.example", "b@x.example", "c@x.example"); v.Action != rules.Quarantine {
		t.Fatal(v.Rule)
	}
	w.rules.Limits[1].Max = 2
	w.configure()
	w.run(2 * time.Minute)
	w.wants(map[state.HeldState]int{state.HeldKept: 1})
	if h := w.all()[0]; h.Rule != "limit.rcpts" || h.Reason != "it costs 3 of rcpts, which has at most 2 in 1m" {
		t.Errorf("%s: %s", h.Rule, h.Reason)
	}
}

// What has paid, and cannot be put down as leaving, does not pay again.
func TestPaysOnce(t *testing.T) {
	w := newWorld(t)
	w.burst("cron", 11)
	w.run(time.Second)
	w.run(58 * time.Second)
	w.store.full = true
	w.run(time.Minute)
	if used := w.used("script:cron@web1.example"); used != 1 || w.records()[state.HeldWaiting] != 1 {
		t.Errorf("used %d, %v", used, w.records())
	}
	w.store.full = false
	w.run(10 * time.Second)
	w.inOrder(11)
	if used := w.used("script:cron@web1.example"); used > 1 {
		t.Errorf("used %d", used)
	}
}

// What its destination puts off, or takes long to take, makes way for the next.
func TestSlowDestinations(t *testing.T) {
	w := newWorld(t)
	w.burst("cron", 15)
	w.rules.Limits = nil
	w.configure()
	w.mta.puts = true
	w.run(5 * time.Second)
	w.wants(map[state.HeldState]int{state.HeldReleased: 5})

	w = newWorld(t)
	w.burst("cron", 13)
	w.rules.Limits = nil
	w.configure()
	w.mta.delay = time.Hour
	w.run(flightTime - time.Second)
	w.wants(map[state.HeldState]int{state.HeldLeaving: 1, state.HeldWaiting: 2})
	w.run(2*flightTime + 10*time.Second)
	w.wants(map[state.HeldState]int{state.HeldReleased: 3})
}

// A message that somebody took out of the queue before its turn is not one of ours that
// left.
func TestGoneBeforeItsTurn(t *testing.T) {
	w := newWorld(t)
	w.burst("cron", 12)
	delete(w.mta.queue, "Q00011")
	w.run(65 * time.Second)
	w.wants(map[state.HeldState]int{state.HeldGone: 1, state.HeldReleased: 1})
}

// A record that somebody deletes counts no more.
func TestRecordDeleted(t *testing.T) {
	w := newWorld(t)
	w.burst("cron", 11)
	w.run(time.Second)
	if err := state.DeleteRecord(w.ctx, w.base, w.all()[0]); err != nil {
		t.Fatal(err)
	}
	w.run(5 * time.Minute)
	if w.book.total != 0 || len(w.book.open) > 0 || len(w.mta.queue) != 1 || w.Stats().Unknown != 1 {
		t.Errorf("%d count, %d in the queue, %d unknown", w.book.total, len(w.mta.queue), w.Stats().Unknown)
	}
}

// A host where nothing is held needs no agent: that it is away is an error only when
// mail waits for it.
func TestAgentNobodyWaitsFor(t *testing.T) {
	w := newWorld(t)
	w.mta.down = errBroken
	w.start()
	w.run(5 * time.Minute)
	if said := w.log.String(); strings.Count(said, "hold agent is away") != 1 || strings.Contains(said, "level=ERROR") {
		t.Errorf("with nothing held: %s", said)
	}
	w.burst("cron", 12)
	w.run(5 * time.Minute)
	if said := w.log.String(); strings.Count(said, `level=ERROR msg="hold agent is away`) != 1 {
		t.Errorf("with mail held: %s", said)
	}
}
