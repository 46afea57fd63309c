package doctor

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
)

// Address is where an MTA looks for a milter, or where a milter listens.
type Address struct {
	Path string // of a unix socket; empty for TCP
	Host string // a name or an address; empty or * for any
	Port int
}

func (a Address) String() string {
	if a.Path != "" {
		return "unix:" + a.Path
	}
	return "tcp:" + net.JoinHostPort(a.Host, strconv.Itoa(a.Port))
}

// ParseListen reads an address of milter.listen, "tcp:host:port" or "unix:/path".
func ParseListen(s string) (Address, error) {
	network, where, _ := strings.Cut(s, ":")
	switch network {
	case "unix":
		return Address{Path: filepath.Clean(where)}, nil
	case "tcp":
		return hostPort(s, where)
	}
	return Address{}, fmt.Errorf("address %q; want tcp:host:port or unix:/path", s)
}

// parsePostfix reads "unix:path", "local:path" or "inet:host:port" (milter(5postfix)).
// The path is as it is written: what it means is the chroot's matter.
func parsePostfix(s string) (Address, error) {
	network, where, _ := strings.Cut(s, ":")
	switch {
	case where == "":
	case network == "unix", network == "local":
		return Address{Path: where}, nil
	case network == "inet" && !strings.Contains(where, "@"): // Sendmail's way
		return hostPort(s, where)
	}
	return Address{}, fmt.Errorf("milter %q; want unix:path or inet:host:port", s)
}

// parseSendmail reads "local:path", "unix:path", "inet:port@host" or "inet6:port@host".
func parseSendmail(s string) (Address, error) {
	network, where, _ := strings.Cut(s, ":")
	switch network {
	case "unix", "local":
		return Address{Path: filepath.Clean(where)}, nil
	case "inet", "inet6":
		port, host, _ := strings.Cut(where, "@")
		return hostPort(s, net.JoinHostPort(strings.Trim(host, "[]"), port))
	}
	return Address{}, fmt.Errorf("milter %q; want local:path or inet:port@host", s)
}

func hostPort(whole, where string) (Address, error) {
	host, service, err := net.SplitHostPort(where)
	if err != nil {
		return Address{}, fmt.Errorf("address %q: %w", whole, err)
	}
	port, err := strconv.Atoi(service)
	if err != nil || port < 1 || port > 65535 {
		return Address{}, fmt.Errorf("address %q: port %q; want 1 to 65535", whole, service)
	}
	return Address{Host: host, Port: port}, nil
}

// reaches says whether whoever connects to a comes to a listener at b. Of a host's name
// nothing is known here: it is believed.
func (a Address) reaches(b Address) bool {
	if a.Path != "" || b.Path != "" {
		return a.Path == b.Path
	}
	return a.Port == b.Port && (sameHost(a.Host, b.Host) || everywhere(b.Host))
}

func everywhere(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || host == "*" || err == nil && ip.IsUnspecified()
}

func sameHost(a, b string) bool {
	x, xErr := netip.ParseAddr(a)
	y, yErr := netip.ParseAddr(b)
	switch {
	case xErr == nil && yErr == nil:
		return x.Unmap() == y.Unmap()
	case a == "localhost" && yErr == nil:
		return y.Unmap().IsLoopback()
	case b == "localhost" && xErr == nil:
		return x.Unmap().IsLoopback()
	}
	return a == b || a != "localhost" && b != "localhost"
}

// joined is a list of addresses for people.
func joined(list []Address) string {
	texts := make([]string, len(list))
	for i, a := range list {
		texts[i] = a.String()
	}
	return strings.Join(texts, ", ")
}
