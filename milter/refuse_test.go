package milter

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"o2n-milter/rules"
)

var overloaded = regexp.MustCompile(`^y451 4\.3\.2 Too much mail at once, please try again later\. \[internal\.overload [0-9A-Z]{8}\]$`)

// capped is a server with one session, which is taken.
func capped(t *testing.T, set ...func(*Server)) (*fixture, *mta) {
	f := serve(t, always(pass), append([]func(*Server){func(s *Server) { s.MaxSessions = 1 }}, set...)...)
	m := f.session()
	m.run(helloA)
	synctest.Wait()
	return f, m
}

// A session over a cap is told so at MAIL, in our own words, and at whatever comes instead
// or behind it; each message is a verdict of its own.
func TestOverTheCap(t *testing.T) {
	for _, first := range []string{mailA, "R <r@r.example>", "L A: b", "N", "B text", "E", "T", "U FOO"} {
		synctest.Test(t, func(t *testing.T) {
			f, in := capped(t)
			m := f.dial("")
			if got := m.negotiate(6, allActions, allProtocol); got != strings.TrimRight("O"+offer(2, 0, 0x3000), "\x00") {
				t.Fatalf("negotiated %q", got)
			}
			m.write(m.step(helloA) + m.step("H x")) // no answers are waited for
			var replies []string
			for _, line := range []string{first, "R <r@r.example>", "B " + strings.Repeat("x", 2*readSize), "E", mailA, "E"} {
				m.write(m.step(line) + packet('A', ""))
				replies = append(replies, m.reply())
			}
			for _, r := range replies {
				if !overloaded.MatchString(r) {
					t.Errorf("%s first: %q", first, r)
				}
			}
			if distinct := slices.Compact(replies); len(distinct) != 2 {
				t.Errorf("%s first: %d verdicts in %q", first, len(distinct), distinct)
			}
			m.run("Q")
			if got := m.reply(); got != hungUp {
				t.Errorf("after QUIT: %q", got)
			}
			if got := f.notes.rules(); !slices.Equal(got, []string{"tempfail internal.overload", "tempfail internal.overload"}) {
				t.Errorf("%s first: recorded %q", first, got)
			}
			if got := in.run(mailA, "R <r@r.example>", "E"); got[1] != "c" {
				t.Errorf("the session within the cap: %q", got)
			}
			in.nc.Close()
			f.stop()
			if !slices.Equal(f.notes.open, []int{1, 0}) {
				t.Errorf("sessions %v: one that is refused is none", f.notes.open)
			}
		})
	}
}

// Where the MTA waits for answers at CONNECT and HELO, it gets them: a refusal there goes
// for AUTH too.
func TestOverTheCapReplies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, in := capped(t)
		m := f.dial("")
		if got := m.negotiate(2, 0, 0); got != "O\x00\x00\x00\x02" {
			t.Fatalf("negotiated %q", got)
		}
		for line, want := range map[string]string{helloA: "c", "H x": "c"} {
			m.write(m.step(line))
			if got := m.reply(); got != want {
				t.Errorf("%s: %q", line, got)
			}
		}
		in.nc.Close()
		f.stop()
	})
}

// The log line of refused mail says whose it is, and the MTA may be silent for as long as
// with any other session.
func TestOverTheCapRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got rules.Mail
		f, in := capped(t, func(s *Server) { s.Recorder = &lastMail{mail: &got} })
		m := f.dial("")
		m.negotiate(6, allActions, allProtocol)
		for range 3 {
			m.write(m.step(helloA) + m.step("H x") + m.step(mailA+" i=Q1"))
			asked := time.Now()
			m.reply()
			if paused := time.Since(asked); paused != refusalPause {
				t.Errorf("answered after %v", paused)
			}
			synctest.Wait()
			if got.Client.String() != "192.0.2.7" || got.Host != "mx.example" || got.Login != "alice" || got.QueueID != "Q1" || got.Sender != "a@client-a.example" {
				t.Errorf("recorded %+v", got)
			}
			m.run("A", "M <b@client-b.example>")
			m.reply()
			synctest.Wait()
			if got.Login != "" || got.QueueID != "" || got.Sender != "b@client-b.example" {
				t.Errorf("recorded %+v", got)
			}
			time.Sleep(idleTime - time.Second)
		}
		start := time.Now()
		if got := m.reply(); got != hungUp || time.Since(start) != time.Second {
			t.Errorf("%q after %v", got, time.Since(start))
		}
		in.nc.Close()
		f.stop()
	})
}

// brittle is a recorder that panics over each message.
type brittle struct{ notes }

