package badgerdb

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"o2n-milter/state"
)

const (
	// inMounts is set where a test runs in mounts of its own; it names a folder for them.
	inMounts = "O2N_TEST_MOUNTS"
	// childFull makes the test binary charge and block in the store it names, to be killed.
	childFull = "O2N_TEST_FULL"
	// smallMin goes with a disk of 24 MB.
	smallMin = 6_000_000
)

// ownMounts runs the test again as root in a mount namespace of its own, and says
// where it may mount; empty in the process that only waits for that.
func ownMounts(t *testing.T) (dir string) {
	t.Helper()
	if dir := os.Getenv(inMounts); dir != "" {
		return dir
	}
	cannot := t.Skipf
	if os.Getenv("CI") == "true" {
		cannot = t.Fatalf
	}
	if os.Geteuid() != 0 {
		cannot("SKIPPED: full and read-only disks are tried as root only")
	}
	if err := exec.Command("unshare", "-m", "true").Run(); err != nil {
		cannot("SKIPPED: no mount namespace for full and read-only disks: %v", err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "-m", exe, "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=3m")
	cmd.Env = append(os.Environ(), inMounts+"="+t.TempDir())
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("in mounts of its own: %v", err)
	}
	return ""
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v, %s", name, args, err, out)
	}
}

// smallDisk mounts 24 MB.
func smallDisk(t *testing.T, dir string) {
	t.Helper()
	run(t, "mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", dir)
	t.Cleanup(func() { run(t, "umount", dir) })
}

