package rules

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"o2n-milter/message"
	"o2n-milter/state"
)

// budget is what an adapter gives a decision.
const budget = 8 * time.Second

// hall is a gate and who went through it, in order.
type hall struct {
	*gate
	t    *testing.T
	mu   sync.Mutex
	in   []string
	away []string // and why
}

func newHall(t *testing.T, room int) *hall { return &hall{gate: &gate{room: room}, t: t} }

// come has somebody come in and stay for a while; it returns when he has entered or waits.
func (h *hall) come(name string, weight int, stays, budget time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), budget)
	go func() {
		defer cancel()
		_, err := h.enter(ctx, weight)
		h.mu.Lock()
		if err == nil {
			h.in = append(h.in, name)
		} else {
			h.away = append(h.away, fmt.Sprintf("%s: %v", name, err))
		}
		h.mu.Unlock()
		if err == nil {
			time.Sleep(stays) // with none, he is out again at once
			h.leave(weight)
		}
	}()
	synctest.Wait()
}

func (h *hall) want(what string, in, away []string) {
	h.t.Helper()
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.Equal(h.in, in) || !slices.Equal(h.away, away) {
		h.t.Errorf("%s: in %q, want %q; turned away %q, want %q", what, h.in, in, h.away, away)
	}
}

// Who comes first goes in first, whatever he weighs, and no more than there is room for.
func TestGateOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, 3)
		h.come("a", 1, time.Second, budget)
		h.come("b", 2, 2*time.Second, budget)
		h.want("full", []string{"a", "b"}, nil)
		h.come("c", 2, time.Second, budget)
		h.come("d", 2, time.Second, budget)
		h.come("light", 1, time.Second, budget) // there is room for it before there is for the others
		h.come("heavy", 9, time.Second, 2*budget)
		time.Sleep(time.Second)
		h.want("a is out", []string{"a", "b"}, nil)
		time.Sleep(time.Second)
		h.want("b is out", []string{"a", "b", "c"}, nil)
		time.Sleep(time.Second)
		synctest.Wait()
		slices.Sort(h.in[3:]) // these two go in together
		h.want("c is out", []string{"a", "b", "c", "d", "light"}, nil)
		time.Sleep(time.Second)
		h.want("the heavy one is in, alone", []string{"a", "b", "c", "d", "light", "heavy"}, nil)
		h.gate.mu.Lock()
		if h.inside != 9 || h.behind != 0 || len(h.line) != 0 {
			t.Errorf("inside %d, in line %d of %d", h.inside, h.behind, len(h.line))
		}
		h.gate.mu.Unlock()
		time.Sleep(time.Second)
		synctest.Wait()
		if h.inside != 0 {
			t.Errorf("%d are in an empty hall", h.inside)
		}
	})
}

// Nobody waits for longer than half of his time, and who gives up holds up nobody.
func TestGatePatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, 1)
		h.come("a", 1, 4*time.Second, budget)
		h.come("at max", 1, 0, 8*time.Second+2*time.Nanosecond) // waits for half of it
		h.want("in line", []string{"a"}, nil)
		time.Sleep(4 * time.Second)
		h.want("just in time", []string{"a", "at max"}, nil)
		h.come("b", 1, 5*time.Second, budget)
		h.come("c", 1, time.Second, 8*time.Second)
		h.come("d", 1, time.Second, 12*time.Second)
		time.Sleep(4*time.Second - time.Nanosecond)
		h.want("before", []string{"a", "at max", "b"}, nil)
		time.Sleep(time.Nanosecond)
		h.want("after", []string{"a", "at max", "b"}, []string{"c: it has waited for 4s"})
		time.Sleep(time.Second)
		h.want("d was behind c", []string{"a", "at max", "b", "d"}, []string{"c: it has waited for 4s"})
		time.Sleep(time.Hour)
	})
}

// Who is asked for by somebody without a deadline waits for ever, and who is not waited
// for any more does not.
func TestGateContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{room: 1}
		g.enter(t.Context(), 1)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		for _, c := range []context.Context{ctx, context.WithoutCancel(ctx)} {
			go func() { _, err := g.enter(c, 1); ended <- err }()
		}
		time.Sleep(time.Hour)
		cancel()
		if err := <-ended; err == nil || err.Error() != "it has waited for 1h0m0s" {
			t.Error(err)
		}
		g.leave(1)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// When the pace is known, who would wait for too long is turned away at once.
