package demo

import (
	"errors"
	"io"
	"net"
	"sync"
)

// pipes is a listener without a network: made-up traffic comes from made-up
// addresses.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipes() *pipes {
	return &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
}

// dial connects from an address. The server sees it as the peer's.
func (p *pipes) dial(from net.Addr) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- peer{theirs, from}:
		return ours, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "made-up", Net: "pipe"} }

// peer is a connection that says it comes from somewhere else.
type peer struct {
	net.Conn
	from net.Addr
}

func (p peer) RemoteAddr() net.Addr { return p.from }

// Read says of a connection that was closed at our end what a socket says.
func (p peer) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	if errors.Is(err, io.ErrClosedPipe) {
		err = net.ErrClosed
	}
	return n, err
}
