package simulation

import (
	"fmt"
	"math/rand/v2"
	"time"

	"o2n-milter/tests/simulation/faulty"
)

// kind is what happens.
type kind int

const (
	mail     kind = iota // a: who, b: what, c: chance, d: 1: of a session that began before
	begin                // a: a session takes the rules of now
	tick                 // t: how long nothing happens
	block                // a: whom, b: for how long
	lift                 // a: which of the blocks
	extend               // a: which, b: for how long
	ask                  // a: about which, b: 1: to be unblocked at once
	answer               // a: which request, b: 1: denied
	exempt               // a: whom, b: from what
	unexempt             // a: which
	reset                // a: whom
	reload               // a: which rules
	wish                 // a: which of the held, b: what
	keep                 // the keeper of held mail has its turn
	mtaAway              // b: 1: it does what it is told and cannot say so; the next time it is back
	restart              // b: 1: without a word
	fault                // a: after so many calls, b: how, c: so many
	setBack              // t: the clock, by so much
	between              // a: after so many calls of the store somebody on another host blocks, b: whom
	kinds
)

var kindNames = [kinds]string{"mail", "begin", "tick", "block", "lift", "extend", "ask", "answer", "exempt", "unexempt", "reset", "reload", "wish", "keep", "mta", "restart", "fault", "setback", "between"}

// often is how often each happens, in thousandths.
var often = [kinds]int{620, 15, 120, 12, 15, 6, 15, 12, 12, 6, 8, 10, 15, 90, 6, 6, 24, 8, 10}

// fickleness is what happens in between where people are fickle.
var fickleness = []kind{wish, wish, wish, tick, tick, tick, tick, mtaAway, keep}

// event is one thing that happens. What it happens to is told by number, and found by
// the remainder: an event makes sense whatever came before it.
type event struct {
	kind    kind
	a, b, c int
	d       int
	t       time.Duration
}

func (e event) String() string {
	return fmt.Sprintf("%s a=%d b=%d c=%d d=%d t=%s", kindNames[e.kind], e.a, e.b, e.c, e.d, e.t)
}

// script is an episode: how the provider is set up, and what happens.
type script struct {
	seed   uint64 // of ids and secrets
	setup  setup
	events []event
}

// setup is how the provider's filter is set up.
type setup struct {
	strikes       int
	customerAfter int
	accept        bool // state.on_failure = "accept"
	selfUnblock   int
	shadow        bool // block.automatic = "shadow"
	faults        bool // the store fails at times
	clocks        bool // clocks are set back at times
	campaigns     bool // much of the mail is of a few texts
	fickle        bool // people change their minds about held mail, and its agent comes and goes
}

// write makes the episode of this number, of so many events.
func write(seed uint64, n int) script {
	r := rand.New(rand.NewPCG(seed, 1))
	s := script{seed: seed, setup: setup{
		strikes: 3 + r.IntN(6), customerAfter: 2 + r.IntN(3), accept: r.IntN(8) == 0, selfUnblock: r.IntN(3),
		shadow: r.IntN(10) == 0, faults: r.IntN(4) > 0, clocks: r.IntN(4) == 0, campaigns: r.IntN(3) == 0, fickle: r.IntN(4) == 0,
	}}
	for range n {
		s.events = append(s.events, s.setup.next(r))
	}
	return s
}

func (s setup) next(r *rand.Rand) event {
	all := 0
	for _, n := range often {
		all += n
	}
	k, left := kind(0), r.IntN(all)
	for left >= often[k] {
		left -= often[k]
		k++
	}
	if k == fault && !s.faults || k == setBack && !s.clocks {
		k = mail
	}
	if s.fickle && r.IntN(2) == 0 {
		k = fickleness[r.IntN(len(fickleness))]
	}
	e := event{kind: k, a: r.IntN(1000), b: r.IntN(1000), c: r.IntN(1 << 30), d: r.IntN(10)}
	switch k {
	case tick:
		e.t = []time.Duration{time.Second, 20 * time.Second, time.Minute, time.Minute, 10 * time.Minute, 3 * time.Hour}[r.IntN(6)]
		if s.fickle && r.IntN(4) > 0 {
			e.t = time.Second // in which they do
		}
		e.t = time.Duration(1 + r.Int64N(int64(e.t)))
	case setBack:
		e.t = []time.Duration{2 * time.Second, 50 * time.Second, 2 * time.Minute, 3 * time.Hour}[r.IntN(4)]
	case between:
		e.a = 1 + r.IntN(12)
	case fault:
		e.a, e.b = 1+r.IntN(8), r.IntN(len(faulty.Ways))
		if e.c = 1; r.IntN(4) == 0 {
			e.c = 1 + r.IntN(40)
		}
	}
	return e
}
