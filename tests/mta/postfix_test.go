//go:build mta

package mta

import (
	"net"
	"os"
	"strings"
	"testing"
)

const plainMail = "From: alice@client-a.example\r\nTo: bob@remote.example\r\nSubject: hello\r\n\r\n.dots\r\nand text\r\n"

func TestPostfix(t *testing.T) {
	sink := NewSink(t)
	p := NewPostfix(t, sink)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(p.Log())
		}
	})
	t.Run("filter is away", func(t *testing.T) {
		c := Dial(t, p.Submission())
		c.Must(250, "EHLO client.example")
		// Even AUTH: the default action holds for the whole session.
		c.Must(454, plainAuth("alice@client-a.example"))
		c.Must(451, "MAIL FROM:<alice@client-a.example>")
	})
	unix, err := net.Listen("unix", p.Milter)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(p.Milter, 0o666); err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", p.MilterTCP)
	if err != nil {
		t.Fatal(err)
	}
	serveNoop(t, unix)
	serveNoop(t, tcp)
	exercise(t, p, sink)
	t.Run("filter over TCP", func(t *testing.T) {
		sink.Clear()
		c := Login(t, p.SubmissionTCP(), "alice@client-a.example")
		if r := send(c, "alice@client-a.example", plainMail, "bob@remote.example"); r.Code != 250 {
			t.Errorf("got %v, want 250", r)
		}
		p.Drain(t)
		if n := len(sink.All()); n != 1 {
			t.Errorf("delivered: got %d, want 1", n)
		}
	})
	if strings.Contains(p.Log(), "warning: milter") && !strings.Contains(p.Log(), "No such file") {
		t.Errorf("Postfix complains about the filter:\n%s", p.Log())
	}
}
