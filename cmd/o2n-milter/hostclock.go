package main

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// slewed is below which a difference is followed without a word: leap seconds,
	// and what an NTP daemon at work corrects. Windows take as much for stragglers.
	slewed = time.Minute
	// believed is how long the wall clock must have stood by a larger step.
	believed = time.Hour
)

// hostClock is the one clock of the daemon. It goes with the wall clock as long as
// that goes on; when that is set by a minute or more, it goes on without it, by the
// time since boot, and follows only after an hour: a clock that is wrong for a while
// ends no block and empties no window.
type hostClock struct {
	log  *slog.Logger
	read func() (wall time.Time, boot time.Duration)

	mu     sync.Mutex
	steady steadyClock
}

// newHostClock begins with the wall clock as it is.
func newHostClock(log *slog.Logger) *hostClock { return startClock(log, newClocks().read) }

func startClock(log *slog.Logger, read func() (time.Time, time.Duration)) *hostClock {
	c := &hostClock{log: log, read: read}
	c.steady.now, c.steady.boot = read()
	return c
}

// clocks reads the wall clock and the time since boot; the latter goes on while the host
// is suspended (clock_gettime(2), CLOCK_BOOTTIME). Reading it is a system call, unlike
// the clocks of time.Now, so between its readings it goes by the monotonic one, as long
// as the wall clock has gone on as far: not so across a suspension, nor a step.
type clocks struct {
	first time.Time // with the monotonic reading that others are measured from
	wall  time.Time // at the last reading of the time since boot ...
	mono  time.Duration
	boot  time.Duration // ... and that; 0 before the first
}

const (
	// freshFor is how long a reading of the time since boot does.
	freshFor = 50 * time.Millisecond
	// apart is by how much clocks may differ that have gone on alike in that time.
	apart = time.Millisecond
)

func newClocks() *clocks { return &clocks{first: time.Now()} }

func (c *clocks) read() (time.Time, time.Duration) {
	now := time.Now()
	return now, c.sinceBoot(now.Round(0), now.Sub(c.first), bootTime)
}

// sinceBoot is the time since boot at these readings of the wall clock and of the
// monotonic one.
func (c *clocks) sinceBoot(wall time.Time, mono time.Duration, read func() time.Duration) time.Duration {
	passed := mono - c.mono
	if c.boot == 0 || passed >= freshFor || (wall.Sub(c.wall)-passed).Abs() >= apart {
		c.wall, c.mono, c.boot = wall, mono, read()
		return c.boot
	}
	return c.boot + passed
}

func bootTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic("CLOCK_BOOTTIME: " + err.Error()) // every Linux since 2.6.39 has it
	}
	return time.Duration(ts.Nano())
}

// Now is the time for everything that decides.
func (c *hostClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.steady.offset
	now := c.steady.at(c.read())
	switch after := c.steady.offset; {
	case c.steady.followed:
		c.log.Error("clock: the wall clock has stood by its step, following it", "step", before.String())
	case after == 0 && before != 0:
		c.log.Warn("clock: the wall clock is back where it was")
	case after != 0 && (after-before).Abs() >= slewed:
		c.log.Error("clock: the wall clock was set; going on without it for "+believed.String(), "step", after.String())
	}
	return now
}

// Offset is by how much the wall clock is ahead of Now; 0 while Now goes with it.
func (c *hostClock) Offset() time.Duration {
	c.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.steady.offset
}

// Trouble says what is wrong; empty when nothing is.
func (c *hostClock) Trouble() string {
	offset := c.Offset()
	c.mu.Lock()
	defer c.mu.Unlock()
	direction := "ahead"
	if offset < 0 {
		direction = "behind"
	}
	if offset == 0 {
		return ""
	}
	return fmt.Sprintf("the wall clock was set and is %s %s; followed in %s if it stays so",
		offset.Abs().Round(time.Second), direction, (c.steady.since + believed - c.steady.boot).Round(time.Second))
}

// steadyClock is hostClock without the host.
//
// The times that it gives have the monotonic reading of the first wall time, moved
// by the time since boot: differences between them are true also across a step that
// was followed and across a suspended host, by which state.Clock counts windows.
type steadyClock struct {
	now  time.Time     // as it was given last
	boot time.Duration // since boot, then

	offset   time.Duration // of the wall clock, when it is not followed; else 0
	since    time.Duration // since boot, when offset was first seen
	followed bool          // by the last call, a step
}

// at is the time for these readings of the wall clock and of the time since boot.
func (s *steadyClock) at(wall time.Time, boot time.Duration) time.Time {
	s.now, s.boot, s.followed = s.now.Add(boot-s.boot), boot, false
	offset := wall.Round(0).Sub(s.now.Round(0)) // Round strips the monotonic readings
	switch {
	case offset.Abs() < slewed:
		s.now, s.offset = s.now.Add(offset), 0
	case s.offset == 0 || (offset-s.offset).Abs() >= slewed: // set, or set again
		s.offset, s.since = offset, boot
	case boot-s.since >= believed:
		s.now, s.offset, s.followed = wall, 0, true
	}
	return s.now
}
