package demo

import (
	"errors"
	"net"
	"testing"
)

func TestPipesEnd(t *testing.T) {
	p := newPipes()
	if err := errors.Join(p.Close(), p.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
	if _, err := p.dial(customer(1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("dial: %v", err)
	}
}

// TestPipeClosedAtOurEnd: a server that reads on after it has hung up is told so in
// the words of a socket.
func TestPipeClosedAtOurEnd(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	p := peer{theirs, customer(1)}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read: %v", err)
	}
}
