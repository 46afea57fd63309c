package badgerdb

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	// defaultMinFree: Badger writes through mapped memory, and a page that the disk
	// has no room for is a SIGBUS, which ends the process. Between two looks a disk may
	// lose 20 MB (at 200 MB/s); a memtable and a compaction under way may take 40.
	defaultMinFree = 96_000_000
	// minInodes: Badger makes a handful of files at one time.
	minInodes = 200
)

// room is what the file system has left.
type room struct {
	free     uint64 // bytes, for a process without privileges
	inodes   uint64 // math.MaxUint64 where the file system does not count them
	readOnly bool
}

func roomAt(path string) (room, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return room{}, fmt.Errorf("statfs %s: %w", path, err)
	}
	r := room{free: st.Bavail * uint64(st.Bsize), inodes: st.Ffree, readOnly: st.Flags&unix.ST_RDONLY != 0}
	if st.Files == 0 {
		r.inodes = math.MaxUint64
	}
	return r, nil
}

// shortage says what is missing; empty when nothing is.
func (r room) shortage(free, inodes uint64) string {
	switch {
	case r.readOnly:
		return "the file system is read-only"
	case r.free < free:
		return fmt.Sprintf("disk full: %d MB free, want %d MB", r.free/1e6, free/1e6)
	case r.inodes < inodes:
		return fmt.Sprintf("disk full: %d inodes free, want %d", r.inodes, inodes)
	}
	return ""
}

// guard says whether there is room for the database. It wants twice as much once
// there was none, so that the database is not closed and opened at every breath.
type guard struct {
	min uint64 // bytes
	why string // what was missing at the last look; empty: there was room
}

func (g *guard) look(r room) {
	factor := uint64(1)
	if g.why != "" {
		factor = 2
	}
	g.why = r.shortage(factor*g.min, factor*minInodes)
}

// diskFaults are the errors that are the disk's, not the database's.
var diskFaults = []unix.Errno{unix.ENOSPC, unix.EDQUOT, unix.EROFS, unix.EIO}

// diskFault says which of them a text or an error speaks of; empty when of none.
// Badger puts errors into text, out of the reach of errors.Is.
func diskFault(err error) string {
	for _, fault := range diskFaults {
		if errors.Is(err, fault) || strings.Contains(err.Error(), fault.Error()) {
			return fault.Error()
		}
	}
	return ""
}
