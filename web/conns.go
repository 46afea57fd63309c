package web

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// mostConns bounds the open connections of a server. Each takes a file descriptor,
// without which no mail comes in either.
const mostConns = 500

// conns are the open connections of a server. A new one always comes in: for one too
// many, the peer that has the most loses the one where nothing has happened for the
// longest time. Whoever holds connections open, idle or by slow requests, so holds
// them from himself alone. It keeps nobody from asking too often.
type conns struct {
	mu   sync.Mutex
	open map[net.Conn]held
}

// held is a connection.
type held struct {
	peer  string
	since time.Time // the last request began or ended, or it was opened
}

// changed is an http.Server's ConnState.
func (l *conns) changed(c net.Conn, now http.ConnState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch h, known := l.open[c]; {
	case now == http.StateNew:
		l.open[c] = held{peerKey(c), time.Now()}
		if len(l.open) > mostConns {
			victim := l.victim(c)
			delete(l.open, victim)
			_ = victim.Close() // the server reads that, and calls again with StateClosed
		}
	case now == http.StateClosed || now == http.StateHijacked:
		delete(l.open, c)
	case known:
		l.open[c] = held{h.peer, time.Now()}
	}
}

// victim is the connection that goes, not the one that has just come. Whoever calls it
// holds the lock.
func (l *conns) victim(latest net.Conn) net.Conn {
	has := map[string]int{}
	for _, h := range l.open {
		has[h.peer]++
	}
	var goes net.Conn
	for c, h := range l.open {
		if c == latest {
			continue
		}
		g := l.open[goes]
		if goes == nil || has[h.peer] > has[g.peer] || has[h.peer] == has[g.peer] && h.since.Before(g.since) {
			goes = c
		}
	}
	return goes
}

// peerKey is who is on the other end, for counting: a system user, an address, of
// IPv6 the /64, which is one customer line (RFC 6177). Loopback is one, as each
// program here has all of 127.0.0.0/8.
func peerKey(c net.Conn) string {
	if uid, ok := peerUID(c); ok {
		return fmt.Sprint("uid ", uid)
	}
	ap, err := netip.ParseAddrPort(c.RemoteAddr().String())
	addr := ap.Addr().Unmap().WithZone("")
	switch {
	case err != nil:
		return ""
	case addr.IsLoopback():
		return "loopback"
	case addr.Is6():
		if p, err := addr.Prefix(64); err == nil {
			return p.String()
		}
	}
	return addr.String()
}

// peerUID is the system user on the other end of a unix socket.
func peerUID(c net.Conn) (uid uint32, ok bool) {
	uc, isUnix := c.(*net.UnixConn)
	if !isUnix {
		return 0, false
	}
	raw, err := uc.SyscallConn()
	if err != nil {
		return 0, false
	}
	var cred *unix.Ucred
	if raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }) != nil || err != nil {
		return 0, false
	}
	return cred.Uid, true
}