func TestGatePace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, 1)
		for i := range 12 {
			h.come(fmt.Sprint(i), 1, 500*time.Millisecond, 16*time.Second) // nobody knows yet that one takes half a second
		}
		time.Sleep(1250 * time.Millisecond) // two are out, nine in line
		h.come("at max", 1, 0, 2*(6250*time.Millisecond))
		h.want("it would wait as long as it can", []string{"0", "1", "2"}, nil)
		h.come("over it", 1, 0, 2*(6250*time.Millisecond))
		h.want("it would wait longer", []string{"0", "1", "2"}, []string{"over it: it would have waited for 6.875s"})
		time.Sleep(time.Hour)
		h.come("next", 1, 0, time.Second)
		if got := h.in[len(h.in)-1]; got != "next" || len(h.away) != 1 {
			t.Errorf("when all is over: in %q, turned away %q", h.in, h.away)
		}
	})
}

// What is turned away is a verdict of its own, and no trace of it is in the store.
func TestOverload(t *testing.T) {
	const text = "Too much mail at once, please try again later. [internal.overload "
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, fiveLimits)
		b.gate.room = 1
		b.gate.enter(t.Context(), 1)
		b.Engine = b.Next(b.set, b.accounts) // a reload changes nothing
		decide := func(m *Mail) Verdict {
			ctx, cancel := context.WithTimeout(t.Context(), budget)
			defer cancel()
			begun := time.Now()
			v := b.Decide(ctx, m)
			if took := time.Since(begun); took != budget/2 {
				t.Errorf("took %v", took)
			}
			return v
		}
		v := decide(mail())
		check(t, v, Tempfail, "internal.overload")
		if v.Reply() != "451 4.3.2 "+text+v.ID+"]" || !errors.Is(v.Err, errOverload) || !v.Judged || len(v.Charges) != 0 {
			t.Errorf("%q, %v", v.Reply(), v.Err)
		}
		if _, err := b.store.Decision(t.Context(), v.ID); !errors.Is(err, state.ErrNotFound) {
			t.Errorf("recorded: %v", err)
		}
		m := local("x@web1.example")
		m.CanHold = true
		check(t, decide(m), Tempfail, "internal.overload") // and not held: the next try passes
		inShadow := b.set
		inShadow.AllShadow = true
		b.Engine = b.Next(inShadow, b.accounts)
		v = decide(mail())
		if v.Action != Accept || v.Rule != "internal.overload" || v.Err == nil || len(v.Evidence) != 1 || !v.Evidence[0].Shadow {
			t.Errorf("in shadow: %s by %s, %v, %v", v.Action, v.Rule, v.Evidence, v.Err)
		}
		v = Overloaded(m, start, errors.New("why"))
		check(t, v, Tempfail, "internal.overload")
		if !strings.HasPrefix(v.Text, text) || v.At != start || v.Err.Error() != "overload\nwhy" {
			t.Errorf("%q at %v: %v", v.Text, v.At, v.Err)
		}
	})
}

// What is not judged does not wait, and what has waited is judged by the time at which
// that is over.
func TestOverloadPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *Settings) { s.Ours = func(string, []string) bool { return true } })
		b.gate.room = 1
		b.gate.enter(t.Context(), 1)
		check(t, b.Decide(t.Context(), &Mail{}), Accept, "none")
		check(t, b.Decide(t.Context(), local("o2n@mx.example", "X-O2N-Notice: N1")), Accept, "none")
		decided := make(chan Verdict)
		go func() { decided <- b.Decide(t.Context(), mail()) }()
		synctest.Wait()
		later := start.Add(3 * time.Second)
		b.at = later
		b.gate.leave(1)
		v := <-decided
		check(t, v, Accept, "none")
		if v.At != later || b.gate.inside != 0 {
			t.Errorf("at %v, %d inside", v.At, b.gate.inside)
		}
	})
}

// A long line turns mail away at its first recipient, but none that is not judged, nor what
// Postfix cannot refuse there.
func TestTurnsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		h := &hall{gate: b.gate, t: t}
		h.room = 1
		ask := func(m *Mail, budget time.Duration) bool {
			v, away := b.TurnsAway(m, budget)
			if away {
				check(t, v, Tempfail, "internal.overload")
				if v.Err == nil || v.At != start {
					t.Errorf("%v at %v", v.Err, v.At)
				}
			}
			return away
		}
		for i := range 6 {
			h.come(fmt.Sprint(i), 1, 500*time.Millisecond, time.Minute)
		}
		if ask(mail(), time.Nanosecond) {
			t.Error("turned away while nobody knows how long it would take")
		}
		time.Sleep(750 * time.Millisecond) // one is out, four are in line: it would be 5 times 750 ms
		synctest.Wait()
		if ask(mail(), hintShare*3750*time.Millisecond) {
			t.Error("turned away at max")
		}
		if !ask(mail(), hintShare*3750*time.Millisecond-hintShare) {
			t.Error("let in over it")
		}
		for what, m := range map[string]*Mail{"inbound": {}, "local": local("x@web1.example"), "loopback": {Client: netip.MustParseAddr("127.0.0.1")}} {
			if ask(m, time.Nanosecond) {
				t.Errorf("%s: turned away", what)
			}
		}
		inShadow := b.set
		inShadow.AllShadow = true
		b.Engine = b.Next(inShadow, b.accounts)
		if ask(mail(), time.Nanosecond) {
			t.Error("turned away in shadow")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if ask(mail(), 0) {
			t.Error("turned away from an empty hall")
		}
	})
}

