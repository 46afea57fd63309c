package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sys/unix"

	"o2n-milter/config"
	"o2n-milter/milter"
	"o2n-milter/milter/shelf"
)

// sockets are the listeners by purpose; there may be none for web and public.
type sockets struct {
	milter, admin, web, public []net.Listener

	sessions []*os.File // of an earlier process, for the shelf
}

// openSockets takes what systemd hands over and opens what the configuration adds; web
// and public are for openPages.
func openSockets(cfg *config.Config, log *slog.Logger) (*sockets, error) {
	var s sockets
	if err := s.inherit(log); err != nil {
		return nil, err
	}
	if err := s.openMilter(cfg); err != nil {
		return nil, err
	}
	if addr := "unix:" + cfg.Admin.Socket; wanted(cfg, "admin.socket", addr, s.admin) {
		ln, err := milter.Listen(addr, cfg.Admin.Mode, cfg.Admin.Group)
		if err != nil {
			return nil, fmt.Errorf("admin.socket: %w", err)
		}
		s.admin = append(s.admin, ln)
	}
	return &s, nil
}

// pageRetry is how often it is tried to open a port that somebody else has.
const pageRetry = 5 * time.Second

// openPages opens web.listen or web.public_listen beside what was handed over, where it is
// wanted, and hands it to serve. No message waits for people's pages: while the address
// cannot be opened, mail is filtered without them, and it is tried again until ctx ends.
func openPages(ctx context.Context, cfg *config.Config, key, addr string, handed []net.Listener, log *slog.Logger, serve func(net.Listener)) {
	if addr == "" || !wanted(cfg, key, "tcp:"+addr, handed) {
		return
	}
	ln, err := net.Listen("tcp", addr)
	if err == nil {
		serve(ln)
		return
	}
	log.Error("pages cannot be reached there; mail is filtered without them", "key", key, "error", err, "retry", pageRetry)
	go func() {
		for {
			select {
			case <-time.After(pageRetry):
			case <-ctx.Done():
				return
			}
			if ln, err := net.Listen("tcp", addr); err == nil {
				serve(ln)
				return
			}
		}
	}()
}

// wanted says whether an address is to be opened beside what was handed over: where
// nothing was, and where the configuration itself says it, and it is another.
func wanted(cfg *config.Config, key, addr string, handed []net.Listener) bool {
	file, _ := cfg.Rules.Origin(key)
	return len(handed) == 0 || file != "" && !covered(addr, handed)
}

// inherit takes what systemd hands over, by FileDescriptorName=: admin, web, public; the
// sessions that the daemon gave it to keep; any other is a milter socket.
func (s *sockets) inherit(log *slog.Logger) error {
	for _, f := range activation.Files(true) {
		if shelf.Ours(f.Name()) {
			s.sessions = append(s.sessions, f)
			continue
		}
		ln, err := listener(f)
		if err != nil {
			return fmt.Errorf("socket %q of systemd: %w", f.Name(), err)
		}
		if ln == nil {
			log.Warn("what systemd handed over is no socket to listen on, and not used", "name", f.Name())
			continue
		}
		list := &s.milter
		switch name := f.Name(); {
		case strings.HasPrefix(name, "admin"):
			list = &s.admin
		case strings.HasPrefix(name, "web"):
			list = &s.web
		case strings.HasPrefix(name, "public"):
			list = &s.public
		}
		*list = append(*list, ln)
	}
	return nil
}

// listener is nil for a file that is no listening socket. net.FileListener takes a
// connection for one, too.
func listener(f *os.File) (net.Listener, error) {
	defer f.Close()
	if listens, err := unix.GetsockoptInt(int(f.Fd()), unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || listens != 1 {
		return nil, nil
	}
	return net.FileListener(f)
}

// openMilter opens what milter.listen says. With sockets handed over, its default
// is not opened beside them.
func (s *sockets) openMilter(cfg *config.Config) error {
	handed := slices.Clone(s.milter)
	for _, addr := range cfg.Milter.Listen {
		if !wanted(cfg, "milter.listen", addr, handed) {
			continue
		}
		ln, err := milter.Listen(addr, cfg.Milter.SocketMode, cfg.Milter.SocketGroup)
		if err != nil {
			return fmt.Errorf("milter.listen: %w", err)
		}
		s.milter = append(s.milter, ln)
	}
	if len(s.milter) == 0 {
		return exit(exitConfig, "milter.listen is empty and systemd handed no milter socket over; want an address to listen on")
	}
	return nil
}

// covered says whether who connects to "tcp:host:port" or "unix:/path" comes to one of
// the listeners.
func covered(addr string, by []net.Listener) bool {
	network, where, _ := strings.Cut(addr, ":")
	if network == "unix" {
		return slices.ContainsFunc(by, func(ln net.Listener) bool {
			return ln.Addr().Network() == "unix" && filepath.Clean(ln.Addr().String()) == filepath.Clean(where)
		})
	}
	want, err := net.ResolveTCPAddr("tcp", where)
	if err != nil {
		return false // to open it says why
	}
	return slices.ContainsFunc(by, func(ln net.Listener) bool {
		has, ok := ln.Addr().(*net.TCPAddr)
		return ok && has.Port == want.Port && (has.IP.IsUnspecified() || has.IP.Equal(want.IP))
	})
}
