package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"o2n-milter/milter/shelf/shelftest"
)

// service is a daemon under a systemd that the test plays: it holds the listening
// sockets and what the daemon gave it to keep.
type service struct {
	t       *testing.T
	systemd *shelftest.Systemd
	dir     string
	sockets []*os.File
	daemon  *exec.Cmd
	log     bytes.Buffer
}

const serviceConfig = `[state]
backend = "memory"
[admin]
socket = "admin.sock"
[web]
listen = ""
`

func newService(t *testing.T, listeners ...net.Listener) *service {
	t.Helper()
	s := &service{t: t, systemd: shelftest.New(t, 2048), dir: t.TempDir()}
	for _, ln := range listeners {
		f, err := ln.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		s.sockets = append(s.sockets, f)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(os.Symlink(self, filepath.Join(s.dir, "o2n-milter")),
		os.WriteFile(filepath.Join(s.dir, "rules.toml"), []byte(serviceConfig), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.end(syscall.SIGKILL)
		if t.Failed() {
			t.Log(s.log.String())
		}
	})
	return s
}

// start starts the daemon as systemd does.
func (s *service) start() {
	s.t.Helper()
	kept := s.systemd.Files(s.t)
	names := strings.Repeat("milter:", len(s.sockets))
	for _, f := range kept {
		defer f.Close()
		names += f.Name() + ":"
	}
	// LISTEN_PID is the daemon's own, which only a shell in its place can know.
	s.daemon = exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, filepath.Join(s.dir, "o2n-milter"), "serve", "--config", "rules.toml")
	s.daemon.Dir = s.dir
	s.daemon.Env = append(os.Environ(), "NOTIFY_SOCKET="+s.systemd.Socket,
		fmt.Sprintf("LISTEN_FDS=%d", len(s.sockets)+len(kept)), "LISTEN_FDNAMES="+strings.TrimSuffix(names, ":"))
	s.daemon.ExtraFiles = append(append([]*os.File{}, s.sockets...), kept...)
	s.daemon.Stdout, s.daemon.Stderr = &s.log, &s.log
	if err := s.daemon.Start(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *service) end(sig syscall.Signal) {
	s.daemon.Process.Signal(sig)
	s.daemon.Wait() // a killed one has no better end
}

// caller is an MTA's session that sends one message after another.
type caller struct {
	nc       net.Conn
	messages atomic.Int64
}

func (c *caller) send(code byte, data string) error {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(data)+1))
	_, err := c.nc.Write(append(append(b, code), data...))
	return err
}

// want reads one answer.
func (c *caller) want(code byte) error {
	var head [5]byte
	if _, err := io.ReadFull(c.nc, head[:]); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	data := make([]byte, binary.BigEndian.Uint32(head[:4])-1)
	if _, err := io.ReadFull(c.nc, data); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	if head[4] != code {
		return fmt.Errorf("answered %q %q, want %q", head[4], data, code)
	}
	return nil
}

func (c *caller) open() error {
	c.nc.SetDeadline(time.Now().Add(2 * time.Minute))
	return errors.Join(c.send('O', "\x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xff\xff"), c.want('O'),
		c.send('C', "host.example\x004\x10\x00192.0.2.7\x00"), c.send('H', "host.example\x00"))
}

// message sends one in several writes: its sender's From passes, another's does not.
func (c *caller) message(from string, verdict byte) error {
	text := strings.Repeat("x", 3000)
	err := errors.Join(
		c.send('D', "M{auth_authen}\x00alice@client-a.example\x00"),
		c.send('M', "<alice@client-a.example>\x00"),
		c.send('R', "<r@remote.example>\x00"), c.want('c'),
		c.send('L', "From\x00"+from+"\x00"), c.send('L', "Subject\x00hello\x00"), c.send('N', ""),
		c.send('B', text), c.send('B', text), c.send('E', ""), c.want(verdict),
		c.send('A', ""))
	c.messages.Add(1)
	return err
}

// run sends messages until stop is closed.
func (c *caller) run(stop chan struct{}) error {
	for {
		select {
		case <-stop:
			return c.send('Q', "")
		default:
		}
		if err := errors.Join(c.message("alice@client-a.example", 'c'), c.message("boss@bank.example", 'y')); err != nil {
			return err
		}
	}
}

// Sessions that are at anything at all when the daemon is killed or restarted get each
// of their answers, once, and the right one.
func TestSessionsOutliveTheDaemon(t *testing.T) {
	unix, err := net.Listen("unix", filepath.Join(t.TempDir(), "milter.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	s := newService(t, unix, tcp)
	s.start()
	var callers []*caller
	for i := range 16 {
		addr := []net.Addr{unix.Addr(), tcp.Addr()}[i%2]
		nc, err := net.Dial(addr.Network(), addr.String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		c := &caller{nc: nc}
		if err := c.open(); err != nil {
			t.Fatal(err)
		}
		callers = append(callers, c)
	}
	stop := make(chan struct{})
	failed := make(chan error, len(callers))
	var running sync.WaitGroup
	for _, c := range callers {
		running.Go(func() { failed <- c.run(stop) })
	}
	// Every session goes on for n messages at least: one that was under way at a kill
	// would not be resumed another time.
	more := func(n int64) {
		deadline := time.Now().Add(time.Minute)
		for _, c := range callers {
			for until := c.messages.Load() + n; c.messages.Load() < until; {
				select {
				case err := <-failed:
					t.Fatal(err)
				case <-time.After(time.Millisecond):
				}
				if time.Now().After(deadline) {
					t.Fatal("no messages for a minute")
				}
			}
		}
	}
	for i := range 12 {
		more(int64(1 + i%3))
		s.end([]syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGKILL}[i%3])
		s.start()
	}
	more(1)
	close(stop)
	running.Wait()
	close(failed)
	for err := range failed {
		if err != nil {
			t.Error(err)
		}
	}
	s.end(syscall.SIGTERM)
	if text := s.log.String(); strings.Contains(text, "session of an earlier process closed") || strings.Contains(text, "given up") {
		t.Error("a session was closed")
	}
}
