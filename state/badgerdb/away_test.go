package badgerdb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"o2n-milter/state"
)

// A commit that the disk refuses: the calls that wait are answered from memory, those
// after it too, and the database gets all of it when the disk takes writes again.
func TestCommitMeetsFullDisk(t *testing.T) {
	for _, fault := range []error{unix.ENOSPC, errors.New("msync err: read-only file system")} {
		var broken atomic.Bool
		s := faulty(t, func(next func([]record) error, records []record) error {
			if broken.Load() {
				return fmt.Errorf("commit: %w", fault)
			}
			return next(records)
		})
		take(t, s, charges(5, "account:a"))
		broken.Store(true)
		s.writer.turn <- struct{}{}
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() { take(t, s, charges(5, "account:a", "account:b")) })
		}
		wg.Go(func() {
			if err := s.AddBlock(t.Context(), state.Block{ID: "B1", Subject: "account:b", Since: start}); err != nil {
				t.Error(err)
			}
		})
		until(t, func() bool { return queued(s) == 4 })
		<-s.writer.turn
		wg.Wait()
		if d := degraded(t, s); d != diskFault(fault) {
			t.Errorf("degraded %q; want %q", d, diskFault(fault))
		}
		take(t, s, charges(5, "account:a", "account:c"))
		broken.Store(false)
		until(t, func() bool { return degraded(t, s) == "" })
		until(t, func() bool { return queued(s) == 0 })
		path := s.options.Path
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openAt(t, path)
		for subject, want := range map[string]int64{"account:a": 5, "account:b": 3, "account:c": 1} {
			if n := used(t, s, subject); n != want {
				t.Errorf("%s: used %d; want %d", subject, n, want)
			}
		}
		if blocks, err := s.Blocks(t.Context()); err != nil || len(blocks) != 1 {
			t.Errorf("blocks %v, %v", blocks, err)
		}
	}
}

// The database goes and comes back again and again under load. What was answered
// counts once, exactly; windows that are full stay full.
func TestAwayAndBack(t *testing.T) {
	path := t.TempDir()
	s, err := Open(Options{Path: path, Log: slog.New(slog.DiscardHandler), Cache: 200_000})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { s.Close() }()
	const sessions, subjects = 8, 400
	var answered [subjects]atomic.Int64
	var passed atomic.Int64 // through a window of 100, of everybody
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range sessions {
		wg.Go(func() {
			for n := i; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				k := n * 7 % subjects
				c := append(charges(1<<40, subject(k)), charges(100, "customer:C-1")...)
				c[1].CountOnly = true
				a, err := s.Take(context.Background(), start, state.Ask{Charges: c})
				if err != nil {
					t.Error(err)
					return
				}
				answered[k].Add(1)
				if len(a.Full) == 0 {
					passed.Add(1)
				}
			}
		})
	}
	more := func() { // of the load
		t.Helper()
		var now int64
		sum := func() (n int64) {
			for k := range answered {
				n += answered[k].Load()
			}
			return n
		}
		now = sum()
		until(t, func() bool { return sum() > now+300 })
	}
	for range 3 {
		more()
		s.goAway("a test")
		more()
		until(t, func() bool { return degraded(t, s) == "" })
	}
	more()
	close(stop)
	wg.Wait()
	wants := func() {
		t.Helper()
		for k := range subjects {
			if got, want := used(t, s, subject(k)), answered[k].Load(); got != want {
				t.Errorf("%s: used %d; %d were answered", subject(k), got, want)
			}
		}
		if got := used(t, s, "customer:C-1"); passed.Load() != 100 || got != 100 {
			t.Errorf("%d passed through a window of 100, which holds %d", passed.Load(), got)
		}
	}
	wants()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, path)
	wants()
}

// A store closed while its database is away writes what memory alone holds, if the
// disk lets it.
func TestClosedWhileAway(t *testing.T) {
	path := t.TempDir()
	s := openAt(t, path)
	take(t, s, charges(5, "account:a"))
	s.goAway("a test")
	take(t, s, charges(5, "account:a"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, path)
	if n := used(t, s, "account:a"); n != 2 {
		t.Errorf("used %d; want 2", n)
	}
	if _, err := os.Stat(filepath.Join(path, "DAMAGE.txt")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("DAMAGE.txt: %v; want none", err)
	}
}

// A database that cannot be opened again is tried again; meanwhile memory judges.
func TestCannotComeBack(t *testing.T) {
	path := t.TempDir()
	s := openAt(t, path)
	take(t, s, charges(5, "account:a"))
	marker := filepath.Join(path, "opening")
	if err := os.MkdirAll(filepath.Join(marker, "x"), 0o700); err != nil { // in the way of the start marker
		t.Fatal(err)
	}
	s.goAway("a test")
	until(t, func() bool { return strings.HasPrefix(degraded(t, s), "the database could not be opened again: ") })
	take(t, s, charges(5, "account:a"))
	if err := os.RemoveAll(marker); err != nil {
		t.Fatal(err)
	}
	until(t, func() bool { return degraded(t, s) == "" })
	if n := used(t, s, "account:a"); n != 2 {
		t.Errorf("used %d; want 2", n)
	}
}

// Reading is told that the store is away; a reader at work is not in the way for long.
func TestReadWhileAway(t *testing.T) {
	s := openAt(t, t.TempDir())
	record1(t, s, "D1", start, 0)
	ids(t, s, "")
	s.goAway("a test")
	if _, err := s.Decision(t.Context(), "D1"); !errors.Is(err, state.ErrUnavailable) {
		t.Errorf("decision: %v; want %v", err, state.ErrUnavailable)
	}
	if _, err := s.Decisions(t.Context(), state.Query{Limit: 1}); !errors.Is(err, state.ErrUnavailable) {
		t.Errorf("decisions: %v; want %v", err, state.ErrUnavailable)
	}
	if err := s.Record(t.Context(), state.Decision{ID: "D2", At: start}); err != nil {
		t.Errorf("record: %v; want it dropped and counted", err)
	}
	if n := s.writer.dropped.Load(); n != 1 {
		t.Errorf("%d dropped; want 1", n)
	}
	if n, err := s.Reset(t.Context(), "account:a"); err != nil || n != 0 {
		t.Errorf("reset: %d, %v", n, err)
	}
	if st, err := s.Status(t.Context(), start); err != nil || !st.Away {
		t.Errorf("status %+v, %v; want it away", st, err)
	}
	until(t, func() bool { return degraded(t, s) == "" })
	if d, err := s.Decision(t.Context(), "D1"); err != nil || d.ID != "D1" {
		t.Errorf("decision: %v, %v", d, err)
	}
	if st, err := s.Status(t.Context(), start); err != nil || st.Away || st.Size == 0 {
		t.Errorf("status %+v, %v; want it back, and some bytes on the disk", st, err)
	}
}
