package milter

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func TestListenUnix(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0)) // the mode must not hang on it
	path := filepath.Join(t.TempDir(), "made", "for", "it.sock")
	for _, mode := range []fs.FileMode{0o660, 0o600, 0o666} {
		for _, umask := range []int{0, 0o077} {
			syscall.Umask(0)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			syscall.Umask(umask)
			ln, err := Listen("unix:"+path, mode, strconv.Itoa(os.Getgid()))
			if err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(path)
			if err != nil || info.Mode() != mode|fs.ModeSocket {
				t.Errorf("umask %o: mode %v, %v, want %v", umask, info.Mode(), err, mode)
			}
			ln.Close()
		}
	}
}

// From bind to Chmod the socket is its owner's alone.
func TestListenPrivately(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	path := filepath.Join(t.TempDir(), "it.sock")
	ln, err := privately.Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// Whoever owns the folder can put another file in the socket's place.
func TestListenReplaced(t *testing.T) {
	dir := t.TempDir()
	precious, link := filepath.Join(dir, "precious"), filepath.Join(dir, "it.sock")
	if err := errors.Join(os.WriteFile(precious, nil, 0o600), os.Symlink(precious, link)); err != nil {
		t.Fatal(err)
	}
	other, toOther := filepath.Join(dir, "other.sock"), filepath.Join(dir, "link.sock")
	ln, err := privately.Listen(t.Context(), "unix", other)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if err := os.Symlink(other, toOther); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{link, precious, toOther} {
		if err := open(path, 0o666, -1); err == nil {
			t.Errorf("%s: opened", path)
		}
	}
	for _, path := range []string{precious, other} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", path, info.Mode(), err)
		}
	}
}

func TestListenStale(t *testing.T) {
	path := filepath.Join(t.TempDir(), "it.sock")
	old, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen("unix:"+path, 0o600, ""); err == nil || !strings.Contains(err.Error(), "another process answers") {
		t.Errorf("a socket in use: %v", err)
	}
	old.(*net.UnixListener).SetUnlinkOnClose(false)
	old.Close()
	ln, err := Listen("unix:"+path, 0o600, "")
	if err != nil {
		t.Fatalf("a socket left behind: %v", err)
	}
	ln.Close()
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen("unix:"+path, 0o600, ""); err == nil || !strings.Contains(err.Error(), "is no socket") {
		t.Errorf("a plain file: %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "precious" {
		t.Errorf("the plain file is %q, %v", b, err)
	}
}

func TestListenFaults(t *testing.T) {
	for addr, want := range map[string]string{
		"":                   "want tcp:host:port or unix:/path",
		"127.0.0.1:8895":     "want tcp:host:port or unix:/path",
		"unix:relative.sock": "want tcp:host:port or unix:/path",
		"tcp:8895":           "want tcp:host:port",
		"tcp:::1":            "want tcp:host:port",
	} {
		if ln, err := Listen(addr, 0o600, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v", addr, ln, err)
		}
	}
	if _, err := Listen("unix:"+t.TempDir()+"/it.sock", 0o600, "no-such-group"); err == nil {
		t.Error("an unknown group is taken")
	}
}
