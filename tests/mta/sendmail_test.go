//go:build mta

package mta

import (
	"net"
	"testing"
)

func TestSendmail(t *testing.T) {
	sink := NewSink(t)
	s := NewSendmail(t, sink)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.Log())
		}
	})
	t.Run("filter is away", func(t *testing.T) {
		c := Dial(t, s.Submission())
		c.Must(250, "EHLO client.example")
		c.Must(454, plainAuth("alice@client-a.example"))
		c.Must(530, "MAIL FROM:<alice@client-a.example>")
	})
	l, err := net.Listen("unix", s.Milter)
	if err != nil {
		t.Fatal(err)
	}
	serveNoop(t, l)
	exercise(t, s, sink)
}
