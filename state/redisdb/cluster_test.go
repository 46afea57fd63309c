package redisdb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/state"
	"o2n-milter/state/statetest"
)

// cluster is three masters on loopback.
type cluster [3]*server

func newCluster(t testing.TB) cluster {
	t.Helper()
	var c cluster
	for i := range c {
		bus := freePort(t)
		c[i] = newServer(t, "--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-node-timeout", "1000", "--appendonly", "no")
		lowest, highest := i*slotCount/3, (i+1)*slotCount/3-1
		c[i].do(t, "CLUSTER", "ADDSLOTSRANGE", lowest, highest)
		c[i].do(t, "CLUSTER", "SET-CONFIG-EPOCH", i+1)
		if i > 0 {
			c[i].do(t, "CLUSTER", "MEET", "127.0.0.1", c[0].port, c[0].bus())
		}
	}
	for _, s := range c {
		eventually(t, "the Cluster is whole", func() error {
			info := fmt.Sprint(s.do(t, "CLUSTER", "INFO"))
			if strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:3") {
				return nil
			}
			return errors.New(info)
		})
	}
	return c
}

func (s *server) bus() string {
	for i, a := range s.args {
		if a == "--cluster-port" {
			return s.args[i+1]
		}
	}
	return ""
}

func (c cluster) url() string { return c[0].url() + "?addr=127.0.0.1:" + c[1].port }

func (c cluster) flush(t testing.TB) {
	t.Helper()
	for _, s := range c {
		s.do(t, "FLUSHALL")
	}
}

// on is a subject whose windows are on the n-th server.
func on(n int, name string) string {
	for i := 0; ; i++ {
		subject := fmt.Sprintf("account:%s%d", name, i)
		if slotOf(escape(subject))*3/slotCount == n {
			return subject
		}
	}
}

func TestCluster(t *testing.T) {
	c := newCluster(t)
	t.Run("suite", func(t *testing.T) {
		statetest.Run(t, func(t *testing.T) state.Store {
			c.flush(t)
			return open(t, Options{URL: c.url(), HostTime: true, Log: testLog(t)})
		})
	})
	t.Run("slots", func(t *testing.T) { testSlots(t, c) })
	t.Run("taken back", func(t *testing.T) { testTakenBack(t, c) })
	t.Run("letter taken back", func(t *testing.T) { testLetterTakenBack(t, c) })
	t.Run("never over", func(t *testing.T) { testNeverOver(t, c) })
	t.Run("blocks at once", func(t *testing.T) { c.flush(t); testBlocksAtOnce(t, c.url()) })
	t.Run("a server away", func(t *testing.T) { testClusterServerAway(t, c) })
	t.Run("address of one server", func(t *testing.T) { testNotAsCluster(t, c) })
}

func testSlots(t *testing.T, c cluster) {
	for _, subject := range []string{"account:a", "a", "account:{a}", "account:é\x00", strings.Repeat("x", 4000)} {
		wants(t, subject, c[0].do(t, "CLUSTER", "KEYSLOT", limitKey("minute", subject)), slotOf(escape(subject)))
		wants(t, subject, c[0].do(t, "CLUSTER", "KEYSLOT", setKey("r", subject)), slotOf(escape(subject)))
	}
	for _, key := range docKeys {
		wants(t, key, c[0].do(t, "CLUSTER", "KEYSLOT", key), slotOf("docs"))
	}
}

