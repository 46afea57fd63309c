package main

import (
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"

	"o2n-milter/config"
	"o2n-milter/milter"
)

// sockets are the listeners by purpose; web and public may be nil.
type sockets struct {
	milter             []net.Listener
	admin, web, public net.Listener
}

// openSockets takes what systemd hands over and opens what the configuration adds.
func openSockets(cfg *config.Config) (*sockets, error) {
	var s sockets
	if err := s.inherit(); err != nil {
		return nil, err
	}
	if err := s.openMilter(cfg); err != nil {
		return nil, err
	}
	var err error
	if s.admin == nil {
		if s.admin, err = milter.Listen("unix:"+cfg.Admin.Socket, cfg.Admin.Mode, cfg.Admin.Group); err != nil {
			return nil, fmt.Errorf("admin.socket: %w", err)
		}
	}
	if s.web == nil && cfg.Web.Listen != "" {
		if s.web, err = net.Listen("tcp", cfg.Web.Listen); err != nil {
			return nil, fmt.Errorf("web.listen: %w", err)
		}
	}
	if s.public == nil && cfg.Web.PublicListen != "" {
		if s.public, err = net.Listen("tcp", cfg.Web.PublicListen); err != nil {
			return nil, fmt.Errorf("web.public_listen: %w", err)
		}
	}
	return &s, nil
}

// inherit takes the sockets of systemd, by FileDescriptorName=: admin, web, public;
// anything else is a milter socket.
func (s *sockets) inherit() error {
	named, err := activation.ListenersWithNames()
	if err != nil {
		return fmt.Errorf("sockets of systemd: %w", err)
	}
	for name, list := range named {
		for _, ln := range list {
			switch {
			case ln == nil:
			case strings.HasPrefix(name, "admin"):
				s.admin = ln
			case strings.HasPrefix(name, "web"):
				s.web = ln
			case strings.HasPrefix(name, "public"):
				s.public = ln
			default:
				s.milter = append(s.milter, ln)
			}
		}
	}
	return nil
}

// openMilter opens what milter.listen says. With sockets handed over, its default
// is not opened beside them.
func (s *sockets) openMilter(cfg *config.Config) error {
	file, _ := cfg.Rules.Origin("milter.listen")
	if file == "" && len(s.milter) > 0 {
		return nil
	}
	for _, addr := range cfg.Milter.Listen {
		if s.holds(addr) {
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

// holds says whether a socket for the address was handed over already.
func (s *sockets) holds(addr string) bool {
	return slices.ContainsFunc(s.milter, func(ln net.Listener) bool {
		return ln.Addr().Network()+":"+ln.Addr().String() == addr
	})
}
