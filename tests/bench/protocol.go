package main

import (
	"fmt"
	"path/filepath"

	"o2n-milter/tests/bench/chart"
	"o2n-milter/tests/bench/load"
)

var (
	sizes       = []int{4 << 10, 64 << 10, 1 << 20}
	concurrency = []int{1, 4, 16, 64, 256}
)

// senders is how many send: so many that the honest mail of one is never a campaign.
const senders = 20_000

// pair is product and no-op under the same load.
type pair struct{ product, noop *contender }

// load drives product and no-op through the milter protocol.
func (p *part) load() {
	d, product := p.startProduct(limits)
	noop := p.startNoop()
	letters := load.NewLetters(senders, 0)
	var pairs []pair
	var all []*contender
	for _, size := range sizes {
		for _, n := range concurrency {
			plan := load.Plan{Sessions: n, Letters: letters.Sized(size)}
			c := pair{&contender{filter: product, plan: plan}, &contender{filter: noop, plan: plan}}
			pairs, all = append(pairs, c), append(all, c.product, c.noop)
		}
	}
	p.compete(all...)
	p.loadTable(pairs)
	messages := 0
	for _, c := range pairs {
		for _, s := range c.product.samples {
			messages += s.messages
		}
	}
	disk := diskOf(p, filepath.Join(d.Dir, "state"))
	fmt.Fprintf(&p.out, "\nAfter these %s messages the store takes %s on the disk, %s bytes for each; the process %s of memory.\n",
		thousands(int64(messages)), octets(disk), thousands(disk/int64(messages)), octets(memoryOf(p, product.pid)))
	p.loadCharts(pairs)
}

func (p *part) loadTable(pairs []pair) {
	t := newTable("message, sessions", "CPU µs a message", "no-op", "ratio", "messages/s", "no-op", "ratio", "p50 ms", "no-op", "p99 ms", "no-op")
	for _, c := range pairs {
		row := []string{fmt.Sprintf("%s, %d%s", octets(int64(c.product.plan.Letters.Size)), c.product.plan.Sessions, c.product.note())}
		for _, measure := range []func(sample) float64{cpu, perSecond} {
			row = append(row, number(c.product.middle(measure)), number(c.noop.middle(measure)), number(c.product.against(c.noop, measure)))
		}
		for _, measure := range []func(sample) float64{p50, p99} {
			row = append(row, number(c.product.middle(measure)), number(c.noop.middle(measure)))
		}
		t.row(row...)
	}
	fmt.Fprintf(&p.out, "%s.\n\n%s", p.conditions(thousands(senders)+" accounts"), t)
}

func (p *part) loadCharts(pairs []pair) {
	lines := func(measure func(sample) float64) (list []chart.Line) {
		for _, size := range sizes[:2] {
			name := ", " + octets(int64(size))
			product := chart.Line{Name: "o2n-milter" + name, Dashed: size != sizes[0]}
			noop := chart.Line{Name: "no-op" + name, Dashed: size != sizes[0], Colour: 1}
			for _, c := range pairs {
				if c.product.plan.Letters.Size == size {
					x := float64(c.product.plan.Sessions)
					product.Points = append(product.Points, chart.Point{X: x, Y: c.product.middle(measure)})
					noop.Points = append(noop.Points, chart.Point{X: x, Y: c.noop.middle(measure)})
				}
			}
			list = append(list, product, noop)
		}
		return list
	}
	sessions := chart.Axis{Label: "sessions at a time", Log: true}
	for _, n := range concurrency {
		sessions.Ticks = append(sessions.Ticks, float64(n))
	}
	p.draw("throughput.svg", chart.Chart{Title: "Messages judged", X: sessions, Y: chart.Axis{Label: "messages a second", Log: true}, Lines: lines(perSecond)})
	p.draw("latency.svg", chart.Chart{Title: "99 of 100 answers come within", X: sessions, Y: chart.Axis{Label: "ms from MAIL to the answer", Log: true}, Lines: lines(p99)})
}
