package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/state"
)

// host is a host whose clocks a test sets.
type host struct {
	wall time.Time
	boot time.Duration
}

func newHost() *host {
	return &host{wall: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC), boot: 40 * time.Hour}
}

func (h *host) passes(d time.Duration) {
	h.wall, h.boot = h.wall.Add(d), h.boot+d
}

// suspended is passes for both clocks; only the monotonic one stands still.
func (h *host) suspended(d time.Duration) { h.passes(d) }

func (h *host) set(by time.Duration) { h.wall = h.wall.Add(by) }

func (h *host) read() (time.Time, time.Duration) { return h.wall, h.boot }

// TestClockScripts: what happens to a host's clocks, and what the daemon's says.
func TestClockScripts(t *testing.T) {
	const day = 24 * time.Hour
	to2038 := time.Date(2038, 1, 19, 3, 14, 7, 0, time.UTC).Sub(newHost().wall)
	type step struct {
		do   func(*host)
		off  time.Duration // of the wall clock against true time
		now  time.Duration // of the daemon's against true time
		told time.Duration // Offset
	}
	pass := func(d time.Duration) func(*host) { return func(h *host) { h.passes(d) } }
	set := func(d time.Duration) func(*host) { return func(h *host) { h.set(d) } }
	// lasting is a step that is followed after an hour, and not before.
	lasting := func(by time.Duration) []step {
		return []step{
			{set(by), by, 0, by},
			{pass(time.Second), by, 0, by},
			{pass(time.Hour - 2*time.Second), by, 0, by},
			{pass(time.Second), by, by, 0},
			{pass(time.Hour), by, by, 0},
		}
	}
	for name, script := range map[string][]step{
		"nothing":                {{pass(0), 0, 0, 0}, {pass(day), 0, 0, 0}},
		"back an hour":           lasting(-time.Hour),
		"forward a day":          lasting(day),
		"to 2038":                lasting(to2038),
		"a minute":               lasting(time.Minute),
		"a minute back":          lasting(-time.Minute),
		"before 1970":            lasting(-57 * 365 * day),
		"just under a minute":    {{set(time.Minute - 1), time.Minute - 1, time.Minute - 1, 0}},
		"back just under one":    {{set(1 - time.Minute), 1 - time.Minute, 1 - time.Minute, 0}},
		"suspended for 8 h":      {{func(h *host) { h.suspended(8 * time.Hour) }, 0, 0, 0}, {pass(time.Second), 0, 0, 0}},
		"a leap second":          {{set(-time.Second), -time.Second, -time.Second, 0}},
		"taken back":             {{set(day), day, 0, day}, {pass(time.Minute), day, 0, day}, {set(-day), 0, 0, 0}, {pass(2 * time.Hour), 0, 0, 0}},
		"taken back, and a bit":  {{set(day), day, 0, day}, {set(-day + time.Second), time.Second, time.Second, 0}},
		"set twice":              {{set(day), day, 0, day}, {pass(50 * time.Minute), day, 0, day}, {set(day), 2 * day, 0, 2 * day}, {pass(59 * time.Minute), 2 * day, 0, 2 * day}, {pass(time.Minute), 2 * day, 2 * day, 0}},
		"corrected while waited": {{set(day), day, 0, day}, {set(time.Second), day + time.Second, 0, day}, {pass(time.Hour), day + time.Second, day + time.Second, 0}},
		"set, then suspended":    {{set(day), day, 0, day}, {func(h *host) { h.suspended(8 * time.Hour) }, day, day, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost()
			truth := h.wall.Add(-h.boot)
			c := startClock(slog.New(slog.DiscardHandler), h.read)
			for i, s := range script {
				s.do(h)
				want := truth.Add(h.boot + s.now)
				if got := c.Now(); !got.Equal(want) {
					t.Errorf("step %d: now is %s, want %s", i, got, want)
				}
				if !h.wall.Equal(truth.Add(h.boot + s.off)) {
					t.Fatalf("step %d: the script has the wall clock at %s", i, h.wall)
				}
				if got := c.Offset(); got != s.told {
					t.Errorf("step %d: offset %s, want %s", i, got, s.told)
				}
			}
		})
	}
}

// NTP may take its time: a second each ten minutes is followed all day long.
func TestClockFollowsSlew(t *testing.T) {
	h := newHost()
	c := startClock(slog.New(slog.DiscardHandler), h.read)
	for range 144 {
		h.passes(10 * time.Minute)
		h.set(time.Second)
		if got := c.Now(); !got.Equal(h.wall) {
			t.Fatalf("now is %s, the wall clock %s", got, h.wall)
		}
	}
}