func (*brittle) Record(*rules.Mail, rules.Verdict, time.Duration) { panic("of ours") }

// A panic while a session over the cap is refused ends that session, and nothing else.
func TestPanicOverTheCap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, in := capped(t, func(s *Server) { s.Recorder = &brittle{} })
		m := f.dial("")
		m.negotiate(6, allActions, allProtocol)
		m.write(m.step(helloA) + m.step(mailA))
		synctest.Wait()
		for m.reply() != hungUp {
		}
		if n, logged := len(f.refusals.open), f.logs.String(); n != 0 || !strings.Contains(logged, "milter: panic") {
			t.Errorf("%d are kept; logged %q", n, logged)
		}
		in.nc.Close()
		f.stop()
	})
}

type lastMail struct {
	notes
	mail *rules.Mail
}

func (l *lastMail) Record(m *rules.Mail, _ rules.Verdict, _ time.Duration) { *l.mail = *m }

// As many are refused at once as are let in; what comes then is closed. Who has left makes
// room.
func TestRefusalsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serve(t, always(pass), func(s *Server) { s.MaxSessions, s.MaxPerClient = 3, 2 })
		open := func(client string) *mta {
			m := f.dial(client)
			if m.negotiate(6, allActions, allProtocol) != hungUp {
				m.write(m.step(helloA) + m.step(mailA))
			}
			time.Sleep(refusalPause)
			synctest.Wait()
			return m
		}
		refused := func(m *mta) bool { return len(m.packets) > 0 && overloaded.MatchString(m.reply()) }
		for range 2 {
			if m := open("192.0.2.1"); refused(m) {
				t.Error("refused within the cap of a client")
			}
		}
		first, second := open("192.0.2.1"), open("192.0.2.1") // at its cap and at that of the refused
		if !refused(first) || !refused(second) {
			t.Error("not refused over the cap of a client")
		}
		if got := open("192.0.2.1").reply(); got != hungUp {
			t.Errorf("over both caps of a client: %q", got)
		}
		open("192.0.2.2") // the third of all
		third := open("192.0.2.3")
		if !refused(third) {
			t.Error("not refused over the cap of all")
		}
		if got := open("192.0.2.4").reply(); got != hungUp {
			t.Errorf("over both caps of all: %q", got)
		}
		if logged := f.logs.String(); strings.Count(logged, "connection refused") != 2 {
			t.Errorf("logged %q", logged)
		}
		first.nc.Close()
		synctest.Wait()
		if !refused(open("192.0.2.1")) {
			t.Error("no room after a refused one has gone")
		}
		time.Sleep(idleTime) // all of them have been silent
		synctest.Wait()
		if n, by := len(f.refusals.open), len(f.refusals.clients); n != 0 || by != 0 {
			t.Errorf("%d are kept for ever, of %d clients", n, by)
		}
		f.stop()
	})
}

// They hold up no Shutdown, and what is no milter ends them.
func TestRefusalsEnd(t *testing.T) {
	good := packet('O', offer(6, allActions, allProtocol))
	for name, tt := range map[string]struct{ bytes, why string }{
		"silent":      {"", ""},
		"to be told":  {good + packet('C', connectData("192.0.2.7")) + packet('M', "<a@client-a.example>\x00"), ""},
		"HTTP":        {"GET / HTTP/1.1\r\nHost: mx.example\r\n\r\n", "packet of 1195725856 bytes"},
		"no packet":   {"\x00\x00\x00\x00O", "packet of 0 bytes"},
		"large":       {good + packet('B', strings.Repeat("x", maxPacket-1)), ""},
		"over it":     {good + packet('B', strings.Repeat("x", maxPacket)), "packet of 1048577 bytes"},
		"no macros":   {good + packet('D', ""), ""},
		"bad CONNECT": {good + packet('C', ""), ""},
		"at once":     {packet('C', connectData("192.0.2.7")), "command 'C' before negotiation"},
		"twice":       {good + good, "second negotiation"},
		"short":       {packet('O', ""), "negotiation too short"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, in := capped(t)
				m := f.dial("")
				go m.write(tt.bytes)
				synctest.Wait()
				if logged := f.logs.String(); tt.why == "" && logged != "" || !strings.Contains(logged, tt.why) {
					t.Errorf("logged %q, want %q", logged, tt.why)
				}
				in.nc.Close()
				synctest.Wait()
				begun := time.Now()
				f.stop()
				if took := time.Since(begun); took != 0 {
					t.Errorf("Shutdown took %v", took)
				}
				for m.reply() != hungUp {
				}
			})
		})
	}
}
