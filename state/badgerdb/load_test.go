package badgerdb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"o2n-milter/state"
	"o2n-milter/state/statetest"
	"o2n-milter/tests/campaign"
)

func openQuiet(b *testing.B, o Options) state.Store {
	b.Helper()
	o.Path, o.Log = b.TempDir(), slog.New(slog.DiscardHandler)
	s, err := Open(o)
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func BenchmarkTake(b *testing.B) {
	for name, sync := range map[string]bool{"process": false, "power": true} {
		b.Run(name, func(b *testing.B) {
			statetest.Bench(b, func(b *testing.B) state.Store { return openQuiet(b, Options{Sync: sync}) })
		})
	}
}

func BenchmarkSubjects(b *testing.B) {
	statetest.BenchSubjects(b, func(b *testing.B) state.Store { return openQuiet(b, Options{Cache: 64_000_000}) })
}

func BenchmarkDecisions(b *testing.B) {
	statetest.BenchDecisions(b, func(b *testing.B) state.Store { return weighed{openQuiet(b, Options{}).(*Store), b} })
}

// weighed is a store that tells, closed, what it takes on the disk.
type weighed struct {
	*Store
	b *testing.B
}

func (w weighed) Close() error {
	err := w.Store.Close()
	size, e := w.folder.size()
	w.b.ReportMetric(float64(size)/float64(w.b.N), "diskB/op")
	return errors.Join(err, e)
}

// BenchmarkFindMany looks among as many as a large host keeps.
func BenchmarkFindMany(b *testing.B) {
	if !campaign.Long() {
		b.Skip("O2N_CAMPAIGN=long looks among 1,000,000 decisions")
	}
	statetest.BenchFind(b, 1_000_000, func(b *testing.B) state.Store { return openQuiet(b, Options{}) })
}

func BenchmarkLetters(b *testing.B) {
	statetest.BenchLetters(b, func(b *testing.B) state.Store { return openQuiet(b, Options{}) })
}

// Subjects that come once each, as forged senders do: memory stays within its bound,
// whatever their number (O2N_SUBJECTS), and the store opens again at once.
func TestManySubjects(t *testing.T) {
	const cache, sessions = 16_000_000, 16
	n := 20_000
	if campaign.Long() {
		n = 1_000_000
	}
	if given, err := strconv.Atoi(os.Getenv("O2N_SUBJECTS")); err == nil {
		n = given
	}
	path := t.TempDir()
	s, err := Open(Options{Path: path, Cache: cache, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	var wg sync.WaitGroup
	for session := range sessions {
		wg.Go(func() {
			for i := session; i < n; i += sessions {
				name := fmt.Sprintf("account:%x@client-a.example", uint64(i)*0x9E3779B97F4A7C15) // no neighbours
				var c []state.Charge
				for limit, length := range map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "daily": 24 * time.Hour} {
					c = append(c, state.Charge{Cost: 1, Window: state.Window{Limit: limit, Subject: name, Length: length, Max: 100}})
				}
				if _, err := s.Take(context.Background(), start, state.Ask{Charges: c}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	st, err := s.Status(t.Context(), start)
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if st.Memory > cache+cache/10 {
		t.Errorf("%d windows take %d bytes; want at most %d", st.Windows, st.Memory, cache)
	}
	// Beside them: what Badger takes for memtables and, some MB for each table, for the
	// compactions under way. It does not grow with the keys.
	if m.HeapAlloc > cache*13/10+250_000_000 {
		t.Errorf("the heap holds %d MB", m.HeapAlloc/1e6)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	s, err = Open(Options{Path: path, Cache: cache, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	opened := time.Since(began)
	after, err := s.Status(t.Context(), start)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d subjects x 3 windows: %.0f takes/s; %d windows in memory, %.1f MB; heap %.1f MB; peak RSS %s; disk %d bytes a subject (%.1f MB, closed %.1f MB); opened in %s",
		n, float64(n)/took.Seconds(), st.Windows, float64(st.Memory)/1e6, float64(m.HeapAlloc)/1e6, peakRSS(t), st.Size/int64(n), float64(st.Size)/1e6,
		float64(after.Size)/1e6, opened.Round(time.Millisecond))
}

// peakRSS is the most memory that the process has ever had.
func peakRSS(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	line, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(line)
}

// Accounts that write in turn: 1,000, 20,000 and, with O2N_CAMPAIGN=long, a million.
func BenchmarkMail(b *testing.B) {
	for _, accounts := range []int{1_000, 20_000, 1_000_000} {
		if accounts > 20_000 && !campaign.Long() {
			continue
		}
		statetest.BenchMail(b, accounts, func(b *testing.B) state.Store { return openQuiet(b, Options{Cache: 64_000_000}) })
	}
}