// A panic leaves the gate, too.
func TestGateAfterPanic(t *testing.T) {
	b := newBench(t, nil)
	b.accounts = brokenSource{}
	check(t, b.Decide(t.Context(), mail()), Tempfail, "internal.panic")
	if b.gate.inside != 0 {
		t.Errorf("%d inside", b.gate.inside)
	}
}

func TestWeight(t *testing.T) {
	for octets, want := range map[int]int{0: 1, weightOctets - 1: 1, weightOctets: 2, weightOctets + 1: 2, MaxBody: 9} {
		if got := weightOf(&Mail{Body: make([]byte, octets)}); got != want {
			t.Errorf("%d octets weigh %d, want %d", octets, got, want)
		}
		header := []message.Field{{Name: "X", Value: strings.Repeat("a", max(0, octets-2))}, {Name: "Y"}}
		if got := weightOf(&Mail{Header: header}); got != want {
			t.Errorf("%d octets of header weigh %d, want %d", octets, got, want)
		}
	}
	for n, want := range map[int]int{999: 1, 1000: 2, 20_000: 21} {
		if got := weightOf(&Mail{Recipients: make([]Recipient, n)}); got != want {
			t.Errorf("%d recipients weigh %d, want %d", n, got, want)
		}
	}
}

// busyStore is a store behind two processors: what asks it takes turns on them, a
// millisecond each, as goroutines do.
type busyStore struct {
	state.Store
	processors chan struct{}
}

// cost is how long a message needs a processor.
const cost = 20 * time.Millisecond

func (s *busyStore) ActiveBlocks(ctx context.Context, now time.Time, subjects []string) ([]state.Block, error) {
	for range cost / time.Millisecond {
		s.processors <- struct{}{}
		time.Sleep(time.Millisecond)
		<-s.processors
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return s.Store.ActiveBlocks(ctx, now, subjects)
}

// Offered four times what can be judged, from 2,000 sessions and more, as much is judged
// as at the peak, and everybody has an answer in time. Without a gate nothing is: all are
// begun, and none is done when its time is over.
func TestOverloadDoesNotCollapse(t *testing.T) {
	const (
		peak  = int(time.Second/cost) * 2 // a second
		lasts = 12                        // seconds, and the first few do not count:
		first = 4                         // the gate is filled, and the line
	)
	for name, tt := range map[string]struct {
		room  int
		holds bool
	}{"gate": {256, true}, "no gate": {1 << 30, false}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				b.gate.room = tt.room
				b.Engine.store = &busyStore{b.store, make(chan struct{}, 2)}
				var mu sync.Mutex
				var wg sync.WaitGroup
				judged, byRule, slowest := 0, map[string]int{}, time.Duration(0)
				begun := time.Now()
				for range 4 * peak * lasts {
					wg.Go(func() {
						came := time.Now()
						ctx, cancel := context.WithTimeout(context.Background(), budget)
						defer cancel()
						v := b.Decide(ctx, mail())
						mu.Lock()
						defer mu.Unlock()
						byRule[v.Rule]++
						slowest = max(slowest, time.Since(came))
						if at := time.Since(begun); v.Rule == "none" && at > first*time.Second && at <= lasts*time.Second {
							judged++
						}
					})
					time.Sleep(time.Second / time.Duration(4*peak))
				}
				wg.Wait()
				t.Logf("%d of %d judged in %d s, slowest %v: %v", judged, peak*(lasts-first), lasts-first, slowest, byRule)
				holds := judged >= peak*(lasts-first)*9/10 && slowest <= budget && byRule["none"]+byRule["internal.overload"] == 4*peak*lasts
				if holds != tt.holds {
					t.Errorf("it holds: %v, want %v", holds, tt.holds)
				}
			})
		})
	}
}

// Only the body of mail that is going to be judged is worth keeping.
func TestWantsBody(t *testing.T) {
	b := newBench(t, nil)
	for what, tt := range map[string]struct {
		m    *Mail
		want bool
	}{
		"a login": {&Mail{Login: "alice@client-a.example"}, true},
		"local":   {&Mail{Local: true}, true},
		"faulty":  {&Mail{Faults: []string{"command before CONNECT"}}, true},
		"inbound": {&Mail{}, false},
	} {
		if got := b.WantsBody(tt.m); got != tt.want {
			t.Errorf("%s: %v", what, got)
		}
	}
}
