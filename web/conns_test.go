package web

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"o2n-milter/tests/campaign"
)

// from is a connection of some peer's, which is asked for no more than that.
type from struct {
	net.Conn
	addr   string
	closed bool
}

func (f *from) RemoteAddr() net.Addr { return stringAddr(f.addr) }
func (f *from) Close() error         { f.closed = true; return nil }

type stringAddr string

func (stringAddr) Network() string  { return "tcp" }
func (a stringAddr) String() string { return string(a) }

// crowd is as many connections as may be open: all but the first are one peer's.
func crowd(l *conns) (all []*from) {
	for i := range mostConns {
		c := &from{addr: "203.0.113.9:1"}
		if i == 0 {
			c.addr = "192.0.2.7:1"
		}
		all = append(all, c)
		l.changed(c, http.StateNew)
		time.Sleep(time.Millisecond)
	}
	return all
}

func closed(list []*from) (which []int) {
	for i, c := range list {
		if c.closed {
			which = append(which, i)
		}
	}
	return which
}

// For one connection too many goes the longest idle one of whoever has the most, and
// never the one that has just come.
func TestWhichConnectionGoes(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(l *conns, all []*from)
		want []int
	}{
		"as many as may come":     {func(*conns, []*from) {}, nil},
		"another's":               {func(l *conns, _ []*from) { l.changed(&from{addr: "198.51.100.1:1"}, http.StateNew) }, []int{1}},
		"his own":                 {func(l *conns, _ []*from) { l.changed(&from{addr: "203.0.113.9:2"}, http.StateNew) }, []int{1}},
		"his who has one already": {func(l *conns, _ []*from) { l.changed(&from{addr: "192.0.2.7:2"}, http.StateNew) }, []int{1}},
		"the first has asked again": {func(l *conns, all []*from) {
			l.changed(all[1], http.StateActive)
			l.changed(&from{addr: "192.0.2.7:2"}, http.StateNew)
		}, []int{2}},
		"two, one after the other": {func(l *conns, _ []*from) { l.changed(&from{}, http.StateNew); l.changed(&from{}, http.StateNew) }, []int{1, 2}},
		"one was given back": {func(l *conns, all []*from) {
			l.changed(all[5], http.StateClosed)
			l.changed(&from{}, http.StateNew)
		}, nil},
		"what has gone does not come back": {func(l *conns, all []*from) {
			l.changed(all[5], http.StateClosed)
			l.changed(all[5], http.StateIdle)
			l.changed(&from{}, http.StateNew)
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &conns{open: map[net.Conn]held{}}
				all := crowd(l)
				c.do(l, all)
				if got := closed(all); !slices.Equal(got, c.want) {
					t.Errorf("closed: %v, want %v", got, c.want)
				}
				if len(l.open) > mostConns {
					t.Errorf("%d open", len(l.open))
				}
			})
		})
	}
}

// Of peers that have as many as each other, the longest idle one's goes.
func TestConnectionsOfManyPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &conns{open: map[net.Conn]held{}}
		var all []*from
		for i := range mostConns + 100 {
			c := &from{addr: fmt.Sprintf("10.0.%d.%d:1", i/200, i%200)}
			all = append(all, c)
			l.changed(c, http.StateNew)
			time.Sleep(time.Millisecond)
		}
		if got := closed(all); len(got) != 100 || got[99] != 99 {
			t.Errorf("closed: %v, want the first 100", got)
		}
	})
}

func TestPeerKey(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.7:80":            "192.0.2.7",
		"[::ffff:192.0.2.7]:80":   "192.0.2.7",
		"[2001:db8:1:2:3::4]:80":  "2001:db8:1:2::/64",
		"[2001:db8:1:2::9]:80":    "2001:db8:1:2::/64",
		"[fe80::1%eth0]:80":       "fe80::/64",
		"127.0.0.1:80":            "loopback",
		"127.9.9.9:80":            "loopback",
		"[::1]:80":                "loopback",
		"[::ffff:127.0.0.1]:8080": "loopback",
		"pipe":                    "",
	} {
		if got := peerKey(&from{addr: addr}); got != want {
			t.Errorf("%s: %q, want %q", addr, got, want)
		}
	}
}

