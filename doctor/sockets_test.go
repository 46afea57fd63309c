package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// answering has each connection answered by these bytes once it has negotiated.
func answering(ln net.Listener, bytes string) {
	for {
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		offer := make([]byte, 17)
		if _, err := io.ReadFull(nc, offer); err == nil {
			_, _ = io.WriteString(nc, bytes) // whoever asked may have gone
		}
		nc.Close()
	}
}

func TestCheckMilters(t *testing.T) {
	const optneg = "\x00\x00\x00\x0dO\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00"
	for _, tt := range []struct {
		name, answer string
		mode         fs.FileMode
		closed       bool
		want         Level
	}{
		{"a milter", optneg, 0o660, false, OK},
		{"open to all", optneg, 0o662, false, Warning},
		{"another program", "220 mx.example ESMTP\r\n", 0o660, false, Fault},
		{"one that hangs up", "", 0o660, false, Fault},
		{"nobody", "", 0o660, true, Fault},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, socket, ln := place(t)
			if err := os.Chmod(socket, tt.mode); err != nil {
				t.Fatal(err)
			}
			if tt.closed {
				ln.Close()
			}
			go answering(ln, tt.answer)
			list := CheckMilters(t.Context(), []Address{{Path: socket}})
			if got := Worst(list); got != tt.want {
				t.Errorf("got %v, want %v: %+v", got, tt.want, list)
			}
			everyReason(t, list)
		})
	}
}

func TestCheckTCP(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if got := Worst(CheckTCP(t.Context(), "web.listen", ln.Addr().String())); got != OK {
		t.Errorf("listening: %v", got)
	}
	port := ln.Addr().(*net.TCPAddr).Port
	go answering(ln, "\x00\x00\x00\x0dO")
	list := CheckMilters(t.Context(), []Address{{Host: "127.0.0.1", Port: port}})
	if want := []string{fmt.Sprintf("note: tcp:127.0.0.1:%d is open to every user of this host", port)}; !cmp.Equal(want, worse(list, OK)) {
		t.Errorf("%+v", list)
	}
	ln.Close()
	if got := Worst(CheckTCP(t.Context(), "web.listen", ln.Addr().String())); got != Fault {
		t.Errorf("closed: %v", got)
	}
	r := &report{}
	if r.exposed(Address{Host: "0.0.0.0", Port: 1}); Worst(r.list) != Warning {
		t.Errorf("open to other hosts: %+v", r.list)
	}
}

func TestCheckAgent(t *testing.T) {
	gone := fmt.Errorf("hold agent: %w", fs.ErrNotExist)
	for _, tt := range []struct {
		err    error
		needed bool
		want   Level
	}{{nil, true, OK}, {gone, true, Warning}, {gone, false, Note}, {fs.ErrPermission, true, Note}, {context.DeadlineExceeded, true, Warning}} {
		list := CheckAgent("/run/hold.sock", tt.err, tt.needed)
		if got := Worst(list); got != tt.want {
			t.Errorf("%v, needed %v: got %v, want %v", tt.err, tt.needed, got, tt.want)
		}
		everyReason(t, list)
	}
}

func TestCheckDaemon(t *testing.T) {
	for _, tt := range []struct {
		in   Daemon
		err  error
		want []string
	}{
		{Daemon{Version: "1", Backend: "badger"}, nil, nil},
		{Daemon{Version: "2", Backend: "badger"}, nil, []string{"note: the daemon is version 2, this is 1"}},
		{Daemon{Version: "1", Backend: "redis"}, nil, []string{"warning: state.backend has badger, and the daemon's store is redis"}},
		{Daemon{Version: "1", Backend: "badger", Config: "c1"}, nil, nil},
		{Daemon{Version: "1", Backend: "badger", Config: "c2"}, nil, []string{"warning: the files are configuration c1, and the daemon judges by c2"}},
		{Daemon{"1", "badger", "c1", "disk full", "steps", "agent away"}, nil, []string{"warning: disk full", "warning: steps", "warning: agent away"}},
		{Daemon{}, errors.New("nobody answers"), []string{"fault: nobody answers"}},
		{Daemon{}, fs.ErrPermission, []string{"note: permission denied"}},
	} {
		list := CheckDaemon(tt.in, tt.err, Daemon{Version: "1", Backend: "badger", Config: "c1"})
		if got := worse(list, OK); !cmp.Equal(tt.want, got) {
			t.Errorf("%+v, %v: got %v, want %v", tt.in, tt.err, got, tt.want)
		}
		everyReason(t, list)
	}
}

func TestCheckRedis(t *testing.T) {
	for _, tt := range []struct {
		in   Redis
		err  error
		want []string
	}{
		{Redis{Version: "7.0.15"}, nil, nil},
		{Redis{Evicts: "allkeys-lru", Forgets: true, Missing: 1, Ahead: time.Minute}, nil, []string{
			"warning: redis drops keys when its memory is full (allkeys-lru)", "warning: redis: appendonly is off",
			"fault: redis: 1 masters of the Cluster do not answer", "warning: the store's clock is 1m0s ahead of this host's (negative: behind)"}},
		{Redis{}, errors.New("refused"), []string{"fault: redis: refused"}},
	} {
		list := CheckRedis(tt.in, tt.err, "tempfail")
		if got := worse(list, OK); !cmp.Equal(tt.want, got) {
			t.Errorf("%+v, %v: got %v, want %v", tt.in, tt.err, got, tt.want)
		}
		everyReason(t, list)
	}
}

func TestNoMTA(t *testing.T) {
	list := CheckMTAs(t.Context(), "postfix", t.TempDir(), nil)
	if got := Worst(list); got != Fault {
		t.Errorf("a folder without main.cf: %v, want a fault", got)
	}
	everyReason(t, list)
	if got := Worst(CheckMTAs(t.Context(), "sendmail", t.TempDir(), nil)); got != Fault {
		t.Errorf("a folder without sendmail.cf: %v, want a fault", got)
	}
	list = CheckMTAs(t.Context(), "sendmail", "testdata", []Address{{Path: "/run/o2n-milter/milter.sock"}})
	if got := Worst(list); got != OK {
		t.Errorf("a good folder: %v: %+v", got, list)
	}
}

func TestCheckPrivate(t *testing.T) {
	_, socket, _ := place(t)
	for mode, want := range map[os.FileMode]Level{0o600: OK, 0o660: OK, 0o664: OK, 0o662: Fault} {
		if err := os.Chmod(socket, mode); err != nil {
			t.Fatal(err)
		}
		if got := Worst(CheckPrivate("admin.socket", socket)); got != want {
			t.Errorf("mode %04o: %v, want %v", mode, got, want)
		}
	}
	if list := CheckPrivate("admin.socket", socket+".gone"); len(list) != 0 {
		t.Errorf("gone: %+v", list)
	}
}

func TestCheckListening(t *testing.T) {
	running := []Address{{Host: "127.0.0.1", Port: 8895}, {Path: "/run/m.sock"}, {Host: "::", Port: 8896}}
	for listen, want := range map[string]Level{
		"tcp:127.0.0.1:8895": OK, "tcp:localhost:8895": OK, "tcp::8896": OK, "tcp:127.0.0.1:8897": Warning, "unix:/run/m.sock": OK, "unix:/run/n.sock": Warning,
	} {
		a, err := ParseListen(listen)
		if err != nil {
			t.Fatal(err)
		}
		if got := Worst(CheckListening([]Address{a}, running)); got != want {
			t.Errorf("%s: got %v, want %v", listen, got, want)
		}
	}
}
