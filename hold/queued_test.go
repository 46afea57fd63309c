package hold

import (
	"testing"
	"time"

	"o2n-milter/rules"
	"o2n-milter/state"
)

// waiting has a user send one that passes and stays in the queue.
func (w *world) waiting(user string) *queued {
	w.Helper()
	if v := w.submit(user); v.Action != rules.Accept {
		w.Fatal(v.Rule)
	}
	a := w.mta.arrived[len(w.mta.arrived)-1]
	w.mta.arrived = w.mta.arrived[:len(w.mta.arrived)-1]
	q := &queued{Queued: Queued{ID: a.id, Queue: QueueDeferred, Arrived: w.now.Truncate(time.Second), From: user + "@web1.example",
		Recipients: []string{"bob@remote.example"}, Count: 1}}
	w.mta.queue[a.id] = q
	return q
}

func blocked(w *world, subject string) {
	w.Helper()
	if err := w.base.AddBlock(w.ctx, state.Block{ID: "B1", Subject: subject, Rule: "manual", Since: w.now}); err != nil {
		w.Fatal(err)
	}
}

// What a blocked sender still has in the queue is put on hold, waits for the lift, and
// does not pay again.
func TestHoldQueued(t *testing.T) {
	for _, on := range []bool{true, false} {
		w := newWorld(t)
		w.set.Queued = on
		w.start()
		a, b, other := w.waiting("cron"), w.waiting("cron"), w.waiting("innocent")
		b.Queue = QueueIncoming
		w.run(time.Minute)
		blocked(w, "script:cron@web1.example")
		w.run(10 * time.Second)
		if !on {
			if a.Queue != QueueDeferred || len(w.all()) > 0 {
				t.Errorf("%s, %d records", a.Queue, len(w.all()))
			}
			continue
		}
		if a.Queue != QueueHold || b.Queue != QueueHold || other.Queue != QueueDeferred {
			t.Errorf("%s, %s, of the other %s", a.Queue, b.Queue, other.Queue)
		}
		w.run(10 * time.Minute)
		w.wants(map[state.HeldState]int{state.HeldWaiting: 2})
		h := w.all()[0]
		if h.Rule != "block.active" || h.Subject != "script:cron@web1.example" || h.Host != thisHost || len(h.Recipients) != 1 || h.About != "hello" {
			t.Errorf("%+v", h)
		}
		if !rules.MayBounce(h) {
			t.Error("it may not go back")
		}
		before := w.used("script:cron@web1.example")
		if _, err := w.base.LiftBlock(w.ctx, "B1", w.now, "root", ""); err != nil {
			t.Fatal(err)
		}
		w.run(10 * time.Second)
		w.wants(map[state.HeldState]int{state.HeldReleased: 2})
		if after := w.used("script:cron@web1.example"); after != before {
			t.Errorf("used %d, then %d", before, after)
		}
	}
}

// used is what the limit counts of a subject now.
func (w *world) used(subject string) int64 {
	w.Helper()
	usage, err := w.base.Usage(w.ctx, w.now, []state.Window{{Limit: "minute", Subject: subject, Length: time.Minute, Max: 10}})
	if err != nil {
		w.Fatal(err)
	}
	return usage[0].Used
}

// Only what is surely the message is put on hold.
func TestHoldQueuedIsSure(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(*queued)
		subject string
		want    Queue
	}{
		"another sender":     {func(q *queued) { q.From = "eve@web1.example" }, "script:cron@web1.example", QueueDeferred},
		"a later message":    {func(q *queued) { q.Arrived = q.Arrived.Add(10 * time.Second) }, "script:cron@web1.example", QueueDeferred},
		"an earlier one":     {func(q *queued) { q.Arrived = q.Arrived.Add(-61 * time.Minute) }, "script:cron@web1.example", QueueDeferred},
		"on somebody's hold": {func(q *queued) { q.Queue = QueueHold }, "script:cron@web1.example", QueueHold},
		"a whole host":       {func(*queued) {}, "host:web1.example", QueueDeferred},
		"the very message":   {func(*queued) {}, "script:cron@web1.example", QueueHold},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.set.Queued = true
			w.start()
			q := w.waiting("cron")
			c.change(q)
			blocked(w, c.subject)
			w.run(10 * time.Second)
			if q.Queue != c.want {
				t.Errorf("it is %s", q.Queue)
			}
			if n := len(w.all()); (n > 0) != (name == "the very message") {
				t.Errorf("%d records", n)
			}
		})
	}
}

// Subjects may hold what the store writes in another way.
func TestHoldQueuedOddName(t *testing.T) {
	w := newWorld(t)
	w.set.Queued = true
	w.rules.Actions["identity.malformed"], w.rules.Actions["identity.header_from"] = rules.Off, rules.Off
	w.rules.Actions["identity.envelope_from"] = rules.Off
	w.start()
	q := w.waiting("a%25b")
	blocked(w, "script:a%25b@web1.example")
	w.run(10 * time.Second)
	if q.Queue != QueueHold || w.all()[0].From != "a%25b@web1.example" {
		t.Errorf("it is %s: %+v", q.Queue, w.all())
	}
}

// Wherever the process dies, what is on hold has a record, and all of it leaves after
// the lift.
func TestHoldQueuedDies(t *testing.T) {
	for steps := 1; ; steps++ {
		w := newWorld(t)
		w.set.Queued = true
		w.start()
		for range 3 {
			w.waiting("cron")
		}
		w.run(time.Second)
		blocked(w, "script:cron@web1.example")
		w.mta.left = steps
		w.run(5 * time.Minute)
		if n := w.records()[state.HeldWaiting]; n != 3 || w.Stats().Unknown > 0 {
			t.Errorf("step %d: %v", steps, w.records())
		}
		if _, err := w.base.LiftBlock(w.ctx, "B1", w.now, "root", ""); err != nil {
			t.Fatal(err)
		}
		w.run(5 * time.Minute)
		w.once(3)
		if w.died == 0 || t.Failed() {
			break
		}
	}
}

// A block that is lifted before anybody has looked holds nothing.
func TestHoldQueuedLifted(t *testing.T) {
	w := newWorld(t)
	w.set.Queued = true
	w.start()
	q := w.waiting("cron")
	w.run(time.Minute)
	blocked(w, "script:cron@web1.example")
	w.run(time.Second)
	if _, err := w.base.LiftBlock(w.ctx, "B1", w.now, "root", ""); err != nil {
		t.Fatal(err)
	}
	calls := w.mta.calls["list"]
	w.run(2 * settleTime)
	if q.Queue != QueueDeferred || len(w.all()) > 0 || w.mta.calls["list"] != calls {
		t.Errorf("%s, %d records, %d looks", q.Queue, len(w.all()), w.mta.calls["list"]-calls)
	}
}
