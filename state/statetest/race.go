package statetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"o2n-milter/state"
)

// together runs f in n goroutines and waits for all.
func together(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

func testRace(_ *testing.T, s *suite) {
	const sessions, tries, places = 32, 20, 400
	w := window("minute", "account:a", time.Minute, places)
	var passed atomic.Int64
	together(sessions, func(int) {
		for range tries {
			answer, err := s.Take(s.ctx, start, state.Ask{Charges: []state.Charge{charge(w, 1)}})
			if err != nil {
				s.Error(err)
			} else if len(answer.Full) == 0 {
				passed.Add(1)
			}
		}
	})
	if passed.Load() != places {
		s.Errorf("%d passed of %d; want exactly %d", passed.Load(), sessions*tries, places)
	}
	s.used(start, []state.Window{w}, places)
}

// Accounts of one customer, each with a window of its own, named in both orders:
// what each window holds is what passed, for the customer in sum.
func testMixedRace(_ *testing.T, s *suite) {
	const sessions, tries, accounts, each, all = 16, 40, 8, 30, 200
	customer := window("hour", "customer:C-1", time.Hour, all)
	var passed [accounts]atomic.Int64
	together(sessions, func(i int) {
		for n := range tries {
			a := (i + n) % accounts
			charges := []state.Charge{charge(account(a, each), 1), charge(customer, 1)}
			if n%2 == 1 {
				charges[0], charges[1] = charges[1], charges[0]
			}
			answer, err := s.Take(s.ctx, start, state.Ask{Charges: charges})
			if err != nil {
				s.Error(err)
			} else if len(answer.Full) == 0 {
				passed[a].Add(1)
			}
		}
	})
	var total int64
	for a := range accounts {
		n := passed[a].Load()
		s.used(start, []state.Window{account(a, each)}, n)
		total += n
	}
	s.used(start, []state.Window{customer}, total)
	if total != all {
		s.Errorf("%d passed; want exactly %d", total, all)
	}
}

func account(i int, limitMax int64) state.Window {
	return window("minute", fmt.Sprintf("account:a%d", i), time.Minute, limitMax)
}
