package hold

import (
	"strings"
	"testing"
	"time"

	"o2n-milter/rules"
	"o2n-milter/state"
)

// What somebody releases or deletes by hand is noticed, after a grace.
func TestGone(t *testing.T) {
	w := never(t)
	delete(w.mta.queue, "Q00011")
	since := w.all()[0].Since
	w.run(since.Add(grace - 1).Sub(w.now))
	w.wants(map[state.HeldState]int{state.HeldWaiting: 1})
	w.run(roundEvery + time.Second)
	w.wants(map[state.HeldState]int{state.HeldGone: 1})
	if s := w.Stats(); s.Gone != 1 || s.Released != 0 || s.Unknown != 0 {
		t.Errorf("%+v", s)
	}
	if len(w.mta.arrived) != 10 {
		t.Errorf("%d arrived", len(w.mta.arrived))
	}
}

// A queue that cannot be read says nothing of what is in it.
func TestListFails(t *testing.T) {
	w := never(t)
	w.run(time.Second)
	w.mta.down = errBroken
	w.run(time.Hour)
	w.wants(map[state.HeldState]int{state.HeldWaiting: 1})
}

// A record that was given up goes on when its message is there again.
func TestBackAgain(t *testing.T) {
	w := never(t)
	q := w.mta.queue["Q00011"]
	delete(w.mta.queue, "Q00011")
	w.run(5 * time.Minute)
	w.wants(map[state.HeldState]int{state.HeldGone: 1})
	w.mta.queue["Q00011"] = q
	w.run(2 * time.Minute)
	w.wants(map[state.HeldState]int{state.HeldWaiting: 1})
	w.rules.Limits = nil
	w.configure()
	w.run(2 * time.Second)
	w.wants(map[state.HeldState]int{state.HeldReleased: 1})
}

// What is on hold and not ours is listed and left alone, whatever happens.
func TestUnknown(t *testing.T) {
	w := newWorld(t)
	old := w.now.Add(-300 * 24 * time.Hour)
	w.mta.queue["OTHER2"] = &queued{Queued: Queued{ID: "OTHER2", Queue: QueueHold, Arrived: w.now, From: "x@y.example"}}
	w.mta.queue["OTHER1"] = &queued{Queued: Queued{ID: "OTHER1", Queue: QueueHold, Arrived: old, From: "x@y.example"}}
	w.mta.queue["DEFER"] = &queued{Queued: Queued{ID: "DEFER", Queue: QueueDeferred, Arrived: old}}
	w.burst("cron", 12)
	w.run(time.Hour)
	list := w.Unknown()
	if len(list) != 2 || list[0].ID != "OTHER1" || list[1].ID != "OTHER2" || w.Stats().Unknown != 2 {
		t.Errorf("%+v", list)
	}
	if len(w.mta.queue) != 3 || w.Host() != thisHost {
		t.Errorf("%d in the queue of %q", len(w.mta.queue), w.Host())
	}
	w.inOrder(12)
}

// Another message may be given the queue id of one that was deleted: it is not ours.
func TestQueueIDReused(t *testing.T) {
	for name, c := range map[string]struct {
		arrived time.Duration // after ours was held
		from    string
		unknown int
	}{
		"later":             {10 * time.Minute, "cron@web1.example", 1},
		"within the slack":  {slack, "cron@web1.example", 0},
		"the MTA rewrites":  {-time.Second, "cron@host.web1.example", 0},
		"an hour of upload": {-time.Hour, "cron@web1.example", 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := never(t)
			since := w.all()[0].Since
			w.run(time.Second)
			w.mta.queue["Q00011"].Arrived, w.mta.queue["Q00011"].From = since.Add(c.arrived), c.from
			w.run(5 * time.Minute)
			if n := w.Stats().Unknown; n != c.unknown || w.records()[state.HeldGone] != c.unknown {
				t.Errorf("%d unknown, %v", n, w.records())
			}
		})
	}
}

