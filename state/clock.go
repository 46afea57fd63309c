package state

import (
	"fmt"
	"sync"
	"time"
)

// stragglers is by how much a call's time may lie behind an earlier call's
// without being taken for a clock that was set back: a message's time is read
// before its account is looked up, and its call may come that much later.
const stragglers = time.Minute

// Clock turns the times that callers give, which follow the host's clock and its
// steps, into one time line that never runs backwards. The line begins at the
// first time given and goes on by the differences.
//
// When the clock is set back, the line goes on from where it is: what was charged
// before still counts for its whole window in true time, and no longer. (A step
// back of less than a minute only holds the line until the clock has caught up.)
// Times with a monotonic reading, such as time.Now gives before any UTC or Round,
// are measured by that, so a step forward moves nothing; without it, a step
// forward cannot be told from time that passed, and windows empty early.
//
// The zero value is ready. It is safe for concurrent use.
type Clock struct {
	mu   sync.Mutex
	last time.Time // highest time given since the last step back; zero before the first
	line int64     // ns since 1970
}

// NewClock returns a clock whose line has come to line at now: that of a store
// which goes on after a restart.
func NewClock(now time.Time, line int64) *Clock { return &Clock{last: now, line: line} }

// At moves the line to now and returns it.
func (c *Clock) At(now time.Time) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	passed := c.passed(now)
	if passed > 0 {
		c.line += min(passed, latestTime.UnixNano()-c.line)
	}
	if passed > 0 || passed < -int64(stragglers) {
		c.last = now
	}
	return c.line
}

// Peek is what At would return, without moving the line.
func (c *Clock) Peek(now time.Time) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.line + max(0, c.passed(now))
}

// passed is the time since the last call in ns; negative when the clock runs behind it.
func (c *Clock) passed(now time.Time) int64 {
	if c.last.IsZero() {
		return now.UnixNano() - c.line
	}
	return int64(now.Sub(c.last))
}

// Latest is the highest time given since the clock was last set back; zero
// before the first.
func (c *Clock) Latest() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// Line is where the line stands; 0 before the first time.
func (c *Clock) Line() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.line
}

// latestTime bounds what callers may give: a window's arithmetic in ns since 1970
// must fit an int64 (which ends in 2262) with room to spare.
var latestTime = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)

// CheckTime refuses times that a Clock cannot count with.
func CheckTime(now time.Time) error {
	if now.Unix() <= 0 || now.After(latestTime) {
		return fmt.Errorf("time %s is out of range; want 1970 to 2199", now.Format(time.RFC3339))
	}
	return nil
}
