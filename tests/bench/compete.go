package main

import (
	"fmt"

	"o2n-milter/tests/bench/load"
)

// contender is a filter under one kind of load, with what came of each round.
type contender struct {
	filter
	plan    load.Plan
	samples []sample
}

// compete has all have their turn in each round.
func (p *part) compete(list ...*contender) {
	for round := range p.rounds {
		p.say("round %d of %d", round+1, p.rounds)
		inTurns(round, len(list), func(i int) {
			c := list[i]
			c.samples = append(c.samples, p.measure(c.filter, c.plan))
		})
	}
}

// inTurns calls f for each of n things, beginning with another one in each round, so that
// none is always the first.
func inTurns(round, n int, f func(i int)) {
	for i := range n {
		f((i + round) % n)
	}
}

// sample is what one run of load came to.
type sample struct {
	perSecond float64
	p50, p99  float64 // ms from MAIL to the answer; under a rate from when the message should have begun
	cpu       float64 // µs of the filter's processor time a message
	messages  int     // sent, with those to warm up
	away      float64 // the share that was turned away
}

func perSecond(s sample) float64 { return s.perSecond }
func p50(s sample) float64       { return s.p50 }
func p99(s sample) float64       { return s.p99 }
func cpu(s sample) float64       { return s.cpu }

// note says, in brackets, that some were turned away in some round.
func (c *contender) note() string {
	most := 0.0
	for _, s := range c.samples {
		most = max(most, s.away)
	}
	if most == 0 {
		return ""
	}
	return fmt.Sprintf(" (up to %s %% turned away)", number(100*most))
}

// middle is the median of a measure.
func (c *contender) middle(measure func(sample) float64) float64 {
	var values []float64
	for _, s := range c.samples {
		values = append(values, measure(s))
	}
	return median(values)
}

// against is the median of the ratios of the same rounds.
func (c *contender) against(other *contender, measure func(sample) float64) float64 {
	var values []float64
	for i, s := range c.samples {
		values = append(values, measure(s)/measure(other.samples[i]))
	}
	return median(values)
}

// turnedAway is the Kind of mail that cannot be judged in time.
const turnedAway = "451 internal.overload"

// measure sends a plan to the filter. All figures are of mail that passes. Where there are
// many sessions some may be turned away; what else does not pass is no honest mail.
func (p *part) measure(f filter, plan load.Plan) sample {
	plan.Network, plan.Addr, plan.Nagle, plan.For = "tcp", f.addr, p.nagle, p.each
	warm := plan
	warm.For /= 4
	warmed := load.Run(p.Context(), warm)
	before := cpuOf(p, f.pid)
	got := load.Run(p.Context(), plan)
	spent := cpuOf(p, f.pid) - before
	if odd := got.Odd(load.Passed, turnedAway); odd != "" {
		p.Fatalf("mail that should pass: %s", odd)
	}
	passed := got.Only(load.Passed)
	if len(passed.Answers) == 0 {
		p.Fatal("no message passed")
	}
	ms := func(share float64) float64 { return passed.Quantile(share, load.Late).Seconds() * 1000 }
	return sample{
		perSecond: passed.PerSecond(), p50: ms(0.5), p99: ms(0.99),
		cpu:      float64(spent.Microseconds()) / float64(len(passed.Answers)),
		messages: len(warmed.Answers) + len(got.Answers),
		away:     1 - float64(len(passed.Answers))/float64(len(got.Answers)),
	}
}

// conditions say under what all were measured.
func (p *part) conditions(accounts string) string {
	nagle := ""
	if p.nagle {
		nagle = ", Nagle's algorithm on"
	}
	return fmt.Sprintf("Default rules, %d limits, %s, Badger with `durability = \"process\"`, TCP%s; medians of %d rounds of %s, no-op and product in turns",
		fiveLimits, accounts, nagle, p.rounds, p.each)
}
