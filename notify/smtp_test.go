package notify

import (
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"o2n-milter/state/memory"
)

// door is a server that is not the SMTP of a library: talk has the connection.
func door(t *testing.T, talk func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			talk(c)
			c.Close()
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		<-done
	})
	return ln.Addr().String()
}

func TestServerFaults(t *testing.T) {
	say := func(first string) func(t *testing.T, f *fakeMTA) string {
		return func(t *testing.T, _ *fakeMTA) string {
			return door(t, func(c net.Conn) { io.WriteString(c, first); io.Copy(io.Discard, c) })
		}
	}
	refuse := func(set func(f *fakeMTA)) func(t *testing.T, f *fakeMTA) string {
		return func(_ *testing.T, f *fakeMTA) string { set(f); return f.address }
	}
	rcpt := func(code int) func(f *fakeMTA) {
		return func(f *fakeMTA) { f.rcptErr = func(string) error { return answer(code) } }
	}
	for name, tt := range map[string]struct {
		server func(t *testing.T, f *fakeMTA) string
		again  bool
		why    string
	}{
		"nobody listens": {func(t *testing.T, _ *fakeMTA) string { return closedPort(t) }, true, "refused"},
		"greeting 421":   {say("421 no\r\n"), true, "greeting: 421"},
		"greeting 554":   {say("554 no\r\n"), true, "greeting: 554"},
		"greeting without end": {func(t *testing.T, _ *fakeMTA) string {
			return door(t, func(c net.Conn) {
				for err := error(nil); err == nil; {
					_, err = io.WriteString(c, "220-for ever\r\n")
				}
			})
		}, true, "greeting"},
		"a line without end": {func(t *testing.T, _ *fakeMTA) string {
			return door(t, func(c net.Conn) {
				for err := error(nil); err == nil; {
					_, err = io.WriteString(c, strings.Repeat("2", 4096))
				}
			})
		}, true, "greeting"},
		"says nothing": {say(""), true, "not done within"},
		"then nothing": {say("220 mta.example\r\n"), true, "not done within"},
		"hangs up":     {func(t *testing.T, _ *fakeMTA) string { return door(t, func(net.Conn) {}) }, true, "EOF"},
		"MAIL 451":     {refuse(func(f *fakeMTA) { f.mailErr = func() error { return answer(451) } }), true, "MAIL: 451"},
		"MAIL 550":     {refuse(func(f *fakeMTA) { f.mailErr = func() error { return answer(550) } }), false, "MAIL: 550"},
		"RCPT 450":     {refuse(rcpt(450)), true, "RCPT: 450"},
		"RCPT 550":     {refuse(rcpt(550)), false, "RCPT: 550"},
		"message 451":  {refuse(func(f *fakeMTA) { f.dataErr = func() error { return answer(451) } }), true, "message: 451"},
		"message 550":  {refuse(func(f *fakeMTA) { f.dataErr = func() error { return answer(550) } }), false, "message: 550"},
	} {
		t.Run(name, func(t *testing.T) {
			mta := newMTA(t)
			address := tt.server(t, mta)
			h := start(t, memory.New(), "mx1", Settings{Operator: []string{"ops@isp.example"}, SMTP: address})
			quick := *h.set.Load()
			quick.Timeout = 200 * time.Millisecond
			h.set.Store(&quick)
			h.Notify(t.Context(), t0, blockOf(alice))
			next := h.settleAt(t, t0)
			if !strings.Contains(h.log.String(), tt.why) {
				t.Errorf("%q is not in the log: %s", tt.why, h.log)
			}
			if len(mta.got()) != 0 {
				t.Error("it was delivered all the same")
			}
			left := h.left(t)
			if again := len(left) == 1; again != tt.again {
				t.Fatalf("left: %+v", left)
			}
			count := h.Stats().Channels[toOperator]
			if tt.again && (!next.Equal(t0.Add(firstPause)) || count.Retried != 1) || !tt.again && count.Failed != 1 {
				t.Errorf("next %s, counted %+v", next, count)
			}
		})
	}
}

func closedPort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// TestOldServer knows HELO only.
func TestOldServer(t *testing.T) {
	heard := make(chan string, 100)
	address := door(t, func(c net.Conn) {
		io.WriteString(c, "220 old\r\n")
		r := make([]byte, 4096)
		for {
			n, err := c.Read(r)
			if err != nil {
				return
			}
			heard <- string(r[:n])
			switch {
			case strings.HasPrefix(string(r[:n]), "EHLO"):
				io.WriteString(c, "502 what?\r\n")
			case strings.HasPrefix(string(r[:n]), "DATA"):
				io.WriteString(c, "354 go\r\n")
			case strings.HasPrefix(string(r[:n]), "QUIT"):
				return
			default:
				io.WriteString(c, "250 ok\r\n")
			}
		}
	})
	h := start(t, memory.New(), "mx1.isp.example", Settings{Operator: []string{"ops@isp.example"}, SMTP: address})
	h.Notify(t.Context(), t0, Event{What: Ceiling})
	h.settleAt(t, t0)
	if len(h.left(t)) != 0 {
		t.Fatal(h.log)
	}
	if first, second := <-heard, <-heard; first != "EHLO mx1.isp.example\r\n" || second != "HELO mx1.isp.example\r\n" {
		t.Errorf("heard %q, %q", first, second)
	}
}

// TestSomeRecipientsRefused: an operator's address that is gone does not keep the
// others from being told, and the nonce is for those who are.
func TestSomeRecipientsRefused(t *testing.T) {
	for code, gone := range map[int]string{550: "left@isp.example", 450: "full@isp.example"} {
		mta := newMTA(t)
		mta.rcptErr = func(to string) error {
			if to == gone {
				return answer(code)
			}
			return nil
		}
		ops := []string{gone, "ops@isp.example"}
		h := start(t, memory.New(), "mx1", Settings{Operator: ops, SMTP: mta.address})
		h.Notify(t.Context(), t0, blockOf(alice))
		h.settleAt(t, t0)
		got := mta.got()
		if len(got) != 1 || !slices.Equal(got[0].to, ops[1:]) {
			t.Fatalf("%d: got %+v", code, got)
		}
		wantParts(t, h.log.String(), "some of its recipients", gone)
		if nonce := open(t, got[0].text).header.Get(NoticeField); !h.Ours(nonce, ops[1:]) {
			t.Errorf("%d: our mail is not known", code)
		}
	}
}

// TestOneMayBeTakenLater: none is taken now, one of them for good.
func TestOneMayBeTakenLater(t *testing.T) {
	for _, codes := range [][]int{{550, 450}, {450, 550}} {
		mta := newMTA(t)
		mta.rcptErr = func(to string) error {
			if to == "a@isp.example" {
				return answer(codes[0])
			}
			return answer(codes[1])
		}
		h := start(t, memory.New(), "mx1", Settings{Operator: []string{"a@isp.example", "b@isp.example"}, SMTP: mta.address})
		h.Notify(t.Context(), t0, blockOf(alice))
		h.settleAt(t, t0)
		if len(h.left(t)) != 1 {
			t.Errorf("%v: it was given up", codes)
		}
	}
}
