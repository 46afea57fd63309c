package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"o2n-milter/state"
	"o2n-milter/state/badgerdb"
	"o2n-milter/tests/bench/chart"
	"o2n-milter/tests/bench/load"
	"o2n-milter/tests/daemon"
	"o2n-milter/tests/mta"
)

// growth is what a message costs as each thing that there may be many of grows.
func (p *part) growth() {
	letters := load.NewLetters(senders, 4<<10)
	noop := p.startNoop()
	p.subjects(letters, noop)
	fmt.Fprintf(&p.out, "\n%s; %d sessions where nothing else is said:\n", p.conditions(thousands(senders)+" accounts"), crowdOf)
	p.manyLimits(letters, noop)
	p.longMail(letters, noop)
	p.durabilities(letters, noop)
}

// crowdOf is how many sessions those measures have that are not about sessions.
const crowdOf = 16

// remembered is a store with so many subjects, and what the daemon does on it.
type remembered struct {
	subjects      int
	start         time.Duration // from exec to ready
	memory        int64         // octets of the process afterwards
	disk          int64         // octets of the store before
	product, noop *contender
}

// subjects has the daemon serve stores that remember more and more subjects, and mail
// from all of them.
func (p *part) subjects(letters *load.Letters, noop filter) {
	addr := fmt.Sprintf("127.0.0.1:%d", mta.FreePort(p))
	d := daemon.New(p, []string{"tcp:" + addr}, limits)
	daemon.Program(p) // built before it is timed
	folder := filepath.Join(d.Dir, "state")
	var list []*remembered
	before := 0
	for _, n := range []int{1_000, 10_000, 100_000, 1_000_000} {
		p.say("%s subjects", thousands(int64(n)))
		p.preload(folder, before, n)
		before = n
		r := &remembered{subjects: n, disk: diskOf(p, folder)}
		begin := time.Now()
		d.Start(p)
		mta.Poll(p, "o2n-milter is ready", func() bool { return d.Get("/readyz") == http.StatusOK })
		r.start = time.Since(begin)
		plan := load.Plan{Sessions: crowdOf, Letters: letters.Of(n)}
		r.product, r.noop = &contender{filter: filter{addr, d.Proc.Cmd.Process.Pid}, plan: plan}, &contender{filter: noop, plan: plan}
		p.compete(r.product, r.noop)
		r.memory = memoryOf(p, r.product.pid)
		d.Proc.Stop()
		list = append(list, r)
	}
	p.subjectsTable(list)
}

func (p *part) subjectsTable(list []*remembered) {
	t := newTable("tracked subjects", "CPU µs a message", "ratio to the no-op", "p99 ms", "memory of the process", "store on disk before", "start until ready, ms")
	line := chart.Line{Name: "o2n-milter"}
	noop := chart.Line{Name: "no-op", Colour: 1}
	axis := chart.Axis{Label: "tracked subjects", Log: true}
	for _, r := range list {
		t.row(thousands(int64(r.subjects)), number(r.product.middle(cpu)), number(r.product.against(r.noop, cpu)), number(r.product.middle(p99)),
			octets(r.memory), octets(r.disk), millis(r.start))
		x := float64(r.subjects)
		line.Points = append(line.Points, chart.Point{X: x, Y: r.product.middle(cpu)})
		noop.Points = append(noop.Points, chart.Point{X: x, Y: r.noop.middle(cpu)})
		axis.Ticks = append(axis.Ticks, x)
	}
	fmt.Fprintf(&p.out, "%s. A subject has three windows and a campaign, and %d sessions send the mail of all of them.\n\n%s", p.conditions("as many accounts as there are subjects"), crowdOf, t)
	p.draw("subjects.svg", chart.Chart{Title: "What a message costs as more is remembered", X: axis, Y: chart.Axis{Label: "processor time a message, µs"}, Lines: []chart.Line{line, noop}})
}

