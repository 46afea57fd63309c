package ledger

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"o2n-milter/state"
)

// TestManySubjectsAreLinear: four times as many subjects in one question cost about four
// times as much, in windows, sets and docs.
func TestManySubjectsAreLinear(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cost := func(n int) time.Duration {
		var ask state.Ask
		var subjects []string
		for i := range n {
			s := fmt.Sprintf("domain:remote%d.example", i)
			subjects = append(subjects, s)
			ask.Charges = append(ask.Charges, state.Charge{
				Window: state.Window{Limit: "hour", Subject: s, Length: time.Hour, Max: 10}, Cost: 1,
				Set: "recipients", Members: []string{"bob@remote.example"}, Remember: time.Hour,
			})
		}
		best := time.Hour
		for range 3 {
			w, docs := NewWindows(Options{}), NewDocs()
			begin := processorTime(t)
			if a, err := w.Take(start, ask, nil); err != nil || len(a.Full) > 0 || len(a.Windows) != n {
				t.Fatalf("%d windows, %d full: %v", len(a.Windows), len(a.Full), err)
			}
			docs.About("exempt", subjects)
			docs.Active(start, subjects)
			best = min(best, processorTime(t)-begin)
		}
		return best
	}
	few, many := cost(4000), cost(16_000)
	t.Logf("4,000 subjects %v, 16,000 %v", few, many)
	if many > 8*few+20*time.Millisecond {
		t.Errorf("4,000 subjects take %v, 16,000 %v", few, many)
	}
}

// processorTime is this thread's, so that a busy machine does not count.
func processorTime(t testing.TB) time.Duration {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &now); err != nil {
		t.Fatal(err)
	}
	return time.Duration(now.Nano())
}

// BenchmarkAccounts is a message of one of many accounts that are known, in five windows
// of three subjects: what it asks alone, and with a letter like no other and all that is
// kept of it, of eight at a time.
func BenchmarkAccounts(b *testing.B) {
	b.Run("asked", func(b *testing.B) { benchAccounts(b, false) })
	b.Run("kept", func(b *testing.B) { benchAccounts(b, true) })
}

func benchAccounts(b *testing.B, kept bool) {
	w := NewWindows(Options{})
	charge := func(limit, subject string, length time.Duration) state.Charge {
		return state.Charge{Window: state.Window{Limit: limit, Subject: subject, Length: length, Max: 1 << 40}, Cost: 1}
	}
	asks := make([]state.Ask, 20_000)
	for i := range asks {
		account := fmt.Sprintf("account:user%d@d%d.customer.example", i, i%100)
		asks[i].Charges = []state.Charge{
			charge("minute", account, time.Minute), charge("hour", account, time.Hour), charge("daily", account, 24*time.Hour),
			charge("client", fmt.Sprintf("ip:10.1.%d.%d", i%7, i%250), time.Minute), charge("domain", fmt.Sprintf("domain:r%d.example.org", i%99), time.Hour),
		}
	}
	var changes []*Change
	var changed func(*Change)
	if kept {
		changed = func(c *Change) { changes = append(changes, c) }
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	take := func(now time.Time, ask state.Ask) {
		if kept {
			ask.Letters = []state.Letter{{
				Subject: ask.Charges[0].Subject, Sketch: state.Sketch{rnd.Uint64(), rnd.Uint64(), rnd.Uint64(), rnd.Uint64()},
				Near: 20, Max: 1 << 40, Members: []string{ask.Charges[4].Subject}, Remember: 24 * time.Hour,
			}}
		}
		if _, err := w.Take(now, ask, changed); err != nil {
			b.Fatal(err)
		}
		if len(changes) == 8 {
			w.Freeze(func() { Records(changes) })
			w.Freeze(func() {
				for _, c := range changes {
					c.Settle()
				}
			})
			changes = changes[:0]
		}
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for n := range asks {
		take(start, asks[n])
	}
	b.ReportAllocs()
	b.ResetTimer()
	begin := processorTime(b)
	for n := range b.N {
		take(start.Add(time.Duration(n)*time.Millisecond), asks[n*7919%len(asks)])
	}
	b.ReportMetric(float64(processorTime(b)-begin)/float64(b.N), "cpu-ns/op")
}
