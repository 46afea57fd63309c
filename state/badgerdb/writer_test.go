package badgerdb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/state"
)

var errDisk = errors.New("the moon is in the wrong quarter")

// faulty opens a store whose next commits go through write.
func faulty(t *testing.T, write func(next func([]record) error, records []record) error) *Store {
	t.Helper()
	s, err := Open(Options{Path: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	next := s.writer.write
	s.writer.write = func(records []record, dead []corpse) error {
		return write(func(records []record) error { return next(records, dead) }, records)
	}
	return s
}

func degraded(t *testing.T, s *Store) string {
	t.Helper()
	st, err := s.Status(t.Context(), start)
	if err != nil {
		t.Fatal(err)
	}
	return st.Degraded
}

// What could not be committed is taken back, and the caller told.
func TestCommitFails(t *testing.T) {
	var fault error
	s := faulty(t, func(next func([]record) error, records []record) error {
		if fault != nil {
			return fault
		}
		return next(records)
	})
	b := state.Block{ID: "B1", Subject: "account:a", Since: start}
	take(t, s, charges(2, "account:a", "account:b"))
	if err := s.AddBlock(t.Context(), b); err != nil {
		t.Fatal(err)
	}

	fault = errDisk
	if _, err := s.Take(t.Context(), start, state.Ask{Charges: charges(2, "account:a", "account:c")}); !errors.Is(err, errDisk) {
		t.Errorf("take: %v; want %v", err, errDisk)
	}
	if _, err := s.LiftBlock(t.Context(), "B1", start, "op", ""); !errors.Is(err, errDisk) {
		t.Errorf("lift: %v; want %v", err, errDisk)
	}
	if err := s.AddBlock(t.Context(), state.Block{ID: "B2", Subject: "account:a", Since: start}); !errors.Is(err, errDisk) {
		t.Errorf("add block: %v; want %v", err, errDisk)
	}
	if _, err := s.Reset(t.Context(), "account:b"); !errors.Is(err, errDisk) {
		t.Errorf("reset: %v; want %v", err, errDisk)
	}
	if d := degraded(t, s); !strings.Contains(d, errDisk.Error()) {
		t.Errorf("degraded %q; want %q in it", d, errDisk)
	}
	for subject, want := range map[string]int64{"account:a": 1, "account:b": 1, "account:c": 0} {
		if n := used(t, s, subject); n != want {
			t.Errorf("%s: used %d; want %d", subject, n, want)
		}
	}
	if active, err := s.ActiveBlocks(t.Context(), start, []string{"account:a"}); err != nil || len(active) != 1 || !cmp.Equal(active[0], b) {
		t.Errorf("blocks: %v, %v; want only B1, not lifted", active, err)
	}

	fault = nil
	take(t, s, charges(2, "account:a", "account:c"))
	if d := degraded(t, s); d != "" {
		t.Errorf("degraded %q after a good commit", d)
	}
}

// A window whose charge was undone is written as it is, not as it was.
func TestUndoneIsNotWritten(t *testing.T) {
	path := t.TempDir()
	s := openAt(t, path)
	next := s.writer.write
	fail := true
	s.writer.write = func(records []record, dead []corpse) error {
		if fail {
			fail = false
			return errDisk
		}
		return next(records, dead)
	}
	if _, err := s.Take(t.Context(), start, state.Ask{Charges: charges(9, "account:a")}); !errors.Is(err, errDisk) {
		t.Fatal(err)
	}
	take(t, s, charges(9, "account:a"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := used(t, openAt(t, path), "account:a"); n != 1 {
		t.Errorf("used %d after reopening; want 1", n)
	}
}

// While a commit is held up, the next ones gather in one batch.
func TestGroupCommit(t *testing.T) {
	const sessions = 50
	hold := make(chan struct{})
	var commits [][]record
	s := faulty(t, func(next func([]record) error, records []record) error {
		<-hold
		commits = append(commits, records)
		return next(records)
	})
	var wg sync.WaitGroup
	for i := range sessions {
		wg.Go(func() { take(t, s, charges(sessions, "account:a", fmt.Sprintf("account:%d", i))) })
	}
	for used(t, s, "account:a") < sessions { // all have charged, none is answered
		time.Sleep(time.Millisecond)
	}
	close(hold)
	wg.Wait()
	if len(commits) > 2 {
		t.Errorf("%d commits for %d calls; want one, and one that was under way", len(commits), sessions)
	}
	if n := len(commits[len(commits)-1]); n > sessions+1 {
		t.Errorf("%d records in the last commit; want each window once", n)
	}
}

func TestContextEndsWhileWaiting(t *testing.T) {
	hold := make(chan struct{})
	s := faulty(t, func(next func([]record) error, records []record) error {
		<-hold
		return next(records)
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := s.Take(ctx, start, state.Ask{Charges: charges(5, "account:a")}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("take: %v; want deadline exceeded", err)
	}
	close(hold)
	take(t, s, charges(5, "account:a"))
	if n := used(t, s, "account:a"); n != 2 { // the late charge stands
		t.Errorf("used %d; want 2", n)
	}
}

func TestDecisionsAreBounded(t *testing.T) {
	hold := make(chan struct{})
	s := faulty(t, func(next func([]record) error, records []record) error {
		<-hold
		return next(records)
	})
	for n := range maxDecisions {
		if err := s.Record(t.Context(), state.Decision{ID: fmt.Sprint(n), At: start}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := s.Record(ctx, state.Decision{ID: "over", At: start}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one decision over %d: %v; want a deadline", maxDecisions, err)
	}
	close(hold)
	if err := s.Record(t.Context(), state.Decision{ID: "next", At: start}); err != nil {
		t.Errorf("record after the queue was written: %v", err)
	}
}

// The writer's panic hangs nobody: all that wait and all that come are told.
func TestWriterDies(t *testing.T) {
	hold := make(chan struct{})
	s := faulty(t, func(func([]record) error, []record) error {
		<-hold
		panic("boom")
	})
	errs := make(chan error)
	for range 10 {
		go func() {
			_, err := s.Take(context.Background(), start, state.Ask{Charges: charges(50, "account:a")})
			errs <- err
		}()
	}
	for used(t, s, "account:a") < 10 {
		time.Sleep(time.Millisecond)
	}
	close(hold)
	for range 10 {
		if err := <-errs; err == nil || !strings.Contains(err.Error(), "boom") {
			t.Errorf("take: %v; want the panic's word", err)
		}
	}
	if _, err := s.Take(t.Context(), start, state.Ask{Charges: charges(50, "account:a")}); err == nil {
		t.Error("take after the writer died: no error")
	}
	if err := s.Record(t.Context(), state.Decision{ID: "D1", At: start}); err == nil {
		t.Error("record after the writer died: no error")
	}
	if d := degraded(t, s); !strings.Contains(d, "boom") {
		t.Errorf("degraded %q", d)
	}
	if err := s.Close(); err == nil {
		t.Error("close after the writer died: no error")
	}
}