// preload has the store remember subjects from one number up to another: what a letter of
// each leaves there.
func (p *part) preload(folder string, from, to int) {
	store, err := badgerdb.Open(badgerdb.Options{Path: folder, Log: slog.New(slog.DiscardHandler), Cache: 64 << 20})
	p.must("store", err)
	now := time.Now()
	faults := make([]error, crowdOf)
	var wg sync.WaitGroup
	for session := range crowdOf {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(5, uint64(session)))
			for n := from + session; n < to && faults[session] == nil; n += crowdOf {
				_, faults[session] = store.Take(context.Background(), now, trace("account:"+load.Account(n), r))
			}
		})
	}
	wg.Wait()
	for _, err := range faults {
		p.must("preload", err)
	}
	p.must("store", store.Close())
}

// trace is what one letter of a subject leaves under the limits of an account.
func trace(subject string, r *rand.Rand) state.Ask {
	ask := state.Ask{Letters: []state.Letter{{
		Subject: subject, Sketch: state.Sketch{r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64()}, Near: 1, Max: 200,
		Members: []string{fmt.Sprintf("reader%d@remote.example", r.IntN(1_000_000))}, Remember: 24 * time.Hour,
	}}}
	for limit, length := range map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour} {
		ask.Charges = append(ask.Charges, state.Charge{Cost: 1, Window: state.Window{Limit: limit, Subject: subject, Length: length, Max: 1_000_000}})
	}
	return ask
}

// manyLimits is what a message costs under more and more limits.
func (p *part) manyLimits(letters *load.Letters, noop filter) {
	plan := load.Plan{Sessions: crowdOf, Letters: letters}
	bare := &contender{filter: noop, plan: plan}
	all := []*contender{bare}
	counts := []int{1, 2, 5, 10, 20}
	var started []*daemon.Daemon
	for _, n := range counts {
		d, f := p.startProduct(limitsOf(n))
		started, all = append(started, d), append(all, &contender{filter: f, plan: plan})
	}
	p.compete(all...)
	t := newTable("limits", "CPU µs a message", "ratio to the no-op", "messages/s")
	for i, n := range counts {
		c := all[i+1]
		t.row(fmt.Sprint(n), number(c.middle(cpu)), number(c.against(bare, cpu)), number(c.middle(perSecond)))
		started[i].Proc.Stop()
	}
	fmt.Fprintf(&p.out, "\n%s", t)
}

// limitsOf are so many of an account, each of another length.
func limitsOf(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "[limit.l%d]\nmax = 1000000\nwindow = \"%dm\"\n", i, i+1)
	}
	return b.String()
}

// longMail is what a message costs as it gets longer.
func (p *part) longMail(letters *load.Letters, noop filter) {
	d, product := p.startProduct(limits)
	lengths := []int{4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 10 << 20}
	var all []*contender
	for _, n := range lengths {
		plan := load.Plan{Sessions: crowdOf, Letters: letters.Sized(n)}
		all = append(all, &contender{filter: product, plan: plan}, &contender{filter: noop, plan: plan})
	}
	p.compete(all...)
	t := newTable("message", "CPU µs a message", "ratio to the no-op", "messages/s")
	for i, n := range lengths {
		c := all[2*i]
		t.row(octets(int64(n))+c.note(), number(c.middle(cpu)), number(c.against(all[2*i+1], cpu)), number(c.middle(perSecond)))
	}
	fmt.Fprintf(&p.out, "\nMemory of the process after these: %s.\n\n%s", octets(memoryOf(p, product.pid)), t)
	d.Proc.Stop()
}

// durabilities are what it costs that a charge is on the disk before it is answered.
func (p *part) durabilities(letters *load.Letters, noop filter) {
	const sessions = 64
	plan := load.Plan{Sessions: sessions, Letters: letters}
	bare := &contender{filter: noop, plan: plan}
	all := []*contender{bare}
	kinds := []string{"process", "power"}
	for _, kind := range kinds {
		_, f := p.startProduct(limits, fmt.Sprintf("[state]\ndurability = %q\n", kind))
		all = append(all, &contender{filter: f, plan: plan})
	}
	p.compete(all...)
	t := newTable(fmt.Sprintf("`durability`, %d sessions", sessions), "CPU µs a message", "ratio to the no-op", "messages/s", "p50 ms", "p99 ms")
	for i, kind := range kinds {
		c := all[i+1]
		t.row(kind+c.note(), number(c.middle(cpu)), number(c.against(bare, cpu)), number(c.middle(perSecond)), number(c.middle(p50)), number(c.middle(p99)))
	}
	fmt.Fprintf(&p.out, "\n%s", t)
}
