package doctor

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// place is a folder with a socket in it that somebody listens on.
func place(t *testing.T) (dir, socket string, ln net.Listener) {
	t.Helper()
	root, err := os.MkdirTemp("/var/tmp", "o2n-") // short, and open above: socket paths end at 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	dir = filepath.Join(root, "run")
	socket = filepath.Join(dir, "m.sock")
	if err := errors.Join(os.Chmod(root, 0o755), os.Mkdir(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	if ln, err = net.Listen("unix", socket); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return dir, socket, ln
}

func TestMayConnect(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: wants root, to give files away")
	}
	const uid, gid, other = 60001, 60002, 60003
	for _, tt := range []struct {
		name              string
		dirMode, mode     fs.FileMode
		owner, group      int
		uid               int
		groups            []int
		want              string // in the error; empty: may connect
		remove, makeAFile bool
	}{
		{name: "open to all", dirMode: 0o755, mode: 0o666, uid: uid},
		{name: "its group", dirMode: 0o750, mode: 0o660, group: gid, uid: uid, groups: []int{other, gid}},
		{name: "another group", dirMode: 0o755, mode: 0o660, group: gid, uid: uid, groups: []int{other}, want: "(mode 0660, owner root, group 60002) is closed to user mta"},
		{name: "folder closed", dirMode: 0o750, mode: 0o666, uid: uid, want: "/run (mode 0750, owner root, group root) is closed to user mta"},
		{name: "its owner", dirMode: 0o711, mode: 0o600, owner: uid, uid: uid},
		{name: "the owner's class decides", dirMode: 0o755, mode: 0o066, owner: uid, uid: uid, want: "mode 0066"},
		{name: "the group's class decides", dirMode: 0o755, mode: 0o606, group: gid, uid: uid, groups: []int{gid}, want: "mode 0606"},
		{name: "reading is not connecting", dirMode: 0o755, mode: 0o664, uid: uid, want: "mode 0664"},
		{name: "root", dirMode: 0o700, mode: 0, owner: uid, uid: 0},
		{name: "gone", dirMode: 0o755, mode: 0o666, uid: uid, remove: true, want: "does not exist"},
		{name: "no socket", dirMode: 0o755, mode: 0o666, uid: uid, remove: true, makeAFile: true, want: "is no socket"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, socket, ln := place(t)
			if tt.remove {
				ln.Close()
			}
			if tt.makeAFile {
				if err := os.WriteFile(socket, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if tt.makeAFile || !tt.remove {
				if err := errors.Join(os.Chown(socket, tt.owner, tt.group), os.Chmod(socket, tt.mode)); err != nil {
					t.Fatal(err)
				}
			}
			if err := errors.Join(os.Chown(dir, 0, tt.group), os.Chmod(dir, tt.dirMode)); err != nil {
				t.Fatal(err)
			}
			err := Identity{Name: "mta", UID: tt.uid, Groups: tt.groups}.mayConnect(socket)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestLookupIdentity(t *testing.T) {
	id, err := LookupIdentity("daemon")
	if err != nil || id.UID != 1 || len(id.Groups) == 0 {
		t.Errorf("daemon: %+v, %v", id, err)
	}
	if id, err := LookupIdentity("nobody-of-this-name"); err == nil {
		t.Errorf("nobody-of-this-name: %+v", id)
	}
}