// filler takes all the space there is, at 25 MB/s: a log that grows fast.
func filler(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	chunk := make([]byte, 256<<10)
	for {
		if _, err := f.Write(chunk); errors.Is(err, unix.ENOSPC) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func openSmall(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(Options{Path: path, MinFree: smallMin, Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// The disk runs full under load and gets room again, twice. No call fails, and all that
// was answered is there, also after closing and opening.
func TestDiskFull(t *testing.T) {
	dir := ownMounts(t)
	if dir == "" {
		return
	}
	smallDisk(t, dir)
	path, big := filepath.Join(dir, "store"), filepath.Join(dir, "filler")
	s := openSmall(t, path)
	tr := begin(t, s)
	for range 2 {
		tr.more(t, 500)
		filler(t, big)
		until(t, func() bool { return strings.HasPrefix(degraded(t, s), "disk full: ") })
		tr.more(t, 500)
		if d := degraded(t, s); !strings.HasPrefix(d, "disk full: 0 MB free, want 1") {
			t.Errorf("degraded %q; want what is free and what is wanted", d)
		}
		if _, err := s.Decision(t.Context(), "D0-0"); !errors.Is(err, state.ErrUnavailable) {
			t.Errorf("decision: %v; want %v", err, state.ErrUnavailable)
		}
		remove(t, big)
		until(t, func() bool { return degraded(t, s) == "" })
		tr.more(t, 500)
	}
	tr.end()
	tr.holds(t, s)
	if s.writer.dropped.Load() != 0 {
		t.Error("the decisions dropped were not told")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	tr.holds(t, openSmall(t, path))
	if _, err := os.Stat(filepath.Join(path, "DAMAGE.txt")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("DAMAGE.txt: %v; want none: nothing was damaged", err)
	}
}

// fullChild says what it was answered until it is killed, whatever the disk does.
func fullChild(path string) {
	s, err := Open(Options{Path: path, MinFree: smallMin, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println("child:", err)
		return
	}
	ctx := context.Background()
	for n := 0; ; n++ {
		if _, err := s.Take(ctx, start, state.Ask{Charges: charges(1<<40, "account:a")}); err != nil {
			fmt.Println("child:", err)
			return
		}
		away := s.awayWhy() != ""
		if n%10 == 0 {
			if err := s.AddBlock(ctx, state.Block{ID: fmt.Sprint("B", n), Subject: "ip:192.0.2.1", Since: start}); err != nil {
				fmt.Println("child:", err)
				return
			}
			fmt.Println("blocked", away)
		}
		fmt.Println("took", away)
		time.Sleep(time.Millisecond)
	}
}

// Killed while the disk is full: charges since then are forgotten, as said; blocks are
// not, and not before either. The next start, on the full disk, knows them, judges, and
// opens the database when there is room.
func TestKilledOnFullDisk(t *testing.T) {
	dir := ownMounts(t)
	if dir == "" {
		return
	}
	smallDisk(t, dir)
	path, big := filepath.Join(dir, "store"), filepath.Join(dir, "filler")
	took, blocked := killedFull(t, path, big)
	t.Logf("%d charges answered before the disk was full, %d blocks in all", took, blocked)

	s := openSmall(t, path)
	if d := degraded(t, s); !strings.HasPrefix(d, "disk full: ") {
		t.Errorf("degraded %q; want the disk full", d)
	}
	count := func() int64 {
		blocks, err := s.Blocks(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return int64(len(blocks))
	}
	if n := count(); n < blocked || n > blocked+1 {
		t.Errorf("%d blocks; %d were answered", n, blocked)
	}
	take(t, s, charges(1<<40, "account:a"))
	if n := used(t, s, "account:a"); n != 1 {
		t.Errorf("used %d without the database; want the one just charged", n)
	}
	remove(t, big)
	until(t, func() bool { return degraded(t, s) == "" })
	if n := used(t, s, "account:a"); n < took+1 {
		t.Errorf("used %d with the database; %d were answered before it was closed, and one since", n, took)
	}
	if n := count(); n < blocked || n > blocked+1 {
		t.Errorf("%d blocks with the database; %d were answered", n, blocked)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openSmall(t, path)
	if n := count(); n < blocked || n > blocked+1 {
		t.Errorf("%d blocks after another start; %d were answered", n, blocked)
	}
}

// killedFull runs a child, fills its disk, kills it, and counts its answers: charges
// while the database was there, and all blocks.
func killedFull(t *testing.T, path, big string) (took, blocked int64) {
	t.Helper()
	cmd := self(t, childFull+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var filling sync.WaitGroup
	away := 0
	for sc := bufio.NewScanner(out); sc.Scan(); {
		switch sc.Text() {
		case "took false":
			if took++; took == 200 {
				filling.Go(func() { filler(t, big) })
			}
		case "took true":
			if away++; away == 100 {
				filling.Wait()
			}
			if away == 200 {
				if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
			}
		case "blocked false", "blocked true":
			blocked++
		default:
			t.Fatalf("child said %q", sc.Text())
		}
	}
	if err := cmd.Wait(); away < 200 {
		t.Fatalf("child ended by itself, %d charges after its disk was full: %v", away, err)
	}
	return took, blocked
}

// A start on a read-only disk knows the blocks and judges; it becomes whole when the
// disk may be written to again.
func TestReadOnlyAtStart(t *testing.T) {
	dir := ownMounts(t)
	if dir == "" {
		return
	}
	smallDisk(t, dir)
	path := filepath.Join(dir, "store")
	s := openSmall(t, path)
	b := state.Block{ID: "B1", Subject: "account:b", Since: start}
	if err := s.AddBlock(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	take(t, s, charges(1<<40, "account:a"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	run(t, "mount", "-o", "remount,ro", dir)
	s = openSmall(t, path)
	if d := degraded(t, s); d != "the file system is read-only" {
		t.Errorf("degraded %q", d)
	}
	if blocks, err := s.ActiveBlocks(t.Context(), start, []string{"account:b"}); err != nil || len(blocks) != 1 {
		t.Errorf("blocks %v, %v; want the one", blocks, err)
	}
	take(t, s, charges(1<<40, "account:a"))
	if _, err := s.LiftBlock(t.Context(), "B1", start, "op", ""); !errors.Is(err, unix.EROFS) {
		t.Errorf("lift: %v; want %v", err, unix.EROFS)
	}
	run(t, "mount", "-o", "remount,rw", dir)
	until(t, func() bool { return degraded(t, s) == "" })
	if n := used(t, s, "account:a"); n != 2 {
		t.Errorf("used %d; want 2", n)
	}
	if _, err := s.LiftBlock(t.Context(), "B1", start, "op", ""); err != nil {
		t.Errorf("lift: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if blocks, err := openSmall(t, path).ActiveBlocks(t.Context(), start, []string{"account:b"}); err != nil || len(blocks) != 0 {
		t.Errorf("blocks %v, %v; want none: it was lifted", blocks, err)
	}
}

// A disk that fails under load is mounted read-only by the kernel: the process goes on
// judging, says so, and ends in time. (Such a disk must be unmounted before it can be
// written to again.)
func TestDiskFails(t *testing.T) {
	dir := ownMounts(t)
	if dir == "" {
		return
	}
	device := failingDisk(t, dir)
	s := openSmall(t, filepath.Join(dir, "store"))
	tr := begin(t, s)
	tr.more(t, 500)
	tr.noBlocks.Store(true) // they cannot be kept where nothing can be written
	until(t, func() bool { return queued(s) == 0 })
	if err := os.WriteFile("/sys/fs/ext4/"+device+"/trigger_fs_error", []byte("1"), 0o200); err != nil {
		t.Fatal(err)
	}
	until(t, func() bool { return strings.Contains(degraded(t, s), "read-only") })
	tr.more(t, 500)
	tr.end()
	tr.holds(t, s)
	if err := s.AddBlock(t.Context(), state.Block{ID: "B1", Subject: "account:a", Since: start}); !errors.Is(err, unix.EROFS) {
		t.Errorf("block: %v; want %v", err, unix.EROFS)
	}
	if blocks, err := s.ActiveBlocks(t.Context(), start, []string{"ip:192.0.2.1"}); err != nil || len(blocks) == 0 {
		t.Errorf("%d blocks, error %v; want those from before", len(blocks), err)
	}
	began := time.Now()
	if err := s.Close(); err != nil || time.Since(began) > 2*closeWait {
		t.Errorf("closed after %s: %v", time.Since(began), err)
	}
}

// failingDisk mounts an ext4 that turns read-only at a fault, and names its device.
func failingDisk(t *testing.T, dir string) (device string) {
	t.Helper()
	image := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 256<<20); err != nil {
		t.Fatal(err)
	}
	run(t, "mkfs.ext4", "-q", "-F", image)
	if out, err := exec.Command("mount", "-o", "loop,errors=remount-ro", image, dir).CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: no loop device for a disk that fails: %v, %s", err, out)
	}
	// Nobody unmounts it: the store leaves its database open. It goes with the process.
	out, err := exec.Command("findmnt", "-n", "-o", "SOURCE", dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Base(strings.TrimSpace(string(out)))
}
