package milter

import (
	"bufio"
	"container/list"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	gomilter "github.com/emersion/go-milter"

	"o2n-milter/milter/shelf"
)

const (
	// maxPacket is the library's own bound; both MTAs send at most 64 KiB of body
	// and 100 KiB of a header field in one packet.
	maxPacket = 1 << 20

	firstPacketTime = 10 * time.Second // from accept to the end of the first packet
	packetTime      = 30 * time.Second // to finish a packet, to send CONNECT, to take an answer
	// idleTime must outlast the MTA's own SMTP time limits, else the client's
	// next command meets a closed milter. It is libmilter's.
	idleTime = 7210 * time.Second

	readSize = 8 << 10 // the header of most messages, macros included, in one read
	// keepPacket is how large a packet buffer an idle session may keep.
	keepPacket = 4 << 10
	// maxHeld is how much of an answer waits for its end: a message may bring any
	// number of fields that are to be taken off.
	maxHeld = 64 << 10
)

// phase says how far a session has come, which sets how long it may be silent.
type phase int

const (
	phaseNew        phase = iota // nothing heard yet
	phaseNegotiated              // no CONNECT yet
	phaseConnected
)

// conn is the net.Conn the library reads. It hands on whole, bounded packets in
// time, and only those the session leaves to the library. Reads and writes come
// from the one goroutine of the session; cut and drain from anywhere.
type conn struct {
	net.Conn
	session *session
	log     *slog.Logger
	in      *bufio.Reader
	packet  []byte // the packet being handled, its length in front
	unread  []byte // what of it the library has not read
	written []byte // what the library wrote of an answer so far ...
	whole   int    // ... and how much of that is whole packets
	opened  time.Time
	phase   phase
	failed  bool // a write did not go through
	left    bool // the next process goes on with the session

	// tape is what outlives the process: in reads from it and answers go by it, else by
	// Conn. nil: the session ends with the process.
	tape *shelf.Tape

	client netip.Addr    // TCP peer; zero for others, which have no cap
	early  *list.Element // owned by the registry

	mu      sync.Mutex
	busy    bool // a message is under way
	isCut   bool
	leaving bool // to be left to the next process when there is nothing to answer

	once   sync.Once
	closed chan struct{} // when the library is done with it
}

func newConn(nc net.Conn, s *Server, counts *counts) *conn {
	c := &conn{
		Conn:   nc,
		log:    s.Log.With("peer", nc.RemoteAddr().String()),
		in:     bufio.NewReaderSize(nc, readSize),
		opened: time.Now(),
		closed: make(chan struct{}),
	}
	if tcp, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		c.client = tcp.AddrPort().Addr().Unmap().WithZone("")
	}
	c.session = &session{server: s, conn: c, counts: counts}
	return c
}

// keep has the session go by its tape, if it has one. It is called before the first read.
func (c *conn) keep(tape *shelf.Tape) {
	if tape != nil {
		c.tape = tape
		c.in.Reset(tape)
	}
}

// Read gives the library the packets it is to see. Whatever goes wrong is logged
// here and is an io.EOF there, which it takes without writing to the global log.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.unread) == 0 {
		if err := c.next(); err != nil {
			c.explain(err)
			return 0, io.EOF
		}
	}
	n := copy(p, c.unread)
	c.unread = c.unread[n:]
	return n, nil
}

// next reads packets until one is for the library.
func (c *conn) next() error {
	for {
		c.left = c.proceed(c.session.underWay())
		if c.failed || c.left {
			return io.EOF
		}
		if err := c.readPacket(); err != nil {
			return err
		}
		forward, err := c.session.event(c.packet[4], c.packet[5:])
		if err != nil {
			return err
		}
		if forward {
			c.unread = c.packet
			return nil
		}
	}
}

func (c *conn) readPacket() error {
	if err := c.await(); err != nil {
		return err
	}
	head, err := c.in.Peek(4)
	if err != nil {
		return fmt.Errorf("packet begun: %w", err)
	}
	length := binary.BigEndian.Uint32(head)
	if length == 0 || length > maxPacket {
		return fmt.Errorf("packet of %d bytes; want 1 to %d", length, maxPacket)
	}
	size := 4 + int(length)
	if cap(c.packet) < size {
		c.packet = make([]byte, size)
	}
	c.packet = c.packet[:size]
	if _, err := io.ReadFull(c.in, c.packet); err != nil {
		return fmt.Errorf("packet begun: %w", err)
	}
	return nil
}

// await waits for a packet to begin and sets the time it has to end.
func (c *conn) await() error {
	if c.tape != nil && c.session.settled() {
		c.tape.Mark(c.in.Buffered())
	}
	if c.phase == phaseNew {
		c.allow(c.opened.Add(firstPacketTime))
	}
	if c.in.Buffered() == 0 {
		if !c.session.underWay() && cap(c.packet) > keepPacket {
			c.packet = nil
		}
		switch c.phase {
		case phaseNegotiated:
			c.allow(time.Now().Add(packetTime))
		case phaseConnected:
			c.allow(time.Now().Add(idleTime))
		}
		if _, err := c.in.Peek(1); err != nil {
			return err
		}
	}
	if c.phase != phaseNew && !c.wholeBuffered() {
		c.allow(time.Now().Add(packetTime))
	}
	return nil
}

