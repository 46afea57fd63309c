package statetest

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/state"
)

// leaves is when what is charged at start leaves a one-minute window: its slot, a
// second long, ends at the full second.
var leaves = start.Truncate(time.Second).Add(61 * time.Second)

func testMax(_ *testing.T, s *suite) {
	for _, limitMax := range []int64{1, 2, 10} {
		w := window("minute", "account:"+strings.Repeat("a", int(limitMax)), time.Minute, limitMax)
		one := []state.Charge{charge(w, 1)}
		for used := range limitMax {
			s.used(start, []state.Window{w}, used)
			s.take(start, one)
		}
		s.take(start, one, state.Full{Used: limitMax, Free: leaves})
		s.used(start, []state.Window{w}, limitMax)
	}
	w := window("recipients", "account:b", time.Minute, 10)
	s.take(start, []state.Charge{charge(w, 9)})
	s.take(start, []state.Charge{charge(w, 2)}, state.Full{Used: 9, Free: leaves})
	s.take(start, []state.Charge{charge(w, 1)})
}

func testEdge(_ *testing.T, s *suite) {
	w := window("minute", "account:a", time.Minute, 2)
	one := []state.Charge{charge(w, 1)}
	s.take(start, one)
	later := start.Add(10 * time.Second)
	s.take(later, one)
	// Both count for a whole minute, and at most W/60 longer.
	for _, now := range []time.Time{start.Add(time.Minute - 1), start.Add(time.Minute), leaves.Add(-1)} {
		s.take(now, one, state.Full{Used: 2, Free: leaves})
	}
	s.take(leaves, one)
	s.take(leaves, one, state.Full{Used: 2, Free: leaves.Add(10 * time.Second)})
	two := []state.Charge{charge(w, 2)}
	s.take(leaves, two, state.Full{Used: 2, Free: leaves.Truncate(time.Second).Add(61 * time.Second)})
	s.used(leaves.Add(10*time.Second-1), []state.Window{w}, 2)
	s.used(leaves.Add(10*time.Second), []state.Window{w}, 1)
}

// A step back lets nobody over in true time, and refuses for no longer than W
// after it.
func testClockBack(_ *testing.T, s *suite) {
	w := window("minute", "account:a", time.Minute, 1)
	one := []state.Charge{charge(w, 1)}
	s.take(start, one)
	back := start.Add(-time.Hour)
	refused := func(after time.Duration) {
		s.Helper()
		if a, err := s.Take(s.ctx, back.Add(after), state.Ask{Charges: one}); err != nil || len(a.Full) != 1 {
			s.Fatalf("%s after the step back: full %v, error %v; want one full window", after, a.Full, err)
		}
	}
	refused(0)
	refused(30 * time.Second)
	refused(time.Minute - 1)
	s.take(back.Add(62*time.Second), one)
}

// A call that comes after another one with a later time is counted no earlier.
func testLateCall(_ *testing.T, s *suite) {
	w := window("minute", "account:a", time.Minute, 2)
	one := []state.Charge{charge(w, 1)}
	s.take(start, one)
	s.take(start.Add(-20*time.Second), one)
	s.take(start.Add(-20*time.Second), one, state.Full{Used: 2, Free: leaves.Add(-20 * time.Second)})
	s.take(leaves.Add(-1), one, state.Full{Used: 2, Free: leaves})
	s.take(leaves, one)
}

func testLengthChanged(_ *testing.T, s *suite) {
	minute := window("w", "account:a", time.Minute, 2)
	hour := window("w", "account:a", time.Hour, 2)
	s.take(start, []state.Charge{charge(minute, 1)})
	s.take(start, []state.Charge{charge(hour, 1)})
	s.used(start.Add(time.Hour), []state.Window{hour}, 2)
	s.used(start.Add(time.Hour+2*time.Minute), []state.Window{hour}, 0)
	s.take(start.Add(time.Minute), []state.Charge{charge(minute, 1)}, state.Full{
		Used: 2, Free: start.Truncate(time.Second).Add(2 * time.Minute),
	})
	s.take(start.Add(2*time.Minute), []state.Charge{charge(minute, 2)})
}

func testMaxChanged(_ *testing.T, s *suite) {
	w := window("minute", "account:a", time.Minute, 5)
	s.take(start, []state.Charge{charge(w, 5)})
	w.Max = 3
	s.take(start, []state.Charge{charge(w, 1)}, state.Full{Used: 5, Free: leaves})
	w.Max = 6
	s.take(start, []state.Charge{charge(w, 1)})
	s.take(start, []state.Charge{charge(w, 1)}, state.Full{Used: 6, Free: leaves})
}

