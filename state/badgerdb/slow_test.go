package badgerdb

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"o2n-milter/state"
)

// A disk that hangs: calls end with their context and no later, Status tells of it, and what
// is only asked is answered. When the disk goes on, so does the store.
func TestDiskHangs(t *testing.T) {
	hold := make(chan struct{})
	s := faulty(t, func(next func([]record) error, records []record) error {
		<-hold
		return next(records)
	})
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := s.Take(ctx, start, state.Ask{Charges: charges(9, "account:a")}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("take: %v; want the end of its context", err)
	}
	block := state.Block{ID: "B1", Subject: "account:b", Since: start}
	if err := s.AddBlock(ctx, block); err == nil {
		t.Error("a block is told to be kept")
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("the calls took %s; want 100 ms", took)
	}
	if d := degraded(t, s); d != "" {
		t.Errorf("degraded %q after a moment", d)
	}
	s.writer.mu.Lock()
	s.writer.begun = s.writer.begun.Add(-stuck)
	s.writer.mu.Unlock()
	st, err := s.Status(t.Context(), start)
	if err != nil || !strings.Contains(st.Degraded, "under way for 5s") || !st.Away || st.Dead {
		t.Errorf("status %+v, %v; want that a commit has been under way for 5s", st, err)
	}
	if n := used(t, s, "account:a"); n != 1 {
		t.Errorf("used %d; want what may stand", n)
	}
	close(hold)
	until(t, func() bool { return degraded(t, s) == "" })
	take(t, s, charges(9, "account:a"))
}

// A disk that gives EIO once in a while: judging goes on from memory, what is told to be
// kept is, and all of it is in the database when that is back.
func TestInputOutputErrors(t *testing.T) {
	path := t.TempDir()
	s := openAt(t, path)
	next := s.writer.write
	var failed atomic.Int64
	var n atomic.Int64
	s.writer.write = func(records []record, dead []corpse) error {
		if n.Add(1)%7 == 3 {
			failed.Add(1)
			return unix.EIO
		}
		return next(records, dead)
	}
	told := false
	for i := range 40 {
		take(t, s, charges(1000, "account:a"))
		if i == 20 {
			if err := s.AddBlock(t.Context(), state.Block{ID: "B1", Subject: "account:b", Since: start}); err != nil {
				t.Error(err)
			}
		}
		told = told || strings.Contains(degraded(t, s), "input/output error")
		if i%10 == 9 {
			until(t, func() bool { return degraded(t, s) == "" })
		}
	}
	if failed.Load() < 2 || !told {
		t.Errorf("%d commits failed, told %v", failed.Load(), told)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, path)
	if n := used(t, s, "account:a"); n != 40 {
		t.Errorf("used %d after reopening; want 40", n)
	}
	if active, err := s.ActiveBlocks(t.Context(), start, []string{"account:b"}); err != nil || len(active) != 1 {
		t.Errorf("blocks %v, %v; want B1", active, err)
	}
}