// Of two records with one queue id the younger is right.
func TestQueueIDHeldAgain(t *testing.T) {
	w := never(t)
	w.run(time.Second)
	w.ids = 10
	w.now = w.now.Add(10 * time.Minute)
	w.held("cron", 1)                           // Q00011 again
	w.mta.queue["Q00011"].Arrived = time.Time{} // an MTA that does not say
	w.run(5 * time.Minute)
	w.wants(map[state.HeldState]int{state.HeldGone: 1, state.HeldWaiting: 1})
	list := w.all()
	for _, h := range list {
		if (h.State == state.HeldGone) != h.Since.Before(start.Add(time.Minute)) {
			t.Errorf("%s is %s", h.Since, h.State)
		}
	}
}

// Records of other hosts are theirs.
func TestOtherHost(t *testing.T) {
	w := newWorld(t)
	w.burst("cron", 12)
	theirs := w.mta.queue
	w.mta.host, w.mta.queue = "WEB2.example", map[string]*queued{"OTHER": {Queued: Queued{ID: "OTHER", Queue: QueueHold}}}
	w.run(5 * time.Minute)
	w.inOrder(10)
	w.wants(map[state.HeldState]int{state.HeldWaiting: 2})
	if s := w.Stats(); s.Waiting != 0 || len(w.mta.queue) != 1 || s.Unknown != 1 {
		t.Errorf("%+v", s)
	}
	w.mta.host, w.mta.queue = "Web1.Example", theirs
	w.start()
	w.run(5 * time.Minute)
	w.inOrder(12)
}

// While the store is away mail is held all the same: its record is in memory.
func TestStoreAway(t *testing.T) {
	w := newWorld(t)
	w.run(time.Second)
	w.store.away = true
	v := w.submit("cron")
	if v.Action != rules.Quarantine || v.Rule != "store.unavailable" {
		t.Fatalf("%s %s", v.Action, v.Rule)
	}
	w.run(10 * time.Minute)
	if s := w.Stats(); s.Waiting != 1 || len(w.mta.queue) != 1 {
		t.Errorf("%+v", s)
	}
	w.wants(nil)
	w.store.away = false
	w.run(10 * time.Second)
	w.wants(map[state.HeldState]int{state.HeldReleased: 1})
	w.inOrder(1)
	usage, err := w.base.Usage(w.ctx, w.now, []state.Window{{Limit: "minute", Subject: "script:cron@web1.example", Length: time.Minute, Max: 10}})
	if err != nil || usage[0].Used != 1 {
		t.Errorf("it has not paid: %+v, %v", usage, err)
	}

	// What dies with the process is on hold and unknown.
	w.store.away = true
	w.submit("cron")
	w.start()
	w.run(2 * time.Minute)
	if s := w.Stats(); s.Unknown != 1 || s.Waiting != 0 || len(w.mta.queue) != 1 {
		t.Errorf("%+v", s)
	}
}

// What is kept in memory is bounded.
func TestUnsavedBound(t *testing.T) {
	w := newWorld(t)
	w.store.away = true
	w.book.unsavedBy = mostUnsaved
	if v := w.submit("cron"); v.Rule != "hold.full" || v.Action != rules.Reject {
		t.Errorf("%s %s", v.Action, v.Rule)
	}
	if s := w.Stats(); s.Waiting != 0 {
		t.Errorf("%+v", s)
	}
}

// A record that a newer version wrote is told once, and keeps nothing else waiting.
func TestUnreadableRecord(t *testing.T) {
	w := newWorld(t)
	w.burst("cron", 11)
	if _, err := w.base.PutDoc(w.ctx, state.Doc{Kind: "held", ID: "NEWER", Data: []byte(`{"since":"tomorrow"}`)}); err != nil {
		t.Fatal(err)
	}
	w.run(2 * time.Minute)
	if said := w.log.String(); strings.Count(said, "cannot be read") != 1 || !strings.Contains(said, "held NEWER") {
		t.Errorf("said: %s", said)
	}
	docs, err := w.base.Docs(w.ctx, "held")
	if err != nil || len(docs) != 2 || !strings.Contains(string(docs[0].Data)+string(docs[1].Data), `"released"`) {
		t.Errorf("%+v %v", docs, err)
	}
}
