package main

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"o2n-milter/tests/bench/load"
)

const (
	// over is how many times of what it can do the filter is offered.
	over = 4
	// crowd is how many sessions offer it: as many as max_per_client lets in.
	crowd = 256
	// stand is how long.
	stand = 10 * time.Second
)

// overload offers more than can be judged: what is judged then, beside what is at best.
func (p *part) overload() {
	d, product := p.startProduct(limits)
	letters := load.NewLetters(senders, 4<<10)
	var peaks []float64
	for range p.rounds {
		peaks = append(peaks, p.measure(product, load.Plan{Sessions: 16, Letters: letters, For: p.each}).perSecond)
	}
	peak := median(peaks)
	got := load.Run(p.Context(), load.Plan{Network: "tcp", Addr: product.addr, Nagle: p.nagle, Sessions: crowd, Letters: letters, For: stand, Rate: over * peak})
	judged := func(kind string) bool { return kind == load.Passed }
	seconds := got.Seconds(judged)
	kinds := newTable("answer", "messages a second", "half of them within, ms", "99 % within, ms", "slowest, ms")
	all := got.Kinds()
	for _, kind := range slices.Sorted(maps.Keys(all)) {
		one := got.Only(kind)
		kinds.row(kind, number(one.PerSecond()), millis(one.Quantile(0.5, load.Took)), millis(one.Quantile(0.99, load.Took)), millis(one.Quantile(1, load.Took)))
	}
	if faults := got.Odd(slices.Collect(maps.Keys(all))...); faults != "" {
		fmt.Fprintf(&p.out, "Without an answer: %s.\n\n", faults)
	}
	least := 0
	if len(seconds) > 0 {
		least = slices.Min(seconds)
	}
	fmt.Fprintf(&p.out, "At best %s messages of 4 KB a second (16 sessions). For %s %d sessions offered %s a second: %s were judged, %s of the best; "+
		"in the worst second %s. Memory afterwards: %s.\n\n%s",
		number(peak), stand, crowd, number(over*peak), number(float64(all[load.Passed])/got.Took.Seconds()),
		number(float64(all[load.Passed])/got.Took.Seconds()/peak), thousands(int64(least)), octets(memoryOf(p, d.Proc.Cmd.Process.Pid)), kinds)
}

func millis(d time.Duration) string { return number(d.Seconds() * 1000) }
