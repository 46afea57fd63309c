package dialogs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"o2n-milter/milter"
	"o2n-milter/milter/shelf"
	"o2n-milter/rules"
)

// pair is the listener that has one end of a pair of sockets.
type pair struct {
	ends   chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pair) Accept() (net.Conn, error) {
	select {
	case c := <-p.ends:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p *pair) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pair) Addr() net.Addr { return &net.UnixAddr{Name: "pair", Net: "unix"} }

// socketpair gives both ends of a connection.
func socketpair() (near, far *net.UnixConn, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "pair")
		c, err := net.FileConn(f)
		f.Close()
		if err != nil {
			return nil, nil, err
		}
		ends[i] = c.(*net.UnixConn)
	}
	return ends[0], ends[1], nil
}

// reader is the engine, and wants every body.
type reader struct{ *rules.Engine }

func (reader) WantsBody(*rules.Mail) bool { return true }

// hung is longer than anything here may take.
const hung = 30 * time.Second

// process is a server.
type process struct {
	*milter.Server
	notes  *notes
	ln     *pair
	served chan error
	errs   bytes.Buffer // what it says of faults of ours; to be read when it has ended
}

// start begins to serve. With a shelf it goes on with what lies there.
func (f *filter) start(on *shelf.Shelf) *process {
	p := &process{notes: &notes{}, ln: &pair{ends: make(chan net.Conn), closed: make(chan struct{})}, served: make(chan error, 1)}
	p.Server = &milter.Server{
		Judge: func() milter.Judge { return reader{f.engine} }, Recorder: p.notes, DecideTimeout: time.Hour, Shelf: on,
		Log: slog.New(slog.NewTextHandler(&p.errs, &slog.HandlerOptions{Level: slog.LevelError})),
	}
	if on != nil {
		p.Resume()
	}
	go func() { p.served <- p.Serve(p.ln) }()
	return p
}

// stop ends it as a restart would.
func (p *process) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), hung)
	defer cancel()
	if err := errors.Join(p.Shutdown(ctx), <-p.served); err != nil {
		return err
	}
	if p.errs.Len() > 0 || len(p.notes.odd) > 0 {
		return fmt.Errorf("a fault of ours: %q %s", p.notes.odd, p.errs.String())
	}
	return nil
}

// write says the stream, so many octets at a time, to its end, unless the filter hangs up.
func write(to *net.UnixConn, stream []byte, piece int) {
	for part := range slices.Chunk(stream, piece) {
		if _, err := to.Write(part); err != nil {
			return
		}
	}
	to.CloseWrite()
}

// readAll is all that the filter answers.
func readAll(from *net.UnixConn) ([]byte, error) {
	answered, err := io.ReadAll(from)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) { // reset: it did not read to the end
		return nil, fmt.Errorf("the filter hangs: %w", err)
	}
	return answered, nil
}

// talk has a process of its own take the stream, so many octets at a time, and gives all that it
// answered and noted.
func (f *filter) talk(stream []byte, piece int) (answered []byte, n *notes, err error) {
	near, far, err := socketpair()
	if err != nil {
		return nil, nil, err
	}
	defer near.Close()
	p := f.start(nil)
	p.ln.ends <- far
	near.SetDeadline(time.Now().Add(hung))
	go write(near, stream, piece)
	answered, err = readAll(near)
	return answered, p.notes, errors.Join(err, p.stop())
}
