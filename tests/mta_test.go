//go:build mta

package tests

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"o2n-milter/tests/daemon"
	"o2n-milter/tests/mta"
)

func TestMain(m *testing.M) { daemon.Main(m) }

// startDaemon starts the daemon on a milter address, with the configuration of a case.
func startDaemon(t testing.TB, toml, listen string) *daemon.Daemon {
	t.Helper()
	return daemon.Start(t, []string{listen}, common(t), caseTOML(toml))
}

// throughMTA is a case run by a real server and the real daemon.
type throughMTA struct {
	server mta.Server
	submit string // where logins go
	sink   *mta.Sink
	daemon *daemon.Daemon
	client *mta.Client // nil before the first session
}

var _ driver = (*throughMTA)(nil)

// Login begins a session; the last one is left open until then, as a client would that has more to say.
func (d *throughMTA) Login(t testing.TB, login string) {
	t.Helper()
	d.quit()
	switch login {
	case "none":
		d.client = mta.Dial(t, d.server.Loopback())
		d.client.Must(250, "EHLO client.example")
	case "remote":
		d.client = d.server.Remote(t)
	default:
		d.client = mta.Login(t, d.submit, login)
	}
}

func (d *throughMTA) quit() {
	if d.client != nil {
		d.client.Quit()
		d.client = nil
	}
}

// Helo is EHLO again.
func (d *throughMTA) Helo(t testing.TB) {
	t.Helper()
	d.client.Must(250, "EHLO again.example")
}

// Send speaks SMTP, or calls sendmail(1).
func (d *throughMTA) Send(t testing.TB, m *Message) mta.Reply {
	t.Helper()
	if m.Local {
		r := d.server.Submit(t, m.Sender, m.Accepted(), m.Text)
		if r.Code == 0 {
			r.Code = 250
		}
		return r
	}
	if m.Pipeline {
		return d.pipeline(t, m)
	}
	r := d.envelope(t, m)
	switch {
	case m.Abandon == "helo":
		d.Helo(t)
	case m.Abandon == "rset" || r.Code != 250:
		d.client.Must(250, "RSET")
	default:
		d.client.Must(354, "DATA")
		r = d.client.Data(m.Text)
	}
	return r
}

func (d *throughMTA) envelope(t testing.TB, m *Message) mta.Reply {
	t.Helper()
	r := d.client.Cmd("MAIL FROM:<" + m.Sender + ">")
	if r.Code != 250 {
		return r
	}
	for _, rcpt := range m.Rcpts {
		if r = d.client.Cmd("RCPT TO:<" + rcpt.Addr + ">"); !asWanted(t, rcpt, r) {
			return r
		}
	}
	return mta.Reply{Code: 250}
}

// asWanted is false when something refused a recipient that the server should have taken.
func asWanted(t testing.TB, rcpt Rcpt, r mta.Reply) bool {
	t.Helper()
	if rcpt.Refused && r.Code != 550 {
		t.Errorf("RCPT %s: got %v, want the server's own 550", rcpt.Addr, r)
	}
	return rcpt.Refused || r.Code == 250
}

// pipeline writes MAIL, RCPT and DATA in one segment (RFC 2920 3.1: DATA comes last in a group).
func (d *throughMTA) pipeline(t testing.TB, m *Message) mta.Reply {
	t.Helper()
	var b strings.Builder
	b.WriteString("MAIL FROM:<" + m.Sender + ">\r\n")
	for _, rcpt := range m.Rcpts {
		b.WriteString("RCPT TO:<" + rcpt.Addr + ">\r\n")
	}
	b.WriteString("DATA\r\n")
	d.client.Send([]byte(b.String()))
	refused := mta.Reply{}
	if r := d.client.Read(); r.Code != 250 {
		refused = r
	}
	for _, rcpt := range m.Rcpts {
		if r := d.client.Read(); !asWanted(t, rcpt, r) && refused.Code == 0 {
			refused = r
		}
	}
	if r := d.client.Read(); r.Code != 354 {
		return refused
	}
	r := d.client.Data(m.Text)
	if refused.Code != 0 {
		return refused
	}
	return r
}

func (d *throughMTA) Arrived(testing.TB) []mta.Delivered { return d.sink.All() }
func (d *throughMTA) Held(t testing.TB) int              { return d.server.Held(t) }
func (d *throughMTA) Drain(t testing.TB)                 { d.server.Drain(t) }
func (d *throughMTA) Bounces() bool                      { return true }

