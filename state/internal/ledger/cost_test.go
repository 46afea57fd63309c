package ledger

import (
	"fmt"
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
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &now); err != nil {
		t.Fatal(err)
	}
	return time.Duration(now.Nano())
}
