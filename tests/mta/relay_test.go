//go:build mta

package mta

import (
	"net"
	"testing"
)

// TestRelay: each server of a relay has its own filter, or none; what passes is thrown away.
func TestRelay(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveNoop(t, l)
	r := NewRelay(t, "alice@client-a.example", "", l.Addr().String())
	for i, want := range []int{250, 550} {
		c := Dial(t, r.Addr(i))
		c.Must(250, "EHLO client.example")
		if got := send(c, "no@client-a.example", plainMail, "bob@remote.example"); got.Code != want {
			t.Errorf("server %d: got %v, want %d", i, got, want)
		}
	}
	r.Drain(t)
}