// Advance cannot be had: the daemon's clock is the machine's.
func (d *throughMTA) Advance(t testing.TB, _ time.Duration) { t.Fatal("no clock to set") }

// Kill is kill -9; Postfix and Sendmail find the new daemon at the same socket.
func (d *throughMTA) Kill(t testing.TB) {
	t.Helper()
	d.daemon.Proc.Kill()
	d.daemon.Start(t)
}

// Block goes through the operator's command.
func (d *throughMTA) Block(t testing.TB, subject string, length time.Duration) {
	t.Helper()
	d.daemon.Command(t, "block", "add", subject, "--for", length.String(), "--reason", "case")
}

// Lift goes through the operator's command.
func (d *throughMTA) Lift(t testing.TB, subject string) {
	t.Helper()
	d.daemon.Command(t, "block", "lift", subject, "--reason", "case")
}

// runThrough runs the cases that pick wants, each with a daemon and a store of its own.
func runThrough(t *testing.T, server mta.Server, submit string, sink *mta.Sink, pick func(name string) bool, listen string) {
	for _, c := range readCases(t) {
		if !pick(c.Name) {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			if c.Uses("advance") {
				t.Skip("needs a clock that can be set; runs in-process")
			}
			d := &throughMTA{server: server, submit: submit, sink: sink}
			d.daemon = startDaemon(t, strings.ReplaceAll(c.TOML, remotePlace, server.RemoteIP()), listen)
			sink.Clear()
			from := len(server.Log())
			defer func() {
				if t.Failed() {
					t.Logf("mail log:\n%s", server.Log()[from:])
				}
				server.Purge(t)
			}()
			runCase(t, c, d)
			d.quit()
		})
	}
}

func everyCase(string) bool { return true }

func TestPostfix(t *testing.T) {
	sink := mta.NewSink(t)
	p := mta.NewPostfix(t, sink)
	runThrough(t, p, p.Submission(), sink, everyCase, "unix:"+p.Milter)
}

// TestPostfixTCP repeats the session games over TCP, where replies take another way.
func TestPostfixTCP(t *testing.T) {
	sink := mta.NewSink(t)
	p := mta.NewPostfix(t, sink)
	games := func(name string) bool { return strings.HasPrefix(name, "game-") }
	runThrough(t, p, p.SubmissionTCP(), sink, games, "tcp:"+p.MilterTCP)
}

func TestSendmail(t *testing.T) {
	sink := mta.NewSink(t)
	s := mta.NewSendmail(t, sink)
	runThrough(t, s, s.Submission(), sink, everyCase, "unix:"+s.Milter)
}

// TestHostilePostfix sends each hostile message byte by byte as it is.
func TestHostilePostfix(t *testing.T) {
	rows := readHostile(t)
	sink := mta.NewSink(t)
	p := mta.NewPostfix(t, sink)
	startDaemon(t, hostileTOML, "unix:"+p.Milter)
	for _, h := range rows {
		t.Run(h.name, func(t *testing.T) {
			c := mta.Login(t, p.Submission(), hostileLogin)
			c.Must(250, "MAIL FROM:<"+hostileLogin+">")
			c.Must(250, "RCPT TO:<victim@example.net>")
			c.Must(354, "DATA")
			checkHostile(t, h, c.Data(h.text))
			c.Quit()
		})
	}
}

// TestPostfixBDAT: what comes in chunks (RFC 3030) is judged all the same. Sendmail offers no CHUNKING.
func TestPostfixBDAT(t *testing.T) {
	sink := mta.NewSink(t)
	p := mta.NewPostfix(t, sink)
	startDaemon(t, "", "unix:"+p.Milter)
	c := mta.Login(t, p.Submission(), "alice@client-a.example")
	for from, want := range map[string]int{"alice@client-a.example": 250, "service@bank.example": 550} {
		chunk := "From: " + from + "\r\nTo: friend@remote.example\r\n\r\nGood morning.\r\n"
		c.Must(250, "MAIL FROM:<alice@client-a.example>")
		c.Must(250, "RCPT TO:<friend@remote.example>")
		// The first chunk ends within the field name.
		c.Send([]byte("BDAT 3\r\n" + chunk[:3]))
		if r := c.Read(); r.Code != 250 {
			t.Fatalf("first chunk: %v", r)
		}
		c.Send(fmt.Appendf(nil, "BDAT %d LAST\r\n%s", len(chunk)-3, chunk[3:]))
		if r := c.Read(); r.Code != want {
			t.Errorf("From %s: got %v, want %d", from, r, want)
		}
	}
	c.Quit()
}