// What the slots before the full one were charged is taken back; all that is full is
// reported, in whatever slot it is; members become known only when all have passed.
func testTakenBack(t *testing.T, c cluster) {
	c.flush(t)
	s := open(t, Options{URL: c.url()})
	a, b, d := on(0, "a"), on(1, "b"), on(2, "c")
	hour := func(subject string, most int64) state.Window { return window("hour", subject, time.Hour, most) }
	to := state.Charge{Window: window("new", a, time.Hour, 10), Set: "recipients", Members: []string{"r1", "r2"}, Remember: time.Hour}
	message := []state.Charge{
		{Window: hour(d, 1), Cost: 1}, to, {Window: hour(b, 1), Cost: 1}, {Window: hour(a, 5), Cost: 1},
		{Window: window("shadow", a, time.Hour, 0), Cost: 1, CountOnly: true},
	}
	all := []state.Window{hour(d, 1), to.Window, hour(b, 1), hour(a, 5)}
	holds := func(want ...int64) {
		t.Helper()
		u, err := s.Usage(t.Context(), time.Now(), all)
		if err != nil {
			t.Fatal(err)
		}
		var got []int64
		for _, x := range u {
			got = append(got, x.Used)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("used (-want +got):\n%s", diff)
		}
	}
	answer := passes(t, s, false, message) // only the shadow is full
	wants(t, "full", len(answer.Full), 1)
	wants(t, "costs", answer.Costs, []int64{1, 2, 1, 1, 1})
	holds(1, 2, 1, 1)
	to.Members = append(to.Members, "r3")
	message[1] = to
	answer = passes(t, s, false, message)
	if len(answer.Full) != 2 || answer.Full[0].Index != 0 || answer.Full[1].Index != 2 || answer.Full[0].Used != 1 || answer.Full[0].Free.IsZero() {
		t.Errorf("full: %+v; want charges 0 and 2 with 1 each, and when they are free", answer.Full)
	}
	wants(t, "costs", answer.Costs, []int64{1, 1, 1, 1, 1})
	wants(t, "the first window", answer.Windows[3].Used, 1)
	holds(1, 2, 1, 1)
	passes(t, s, true, []state.Charge{to}) // r3 was not put there: it costs, and fits
	holds(1, 3, 1, 1)
}

// Messages of which some are refused by the last slot never bring the first over.
func testNeverOver(t *testing.T, c cluster) {
	c.flush(t)
	s := open(t, Options{URL: c.url()})
	first, last := window("hour", on(0, "a"), time.Hour, 40), window("hour", on(2, "b"), time.Hour, 1<<40)
	never := window("hour", on(1, "c"), time.Hour, 0)
	var passed atomic.Int64
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 20 {
				charges := []state.Charge{{Window: first, Cost: 1}, {Window: last, Cost: 1}}
				if (i+n)%2 == 0 {
					charges[1] = state.Charge{Window: never, Cost: 1}
				}
				a, err := s.Take(context.Background(), time.Now(), state.Ask{Charges: charges})
				if err != nil {
					t.Error(err)
				} else if len(a.Full) == 0 {
					passed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	for { // places refused while another message held them for a moment
		a, err := s.Take(t.Context(), time.Now(), state.Ask{Charges: []state.Charge{{Window: first, Cost: 1}, {Window: last, Cost: 1}}})
		if err != nil {
			t.Fatal(err)
		}
		if len(a.Full) > 0 {
			break
		}
		passed.Add(1)
	}
	wants(t, "passed", passed.Load(), first.Max)
	wants(t, "first", used(t, s, first), first.Max)
	wants(t, "last", used(t, s, last), first.Max)
}

// With one server away its messages get an error within the budget, and what others
// were charged for them counts, if at all, too much.
func testClusterServerAway(t *testing.T, c cluster) {
	c.flush(t)
	s := open(t, Options{URL: c.url(), Budget: short})
	there, away := window("hour", on(0, "a"), time.Hour, 100), window("hour", on(2, "b"), time.Hour, 100)
	message := []state.Charge{{Window: there, Cost: 1}, {Window: away, Cost: 1}}
	passes(t, s, true, message)
	c[2].signal(t, syscall.SIGSTOP)
	begin := time.Now()
	if _, err := s.Take(t.Context(), time.Now(), state.Ask{Charges: message}); !errors.Is(err, state.ErrUnavailable) {
		t.Errorf("take: %v; want %v", err, state.ErrUnavailable)
	}
	if took := time.Since(begin); took > time.Second {
		t.Errorf("the answer took %s; want at most a second", took)
	}
	c[2].signal(t, syscall.SIGCONT)
	eventually(t, "the Cluster is back", func() error {
		_, err := s.Take(context.Background(), time.Now(), state.Ask{Charges: message})
		return err
	})
	if n, m := used(t, s, there), used(t, s, away); n < 2 || m < 2 {
		t.Errorf("windows hold %d and %d; want at least the 2 that passed", n, m)
	}
}

func testNotAsCluster(t *testing.T, c cluster) {
	s := open(t, Options{URL: c[0].url()})
	st, err := s.Status(t.Context(), time.Now())
	if err != nil || !strings.Contains(st.Degraded, "part of a Cluster; want its address with ?addr=") {
		t.Errorf("status %q, error %v; want it to say how a Cluster's address is written", st.Degraded, err)
	}
}
