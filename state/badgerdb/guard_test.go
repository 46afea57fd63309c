package badgerdb

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"golang.org/x/sys/unix"
)

func TestShortage(t *testing.T) {
	const mb = 1_000_000
	tests := []struct {
		room room
		want string
	}{
		{room{free: 96 * mb, inodes: 200}, ""},
		{room{free: 96*mb - 1, inodes: 200}, "disk full: 95 MB free, want 96 MB"},
		{room{free: 0, inodes: 200}, "disk full: 0 MB free, want 96 MB"},
		{room{free: math.MaxUint64, inodes: math.MaxUint64}, ""},
		{room{free: 96 * mb, inodes: 199}, "disk full: 199 inodes free, want 200"},
		{room{free: 96 * mb, inodes: 200, readOnly: true}, "the file system is read-only"},
	}
	for _, test := range tests {
		if got := test.room.shortage(96*mb, 200); got != test.want {
			t.Errorf("%+v: %q; want %q", test.room, got, test.want)
		}
	}
}

// Once there was too little, twice as much is wanted.
func TestGuardHysteresis(t *testing.T) {
	g := guard{min: 100}
	full := room{free: 100, inodes: minInodes}
	for i, step := range []struct {
		free, inodes uint64
		readOnly     bool
		enough       bool
	}{
		{100, minInodes, false, true},
		{99, minInodes, false, false},
		{100, 2 * minInodes, false, false},
		{199, 2 * minInodes, false, false},
		{200, 2*minInodes - 1, false, false},
		{200, 2 * minInodes, true, false},
		{200, 2 * minInodes, false, true},
		{100, minInodes, false, true},
		{100, minInodes - 1, false, false},
		{200, 2 * minInodes, false, true},
	} {
		full.free, full.inodes, full.readOnly = step.free, step.inodes, step.readOnly
		if g.look(full); (g.why == "") != step.enough {
			t.Errorf("look %d at %+v: %q; want enough: %v", i, full, g.why, step.enough)
		}
	}
}

func TestRoomAt(t *testing.T) {
	r, err := roomAt(t.TempDir())
	if err != nil || r.free == 0 || r.inodes == 0 || r.readOnly {
		t.Errorf("%+v, %v; want some room where tests write", r, err)
	}
	if _, err := roomAt("/none/such"); !errors.Is(err, unix.ENOENT) {
		t.Errorf("no such folder: %v", err)
	}
	if r, err := roomAt("/proc"); err != nil || r.inodes != math.MaxUint64 {
		t.Errorf("a file system that counts no inodes: %+v, %v", r, err)
	}
}

func TestDiskFault(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("a: %w", unix.ENOSPC), "no space left on device"},
		{errors.New("while truncate err: no space left on device"), "no space left on device"},
		{fmt.Errorf("b: %w", unix.EROFS), "read-only file system"},
		{unix.EDQUOT, "disk quota exceeded"},
		{errors.New("msync: input/output error"), "input/output error"},
		{unix.ENOENT, ""},
		{errors.New("Txn is too big to fit into one request"), ""},
	} {
		if got := diskFault(test.err); got != test.want {
			t.Errorf("%v: %q; want %q", test.err, got, test.want)
		}
	}
}