// served is a server of ours on a TCP port and on a unix socket.
func served(t *testing.T, h http.Handler) []net.Addr {
	t.Helper()
	srv := NewServer(h)
	t.Cleanup(func() { _ = srv.Close() })
	var addrs []net.Addr
	for network, addr := range map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(t.TempDir(), "s")} {
		ln, err := net.Listen(network, addr)
		if err != nil {
			t.Fatal(err)
		}
		go func() { _ = srv.Serve(ln) }()
		addrs = append(addrs, ln.Addr())
	}
	return addrs
}

const ask = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

// answered says whether a connection gets an answer.
func answered(c net.Conn, request string) bool {
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(c, request)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err == nil
}

// halves are ways to hold a connection: silent, idle, with half a head, half a body.
var halves = []string{"", ask, "GET / HTTP/1.1\r\nHost: x\r\nX-A: ", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx"}

// TestAttackHeldConnections: whoever takes all the connections that there are, idle, with
// half a head or half a body, shuts out nobody.
func TestAttackHeldConnections(t *testing.T) {
	addrs := served(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "ok")
	}))
	count := campaign.Counting(t, "web", "a visitor while others hold all connections")
	for _, addr := range addrs {
		dial := func() net.Conn {
			c, err := net.Dial(addr.Network(), addr.String())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
			return c
		}
		for i := range mostConns + 20 {
			if _, err := io.WriteString(dial(), halves[i%len(halves)]); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 20 {
			if !answered(dial(), ask) {
				count.Failed()
				t.Errorf("%s: visitor %d is not answered", addr.Network(), i)
				continue
			}
			count.Held()
		}
	}
}

// pipes is a listener whose connections are in memory, so that their time is the test's.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	c, open := <-p
	if !open {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return stringAddr("pipe") }

// TestAttackSlowly: what is said slowly is cut off at its time, however it goes on.
func TestAttackSlowly(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for name, c := range map[string]struct {
		first, more string // more: once in a second
		deaf        bool   // takes no answer
		ends        time.Duration
	}{
		"says nothing":           {"", "", false, 5 * time.Second},
		"a head without an end":  {"GET / HTTP/1.1\r\nHost: x\r\n", "X-A: b\r\n", false, 5 * time.Second},
		"a letter at a time":     {"G", "E", false, 5 * time.Second},
		"a body without an end":  {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n", "x", false, 30 * time.Second},
		"a chunk without an end": {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n", false, 30 * time.Second},
		"idle after an answer":   {ask, "", false, 2 * time.Minute},
		"takes no answer":        {ask, "", true, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ln, begun := make(pipes), time.Now()
				srv := NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if _, err := io.Copy(io.Discard, r.Body); err == nil {
						_, _ = io.WriteString(w, long)
					}
				}))
				go func() { _ = srv.Serve(ln) }()
				ours, theirs := net.Pipe()
				ln <- theirs
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					for {
						var err error
						if c.deaf {
							_, err = ours.Write(nil)
						} else {
							_, err = ours.Read(make([]byte, 1<<16))
						}
						if err != nil {
							return
						}
						if c.deaf {
							time.Sleep(time.Second)
						}
					}
				}()
				_, err := io.WriteString(ours, c.first)
				for err == nil && time.Since(begun) < time.Hour {
					if time.Sleep(time.Second); c.more != "" {
						_, err = io.WriteString(ours, c.more)
						continue
					}
					select {
					case <-ended:
						err = io.EOF
					default:
					}
				}
				if took := time.Since(begun); took < c.ends || took > c.ends+2*time.Second {
					t.Errorf("cut off after %v, want %v", took, c.ends)
				}
				_ = ours.Close()
				close(ln)
				_ = srv.Close()
				<-ended
			})
		})
	}
}

// The head of a request is 64 KiB at most, and what net/http reads ahead.
func TestAttackBigHead(t *testing.T) {
	for _, addr := range served(t, http.NotFoundHandler()) {
		for size, want := range map[int]int{60 << 10: 404, 70 << 10: 431, 4 << 20: 431} {
			c, err := net.Dial(addr.Network(), addr.String())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
			// What is not read any more cannot all be written.
			go func() {
				_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nX-A: "+strings.Repeat("a", size)+"\r\n\r\n")
			}()
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil || resp.StatusCode != want {
				t.Errorf("%s, %d bytes: %v %v, want %d", addr.Network(), size, resp, err, want)
			}
		}
	}
}
