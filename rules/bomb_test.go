package rules

import (
	"runtime"
	"slices"
	"testing"
	"time"

	"o2n-milter/message"
	"o2n-milter/tests/bombs"
	"o2n-milter/tests/campaign"
)

// What judging one mail may cost, whatever it holds: processor time, on a free machine, and
// bytes of memory taken for it in turn. An honest page of MaxBody takes a hundredth of that.
const (
	mostTime  = 300 * time.Millisecond
	mostBytes = 192 << 20
)

// shorter is by how much bombs are smaller where the campaign is short: they may take as
// much less.
var shorter = campaign.Pick(4, 1)

// price is what a bomb takes of this thread's time and of memory.
type price struct {
	took  time.Duration
	bytes uint64
}

// judging is an engine and what an honest page of MaxBody takes there.
type judging struct {
	*bench
	t      *testing.T
	honest bombs.Bomb
}

// honestPage is what it takes of a processor of 2020.
const honestPage = 3 * time.Millisecond

func newJudging(t *testing.T) *judging {
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
	j := &judging{bench: newBench(t, func(s *Settings) { fiveLimits(s); bulkActions(s) }), t: t}
	j.honest = bombs.Shape{Name: "honest", Type: "text/html", Pattern: []string{
		`<tr><td style="padding:10px 20px;font-size:14px;color:#333333" align="left"><a href="https://links.example/c/%d">Atelier %d</a><br>`,
		"L'entr&eacute;e est libre, and word%d is in it<b>not%d</b> twice.</td></tr>\r\n",
	}}.Make(MaxBody, true)
	return j
}

// of is the price of one. Where it is too high, the time is that of a free machine: an
// honest page, judged in the same moment, says how busy or slow this one is.
func (j *judging) of(b bombs.Bomb, most time.Duration) price {
	j.t.Helper()
	p := j.once(b)
	for range 3 {
		if p.took <= most {
			break
		}
		again, honest := j.once(b), j.once(j.honest).took
		p.took = min(p.took, again.took*honestPage/max(honest, honestPage))
	}
	return p
}

func (j *judging) once(b bombs.Bomb) price {
	j.t.Helper()
	m := mail()
	m.Header = nil
	for _, f := range b.Header {
		m.Header = append(m.Header, message.Field{Name: f.Name, Value: f.Value})
	}
	m.Body, m.Size = []byte(b.Body), int64(len(b.Body))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin := threadTime(j.t)
	v := j.Decide(j.t.Context(), m)
	took := threadTime(j.t) - begin
	runtime.ReadMemStats(&after)
	if v.Err != nil {
		j.t.Fatalf("%s: %v", b.Name, v.Err)
	}
	return price{time.Duration(took), after.TotalAlloc - before.TotalAlloc}
}

// check wants a bomb to cost what one may.
func (j *judging) check(b bombs.Bomb) (held bool) {
	j.t.Helper()
	mostTime, mostBytes := mostTime/time.Duration(shorter), uint64(mostBytes/shorter)
	p := j.of(b, mostTime)
	j.t.Logf("%v, %d MiB: %s", p.took.Round(time.Millisecond), p.bytes>>20, b.Name)
	if held = p.took <= mostTime && p.bytes <= mostBytes; !held {
		j.t.Errorf("%s: takes %v and %d MiB; want at most %v and %d", b.Name, p.took, p.bytes>>20, mostTime, mostBytes>>20)
	}
	return held
}

// TestBombs: what has been dear once, and what a search by chance finds, costs no more than
// a mail may.
func TestBombs(t *testing.T) {
	j := newJudging(t)
	count := campaign.Counting(t, "cost bombs", "one mail's price")
	try := func(b bombs.Bomb) {
		if j.check(b) {
			count.Held()
		} else {
			count.Failed()
		}
	}
	for _, s := range bombs.Known {
		try(s.Make(s.Size()/shorter, false))
		if s.Field != "" && campaign.Long() {
			try(s.Make(s.Size()/shorter, true))
		}
	}
	try(bombs.Fields(20_000))
	dearest := j.search(campaign.Pick(time.Second, 90*time.Second), count)
	for _, s := range dearest[:min(len(dearest), campaign.Pick(1, 5))] {
		try(s.Make(s.Size()/shorter, false))
		if s.Field != "" {
			try(s.Make(s.Size()/shorter, true))
		}
	}
}

// search climbs from shapes by chance to dearer ones nearby, for so long, and gives the
// tops it came to, the dearest first. It tries them small: what grows faster than its
// length is dear then already.
func (j *judging) search(long time.Duration, count *campaign.Count) []bombs.Shape {
	const size = 64 << 10
	type top struct {
		bombs.Shape
		took time.Duration
	}
	r := campaign.Rand(j.t)
	var tops []top
	for end := time.Now().Add(long); time.Now().Before(end); {
		s := bombs.Random(r)
		here := top{s, j.once(s.Make(size, true)).took}
		for failed := 0; failed < 40 && time.Now().Before(end); failed++ {
			next := here.Change(r)
			count.Held()
			if took := j.once(next.Make(size, true)).took; took > here.took*21/20 {
				here, failed = top{next, took}, 0
			}
		}
		tops = append(tops, here)
	}
	slices.SortFunc(tops, func(a, b top) int { return int(b.took - a.took) })
	list := make([]bombs.Shape, len(tops))
	for i, each := range tops {
		list[i] = each.Shape
	}
	return list
}
