package redisdb

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"o2n-milter/state"
)

// fake answers every connection with what serve does, and counts them.
func fake(t *testing.T, serve func(net.Conn)) (url string, count *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	count = new(atomic.Int64)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			count.Add(1)
			wg.Go(func() { serve(c); c.Close() })
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return "redis://" + l.Addr().String(), count
}

// always answers whatever comes with the same.
func always(answer string) func(net.Conn) {
	return func(c net.Conn) {
		for b := make([]byte, 4096); ; {
			if _, err := c.Read(b); err != nil {
				return
			}
			if _, err := io.WriteString(c, answer); err != nil {
				return
			}
		}
	}
}

func TestJunkAnswers(t *testing.T) {
	for name, answer := range map[string]string{
		"of a web server":  "HTTP/1.1 400 Bad Request\r\n\r\n",
		"of a mail server": "220 mail.example ESMTP\r\n",
		"status":           "+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n",
		"number":           ":1\r\n:1\r\n:1\r\n:1\r\n",
		"text":             "$3\r\nabc\r\n$3\r\nabc\r\n$3\r\nabc\r\n$3\r\nabc\r\n",
		"nothing":          "$-1\r\n$-1\r\n$-1\r\n$-1\r\n",
		"list":             "*1\r\n+OK\r\n*1\r\n+OK\r\n*1\r\n+OK\r\n",
		"endless length":   "$9223372036854775807\r\n",
		"negative length":  "*-7\r\n",
		"line ends":        "\r\n\r\n\r\n",
		"zeros":            strings.Repeat("\x00", 4096),
		"half an answer":   "*3\r\n$2\r\nok",
		"none":             "",
	} {
		t.Run(name, func(t *testing.T) {
			url, _ := fake(t, always(answer))
			begin := time.Now()
			s := open(t, Options{URL: url, Budget: short})
			if took := time.Since(begin); took > within {
				t.Errorf("open took %s", took)
			}
			away(t, s, "")
		})
	}
}

// A server that turns into junk while it is in use.
func TestTurnsIntoJunk(t *testing.T) {
	srv := newServer(t)
	var junk atomic.Bool
	url, _ := fake(t, func(c net.Conn) {
		up, err := net.Dial("tcp", "127.0.0.1:"+srv.port)
		if err != nil {
			return
		}
		defer up.Close()
		go func() { _, _ = io.Copy(up, c); up.Close() }()
		for b := make([]byte, 4096); ; {
			n, err := up.Read(b)
			if err != nil {
				return
			}
			if junk.Load() {
				copy(b, ":7\r\n*2\r\n+abc\r\n")
			}
			if _, err := c.Write(b[:n]); err != nil {
				return
			}
		}
	})
	s := open(t, Options{URL: url, Budget: short})
	passes(t, s, true, one("account:a", 1<<40))
	junk.Store(true)
	trip(t, s)
	away(t, s, "")
	junk.Store(false)
	back(t, s)
}

// However many calls come while the server is away, one goroutine knocks, and less
// and less often.
func TestNoHerd(t *testing.T) {
	url, count := fake(t, func(c net.Conn) {})
	s := open(t, Options{URL: url, Budget: short})
	var calls atomic.Int64
	until := time.Now().Add(1500 * time.Millisecond)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for time.Now().Before(until) {
				_, _ = s.Take(context.Background(), time.Now(), state.Ask{Charges: one("account:a", 1)})
				calls.Add(1)
				time.Sleep(time.Millisecond)
			}
		})
	}
	wg.Wait()
	// 50 ms, 100, 200, 400, 800, each half to one and a half: up to six attempts, with
	// up to three connections each, and the first.
	if n := count.Load(); n < 3 || n > 25 {
		t.Errorf("%d connections while %d calls were refused; want 3 to 25", n, calls.Load())
	}
	if calls.Load() < 1000 {
		t.Errorf("only %d calls: the test shows nothing", calls.Load())
	}
}
