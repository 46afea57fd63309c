package main

import (
	"net"
	"os"
	"testing"
)

type at struct {
	net.Listener
	addr net.Addr
}

func (a at) Addr() net.Addr { return a.addr }

func TestCovered(t *testing.T) {
	by := []net.Listener{
		at{addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8895}},
		at{addr: &net.TCPAddr{IP: net.IPv6unspecified, Port: 8896}},
		at{addr: &net.UnixAddr{Net: "unix", Name: "/run/o2n-milter/milter.sock"}},
	}
	for addr, want := range map[string]bool{
		"tcp:127.0.0.1:8895":                true,
		"tcp:localhost:8895":                true,
		"tcp:127.0.0.2:8895":                false,
		"tcp:127.0.0.1:8894":                false,
		"tcp::8895":                         false, // on all addresses, of which one is had
		"tcp:127.0.0.1:8896":                true,
		"tcp::8896":                         true,
		"tcp:no port":                       false,
		"unix:/run/o2n-milter/milter.sock":  true,
		"unix:/run/o2n-milter//milter.sock": true,
		"unix:/run/o2n-milter/admin.sock":   false,
	} {
		if got := covered(addr, by); got != want {
			t.Errorf("%s: %v, want %v", addr, got, want)
		}
	}
}

// A connection is no listener, though net.FileListener takes it for one.
func TestListenerIsNoConnection(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for _, tt := range []struct {
		what    string
		file    interface{ File() (*os.File, error) }
		listens bool
	}{{"listener", ln.(*net.TCPListener), true}, {"connection", nc.(*net.TCPConn), false}} {
		f, err := tt.file.File()
		if err != nil {
			t.Fatal(err)
		}
		got, err := listener(f)
		if err != nil || (got != nil) != tt.listens {
			t.Errorf("%s: %v, %v", tt.what, got, err)
		}
		if got != nil {
			got.Close()
		}
	}
}
