//go:build mta

package soak

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"o2n-milter/tests/mta"
)

// sample is what the daemon takes while nobody wants anything of it.
type sample struct {
	at               time.Duration // since the beginning
	pid              int
	fds, goroutines  float64
	rss, heap, disk  float64 // MB
	letters, arrived int
	taken, no, away  int
	slowest          time.Duration
	trouble          string
}

// measure waits until no session is left, and takes the least of some looks: what is
// there for a moment is no leak.
func (p *place) measure(t *testing.T, since time.Time, trouble string) sample {
	t.Helper()
	mta.Poll(t, "the daemon is at rest", func() bool { return p.metric("o2n_milter_sessions") == 0 })
	s := sample{at: time.Since(since), pid: p.Proc.Cmd.Process.Pid, trouble: trouble, slowest: p.book.look()}
	const looks = 5
	for i := range looks {
		fds, goroutines := p.fds(t), p.metric("go_goroutines")
		if i == 0 || fds < s.fds {
			s.fds = fds
		}
		if i == 0 || goroutines < s.goroutines {
			s.goroutines = goroutines
		}
		time.Sleep(200 * time.Millisecond)
	}
	// The collector waits until the heap is twice what it left the last time (GOGC).
	s.heap = p.metric("go_memstats_next_gc_bytes") / 2e6
	s.rss, s.disk = p.rss(t), diskOf(t, filepath.Join(p.Daemon.Dir, "state"))
	p.book.deliver(p.sink.Take())
	counts, arrived := p.book.tally()
	for _, n := range counts {
		s.letters += n
	}
	s.arrived, s.taken, s.no, s.away = arrived, counts[taken]+counts[handed], counts[refused], counts[deferred]+counts[unsaid]
	return s
}

// metric is a number of /metrics; -1 when nobody answers.
func (p *place) metric(name string) float64 {
	n, err := p.Sample(name)
	if err != nil {
		return -1
	}
	return n
}

// fds are the daemon's descriptors, but for those of Badger's tables, which are measured
// by their bytes.
func (p *place) fds(t testing.TB) (n float64) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", p.Proc.Cmd.Process.Pid)
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatalf("the daemon has ended: %v", err)
	}
	for _, fd := range list {
		if file, err := os.Readlink(filepath.Join(dir, fd.Name())); err == nil && filepath.Ext(file) != ".sst" {
			n++
		}
	}
	return n
}

var rssLine = regexp.MustCompile(`(?m)^VmRSS:\s+(\d+) kB$`)

func (p *place) rss(t testing.TB) float64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Proc.Cmd.Process.Pid))
	m := rssLine.FindSubmatch(status)
	if err != nil || m == nil {
		t.Fatalf("memory of the daemon: %v in %s", err, status)
	}
	kb, _ := strconv.Atoi(string(m[1])) // digits
	return float64(kb) / 1000
}

// diskOf is what a folder takes on the disk: Badger's files have holes.
func diskOf(t testing.TB, dir string) float64 {
	t.Helper()
	blocks := int64(0)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil // tables come and go
		}
		if err != nil {
			return err
		}
		info, err := d.Info()
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil {
			return err
		}
		blocks += info.Sys().(*syscall.Stat_t).Blocks
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return float64(blocks) * 512 / 1e6 // stat(2)
}

// bound is how much something may grow over the second half, by the line that fits
// its samples best.
type bound struct {
	name  string
	value func(sample) float64
	most  func(first, last sample) float64
}

var bounds = []bound{
	{"descriptors", func(s sample) float64 { return s.fds }, func(_, _ sample) float64 { return 4 }},
	{"goroutines", func(s sample) float64 { return s.goroutines }, func(_, _ sample) float64 { return 6 }},
	// Badger's tables go up and down by some MB.
	{"MB of live heap", func(s sample) float64 { return s.heap }, func(_, _ sample) float64 { return 32 }},
	// Badger's tables and its log are mapped, and count as far as they were looked at. A short
	// soak sees it go up only.
	{"MB of memory", func(s sample) float64 { return s.rss }, func(first, last sample) float64 { return 64 + last.disk - first.disk }},
	// A decision takes less than a kilobyte, and Badger merges its tables when it likes.
	{"MB of disk", func(s sample) float64 { return s.disk }, func(first, last sample) float64 {
		return 16 + float64(last.letters-first.letters)*0.001
	}},
}

// growth says how much the samples of one process have grown, and what of it is more
// than the bounds say.
func growth(list []sample) (said, over []string) {
	first, last := list[0], list[len(list)-1]
	for _, b := range bounds {
		grown, most := slope(list, b.value)*(last.at-first.at).Seconds(), b.most(first, last)
		said = append(said, fmt.Sprintf("%+.1f %s (at most %.0f)", grown, b.name, most))
		if grown > most {
			over = append(over, said[len(said)-1])
		}
	}
	return said, over
}

// slope is that of the least squares, by the second.
func slope(list []sample, value func(sample) float64) float64 {
	var n, x, y, xx, xy float64
	for _, s := range list {
		at, v := s.at.Seconds(), value(s)
		n, x, y, xx, xy = n+1, x+at, y+v, xx+at*at, xy+at*v
	}
	return (n*xy - x*y) / (n*xx - x*x)
}

const tableHead = "| minute | descriptors | goroutines | memory MB | live heap MB | disk MB | letters | taken | refused | server away | arrived | slowest answer | what happened |\n" +
	"|---|---|---|---|---|---|---|---|---|---|---|---|---|"

func (s sample) row() string {
	return fmt.Sprintf("| %.1f | %.0f | %.0f | %.0f | %.0f | %.1f | %d | %d | %d | %d | %d | %v | %s |", s.at.Minutes(), s.fds, s.goroutines, s.rss, s.heap, s.disk,
		s.letters, s.taken, s.no, s.away, s.arrived, s.slowest.Round(time.Millisecond), s.trouble)
}

// asItShouldBe is in lines of errors that are none: so many are blocked that an alarm is
// raised, the agent was ended by us, and a machine that is busy with other things has no time.
var asItShouldBe = regexp.MustCompile(`msg=alarm|"hold agent is away|"no verdict in time"|context deadline exceeded`)

// readLog wants no panic and no other error in what the daemon has said since the last
// time, and empties the logs: they are not what is measured.
func (p *place) readLog(t *testing.T) {
	t.Helper()
	file := filepath.Join(p.Daemon.Dir, "log")
	log, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"internal.panic", "panic:", "level=ERROR"} {
		for line := range bytes.Lines(log) {
			if bytes.Contains(line, []byte(bad)) && !asItShouldBe.Match(line) {
				t.Errorf("the log says: %s", line)
				break
			}
		}
	}
	for _, f := range []string{file, filepath.Join(p.Postfix.Dir, "mail.log")} {
		if err := os.Truncate(f, 0); err != nil {
			t.Fatal(err)
		}
	}
}
