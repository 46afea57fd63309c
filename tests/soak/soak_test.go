//go:build mta

package soak

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"o2n-milter/tests/campaign"
	"o2n-milter/tests/daemon"
	"o2n-milter/tests/mta"
)

// usual is how long it takes unless SOAK says otherwise.
const usual = 90 * time.Second

// traffic is one kind of mail or visit, and how long it rests after each.
type traffic struct {
	name string
	do   func(*rand.Rand)
	rest time.Duration
}

func (p *place) traffic() []traffic {
	return []traffic{
		{"people", p.people, 150 * time.Millisecond},
		{"more people", p.people, 150 * time.Millisecond},
		{"over the limit", p.burst(info), 3 * time.Second},
		{"held", p.burst(bob), 20 * time.Second},
		{"bulk", p.bulk, 4 * time.Second},
		{"forged", p.forge, time.Second},
		{"too many recipients", p.crowd, 2 * time.Second},
		{"programs", p.program, 4 * time.Second},
		{"vanishing clients", p.vanish, time.Second},
		{"vanishing peers", p.peers, time.Second},
		{"visitors", p.visitors, 500 * time.Millisecond},
		{"operators", p.operators, 2 * time.Second},
	}
}

// run is a soak in progress. Who does something holds the gate for reading, who
// measures for writing: then all is at rest.
type run struct {
	*place
	gate  sync.RWMutex
	begun time.Time
	step  time.Duration // between samples
	list  []sample
}

func TestSoak(t *testing.T) {
	total := usual
	if told := os.Getenv("SOAK"); told != "" {
		var err error
		if total, err = time.ParseDuration(told); err != nil || total < time.Minute {
			t.Fatalf("SOAK=%s: %v; want a minute at least", told, err)
		}
	}
	count := campaign.Counting(t, "soak", "letters of all kinds, ending in one way and charged once")
	rng := campaign.Rand(t)
	r := &run{place: open(t), begun: time.Now(), step: min(max(total/20, 5*time.Second), time.Minute)}
	stop := r.start(rng)
	defer stop()
	fmt.Println(tableHead)
	r.keepOn(t, total)
	r.Proc.Kill() // in the middle of it all
	stop()
	r.Daemon.Start(t)
	r.settle(t, count)
	r.check(t, count)
	r.stop(t)
	half := r.list[slices.IndexFunc(r.list, func(s sample) bool { return s.at >= total/2 }):]
	if len(half) < 5 || half[0].pid != half[len(half)-1].pid {
		t.Fatalf("%d samples in the second half, of processes %d to %d; want 5 of one", len(half), half[0].pid, half[len(half)-1].pid)
	}
	said, over := growth(half)
	fmt.Printf("\nsoak of %v: %s in its second half\n", total, strings.Join(said, ", "))
	if len(over) > 0 {
		t.Errorf("it grows: %s", strings.Join(over, ", "))
	}
}

// start has all traffic begin, until the function that it returns is called.
func (r *run) start(rng *rand.Rand) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	for _, kind := range r.traffic() {
		own := rand.New(rand.NewPCG(rng.Uint64(), rng.Uint64()))
		wg.Go(func() {
			for {
				r.gate.RLock()
				kind.do(own)
				r.gate.RUnlock()
				select {
				case <-done:
					return
				case <-time.After(kind.rest/2 + time.Duration(own.Int64N(int64(kind.rest)))):
				}
			}
		})
	}
	return sync.OnceFunc(func() { close(done); wg.Wait() })
}

// keepOn makes trouble in the middle of each step and measures at its end. In the last
// two thirds the daemon's process stays the same, and is as it is shipped.
func (r *run) keepOn(t *testing.T, total time.Duration) {
	t.Helper()
	for i := 0; time.Since(r.begun) < total; i++ {
		what := troubles[i%len(troubles)]
		switch alone := time.Since(r.begun) > total/3; {
		case alone && r.file != daemon.Program(t):
			what = trouble{name: "as shipped", do: asShipped}
		case alone && what.ends:
			what = trouble{name: "", do: func(*testing.T, *place) {}}
		}
		time.Sleep(r.step / 2)
		what.do(t, r.place)
		time.Sleep(r.step / 2)
		r.gate.Lock()
		s := r.measure(t, r.begun, what.name)
		r.readLog(t)
		r.gate.Unlock()
		r.list = append(r.list, s)
		fmt.Println(s.row())
		if faults := r.book.faulty(); len(faults) > 0 {
			t.Fatalf("%d faults:\n%s", len(faults), strings.Join(faults[:min(len(faults), 10)], "\n"))
		}
	}
}

// settle waits until every letter has had its outcome. Local mail that was put off
// comes again within a minute (pickup(8)).
func (r *run) settle(t *testing.T, count *campaign.Count) {
	t.Helper()
	var wrong []string
	for end := time.Now().Add(3 * time.Minute); time.Now().Before(end); time.Sleep(time.Second) {
		r.book.deliver(r.sink.Take())
		if wrong = r.book.waiting(); len(wrong) == 0 && r.Held(t) == 0 {
			break
		}
	}
	mta.Poll(t, "nothing is held", func() bool { return strings.Count(r.Command(t, "held", "list", "--json"), `"queue_id"`) == 0 })
	r.Drain(t)
	r.book.deliver(r.sink.Take())
	wrong = r.book.waiting()
	for range r.book.serial - len(wrong) {
		count.Held()
	}
	for range wrong {
		count.Failed()
	}
	if len(wrong) > 0 {
		t.Errorf("%d letters without their outcome:\n%s", len(wrong), strings.Join(wrong[:min(len(wrong), 20)], "\n"))
	}
}

// check compares what the daemon knows with what we know.
func (r *run) check(t *testing.T, count *campaign.Count) {
	t.Helper()
	for account, want := range r.book.charges() {
		used := r.used(t, "account:"+account)
		if used < want[0] || used > want[1] {
			count.Failed()
			t.Errorf("%s is charged %d; want %d to %d", account, used, want[0], want[1])
		}
		fmt.Printf("%s is charged %d, of %d to %d\n", account, used, want[0], want[1])
	}
	// What the server put off is for the time without a filter, of which there is little.
	if last := r.list[len(r.list)-1]; last.away*50 > last.letters {
		t.Errorf("%d of %d letters met no filter or had no answer", last.away, last.letters)
	}
	list := r.Command(t, "block", "list", "--json")
	for _, subject := range r.book.told() {
		if !strings.Contains(list, `"`+subject+`"`) {
			t.Errorf("the block of %s is lost", subject)
		}
	}
}

// used is what the window of a month holds.
func (r *run) used(t *testing.T, subject string) int64 {
	t.Helper()
	var u struct {
		Windows []struct {
			Limit string
			Used  int64
		}
	}
	r.JSON(t, &u, "usage", subject)
	for _, w := range u.Windows {
		if w.Limit == "month" {
			return w.Used
		}
	}
	return 0
}
