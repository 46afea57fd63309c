// Package shelftest plays systemd: the file descriptor store that a service has there
// (sd_notify(3)), for tests that let processes end and others go on.
package shelftest

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// Systemd keeps what it is sent until the test is over.
type Systemd struct {
	Socket string // for NOTIFY_SOCKET
	Max    int    // descriptors that it keeps (FileDescriptorStoreMax=)

	mu     sync.Mutex
	kept   []*os.File
	caught chan struct{}
	idle   chan struct{}
}

// What systemd is told by its own methods.
const (
	catchUp = "SHELFTEST=1" // say that all that came before has been looked at
	hold    = "SHELFTEST=2" // say so, and look at nothing until idle
)

// New listens. Nothing is kept that is over max.
func New(t testing.TB, max int) *Systemd {
	t.Helper()
	s := &Systemd{Socket: filepath.Join(t.TempDir(), "notify"), Max: max, caught: make(chan struct{}, 1), idle: make(chan struct{}, 1)}
	nc, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: s.Socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		text, oob := make([]byte, 4096), make([]byte, 4096)
		for {
			n, rights, _, _, err := nc.ReadMsgUnix(text, oob)
			if err != nil {
				return
			}
			switch told := string(text[:n]); told {
			case catchUp:
				s.caught <- struct{}{}
			case hold:
				s.caught <- struct{}{}
				<-s.idle
			default:
				s.take(told, descriptors(oob[:rights]))
			}
		}
	}()
	t.Cleanup(func() {
		nc.Close()
		<-done
		for _, f := range s.kept {
			f.Close()
		}
	})
	return s
}

func descriptors(oob []byte) []int {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(messages) == 0 {
		return nil
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return nil
	}
	for _, fd := range fds {
		unix.CloseOnExec(fd)
	}
	return fds
}

func (s *Systemd) take(text string, fds []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fields := map[string]string{}
	for _, line := range strings.Split(text, "\n") {
		key, value, _ := strings.Cut(line, "=")
		fields[key] = value
	}
	switch {
	case fields["FDSTORE"] == "1":
		for _, fd := range fds {
			f := os.NewFile(uintptr(fd), fields["FDNAME"])
			if len(s.kept) >= s.Max {
				f.Close()
				continue
			}
			s.kept = append(s.kept, f)
		}
		return
	case fields["FDSTOREREMOVE"] == "1":
		var rest []*os.File
		for _, f := range s.kept {
			if f.Name() == fields["FDNAME"] {
				f.Close()
			} else {
				rest = append(rest, f)
			}
		}
		s.kept = rest
	}
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// Files are descriptors of all that is kept, for the next process, by their names. The
// newest comes first, as systemd has it.
func (s *Systemd) Files(t testing.TB) []*os.File {
	t.Helper()
	s.tell(t, catchUp)
	<-s.caught
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*os.File
	for i := len(s.kept) - 1; i >= 0; i-- {
		fd, err := unix.FcntlInt(s.kept[i].Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, os.NewFile(uintptr(fd), s.kept[i].Name()))
	}
	return list
}

// Busy runs f while the queue of what systemd has not looked at is full, and goes on when f
// calls idle, or ends.
func (s *Systemd) Busy(t testing.TB, f func(idle func())) {
	t.Helper()
	s.tell(t, hold)
	<-s.caught
	idle := sync.OnceFunc(func() { s.idle <- struct{}{} })
	defer idle()
	// A socket's own buffer may be full before the queue is.
	for n := 1; n > 0; {
		n = s.fill(t)
	}
	f(idle)
}

// fill sends from one socket what goes without waiting, and says how much that was.
func (s *Systemd) fill(t testing.TB) (sent int) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	for {
		err := unix.Sendto(fd, []byte("STATUS=busy"), unix.MSG_DONTWAIT, &unix.SockaddrUnix{Name: s.Socket})
		if err == unix.EAGAIN {
			return sent
		}
		if err != nil {
			t.Fatal(err)
		}
		sent++
	}
}

func (s *Systemd) tell(t testing.TB, text string) {
	t.Helper()
	nc, err := net.Dial("unixgram", s.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := io.WriteString(nc, text); err != nil {
		t.Fatal(err)
	}
}
