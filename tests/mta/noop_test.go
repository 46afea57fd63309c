//go:build mta

package mta

import (
	"net"
	"strings"
	"testing"

	"github.com/emersion/go-milter"
)

// noop passes everything but senders that begin with "no"; "hold" goes on hold. It refuses as FACTS M1 says.
type noop struct {
	milter.NoOpMilter
	sender string
}

func (n *noop) MailFrom(from string, _ *milter.Modifier) (milter.Response, error) {
	n.sender = from
	return milter.RespContinue, nil
}

func (n *noop) Body(m *milter.Modifier) (milter.Response, error) {
	switch {
	case strings.HasPrefix(n.sender, "no"):
		return milter.NewResponseStr('y', "550 5.7.1 not from you [test.rule ABC]"), nil
	case strings.HasPrefix(n.sender, "hold"):
		return milter.RespContinue, m.Quarantine("test")
	}
	return milter.RespContinue, nil
}

func (n *noop) Abort(*milter.Modifier) error { return nil }

// serveNoop gives each connection a server and an object of its own.
func serveNoop(t *testing.T, l net.Listener) {
	s := &milter.Server{
		NewMilter: func() milter.Milter { return &noop{} },
		Actions:   milter.OptQuarantine,
	}
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(l) }()
	t.Cleanup(func() { l.Close(); <-done })
}

// send gives one message and returns the first reply that is no success.
func send(c *Client, sender, msg string, rcpts ...string) Reply {
	if r := c.Cmd("MAIL FROM:<" + sender + ">"); r.Code != 250 {
		return r
	}
	for _, rcpt := range rcpts {
		if r := c.Cmd("RCPT TO:<" + rcpt + ">"); r.Code != 250 {
			return r
		}
	}
	c.Must(354, "DATA")
	return c.Data([]byte(msg))
}

// exercise is what every server must do with a filter that accepts, refuses and holds.
func exercise(t *testing.T, s Server, sink *Sink) {
	t.Run("accepted", func(t *testing.T) {
		sink.Clear()
		c := Login(t, s.Submission(), "alice@client-a.example")
		if r := send(c, "alice@client-a.example", plainMail, "bob@remote.example"); r.Code != 250 {
			t.Fatalf("got %v, want 250", r)
		}
		s.Drain(t)
		got := sink.All()
		if len(got) != 1 || got[0].From != "alice@client-a.example" || !strings.Contains(string(got[0].Data), "\n.dots\r\n") {
			t.Errorf("delivered: %q", got)
		}
	})
	t.Run("refused by the filter, then accepted", func(t *testing.T) {
		sink.Clear()
		c := Login(t, s.Submission(), "bob@client-b.example")
		want := Reply{550, "5.7.1", "not from you [test.rule ABC]"}
		if r := send(c, "no@client-b.example", plainMail, "bob@remote.example"); r != want {
			t.Errorf("got %v, want %v", r, want)
		}
		if r := send(c, "yes@client-b.example", plainMail, "bob@remote.example"); r.Code != 250 {
			t.Errorf("got %v, want 250", r)
		}
		s.Drain(t)
		if n := len(sink.All()); n != 1 {
			t.Errorf("delivered: got %d, want 1", n)
		}
	})
	t.Run("recipient refused by the server", func(t *testing.T) {
		c := Login(t, s.Submission(), "carol")
		c.Must(250, "MAIL FROM:<carol@client-a.example>")
		c.Must(550, "RCPT TO:<refused@remote.example>")
		c.Must(250, "RCPT TO:<bob@remote.example>")
		c.Must(250, "RSET")
	})
	t.Run("wants a login", func(t *testing.T) {
		c := Dial(t, s.Submission())
		c.Must(250, "EHLO client.example")
		if r := send(c, "alice@client-a.example", plainMail, "bob@remote.example"); r.Code/100 != 5 {
			t.Errorf("without login: got %v, want 5xx", r)
		}
	})
	t.Run("inbound", func(t *testing.T) {
		sink.Clear()
		c := s.Remote(t)
		if r := send(c, "someone@elsewhere.example", plainMail, "root@"+Host); r.Code != 250 {
			t.Errorf("to a local address: got %v, want 250", r)
		}
		if r := send(c, "someone@elsewhere.example", plainMail, "bob@remote.example"); r.Code/100 == 2 {
			// Sendmail says 450 as long as no name server answers for the client.
			t.Errorf("relaying: got %v, want a refusal", r)
		}
		s.Drain(t)
		if n := len(sink.All()); n != 1 {
			t.Errorf("delivered: got %d, want 1", n)
		}
	})
	t.Run("local submission", func(t *testing.T) {
		sink.Clear()
		if r := s.Submit(t, "www-data@"+Host, []string{"bob@remote.example"}, []byte(plainMail)); r != (Reply{}) {
			t.Errorf("got %v, want no reply", r)
		}
		want := Reply{550, "5.7.1", "not from you [test.rule ABC]"}
		if r := s.Submit(t, "no@"+Host, []string{"bob@remote.example"}, []byte(plainMail)); r != want {
			t.Errorf("got %v, want %v", r, want)
		}
		s.Drain(t)
		s.Submit(t, "hold@"+Host, []string{"bob@remote.example"}, []byte(plainMail))
		if n := s.Held(t); n != 1 {
			t.Errorf("held: got %d, want 1", n)
		}
		s.Purge(t)
		if n := s.Held(t); n != 0 {
			t.Errorf("held after Purge: got %d, want 0", n)
		}
	})
}
