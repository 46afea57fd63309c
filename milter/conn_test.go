package milter

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"o2n-milter/rules"
)

// closes fails unless the peer is hung up on exactly at after, with a log line
// that says why.
func (f *fixture) closes(m *mta, after time.Duration, why string) {
	f.t.Helper()
	start := time.Now()
	if got := m.reply(); got != hungUp {
		f.t.Fatalf("got %q, want the connection closed", got)
	}
	if took := time.Since(start); took != after {
		f.t.Errorf("closed after %v, want %v", took, after)
	}
	synctest.Wait()
	logged := f.logs.String()
	if why == "" && logged != "" || !strings.Contains(logged, why) {
		f.t.Errorf("logged %q, want %q", logged, why)
	}
}

func TestDeadlines(t *testing.T) {
	const connect = "\x00\x00\x00\x12C"
	for _, tt := range []struct {
		name  string
		send  func(m *mta)
		after time.Duration
	}{
		{"silence from the start", func(*mta) {}, firstPacketTime},
		{"half a length", func(m *mta) { m.write("\x00\x00") }, firstPacketTime},
		{"half a first packet", func(m *mta) { m.write("\x00\x00\x00\x0dO\x00") }, firstPacketTime},
		{"first packet begun late", func(m *mta) { time.Sleep(9 * time.Second); m.write("\x00\x00\x00\x0dO") }, time.Second},
		{"no CONNECT", func(m *mta) { m.negotiate(6, allActions, allProtocol) }, idleTime},
		{"half a CONNECT", func(m *mta) { m.negotiate(6, allActions, allProtocol); m.write(connect) }, packetTime},
		{"between commands", func(m *mta) {
			m.negotiate(6, allActions, allProtocol)
			m.run(helloA)
			time.Sleep(idleTime - time.Second)
			m.run("H x")
		}, idleTime},
		{"in mid-message", func(m *mta) {
			m.negotiate(6, allActions, allProtocol)
			m.run(helloA, mailA, "R <r@r.example>", "L A: b")
		}, idleTime},
		{"half a packet", func(m *mta) {
			m.negotiate(6, allActions, allProtocol)
			m.run(helloA, mailA, "R <r@r.example>")
			m.write("\x00\x00\x10\x00Btext")
			time.Sleep(10 * time.Second)
			m.write("more")
		}, packetTime - 10*time.Second},
		{"half a packet behind a whole one", func(m *mta) {
			m.negotiate(6, allActions, allProtocol)
			m.run(helloA)
			m.write(m.step("H x") + "\x00")
		}, packetTime},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := serve(t, always(pass))
				m := f.dial("")
				tt.send(m)
				f.closes(m, tt.after, "peer silent too long")
				f.stop()
			})
		})
	}
}

func TestPacketSizes(t *testing.T) {
	for _, tt := range []struct {
		name  string
		bytes string
		why   string // the connection is closed for it; "" when it is not
	}{
		{"0", "\x00\x00\x00\x00", "packet of 0 bytes"},
		{"1", packet('N', ""), ""},
		{"1 MiB-1", packet('B', strings.Repeat("x", 1<<20-2)), ""},
		{"1 MiB", packet('B', strings.Repeat("x", 1<<20-1)), ""},
		{"1 MiB+1", packet('B', strings.Repeat("x", 1<<20)), "packet of 1048577 bytes"},
		{"4 GiB", "\xff\xff\xff\xffB", "packet of 4294967295 bytes"},
		{"unknown", packet('Z', ""), "unknown command 'Z'"},
		{"macros for nothing", packet('D', ""), "macros for no command"},
		{"CONNECT cut short", packet('C', "host\x004"), "CONNECT without port"},
		{"negotiation again", packet('O', offer(6, 0, 0)), "second negotiation"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := serve(t, always(pass))
				m := f.session()
				m.run(helloA)
				go m.write(tt.bytes)
				if tt.why != "" {
					f.closes(m, 0, tt.why)
				} else {
					synctest.Wait()
					if got := m.run(mailA, "R <r@r.example>", "E"); got[1] != "c" {
						t.Errorf("answers %q", got)
					}
				}
				m.nc.Close()
				f.stop()
			})
		})
	}
}

func TestStrangers(t *testing.T) {
	for name, tt := range map[string]struct{ bytes, why string }{
		"HTTP":                {"GET / HTTP/1.1\r\nHost: mx.example\r\n\r\n", "packet of 1195725856 bytes"},
		"TLS":                 {"\x16\x03\x01\x02\x00\x01\x00\x01", "packet of 369295618 bytes"},
		"CONNECT at once":     {packet('C', connectData("192.0.2.7")), "before negotiation"},
		"end of message":      {packet('E', ""), "before negotiation"},
		"short negotiation":   {packet('O', "\x00\x00\x00\x06"), "negotiation too short"},
		"QUIT at once":        {packet('Q', ""), ""},
		"unknown before that": {packet('U', "FOO"), "before negotiation"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := serve(t, always(pass))
				m := f.dial("")
				go m.write(tt.bytes)
				f.closes(m, 0, tt.why)
				f.stop()
			})
		})
	}
}

// A probe that connects and goes is no event; a peer that goes in mid-message is.
func TestPeerGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serve(t, always(pass))
		m := f.dial("")
		m.nc.Close()
		f.closes(m, 0, "")
		m = f.session()
		m.run(helloA, mailA)
		m.nc.Close()
		f.closes(m, 0, "in_message=true")
		f.stop()
		if got := f.notes.rules(); len(got) != 0 {
			t.Errorf("verdicts %q for a message that never ended", got)
		}
	})
}

