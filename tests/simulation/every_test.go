package simulation

import (
	"fmt"
	"testing"
	"time"

	"o2n-milter/tests/campaign"
	"o2n-milter/tests/simulation/faulty"
)

// scenario is a short day in which everything happens once that uses the store.
func scenario() script {
	const (
		alice, bob, carol, cron                           = 0, 1, 2, 5
		forged, tooMany, ofCampaign, toUs, honest, manual = 0, 3, 4, 9, 10, 3
	)
	var list []event
	send := func(who, what, times int) {
		for range times {
			list = append(list, event{kind: mail, a: who, b: what, c: 1000 + len(list)})
		}
	}
	do := func(events ...event) { list = append(list, events...) }
	wait := func(t time.Duration) { do(event{kind: tick, t: t}, event{kind: keep}) }

	send(alice, honest, 6) // one more than its limit
	do(event{kind: block, a: alice, b: manual}, event{kind: ask, a: 0})
	send(alice, honest, 1)
	send(alice, toUs, 1)
	do(event{kind: answer, a: 0, b: 1})
	wait(2 * time.Minute)
	send(alice, honest, 1)
	send(bob, forged, 3) // strikes, and a block
	do(event{kind: extend, a: 1, b: 1}, event{kind: lift, a: 2})
	send(carol, tooMany, 3)
	do(event{kind: ask, a: 3, b: 1}) // ends it at once
	send(cron, honest, 6)            // of which some are held
	do(event{kind: wish, a: 0, b: 0}, event{kind: wish, a: 1, b: 1})
	wait(time.Minute)
	do(event{kind: restart})
	wait(time.Minute)
	do(event{kind: exempt, a: carol, b: 0}, event{kind: begin, a: 0}, event{kind: reload, a: 1})
	send(carol, ofCampaign, 8)
	do(event{kind: unexempt, a: 0}, event{kind: reset, a: carol})
	send(carol, honest, 2)
	wait(10 * time.Minute)
	return script{setup: setup{strikes: 3, customerAfter: 2, selfUnblock: 1, campaigns: true}, events: list}
}

// callsOf is how many calls of the store a script makes when all goes well.
func callsOf(t *testing.T, s script) int {
	w, err := newWorld(s.setup, "")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for i, e := range s.events {
		if e.kind == restart {
			n += w.store.Calls()
		}
		if err := w.play(e); err != nil {
			t.Fatalf("event %d, %s, and all is well: %v", i, e, err)
		}
	}
	for _, what := range []string{"accept none", "tempfail limit.minute", "reject block.active", "reject identity.header_from", "reject recipients.envelope", "quarantine limit.script", "reject bulk.unsubscribe"} {
		if w.verdict[what] == 0 {
			t.Errorf("no message got %s: %s", what, w.summary())
		}
	}
	if len(w.model.blocks.ids) < 4 || len(w.model.requests.ids) < 2 || w.count["left"] == 0 || w.count["released by somebody"] == 0 || w.count["deleted by somebody"] == 0 {
		t.Errorf("too little happens: %s", w.summary())
	}
	return n + w.store.Calls()
}

// TestEveryCall has each call of the store go wrong, one in each run, in each way, and
// in the long form two of them.
func TestEveryCall(t *testing.T) {
	r, count := campaign.Rand(t), campaign.Counting(t, "faults", "calls of the store that go wrong")
	s := scenario()
	calls := callsOf(t, s)
	try := func(faults ...event) {
		with := s
		with.events = append(append([]event(nil), faults...), s.events...)
		if at, err := run(t, with, ""); err != nil {
			count.Failed()
			t.Errorf("%s: event %d: %v", wayOf(faults), at-len(faults), err)
			return
		}
		count.Held()
	}
	every := campaign.Pick(12, 1)
	for n := 1 + r.IntN(every); n <= calls; n += every {
		for way := range faulty.Ways {
			if campaign.Long() || way == r.IntN(len(faulty.Ways)) {
				try(event{kind: fault, a: n, b: way, c: 1})
			}
		}
	}
	for range campaign.Pick(10, 1500) {
		try(event{kind: fault, a: 1 + r.IntN(calls), b: r.IntN(len(faulty.Ways)), c: 1 + r.IntN(3)},
			event{kind: fault, a: 1 + r.IntN(40), b: r.IntN(len(faulty.Ways)), c: 1 + r.IntN(3)})
	}
}

func wayOf(faults []event) string {
	text := ""
	for _, f := range faults {
		text += fmt.Sprintf("call %d from there on %s %d times, ", f.a, faulty.Ways[f.b], f.c)
	}
	return text
}
