package statetest

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/state"
)

// block begins at start and lasts this long; 0: until it is lifted.
func block(id, subject string, length time.Duration) state.Block {
	b := state.Block{
		ID: id, Subject: subject, Rule: "manual", Reason: "100% <spam>, \xe9", Since: start, By: "op@example",
	}
	if length > 0 {
		b.Until = start.Add(length)
	}
	return b
}

func (s *suite) add(b state.Block) {
	s.Helper()
	if err := s.AddBlock(s.ctx, b); err != nil {
		s.Fatalf("add block %q: %v", b.ID, err)
	}
}

func (s *suite) active(now time.Time, subjects []string, want ...state.Block) {
	s.Helper()
	got, err := s.ActiveBlocks(s.ctx, now, subjects)
	if err != nil {
		s.Fatal(err)
	}
	s.same("active blocks", got, want)
}

func (s *suite) all(want ...state.Block) {
	s.Helper()
	got, err := s.Blocks(s.ctx)
	if err != nil {
		s.Fatal(err)
	}
	s.same("blocks", got, want)
}

// same wants the same blocks; a list is never nil, as JSON shows that as null.
func (s *suite) same(what string, got, want []state.Block) {
	s.Helper()
	if want == nil {
		want = []state.Block{}
	}
	if d := cmp.Diff(want, got); d != "" {
		s.Fatalf("%s (-want +got):\n%s", what, d)
	}
}

func testBlocks(_ *testing.T, s *suite) {
	s.all()
	s.active(start, nil)
	a1, a2 := block("B2", "account:a", time.Hour), block("B1", "account:a", 0)
	a2.Since = start.Add(time.Minute)
	ip := block("B3", "ip:192.0.2.1", time.Hour)
	s.add(a1)
	s.add(ip)
	s.add(a2)
	if err := s.AddBlock(s.ctx, block("B1", "account:b", 0)); err == nil {
		s.Error("a second block of one id: no error")
	}
	for _, b := range []state.Block{block("", "account:b", 0), block("B9", "", 0)} {
		if err := s.AddBlock(s.ctx, b); err == nil {
			s.Errorf("block %q of %q: no error", b.ID, b.Subject)
		}
	}
	now := start.Add(2 * time.Minute)
	s.active(now, []string{"account:a"}, a1, a2)
	s.active(now, []string{"ip:192.0.2.1", "account:a", "account:a", "account:b"}, a1, ip, a2)
	s.active(now, []string{"account:b", "account:", "account"})
	s.all(a2, ip, a1)
}

func testBlockStates(_ *testing.T, s *suite) {
	hour, forever := block("B1", "account:a", time.Hour), block("B2", "account:b", 0)
	s.add(hour)
	s.add(forever)
	both := []string{"account:a", "account:b"}
	s.active(start.Add(time.Hour-1), both, hour, forever)
	s.active(start.Add(time.Hour), both, forever)
	s.active(start.Add(100*365*24*time.Hour), both, forever)
	s.active(start.Add(time.Minute), both, hour, forever) // a clock set right again
	s.all(forever, hour)
}

// Lifted and expired ones too, oldest first, each once.
func testBlocksOf(_ *testing.T, s *suite) {
	of := func(subjects []string, want ...state.Block) {
		s.Helper()
		got, err := s.BlocksOf(s.ctx, subjects)
		if err != nil {
			s.Fatal(err)
		}
		s.same("blocks of subjects", got, want)
	}
	of([]string{"account:a"})
	expired, lifted, active := block("B3", "account:a", time.Minute), block("B1", "account:a", 0), block("B2", "account:b", 0)
	lifted.Since, active.Since = start.Add(time.Second), start.Add(2*time.Second)
	s.add(active)
	s.add(lifted)
	s.add(expired)
	now := start.Add(time.Hour)
	lifted.LiftedAt, lifted.LiftedBy, lifted.Note = now, "op", ""
	s.lift("B1", now, "op", "", lifted)
	of([]string{"account:b", "account:a", "account:a", "account:c"}, expired, lifted, active)
	of([]string{"account:a"}, expired, lifted)
	of([]string{"account:", ""})
	of(nil)
}

func testLift(_ *testing.T, s *suite) {
	b := block("B1", "account:a", time.Hour)
	s.add(b)
	s.add(block("B2", "account:a", time.Minute))
	if _, err := s.LiftBlock(s.ctx, "B0", start, "op", ""); !errors.Is(err, state.ErrNotFound) {
		s.Errorf("lift of no block: %v; want ErrNotFound", err)
	}
	now := start.Add(10 * time.Minute)
	b.LiftedAt, b.LiftedBy, b.Note = now, "op", "password changed \xff"
	s.lift("B1", now, "op", b.Note, b)
	s.active(now, []string{"account:a"})
	s.lift("B1", now.Add(time.Minute), "another", "again", b)
	s.lift("B2", now, "op", "too late", block("B2", "account:a", time.Minute)) // expired
	s.all(block("B2", "account:a", time.Minute), b)
	if err := s.AddBlock(s.ctx, block("B1", "account:a", 0)); err == nil {
		s.Error("the id of a lifted block used again: no error")
	}
}

// The largest block there can be is lifted with the longest note of the worst kind.
func testLargeBlock(_ *testing.T, s *suite) {
	b := block("B1", "account:a", 0)
	b.Reason = strings.Repeat("x", 64<<10)
	if err := s.AddBlock(s.ctx, b); err == nil {
		s.Error("block of 64 KiB: no error")
	}
	b.Reason = b.Reason[:31<<10]
	s.add(b)
	b.Until = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
	if b.ID = "B2"; s.AddBlock(s.ctx, b) == nil {
		s.Error("block until a year that JSON has not: no error")
	}
	note := strings.Repeat("\x01", 4<<10-2)
	if _, err := s.LiftBlock(s.ctx, "B1", start, "opr", note); err == nil {
		s.Error("lift with a note over the longest: no error")
	}
	if _, err := s.LiftBlock(s.ctx, "B1", start, "op", note); err != nil {
		s.Error(err)
	}
}

func (s *suite) lift(id string, now time.Time, by, note string, want state.Block) {
	s.Helper()
	got, err := s.LiftBlock(s.ctx, id, now, by, note)
	if err != nil {
		s.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		s.Fatalf("lifted block (-want +got):\n%s", d)
	}
}

// Of several who lift at once one does, and all are told the same.
func testLiftRace(_ *testing.T, s *suite) {
	s.add(block("B1", "account:a", 0))
	var mu sync.Mutex
	lifters := make(map[string]int)
	together(8, func(i int) {
		b, err := s.LiftBlock(s.ctx, "B1", start.Add(time.Minute), string(rune('a'+i)), "")
		if err != nil {
			s.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		lifters[b.LiftedBy]++
	})
	if len(lifters) != 1 {
		s.Errorf("lifted by %v; want one", lifters)
	}
}
