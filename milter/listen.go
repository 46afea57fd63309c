package milter

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Listen opens "tcp:host:port" or "unix:/path". A unix socket's folder is made,
// a socket file that nobody answers on is replaced; the new one has exactly this
// mode, and this group unless it is empty.
func Listen(addr string, mode fs.FileMode, group string) (net.Listener, error) {
	network, where, _ := strings.Cut(addr, ":")
	switch {
	case network == "tcp":
		if _, _, err := net.SplitHostPort(where); err != nil {
			return nil, fmt.Errorf("listen %q: %w; want tcp:host:port", addr, err)
		}
		return net.Listen("tcp", where)
	case network == "unix" && filepath.IsAbs(where):
		ln, err := listenUnix(where, mode, group)
		if err != nil {
			return nil, fmt.Errorf("listen %s: %w", addr, err)
		}
		return ln, nil
	}
	return nil, fmt.Errorf("listen %q: want tcp:host:port or unix:/path", addr)
}

func listenUnix(path string, mode fs.FileMode, group string) (net.Listener, error) {
	gid, err := groupID(group)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	ln, err := privately.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, err
	}
	if err := open(path, mode, gid); err != nil {
		ln.Close()
		return nil, err
	}
	return ln, nil
}

// open lets in whom the mode says. The folder may belong to another user than ours,
// and ours may be root: what he has put in the socket's place meanwhile is not changed.
func open(path string, mode fs.FileMode, gid int) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return err
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return errors.New("another file has come in the place of the socket")
	}
	same := fmt.Sprintf("/proc/self/fd/%d", fd)
	// The group first: the mode opens the door, and to nobody else.
	return errors.Join(os.Chown(same, -1, gid), os.Chmod(same, mode))
}

// privately binds sockets that only their owner may connect to until Chmod,
// whatever the umask: Linux makes the file with the mode the unbound socket has.
var privately = net.ListenConfig{
	Control: func(_, _ string, rc syscall.RawConn) (err error) {
		if ctlErr := rc.Control(func(fd uintptr) { err = syscall.Fchmod(int(fd), 0o600) }); ctlErr != nil {
			return ctlErr
		}
		return err
	},
}

// groupID is -1 (leave it) for the empty name.
func groupID(group string) (int, error) {
	if group == "" {
		return -1, nil
	}
	if gid, err := strconv.Atoi(group); err == nil {
		return gid, nil
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(g.Gid)
}

// removeStale removes the socket file of a process that is gone.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errors.New("the file exists and is no socket")
	}
	nc, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		nc.Close()
		return errors.New("another process answers on this socket")
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("the socket exists and may be in use: %w", err)
	}
	return os.Remove(path)
}