func TestClockSaysSo(t *testing.T) {
	var log bytes.Buffer
	h := newHost()
	c := startClock(slog.New(slog.NewTextHandler(&log, nil)), h.read)
	var got []string
	look := func() {
		c.Now()
		c.Now() // nothing is said twice
		var said []string
		for line := range strings.Lines(log.String()) {
			_, text, _ := strings.Cut(strings.TrimSpace(line), " ")
			said = append(said, text)
		}
		log.Reset()
		got = append(got, fmt.Sprintf("%s | %s", c.Trouble(), strings.Join(said, "; ")))
	}
	look()
	h.set(-time.Hour)
	look()
	h.passes(time.Minute)
	look()
	h.set(time.Hour)
	look()
	h.set(48 * time.Hour)
	h.passes(time.Second)
	look()
	h.passes(time.Hour)
	look()
	want := []string{
		" | ",
		`the wall clock was set and is 1h0m0s behind; followed in 1h0m0s if it stays so | ` +
			`level=ERROR msg="clock: the wall clock was set; going on without it for 1h0m0s" step=-1h0m0s`,
		`the wall clock was set and is 1h0m0s behind; followed in 59m0s if it stays so | `,
		` | level=WARN msg="clock: the wall clock is back where it was"`,
		`the wall clock was set and is 48h0m0s ahead; followed in 1h0m0s if it stays so | ` +
			`level=ERROR msg="clock: the wall clock was set; going on without it for 1h0m0s" step=48h0m0s`,
		` | level=ERROR msg="clock: the wall clock has stood by its step, following it" step=48h0m0s`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// reading is what time.Now gives on a host whose wall clock was set: Go has no way
// to make one. Its layout is that of time.Time, with a monotonic reading.
func reading(wall time.Time, mono time.Duration) time.Time {
	now := time.Now()
	fields := (*struct { // see time.Time
		wall uint64
		ext  int64
		loc  *time.Location
	})(unsafe.Pointer(&now))
	since1885 := wall.Unix() - time.Date(1885, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	fields.wall = 1<<63 | uint64(since1885)<<30 | uint64(wall.Nanosecond())
	fields.ext = int64(mono)
	return now
}

func TestReading(t *testing.T) {
	wall := newHost().wall
	a, b := reading(wall, time.Hour), reading(wall.Add(24*time.Hour), time.Hour+time.Second)
	if !a.Round(0).Equal(wall) || b.Sub(a) != time.Second || b.Round(0).Sub(a.Round(0)) != 24*time.Hour {
		t.Fatalf("%s, %s: the layout of time.Time has changed", a, b)
	}
}

// Windows go by true time, whatever the wall clock does: across steps that are
// followed and across a suspended host. They are never ahead of it; at a step that
// is followed after the host was suspended the time since the last call is lost.
func TestClockMovesWindowsByTrueTime(t *testing.T) {
	h := newHost()
	mono := time.Hour
	c := startClock(slog.New(slog.DiscardHandler), func() (time.Time, time.Duration) { return reading(h.wall, mono), h.boot })
	var line state.Clock
	begin, boot, lost := line.At(c.Now()), h.boot, time.Duration(0)
	look := func(what string) {
		t.Helper()
		want := h.boot - boot
		if got := time.Duration(line.At(c.Now()) - begin); got > want || want-got > lost {
			t.Errorf("%s: windows moved by %s, true time by %s", what, got, want)
		}
	}
	runs := func(what string) {
		t.Helper()
		for range 8 {
			h.passes(10 * time.Minute)
			mono += 10 * time.Minute
			look(what)
		}
	}
	runs("running")
	h.set(24 * time.Hour)
	runs("a day ahead")
	if !c.Now().Equal(h.wall) {
		t.Error("not followed")
	}
	h.set(-26 * time.Hour)
	runs("two hours behind")
	h.suspended(8 * time.Hour)
	runs("after a suspended night")
	h.set(time.Hour)
	lost = 10 * time.Minute
	runs("an hour ahead after that night")
	if !c.Now().Equal(h.wall) {
		t.Error("not followed")
	}
}

func TestClockReadsTheHost(t *testing.T) {
	c := newHostClock(slog.New(slog.DiscardHandler))
	before := time.Now()
	now := c.Now()
	if now.Before(before.Add(-time.Second)) || now.After(time.Now().Add(time.Second)) || c.Offset() != 0 || c.Trouble() != "" {
		t.Errorf("now is %s, before it was %s; %s", now, before, c.Trouble())
	}
	if later := c.Now(); later.Before(now) {
		t.Errorf("%s, then %s", now, later)
	}
}

// The time since boot is read when it may have gone on otherwise than the clocks that
// cost nothing: after a while, when the host was suspended, when the wall clock was set.
func TestTimeSinceBootIsRead(t *testing.T) {
	start := time.Unix(1_790_000_000, 0)
	for _, tt := range []struct {
		wall, mono time.Duration // passed
		read       bool
	}{
		{0, 0, false},
		{freshFor - 1, freshFor - 1, false},
		{freshFor, freshFor, true},
		{time.Hour + 1, 1, true}, // suspended
		{apart - 1, 0, false},
		{apart, 0, true},
		{-apart + 1, 0, false},
		{-apart, 0, true},
		{-time.Hour, freshFor - 1, true},
	} {
		c := newClocks()
		reads := 0
		read := func() time.Duration { reads++; return time.Duration(reads) * 1000 * time.Hour }
		c.sinceBoot(start, time.Minute, read)
		boot, want := c.sinceBoot(start.Add(tt.wall), time.Minute+tt.mono, read), 1000*time.Hour+tt.mono
		if tt.read {
			want = 2000 * time.Hour
		}
		if boot != want || reads != 1 && !tt.read {
			t.Errorf("%v by the wall clock, %v by the monotonic one: %v after %d readings, want %v", tt.wall, tt.mono, boot, reads, want)
		}
	}
}

func BenchmarkHostClock(b *testing.B) {
	c := newHostClock(slog.New(slog.DiscardHandler))
	for b.Loop() {
		c.Now()
	}
}
