package statetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"o2n-milter/state"
)

// Reopen runs what only a durable store can pass: all that was answered is there
// after Close and another Open. Reopen gets the store closed, and opens it again.
func Reopen(t *testing.T, open func(t *testing.T) state.Store, reopen func(t *testing.T) state.Store) {
	first := &suite{T: t, Store: open(t), ctx: context.Background()}
	first.remember()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := &suite{T: t, Store: reopen(t), ctx: context.Background()}
	second.stillThere()
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	third := &suite{T: t, Store: reopen(t), ctx: context.Background()}
	defer third.Close()
	third.afterReset()
}

var (
	kept    = window("day", "account:kept", 24*time.Hour, 10)
	cleared = window("day", "account:cleared", 24*time.Hour, 10)
	ahead   = window("minute", "account:ahead", time.Minute, 1)
)

func (s *suite) remember() {
	s.Helper()
	for i, n := range oddNames() {
		s.take(start, []state.Charge{charge(window("minute", n, time.Minute, 1000), int64(i+1))})
		s.take(start, []state.Charge{charge(window(n, "account:a", time.Minute, 1000), int64(i+1))})
		s.add(block(fmt.Sprint("B", i), n, 0))
		s.record(decision("D"+n, i, n))
	}
	s.take(start, []state.Charge{charge(kept, 9)})
	s.take(start.Add(24*time.Minute), []state.Charge{charge(kept, 1)})
	s.take(start, []state.Charge{charge(cleared, 1)})
	s.reset(cleared.Subject, 1)
	s.take(start.Add(time.Hour), []state.Charge{charge(ahead, 1)})
	s.add(block("lifted", "account:kept", time.Hour))
	if _, err := s.LiftBlock(s.ctx, "lifted", start.Add(time.Second), "op", "why"); err != nil {
		s.Fatal(err)
	}
}

func (s *suite) stillThere() {
	s.Helper()
	s.oddNamesThere()
	now := start.Add(25 * time.Minute)
	s.take(now, []state.Charge{charge(kept, 1)}, state.Full{
		Used: 10, Free: start.Truncate(24 * time.Minute).Add(24*time.Minute + 24*time.Hour),
	})
	s.used(now, []state.Window{kept, cleared}, 10, 0)
	// Charged by a process whose clock was ahead: counts, but no longer than W.
	if answer, err := s.Take(s.ctx, now, state.Ask{Charges: []state.Charge{charge(ahead, 1)}}); err != nil || len(answer.Full) != 1 {
		s.Errorf("window from the future: full %v, error %v; want it full", answer.Full, err)
	}
	s.take(now.Add(62*time.Second), []state.Charge{charge(ahead, 1)})

	lifted := block("lifted", "account:kept", time.Hour)
	lifted.LiftedAt, lifted.LiftedBy, lifted.Note = start.Add(time.Second), "op", "why"
	s.active(now, []string{"account:kept"})
	s.lift("lifted", now, "another", "", lifted)
	if all, err := s.Blocks(s.ctx); err != nil || len(all) != len(oddNames())+1 {
		s.Errorf("%d blocks, error %v; want %d", len(all), err, len(oddNames())+1)
	}
	s.reset(kept.Subject, 1) // in memory by now
}

func (s *suite) afterReset() {
	s.Helper()
	now := start.Add(26 * time.Minute)
	s.used(now, []state.Window{kept}, 0)
	s.reset(kept.Subject, 0)
	// Never touched by this process: read from the store, and cleared there. The
	// clock of the store stands still until a charge comes, so nothing has left.
	n := oddNames()[0]
	s.reset(n, 1+len(oddNames()))
	s.used(start, []state.Window{window("minute", n, time.Minute, 1000)}, 0)
}