// wholeBuffered saves setting a deadline for what needs no waiting.
func (c *conn) wholeBuffered() bool {
	n := c.in.Buffered()
	if n < 4 {
		return false
	}
	head, _ := c.in.Peek(4)
	return uint64(n-4) >= uint64(binary.BigEndian.Uint32(head))
}

// allow sets how long the peer may be silent. Nothing is waited for any more by who is
// to leave.
func (c *conn) allow(until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leaving && c.tape.Kept() {
		until = past
	}
	c.Conn.SetReadDeadline(until)
}

// past is a deadline that is over.
var past = time.Unix(1, 0)

// explain logs why a connection ends, unless that is the ordinary way.
func (c *conn) explain(err error) {
	c.mu.Lock()
	busy, isCut := c.busy, c.isCut
	if c.leaving && c.tape.Kept() && errors.Is(err, os.ErrDeadlineExceeded) {
		c.left = true
	}
	c.mu.Unlock()
	switch {
	case isCut || c.left: // whoever cut it said so
	case err == io.EOF && !busy:
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.log.Warn("milter: connection closed, peer silent too long", "err", err)
	default:
		c.log.Warn("milter: connection closed", "err", err, "in_message", busy)
	}
}

// Write passes on what the library answers, one whole answer at a time: what is to be
// changed in a message goes with its verdict. A write that does not go through ends
// the session at its next read.
func (c *conn) Write(p []byte) (int, error) {
	c.written = append(c.written, p...)
	for rest := c.written[c.whole:]; len(rest) >= 5; rest = c.written[c.whole:] {
		size := 4 + int(binary.BigEndian.Uint32(rest))
		if len(rest) < size {
			break
		}
		if c.whole += size; !changes(rest[4]) || c.whole >= maxHeld {
			c.send(c.session.outgoing(c.written[:c.whole]))
			c.written, c.whole = append(c.written[:0], c.written[c.whole:]...), 0
		}
	}
	if len(c.written) == 0 && cap(c.written) > keepPacket {
		c.written = nil
	}
	return len(p), nil
}

// changes says whether a packet changes the message, and the answer is still to come.
func changes(code byte) bool {
	switch gomilter.ModifyActCode(code) {
	case gomilter.ActChangeHeader, gomilter.ActAddHeader, gomilter.ActQuarantine:
		return true
	}
	return false
}

func (c *conn) send(answer []byte) {
	if c.failed {
		return
	}
	c.Conn.SetWriteDeadline(time.Now().Add(packetTime))
	var err error
	if c.tape != nil {
		err = c.tape.Answer(answer)
	} else {
		_, err = c.Conn.Write(answer)
	}
	c.sent(err)
}

func (c *conn) sent(err error) {
	if err != nil {
		c.failed = true
		c.explain(fmt.Errorf("answer not taken: %w", err))
	}
}

// sendCode sends an answer that has no more to it than its code.
func (c *conn) sendCode(code byte) { c.send([]byte{0, 0, 0, 1, code}) }

// sendProgress tells the MTA to wait on. That is no answer.
func (c *conn) sendProgress() {
	if c.failed {
		return
	}
	c.Conn.SetWriteDeadline(time.Now().Add(packetTime))
	_, err := c.Conn.Write([]byte{0, 0, 0, 1, 'p'}) // SMFIR_PROGRESS
	c.sent(err)
}

// told says that the MTA has the next answer already, from the process before.
func (c *conn) told() bool { return c.tape != nil && c.tape.Told() }

// unkeep says that the session ends with the process from now on.
func (c *conn) unkeep() {
	if c.tape != nil {
		c.tape.Drop()
	}
}

// Close is called by the library when the session is over.
func (c *conn) Close() error {
	switch {
	case c.tape == nil:
	case c.stays():
		c.tape.Leave()
	default:
		c.tape.Free()
	}
	err := c.Conn.Close()
	c.once.Do(func() { close(c.closed) })
	return err
}

// stays says whether the session goes on after we have closed it.
func (c *conn) stays() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.left || c.leaving && c.isCut && c.tape.Kept()
}

// proceed says whether a message is under way, for who ends the session from outside,
// and whether the session is to be left as it is.
func (c *conn) proceed(busy bool) (leave bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy = busy
	return c.leaving && c.tape.Kept()
}

// leave has the session left to the next process as soon as there is nothing to answer.
// One that cannot be left yet goes on.
func (c *conn) leave() {
	if c.tape == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaving = true
	if c.tape.Kept() {
		c.Conn.SetReadDeadline(past)
	}
}

// cut ends the session from outside and says whether that is the end of a message that
// is under way; the library notices at its next read.
func (c *conn) cut() (lost bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.isCut = true
	c.Conn.Close()
	return c.busy && !(c.leaving && c.tape.Kept())
}
