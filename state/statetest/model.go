package statetest

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"o2n-milter/state"
)

// model remembers every charge for ever and counts without slots.
type model struct {
	events map[name][]event
}

type name struct{ limit, subject string }

type event struct {
	at   time.Time
	cost int64
}

// used is the sum over the window that ends at now, an age of exactly W included.
func (m model) used(w state.Window, now time.Time, length time.Duration) int64 {
	var sum int64
	for _, e := range m.events[name{w.Limit, w.Subject}] {
		if now.Sub(e.at) <= length {
			sum += e.cost
		}
	}
	return sum
}

func (m model) charge(charges []state.Charge, now time.Time) {
	for _, c := range charges {
		n := name{c.Limit, c.Subject}
		m.events[n] = append(m.events[n], event{now, c.Cost})
	}
}

// testModel drives random traffic through store and model: what passes was never
// over Max in the true window, and what is refused would still be over if every
// charge counted W/60 longer than it must.
func testModel(t *testing.T, s *suite) {
	for _, seed := range []uint64{1, 2, 3} {
		rnd := rand.New(rand.NewPCG(seed, 20))
		m := model{events: make(map[name][]event)}
		now := start
		passed, refused := 0, 0
		for range 700 {
			now = now.Add(gap(rnd))
			charges := traffic(rnd, seed)
			answer, err := s.Take(s.ctx, now, state.Ask{Charges: charges})
			if err != nil {
				t.Fatal(err)
			}
			full := answer.Full
			if len(full) == 0 {
				passed++
			} else {
				refused++
			}
			m.check(t, now, charges, full)
		}
		if passed < 100 || refused < 100 {
			t.Errorf("seed %d: %d passed, %d refused; the traffic shows nothing", seed, passed, refused)
		}
	}
}

// gap is mostly short, sometimes long enough for every window to empty.
func gap(rnd *rand.Rand) time.Duration {
	if rnd.IntN(50) == 0 {
		return time.Duration(rnd.Int64N(int64(3 * time.Minute)))
	}
	return time.Duration(rnd.Int64N(int64(3 * time.Second)))
}

func traffic(rnd *rand.Rand, seed uint64) []state.Charge {
	windows := []state.Window{
		{Limit: "seconds", Length: 7 * time.Second, Max: 4},
		{Limit: "minute", Length: time.Minute, Max: 20},
		{Limit: "recipients", Length: 61*time.Second + 7, Max: 60},
	}
	var charges []state.Charge
	subject := fmt.Sprintf("account:%d-%d", seed, rnd.IntN(2))
	for _, w := range windows {
		w.Subject = subject
		if cost := rnd.Int64N(4); rnd.IntN(4) > 0 {
			charges = append(charges, charge(w, cost))
		}
	}
	return charges
}

// check compares the answer with the model and charges the model.
func (m model) check(t *testing.T, now time.Time, charges []state.Charge, full []state.Full) {
	t.Helper()
	reported := make(map[int]state.Full)
	for _, f := range full {
		reported[f.Index] = f
	}
	for i, c := range charges {
		f, isFull := reported[i]
		least := m.used(c.Window, now, c.Length)
		most := m.used(c.Window, now, c.Length+c.Length/60)
		if !isFull && c.Cost > 0 && least+c.Cost > c.Max {
			t.Fatalf("%s: %s: passed %d where the true window held %d of %d", now, c.Limit, c.Cost, least, c.Max)
		}
		if isFull && most+c.Cost <= c.Max {
			t.Fatalf("%s: %s: refused %d where W and W/60 held %d of %d", now, c.Limit, c.Cost, most, c.Max)
		}
		if isFull && (f.Used < least || f.Used > most) {
			t.Fatalf("%s: %s: used %d; the model says %d to %d", now, c.Limit, f.Used, least, most)
		}
		if isFull && c.Cost <= c.Max {
			m.checkFree(t, now, c, f.Free)
		}
	}
	if len(full) == 0 {
		m.charge(charges, now)
	}
}

// checkFree wants the place to be free by the model, and not one W/60 before.
func (m model) checkFree(t *testing.T, now time.Time, c state.Charge, free time.Time) {
	t.Helper()
	if !free.After(now) {
		t.Fatalf("%s: %s: free at %s, before now", now, c.Limit, free)
	}
	if used := m.used(c.Window, free, c.Length); used+c.Cost > c.Max {
		t.Fatalf("%s: %s: said to be free at %s, where %d of %d are used", now, c.Limit, free, used, c.Max)
	}
	if used := m.used(c.Window, free.Add(-1), c.Length+c.Length/60); used+c.Cost <= c.Max {
		t.Fatalf("%s: %s: said to be full until %s, where it was free before", now, c.Limit, free)
	}
}
