package statetest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"o2n-milter/state"
)

// answers wants exactly this answer; an empty list may be nil.
func (s *suite) answers(now time.Time, ask state.Ask, want state.Answer) {
	s.Helper()
	got, err := s.Take(s.ctx, now, ask)
	if err != nil {
		s.Fatalf("take: %v", err)
	}
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		s.Fatalf("answer at %s (-want +got):\n%s", now.Format(time.RFC3339Nano), d)
	}
}

// A block of any subject charges nothing, and the answer holds nothing else.
func testAskBlocks(_ *testing.T, s *suite) {
	w := window("minute", "account:a", time.Minute, 5)
	one := []state.Charge{charge(w, 1), to(recipients("account:a", 5), "r1")}
	hour, forever := block("B1", "account:a", time.Hour), block("B2", "ip:192.0.2.1", 0)
	hour.Since = start.Add(time.Second)
	s.add(hour)
	s.add(forever)
	now := start.Add(time.Minute)
	both := []string{"account:a", "customer:C-1", "ip:192.0.2.1", "account:a"}
	for _, dry := range []bool{false, true} {
		s.answers(now, state.Ask{Charges: one, Subjects: both, Dry: dry}, state.Answer{Blocks: []state.Block{forever, hour}})
		s.answers(now, state.Ask{Subjects: both[:2], Dry: dry}, state.Answer{Blocks: []state.Block{hour}})
		s.answers(now, state.Ask{Subjects: []string{"account:b", "account:"}, Dry: dry}, state.Answer{})
	}
	s.used(now, []state.Window{w}, 0)
	s.known(now, "account:a", false, "r1")
	// Who does not ask is not told.
	s.take(now, one)
	// Neither lifted nor expired ones stop anything.
	if _, err := s.LiftBlock(s.ctx, "B2", now, "op", ""); err != nil {
		s.Fatal(err)
	}
	later := start.Add(time.Hour)
	s.answers(later.Add(-1), state.Ask{Subjects: both}, state.Answer{Blocks: []state.Block{hour}})
	s.answers(later, state.Ask{Subjects: both}, state.Answer{})
	s.answers(later, state.Ask{Subjects: both, Charges: one[:1]}, state.Answer{
		Windows: []state.Usage{{Window: w, Used: 1, NextFree: later}}, Costs: []int64{1},
	})
}

// The answer tells of every charge's window as the call leaves it.
func testAnswer(_ *testing.T, s *suite) {
	minute, hour := window("minute", "account:a", time.Minute, 2), window("hour", "host:web1.example", time.Hour, 1)
	shadow := window("shadow", "account:a", time.Minute, 0)
	message := asks(charge(minute, 1), charge(hour, 1), state.Charge{Window: shadow, Cost: 1, CountOnly: true})
	hourLeaves := start.Truncate(time.Minute).Add(61 * time.Minute)
	never := state.Full{Index: 2}
	s.answers(start, message, state.Answer{
		Full: []state.Full{never},
		Windows: []state.Usage{
			{Window: minute, Used: 1, NextFree: start}, {Window: hour, Used: 1, NextFree: hourLeaves}, {Window: shadow},
		},
		Costs: []int64{1, 1, 1},
	})
	// Refused: as they are. What only counts is not looked at.
	now := start.Add(time.Second)
	s.answers(now, message, state.Answer{
		Full: []state.Full{{Index: 1, Used: 1, Free: hourLeaves}},
		Windows: []state.Usage{
			{Window: minute, Used: 1, NextFree: now}, {Window: hour, Used: 1, NextFree: hourLeaves}, {Window: shadow},
		},
		Costs: []int64{1, 1, 1},
	})
	// Two charges of one window, with a Max of their own each.
	tight := minute
	tight.Max = 4
	s.answers(now, asks(charge(tight, 2), charge(tight, 1), charge(minute, 0)), state.Answer{
		Windows: []state.Usage{
			{Window: tight, Used: 4, NextFree: leaves}, {Window: tight, Used: 4, NextFree: leaves},
			{Window: minute, Used: 4, NextFree: leaves.Add(time.Second)},
		},
		Costs: []int64{2, 1, 0},
	})
	s.answers(now, state.Ask{}, state.Answer{})
}

// A dry call is answered like another one, and changes nothing: not even the time.
func testDry(_ *testing.T, s *suite) {
	w := window("minute", "account:a", time.Minute, 2)
	dry := state.Ask{Charges: []state.Charge{charge(w, 2)}, Dry: true}
	for range 3 {
		s.answers(start, dry, state.Answer{Windows: []state.Usage{{Window: w, NextFree: start}}, Costs: []int64{2}})
	}
	s.take(start, []state.Charge{charge(w, 1)})
	s.answers(start, dry, state.Answer{
		Full:    []state.Full{{Used: 1, Free: leaves}},
		Windows: []state.Usage{{Window: w, Used: 1, NextFree: start}}, Costs: []int64{2},
	})
	dry.Charges[0].Cost = 1
	far := start.Add(1000 * time.Hour)
	s.answers(far, dry, state.Answer{Windows: []state.Usage{{Window: w, NextFree: far}}, Costs: []int64{1}})
	s.take(start, []state.Charge{charge(w, 2)}, state.Full{Used: 1, Free: leaves})
	s.used(start, []state.Window{w}, 1)
}
