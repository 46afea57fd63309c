package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"o2n-milter/tests/bench/load"
)

const (
	// over is how many times of what it can do the filter is offered.
	over = 4
	// stand is how long.
	stand = 10 * time.Second
)

// crowds offer it: sessions that all have their place, and far more than
// milter.max_per_client lets in.
var crowds = []int{256, 900}

// overload offers more than can be judged: what is judged then, beside what is at best.
func (p *part) overload() {
	_, product := p.startProduct(limits)
	letters := load.NewLetters(senders, 4<<10)
	best := &contender{filter: product, plan: load.Plan{Sessions: 64, Letters: letters}}
	p.compete(best)
	peak := best.middle(perSecond)
	fmt.Fprintf(&p.out, "At best it judges %s messages of 4 KB a second (%d sessions). For %s it is offered %s a second.\n\n",
		number(peak), best.plan.Sessions, stand, number(over*peak))
	t := newTable("sessions, answer", "a second", "of the best", "in the worst second", "p50 ms", "p99 ms", "slowest, ms")
	var costs []string
	for _, crowd := range crowds {
		p.say("%d sessions", crowd)
		spent := cpuOf(p, product.pid)
		got := load.Run(p.Context(), load.Plan{Network: "tcp", Addr: product.addr, Nagle: p.nagle, Sessions: crowd, Letters: letters, For: stand, Rate: over * peak})
		spent = cpuOf(p, product.pid) - spent
		judged := len(got.Only(load.Passed).Answers)
		got = got.Within(stand) // who is over a cap waits for his last answer a second longer
		costs = append(costs, fmt.Sprintf("%d sessions %s µs", crowd, number(float64(spent.Microseconds())/float64(judged))))
		all := got.Kinds()
		for _, kind := range slices.Sorted(maps.Keys(all)) {
			one := got.Only(kind)
			t.row(fmt.Sprintf("%d, %s", crowd, kind), number(one.PerSecond()), number(one.PerSecond()/peak), thousands(int64(slices.Min(one.Seconds()))),
				millis(one.Quantile(0.5, load.Took)), millis(one.Quantile(0.99, load.Took)), millis(one.Quantile(1, load.Took)))
		}
		for fault, n := range got.Faults {
			t.row(fmt.Sprintf("%d, no answer: %s", crowd, fault), number(float64(n)/got.Took.Seconds()), "", "", "", "", "")
		}
	}
	fmt.Fprintf(&p.out, "%s\nProcessor time of the process for each message that passes, refusals included: %s.\n", t, strings.Join(costs, ", "))
	fmt.Fprintf(&p.out, "Memory of the process afterwards: %s.\n", octets(memoryOf(p, product.pid)))
}

func millis(d time.Duration) string { return number(d.Seconds() * 1000) }
