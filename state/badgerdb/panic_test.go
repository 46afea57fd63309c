package badgerdb

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"o2n-milter/state"
)

// calledBy says whether a method of the store is at work in this goroutine.
func calledBy(name string) bool {
	pc := make([]uintptr, 64)
	frames := runtime.CallersFrames(pc[:runtime.Callers(2, pc)])
	for {
		f, more := frames.Next()
		if strings.HasSuffix(f.Function, "(*Store)."+name) {
			return true
		}
		if !more {
			return false
		}
	}
}

// guarded runs loops as the daemon does, with a short pause, and counts their panics.
type guarded struct {
	mu     sync.Mutex
	names  []string
	panics map[string]int
}

func (g *guarded) loop(ctx context.Context, name string, run func(context.Context)) func() {
	g.mu.Lock()
	g.names = append(g.names, name)
	g.mu.Unlock()
	return state.Unguarded(ctx, name, func(ctx context.Context) {
		for !g.whole(name, func() { run(ctx) }) {
			time.Sleep(10 * time.Millisecond)
		}
	})
}

func (g *guarded) whole(name string, run func()) (whole bool) {
	defer func() {
		if recover() != nil {
			g.mu.Lock()
			g.panics[name]++
			g.mu.Unlock()
		}
	}()
	run()
	return true
}

func (g *guarded) count(name string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.panics[name]
}

// What the store does beside its calls is guarded, and goes on after a panic: what was
// committed is brought to the disk all the same.
func TestPanicBesideTheCalls(t *testing.T) {
	g := &guarded{panics: map[string]int{}}
	s, err := open(Options{Path: t.TempDir(), Log: slog.New(slog.DiscardHandler), Loop: g.loop}, func() reading {
		if calledBy("secure") && g.count("store_sync") < 2 {
			panic("secure")
		}
		return readHost()
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	take(t, s, charges(9, "account:a"))
	until(t, func() bool {
		return s.writer.durable().Commit == s.writer.standing().Commit && g.count("store_sync") == 2
	})
	until(t, func() bool { return s.progress.known().Commit == s.writer.standing().Commit })
	slices.Sort(g.names)
	if want := []string{"store_decisions", "store_disk", "store_sweep", "store_sync"}; !slices.Equal(g.names, want) {
		t.Errorf("loops %q; want %q", g.names, want)
	}
}

// A panic of ours over what the database holds ends neither the start nor, later, the
// watch: judging goes on from memory, blocks hold, and nothing of the database is lost.
func TestPanicOverTheDatabase(t *testing.T) {
	before := openAt(t, t.TempDir())
	take(t, before, charges(9, "account:a"))
	if err := before.AddBlock(t.Context(), state.Block{ID: "B1", Subject: "account:b", Since: start}); err != nil {
		t.Fatal(err)
	}
	before.secure()
	path := t.TempDir() // as after kill -9
	if err := os.CopyFS(path, os.DirFS(before.options.Path)); err != nil {
		t.Fatal(err)
	}
	var tries atomic.Int64
	var healed atomic.Bool
	quiet := slog.New(slog.DiscardHandler)
	s, err := open(Options{Path: path, Log: quiet}, func() reading {
		if !healed.Load() && calledBy("examine") {
			tries.Add(1)
			panic("of ours")
		}
		return readHost()
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	until(t, func() bool { return tries.Load() > 1 }) // the start, and the watch
	if d := degraded(t, s); !strings.Contains(d, "of ours") {
		t.Errorf("degraded %q", d)
	}
	take(t, s, charges(9, "account:a"))
	if answer, err := s.Take(t.Context(), start, state.Ask{Subjects: []string{"account:b"}}); err != nil || len(answer.Blocks) != 1 {
		t.Errorf("blocks %v, %v; want B1", answer.Blocks, err)
	}
	healed.Store(true)
	// What the database had, and what was charged since.
	until(t, func() bool { return degraded(t, s) == "" && used(t, s, "account:a") == 2 })
	if err := (&Store{log: quiet}).adopt(&opened{}); !errors.As(err, new(ownPanic)) {
		t.Errorf("a panic while a database is taken into use: %v", err)
	}
}

// Decisions that make us panic give back their room, so that others are recorded.
func TestPanicOverDecisions(t *testing.T) {
	s, err := Open(Options{Path: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	entries := make([]*entry, 3)
	for range entries {
		s.history.room <- struct{}{}
	}
	d := &draft{number: 1 << 40, entries: entries, taken: true}
	s.history.mu.Lock()
	s.history.drafts = append(s.history.drafts, d)
	s.history.mu.Unlock()
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the loop is not told")
			}
		}()
		s.history.hand([]*draft{d}, func([]*draft) *change { panic("boom") })
	}()
	if n, dropped := len(s.history.room), s.writer.dropped.Load(); n != 0 || dropped != 3 {
		t.Errorf("%d places are taken, %d decisions counted as dropped; want 0 and 3", n, dropped)
	}
	if len(s.history.inMemory()) != 0 {
		t.Error("they stay in memory")
	}
}

// Only another process helps where the writer has died, and Status says so.
func TestDead(t *testing.T) {
	boom := false
	s := faulty(t, func(next func([]record) error, records []record) error {
		if boom {
			panic("boom")
		}
		return next(records)
	})
	for _, want := range []bool{false, true} {
		boom = want
		_, err := s.Take(t.Context(), start, state.Ask{Charges: charges(50, "account:a")})
		st, statusErr := s.Status(t.Context(), start)
		if (err != nil) != want || statusErr != nil || st.Dead != want {
			t.Errorf("take: %v; dead %v, %v; want %v", err, st.Dead, statusErr, want)
		}
	}
	if err := s.Close(); err == nil {
		t.Error("close: no error")
	}
}
