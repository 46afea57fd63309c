package state

import (
	"testing"
	"time"
)

func TestClock(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	steps := []struct {
		name string
		at   time.Duration // the caller's clock, from start
		want time.Duration // the line, from start
	}{
		{"first", 0, 0},
		{"forward", time.Minute, time.Minute},
		{"same", time.Minute, time.Minute},
		{"a late call", 0, time.Minute},
		{"after it", time.Minute + time.Second, time.Minute + time.Second},
		{"set back an hour", -time.Hour, time.Minute + time.Second},
		{"goes on from there", -time.Hour + time.Second, time.Minute + 2*time.Second},
		{"a late call then", -time.Hour, time.Minute + 2*time.Second},
		{"and on", -time.Hour + 3*time.Second, time.Minute + 4*time.Second},
		{"set back by a minute and 1 ns", -time.Hour - 57*time.Second - 1, time.Minute + 4*time.Second},
		{"goes on again", -time.Hour - 57*time.Second, time.Minute + 4*time.Second + 1},
	}
	var c Clock
	for _, step := range steps {
		now := start.Add(step.at)
		peeked := c.Peek(now)
		line := c.At(now)
		if got := time.Duration(line - start.UnixNano()); got != step.want {
			t.Errorf("%s: line at %s; want %s", step.name, got, step.want)
		}
		if peeked != line || c.Line() != line {
			t.Errorf("%s: peeked %d, line %d; want %d", step.name, peeked, c.Line(), line)
		}
	}
}

// A step of the host's clock changes the wall reading, not the monotonic one.
// Go has no way to make such a time, so this shows that differences come from Sub.
func TestClockMonotonic(t *testing.T) {
	var c Clock
	now := time.Now()
	line := c.At(now)
	if got := c.At(now.Add(time.Hour)); got-line != int64(time.Hour) {
		t.Errorf("an hour moved the line by %s", time.Duration(got-line))
	}
}

func TestClockEnds(t *testing.T) {
	var c Clock
	for range 3 { // each time two centuries on
		c.At(latestTime)
		c.At(time.Unix(1, 0))
	}
	if c.Line() != latestTime.UnixNano() {
		t.Errorf("line at %d; want it to stop at %d", c.Line(), latestTime.UnixNano())
	}
}

func TestCheckTime(t *testing.T) {
	for now, ok := range map[time.Time]bool{
		{}:                false,
		time.Unix(0, 0):   false,
		time.Unix(1, 0):   true,
		latestTime:        true,
		latestTime.Add(1): false,
		time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC): false,
	} {
		if err := CheckTime(now); (err == nil) != ok {
			t.Errorf("%s: %v; want ok %v", now, err, ok)
		}
	}
}

// A store that goes on after a restart: its line neither waits for the host's clock
// nor follows a step that was made meanwhile.
func TestNewClock(t *testing.T) {
	begun := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, ahead := range []time.Duration{-time.Hour, 0, time.Hour} {
		c := NewClock(begun, begun.Add(ahead).UnixNano())
		if got, want := c.Peek(begun.Add(time.Second)), begun.Add(ahead+time.Second).UnixNano(); got != want {
			t.Errorf("line %s ahead: a second later at %d; want %d", ahead, got, want)
		}
		if got, want := c.At(begun.Add(-time.Hour)), begun.Add(ahead).UnixNano(); got != want {
			t.Errorf("line %s ahead: at %d after a step back; want %d", ahead, got, want)
		}
	}
}