func testAllOrNothing(_ *testing.T, s *suite) {
	wide := window("day", "account:a", 24*time.Hour, 10)
	tight := window("minute", "account:a", time.Minute, 1)
	host := window("minute", "host:web1.example", time.Minute, 1)
	all := []state.Window{wide, tight, host}
	message := []state.Charge{charge(wide, 1), charge(tight, 1), charge(host, 1)}
	s.take(start, message)
	s.take(start, message, state.Full{Index: 1, Used: 1, Free: leaves}, state.Full{Index: 2, Used: 1, Free: leaves})
	s.used(start, all, 1, 1, 1)
	s.take(start, []state.Charge{charge(wide, 10), charge(window("minute", "account:b", time.Minute, 1), 1)},
		state.Full{Index: 0, Used: 1, Free: start.Truncate(24 * time.Minute).Add(24*time.Minute + 24*time.Hour)})
	s.used(start, []state.Window{wide, window("minute", "account:b", time.Minute, 1)}, 1, 0)
	s.take(leaves, message)
	s.used(leaves, all, 2, 1, 1)
}

func testSameWindow(_ *testing.T, s *suite) {
	w := window("recipients", "account:a", time.Minute, 3)
	s.take(start, []state.Charge{charge(w, 2), charge(w, 2)}, state.Full{Index: 1, Used: 0})
	s.used(start, []state.Window{w}, 0)
	s.take(start, []state.Charge{charge(w, 1), charge(w, 2)})
	s.used(start, []state.Window{w}, 3)
	s.take(start, []state.Charge{charge(w, 1), charge(w, 1)},
		state.Full{Index: 0, Used: 3, Free: leaves}, state.Full{Index: 1, Used: 3, Free: leaves})
}

func testCountOnly(_ *testing.T, s *suite) {
	shadow := window("shadow", "account:a", time.Minute, 1)
	real := window("real", "account:a", time.Minute, 2)
	message := []state.Charge{{Window: shadow, Cost: 1, CountOnly: true}, charge(real, 1)}
	s.take(start, message)
	s.used(start, []state.Window{shadow, real}, 1, 1)
	// Full, it is reported, and the other is charged.
	s.take(start, message, state.Full{Index: 0, Used: 1, Free: leaves})
	s.used(start, []state.Window{shadow, real}, 1, 2)
	// The other full: only that is reported, and neither is charged.
	shadow.Max = 5
	message[0].Max = 5
	s.take(start, message, state.Full{Index: 1, Used: 2, Free: leaves})
	s.used(start, []state.Window{shadow, real}, 1, 2)
	// Both of one window: what only counts gives way, wherever it stands.
	both := window("both", "account:a", time.Minute, 1)
	s.take(start, []state.Charge{{Window: both, Cost: 1, CountOnly: true}, charge(both, 1)}, state.Full{Index: 0, Used: 0})
	s.used(start, []state.Window{both}, 1)
}

func testCost(_ *testing.T, s *suite) {
	w := window("bytes", "account:a", time.Minute, math.MaxInt64)
	s.take(start, []state.Charge{charge(w, math.MaxInt64-1)})
	s.take(start, []state.Charge{charge(w, 2)}, state.Full{Used: math.MaxInt64 - 1, Free: leaves})
	s.take(start, []state.Charge{charge(w, 1)})
	s.take(start, []state.Charge{charge(w, math.MaxInt64), charge(w, math.MaxInt64)},
		state.Full{Index: 0, Used: math.MaxInt64, Free: leaves}, state.Full{Index: 1, Used: math.MaxInt64, Free: leaves})

	none := window("none", "account:a", time.Minute, 0)
	s.take(start, []state.Charge{charge(none, 0)})
	s.take(start, []state.Charge{charge(none, 1)}, state.Full{}) // never fits
	three := window("three", "account:a", time.Minute, 3)
	s.take(start, []state.Charge{charge(three, 4)}, state.Full{})
	s.take(start, []state.Charge{charge(three, 3)})
	three.Max = 2
	s.take(start, []state.Charge{charge(three, 0)}) // costs nothing, needs no room
	s.used(start, []state.Window{none, three}, 0, 3)
	s.take(start, nil)
}

func testNonsense(_ *testing.T, s *suite) {
	good := window("minute", "account:a", time.Minute, 1)
	bad := map[string]state.Charge{
		"negative cost": charge(good, -1),
		"negative max":  charge(window("minute", "account:a", time.Minute, -1), 1),
		"short window":  charge(window("minute", "account:a", time.Second-1, 1), 1),
		"no subject":    charge(window("minute", "", time.Minute, 1), 1),
		"no limit":      charge(window("", "account:a", time.Minute, 1), 1),
		"endless name":  charge(window("minute", strings.Repeat("a", 1<<20), time.Minute, 1), 1),
	}
	for name, c := range bad {
		if _, err := s.Take(s.ctx, start, state.Ask{Charges: []state.Charge{charge(good, 1), c}}); err == nil {
			s.Errorf("take with %s: no error", name)
		}
	}
	for _, now := range []time.Time{{}, time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC)} {
		if _, err := s.Take(s.ctx, now, state.Ask{Charges: []state.Charge{charge(good, 1)}}); err == nil {
			s.Errorf("take at %s: no error", now)
		}
	}
	s.used(start, []state.Window{good}, 0)
	s.take(start, []state.Charge{charge(good, 1)})
}

