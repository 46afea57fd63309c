package badgerdb

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// aheadOf is how much of the log of the memtable has disk space before it is written,
// in bytes: a commit adds at most 1.2 MB (Badger takes 15 % of the memtable).
const aheadOf = 2 << 20

// The disk is looked at before a commit after so long or so many bytes of commits: that
// takes two calls of the kernel, some 3 us. Between two looks of watch a disk may lose
// far more (defaultMinFree).
const (
	lookAfter = 5 * time.Millisecond
	lookBytes = 64 << 10
)

// reserve takes disk space for what Badger writes through mapped memory, before it
// does: a page for which the disk has no room is a SIGBUS, which ends the process,
// and a disk can run full between two looks at it. Only the log of the memtable is
// written by a commit; what is reserved and not used goes back with the file.
//
// Used by who writes, one at a time. It keeps no file open: the database may be
// closed meanwhile, and its disk unmounted.
type reserve struct {
	least   uint64 // bytes that the disk must have free: less is a shortage
	path    string // the log that is being written; empty: not known
	written int64  // at most, bytes since it was begun
	ready   int64  // bytes of it that have space
	size    int64  // its length, which it keeps; 0: not known

	looked time.Time // when the disk was looked at
	since  int64     // bytes of the commits after that
}

// shortage is what the disk has too little of, as an error.
type shortage string

func (s shortage) Error() string { return string(s) }

// before makes room for a commit of at most so many bytes, or gives a shortage.
func (r *reserve) before(now time.Time, dir string, bytes int64) error {
	r.since += bytes
	if now.Sub(r.looked) >= lookAfter || r.since > lookBytes || r.path == "" {
		if err := r.look(dir); err != nil {
			return err
		}
		r.looked, r.since = now, bytes
	}
	if r.written += bytes; r.path == "" || r.written+aheadOf/2 <= r.ready || r.ready == r.size && r.size > 0 {
		return nil
	}
	return r.grow(r.written + aheadOf)
}

// look looks at the disk, and for another log: a commit may make Badger begin one and
// write the memtable to a table, which has no reserve.
func (r *reserve) look(dir string) error {
	left, err := roomAt(dir)
	if err != nil {
		return err
	}
	if short := left.shortage(r.least, 0); short != "" {
		return shortage(short)
	}
	return r.follow(dir)
}

// grow gives the log space up to want.
func (r *reserve) grow(want int64) error {
	f, err := os.OpenFile(r.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close() // nothing was written through it
	info, err := f.Stat()
	if err != nil {
		return err
	}
	r.size = info.Size() // never longer: Badger reads its end
	if want = min(want, r.size); want <= r.ready {
		return nil
	}
	err = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, r.ready, want-r.ready)
	switch {
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
		return nil // this file system promises nothing; looking at it must do
	case err != nil:
		return shortage(fmt.Sprintf("disk full: no room for the database's log: %v", err))
	}
	r.ready = want
	return nil
}

// follow goes on to the newest log in dir, which Badger begins when the memtable is
// full.
func (r *reserve) follow(dir string) (err error) {
	if filepath.Dir(r.path) != dir || !exists(r.path) {
		r.written, r.ready, r.size = 0, 0, 0
		r.path, err = newestLog(dir)
		return err
	}
	for next := nextLog(r.path); exists(next); next = nextLog(next) {
		// What made it begin may have written a commit's worth already.
		r.path, r.written, r.ready, r.size = next, aheadOf, 0, 0
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// newestLog finds the log that is being written; empty when there is none.
func newestLog(dir string) (string, error) {
	list, err := filepath.Glob(filepath.Join(dir, "*.mem"))
	newest, highest := "", -1
	for _, path := range list {
		if n, err := strconv.Atoi(strings.TrimSuffix(filepath.Base(path), ".mem")); err == nil && n > highest {
			newest, highest = path, n
		}
	}
	return newest, err
}

// nextLog is the log after this one, as Badger names them.
func nextLog(path string) string {
	n, err := strconv.Atoi(strings.TrimSuffix(filepath.Base(path), ".mem"))
	if err != nil {
		return path + ".next" // never there
	}
	return filepath.Join(filepath.Dir(path), fmt.Sprintf("%05d.mem", n+1))
}