// gone fails unless there is nothing left of sessions: none that counts, no draft, and no
// more goroutines than there were.
func (f *fixture) gone(stage string, before int, was ...*conn) {
	f.t.Helper()
	if open, early := len(f.sessions.all()), f.sessions.early.Len(); open+early > 0 {
		f.t.Errorf("%s: %d sessions left, %d of them early", stage, open, early)
	}
	for _, c := range was {
		if c.session.msg != nil || c.session.aside != nil {
			f.t.Errorf("%s: the session has a draft: %v, and a second goroutine: %v", stage, c.session.msg != nil, c.session.aside != nil)
		}
	}
	for range 100_000 { // one that ends is counted a little longer than synctest waits for it
		if runtime.NumGoroutine() <= before {
			return
		}
		runtime.Gosched()
	}
	f.t.Errorf("%s: %d goroutines, %d before", stage, runtime.NumGoroutine(), before)
}

// Wherever in a session its MTA vanishes, nothing of it is left, and only messages that it
// has brought to their end are judged, and so charged.
func TestPeerGoneAnywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		f := serve(t, judgeFunc(func(context.Context, *rules.Mail) rules.Verdict { asked++; return pass }))
		script, ends := packet('O', offer(6, allActions, allProtocol)), []int{}
		for _, line := range []string{
			helloA, "H x", mailA, "R <r1@r.example> i=Q1", "R <r2@r.example>", "T", "L Subject: one", "N", "B text", "E - i=Q1", "A",
			mailB, "R <r3@r.example>", "A", mailB, "R <r3@r.example>", "L A: b", "E",
		} {
			script += (&mta{}).step(line)
			if line[0] == 'E' {
				ends = append(ends, len(script))
			}
		}
		synctest.Wait()
		before := runtime.NumGoroutine()
		for n := range len(script) + 1 {
			asked = 0
			m := f.dial("192.0.2.7")
			m.write(script[:n])
			synctest.Wait()
			was := f.sessions.all()
			m.nc.Close()
			synctest.Wait()
			stage := fmt.Sprintf("after octet %d, %q", n, script[max(0, n-10):n])
			f.gone(stage, before, was...)
			want := len(slices.DeleteFunc(slices.Clone(ends), func(end int) bool { return n < end }))
			if len(was) != 1 || asked != want {
				t.Errorf("%s: %d sessions, asked %d times, want %d", stage, len(was), asked, want)
			}
		}
		f.stop()
		if n := len(f.sessions.clients); n != 0 {
			t.Errorf("%d addresses are kept for ever", n)
		}
	})
}

// An MTA that vanishes while its message is judged leaves nothing behind either, once the
// judge has come back: what he said has been charged, and is in the log.
func TestPeerGoneWhileJudged(t *testing.T) {
	for _, thinks := range []time.Duration{time.Second, progressEvery + time.Second} {
		synctest.Test(t, func(t *testing.T) {
			f := serve(t, judgeFunc(func(context.Context, *rules.Mail) rules.Verdict { time.Sleep(thinks); return pass }))
			synctest.Wait()
			before := runtime.NumGoroutine()
			m := f.session()
			m.run(helloA, mailA, "R <r@r.example>")
			m.write(m.step("E"))
			synctest.Wait()
			was := f.sessions.all()
			m.nc.Close()
			time.Sleep(thinks)
			synctest.Wait()
			f.gone(thinks.String(), before, was...)
			if got := f.notes.rules(); len(got) != 1 || len(was) != 1 {
				t.Errorf("%v: verdicts %q of %d sessions", thinks, got, len(was))
			}
			f.stop()
		})
	}
}

// An MTA that takes no answers does not hold a session for ever.
func TestAnswersNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serve(t, always(pass))
		near := f.mute()
		near.Write([]byte(packet('O', offer(6, allActions, allProtocol))))
		start := time.Now()
		time.Sleep(packetTime - time.Millisecond)
		if got := f.logs.String(); got != "" {
			t.Errorf("after %v: %s", time.Since(start), got)
		}
		time.Sleep(2 * time.Millisecond)
		if got := f.logs.String(); !strings.Contains(got, "answer not taken") {
			t.Errorf("logged %q", got)
		}
		if n, err := near.Read(make([]byte, 1)); n != 0 || err != io.EOF || time.Since(start) > packetTime+time.Second {
			t.Errorf("read %d bytes, %v, after %v", n, err, time.Since(start))
		}
		f.stop()
	})
}

// What is changed in a message goes out with the verdict, in one write: a session that
// dies in between would leave the MTA with half an answer. Only what is far too much
// for that goes ahead.
func TestAnswerInOneWrite(t *testing.T) {
	const (
		change = 4 + 1 + 4 + len(markName) + 2 // a packet that takes a field off
		mark   = 4 + 1 + len(markName+"\x00a.rule ID\x00")
		most   = (maxHeld - 1 - mark) / change
	)
	for _, marks := range []int{0, 1, 2, most, most + 1} {
		synctest.Test(t, func(t *testing.T) {
			f := serve(t, always(tag))
			near := f.mute()
			read := func() int {
				n, _ := near.Read(make([]byte, 2*maxHeld))
				return n
			}
			near.Write([]byte(packet('O', offer(6, allActions, allProtocol))))
			read()
			script := &mta{}
			fields := strings.Repeat(script.step("L "+markName+": x"), marks)
			go near.Write([]byte(script.step(helloA) + script.step(mailA) + fields + packet('E', "")))
			first, whole := read(), marks*change+mark+len(packet('c', ""))
			if marks <= most && first != whole {
				t.Errorf("%d marks: the first write has %d bytes of %d", marks, first, whole)
			}
			if marks > most && (first == whole || first+read() != whole) {
				t.Errorf("%d marks: two writes are not all of %d bytes", marks, whole)
			}
			near.Close()
			f.stop()
		})
	}
}