func testUsage(_ *testing.T, s *suite) {
	minute := window("minute", "account:a", time.Minute, 2)
	hour := window("hour", "account:a", time.Hour, 1)
	never := window("never", "account:a", time.Hour, 0)
	fresh := window("minute", "account:b", time.Minute, 2)
	s.take(start, []state.Charge{charge(minute, 1), charge(hour, 1)})
	s.take(start, []state.Charge{charge(minute, 1)})
	now := start.Add(time.Second)
	got, err := s.Usage(s.ctx, now, []state.Window{hour, fresh, minute, never})
	if err != nil {
		s.Fatal(err)
	}
	want := []state.Usage{
		{Window: hour, Used: 1, NextFree: start.Truncate(time.Minute).Add(61 * time.Minute)},
		{Window: fresh, Used: 0, NextFree: now},
		{Window: minute, Used: 2, NextFree: leaves},
		{Window: never},
	}
	if d := cmp.Diff(want, got); d != "" {
		s.Errorf("usage (-want +got):\n%s", d)
	}
	// Asking about the future moves nothing.
	s.used(start.Add(24*time.Hour), []state.Window{hour}, 0)
	s.take(now, []state.Charge{charge(minute, 1)}, state.Full{Used: 2, Free: leaves})
}

func testReset(_ *testing.T, s *suite) {
	names := []string{"minute", "minute-2", "minut", "hour"}
	var mine, others []state.Window
	for _, n := range names {
		mine = append(mine, window(n, "account:a", time.Hour, 1))
		others = append(others, window(n, "account:a/b", time.Hour, 1))
	}
	for i := range names {
		s.take(start, []state.Charge{charge(mine[i], 1), charge(others[i], 1)})
	}
	s.reset("account:a", 4)
	s.used(start, mine, 0, 0, 0, 0)
	s.used(start, others, 1, 1, 1, 1)
	s.reset("account:a", 0)
	s.reset("account:", 0)
	s.take(start, []state.Charge{charge(mine[0], 1)})
	s.reset("account:a", 1)
}

func (s *suite) reset(subject string, want int) {
	s.Helper()
	if n, err := s.Reset(s.ctx, subject); err != nil || n != want {
		s.Fatalf("reset %q: %d, %v; want %d", subject, n, err, want)
	}
}

// oddNames are subjects as hostile mail makes them: none may meet another.
func oddNames() []string {
	return []string{
		"account:a", "account:a/b", "account:a/../b", "account:a%2Fb", "account:a%252Fb", "account:%", "account:%25",
		"account:a\x00", "account:a\x00b", "account:a%00", "account:é", "account:e\u0301", "account:\xe9", "account:\ufffd",
		"account:", "account:/", "/", "//", "..", "{account:a}", "account:a:b", "account:a b", "account:a\nb", "account:A",
		"account:" + strings.Repeat("x", 500), "account:" + strings.Repeat("x", 499), "account:" + strings.Repeat("\xff", 500),
	}
}

func testOddNames(_ *testing.T, s *suite) {
	s.useOddNames()
	s.oddNamesThere()
	for _, n := range oddNames() {
		want := 1
		if n == "account:a" {
			want += len(oddNames())
		}
		s.reset(n, want)
	}
}

// oddWindows are a subject's and a limit's of this name.
func oddWindows(n string) []state.Window {
	return []state.Window{window("odd", n, 24*time.Hour, 1000), window(n, "account:a", 24*time.Hour, 1000)}
}

func (s *suite) useOddNames() {
	s.Helper()
	for i, n := range oddNames() {
		for _, w := range oddWindows(n) {
			s.take(start, []state.Charge{charge(w, int64(i+1))})
		}
		s.add(block(fmt.Sprint("B", i), n, 0))
		s.record(decision("D"+n, i, n))
	}
}

func (s *suite) oddNamesThere() {
	s.Helper()
	for i, n := range oddNames() {
		s.used(start, oddWindows(n), int64(i+1), int64(i+1))
		s.active(start, []string{n}, block(fmt.Sprint("B", i), n, 0))
		s.history(n, 10, decision("D"+n, i, n))
	}
}
