package badgerdb

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// logFile makes a sparse log as Badger does.
func logFile(t *testing.T, dir, name string, size int64) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, size)); err != nil {
		t.Fatal(err)
	}
	return path
}

// space is how many bytes of a file the disk holds.
func space(t *testing.T, path string) int64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Blocks * 512
}

func TestReserve(t *testing.T) {
	dir := t.TempDir()
	first := logFile(t, dir, "00009.mem", 16<<20)
	var r reserve
	now := start
	before := func(n int64) {
		t.Helper()
		now = now.Add(lookAfter)
		if err := r.before(now, dir, n); err != nil {
			t.Fatal(err)
		}
	}
	before(1000)
	if got := space(t, first); got < 1000+aheadOf/2 {
		t.Skipf("SKIPPED: this file system reserves nothing (%d bytes)", got)
	}
	for n := range int64(20) { // a commit never finds less than the next one needs
		before(300_000)
		if got, want := space(t, first), 1000+(n+1)*300_000+aheadOf/2; got < want {
			t.Errorf("commit %d: %d bytes have space; want at least %d", n, got, want)
		}
	}
	next := logFile(t, dir, "00010.mem", 16<<20)
	last := logFile(t, dir, "00011.mem", 16<<20)
	before(1000)
	if r.path != last || space(t, next) != 0 || space(t, last) < aheadOf {
		t.Errorf("reserved in %s, %d bytes", r.path, space(t, r.path))
	}
	before(100 << 20)
	if info, err := os.Stat(last); err != nil || info.Size() != 16<<20 {
		t.Errorf("the log was made longer: %v, %v", info.Size(), err)
	}
	if err := os.Remove(last); err != nil {
		t.Fatal(err)
	}
	before(1000) // gone with a database that was set aside: the newest that there is
	if r.path != next {
		t.Errorf("follows %s; want %s", r.path, next)
	}
}

func TestReserveOfTooSmallADisk(t *testing.T) {
	r := reserve{least: 1 << 62}
	var short shortage
	if err := r.before(start, t.TempDir(), 1); !errors.As(err, &short) {
		t.Errorf("%v; want a shortage", err)
	}
	if err := (&reserve{}).before(start, filepath.Join(t.TempDir(), "none"), 1); err == nil {
		t.Error("a folder that is not there: no error")
	}
	if err := (&reserve{}).before(start, t.TempDir(), 1); err != nil {
		t.Errorf("a folder without logs: %v", err)
	}
}

// The disk is looked at after some time, or some bytes: not before each commit.
func TestReserveLooks(t *testing.T) {
	dir := t.TempDir()
	logFile(t, dir, "00009.mem", 16<<20)
	r := reserve{}
	before := func(after time.Duration, bytes int64) bool {
		t.Helper()
		was := r.looked
		if err := r.before(start.Add(after), dir, bytes); err != nil {
			t.Fatal(err)
		}
		return r.looked != was
	}
	for i, step := range []struct {
		after time.Duration
		bytes int64
		want  bool
	}{
		{0, 1000, true}, {1, lookBytes - 1000, false}, {2, 1, true}, {lookAfter + 1, 1, false}, {lookAfter + 2, 1, true},
		{lookAfter + 3, lookBytes + 1, true},
	} {
		if got := before(step.after, step.bytes); got != step.want {
			t.Errorf("step %d: looked %v; want %v", i, got, step.want)
		}
	}
}

// A log that has all its space is not looked at again.
func TestReserveWholeLog(t *testing.T) {
	dir := t.TempDir()
	log := logFile(t, dir, "00009.mem", 4<<20)
	var r reserve
	if err := r.before(start, dir, 8<<20); err != nil {
		t.Fatal(err)
	}
	if r.ready != 4<<20 {
		t.Skipf("SKIPPED: this file system reserves nothing (%d bytes)", r.ready)
	}
	if err := os.Remove(log); err != nil {
		t.Fatal(err)
	}
	if err := r.before(start, dir, 1); err != nil {
		t.Errorf("a log that has all its space: %v", err)
	}
}
