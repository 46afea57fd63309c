package rules

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestDestinationsAreLinear: Postfix stops at 1,000 recipients, Sendmail takes any number: four
// times as many destinations cost about four times as much, whatever is counted of them.
func TestDestinationsAreLinear(t *testing.T) {
	for _, c := range []struct {
		name    string
		subject string
		unit    Unit
		action  Action
		max     int64
	}{
		{"messages", "domain", Messages, Tempfail, 1000}, {"full", "domain", Messages, Reject, 0}, {"in shadow", "domain", Messages, Shadow, 0},
		{"new recipients", "domain", NewRecipients, Tempfail, 1000}, {"pairs", "account+domain", Recipients, Tempfail, 1000},
	} {
		t.Run(c.name, func(t *testing.T) {
			cost := func(n int) time.Duration {
				b := newBench(t, func(s *Settings) {
					s.Limits = []Limit{{Name: "many", Subject: c.subject, Unit: c.unit, Max: c.max, Window: time.Hour, Action: c.action}}
					s.MaxEnvelope = 1 << 20
				})
				best := time.Hour
				for i := range 2 {
					m := mail()
					m.Recipients = nil
					for k := range n {
						m.Recipients = append(m.Recipients, Recipient{Address: fmt.Sprintf("bob@remote%d-%d.example", i, k)})
					}
					begin := processorTime(t)
					v := b.Decide(t.Context(), m)
					best = min(best, processorTime(t)-begin)
					if want := map[bool]Action{true: Accept, false: c.action}[c.max > 0 || c.action == Shadow]; v.Action != want || v.Err != nil {
						t.Fatalf("%s by %s: %v", v.Action, v.Rule, v.Err)
					}
				}
				return best
			}
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			few, many := cost(5000), cost(20_000)
			t.Logf("5,000: %v, 20,000: %v", few, many)
			if many > 8*few+20*time.Millisecond {
				t.Errorf("5,000 destinations take %v, 20,000 %v", few, many)
			}
		})
	}
}

// processorTime is this thread's.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &now); err != nil {
		t.Fatal(err)
	}
	return time.Duration(now.Nano())
}
