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
	"sync/atomic"
	"time"

	gomilter "github.com/emersion/go-milter"

	"o2n-milter/milter/shelf"
)

const (
	// maxPacket is the library's own bound; both MTAs send at most 64 KiB of body
	// and 100 KiB of a header field in one packet.
	maxPacket = 1 << 20

	firstPacketTime = 10 * time.Second // from accept to the end of the first packet
	packetTime      = 30 * time.Second // to finish a packet, to take an answer
	// idleTime must outlast the MTA's own SMTP time limits, else the client's
	// next command meets a closed milter. It is libmilter's. It holds before CONNECT
	// too: Postfix keeps what waits for no answer until the first RCPT.
	idleTime = 7210 * time.Second

	// readSize holds most messages, macros included, so that their packets are handled
	// where they were read to.
	readSize = 8 << 10
	// packetRoom holds any packet of a body, and most fields.
	packetRoom = 72 << 10
	// keepLarge is how large a buffer of a packet may be kept in mid-message: any of an MTA's.
	keepLarge = 128 << 10
	// keepWritten is how large a buffer of an answer an idle session may keep.
	keepWritten = 4 << 10
	// slack is how much earlier than it may a peer's silence may end it: a deadline is
	// a timer, which is not worth being set anew for each packet.
	slack = time.Second
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

// readers are the buffers of sessions that have ended, packets those that held a packet
// which was too large for them. The latter are some for each processor, and go with the
// garbage.
var (
	readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, readSize) }}
	packets = sync.Pool{New: func() any { return new([packetRoom]byte) }}
)

// packetBuffer is one of so many bytes.
func packetBuffer(size int) []byte {
	if size > packetRoom {
		return make([]byte, size)
	}
	return packets.Get().(*[packetRoom]byte)[:size]
}

// recyclePacket is called when nobody looks at a buffer any more.
func recyclePacket(b []byte) {
	if cap(b) == packetRoom {
		packets.Put((*[packetRoom]byte)(b[:packetRoom]))
	}
}

// conn is the net.Conn the library reads. It hands on whole, bounded packets in
// time, and only those the session leaves to the library. Reads and writes come
// from the one goroutine of the session; cut and leave from anywhere.
type conn struct {
	net.Conn
	server  *Server
	session session
	in      *bufio.Reader
	packet  []byte // the packet being handled, its length in front: part of in, or of large
	taken   int    // how much of in it is
	large   []byte // for a packet that in has no room for
	unread  []byte // what of the packet the library has not read
	written []byte // what the library wrote of an answer so far ...
	whole   int    // ... and how much of that is whole packets
	opened  time.Time
	phase   phase
	failed  bool // a write did not go through
	left    bool // the next process goes on with the session

	readUntil  time.Time // the deadlines that are set
	writeUntil time.Time

	// tape is what outlives the process: in reads from it and answers go by it, else by
	// Conn. nil: the session ends with the process.
	tape *shelf.Tape

	client netip.Addr    // TCP peer; zero for others, which have no cap
	early  *list.Element // owned by the registry

	busy    atomic.Bool  // a message is under way
	heard   atomic.Int64 // when the peer was last waited for anew, in ns since opened, give or take the slack
	leaving atomic.Bool  // to be left to the next process when there is nothing to answer
	isCut   atomic.Bool
	mu      sync.Mutex // between who waits and who leaves or cuts

	once sync.Once
}

func newConn(nc net.Conn, s *Server, counts *counts) *conn {
	c := &conn{Conn: nc, server: s, in: readers.Get().(*bufio.Reader), opened: time.Now()}
	c.in.Reset(nc)
	if tcp, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		c.client = tcp.AddrPort().Addr().Unmap().WithZone("")
	}
	c.session = session{server: s, conn: c, counts: counts}
	return c
}

// log names the peer.
func (c *conn) log() *slog.Logger { return c.server.Log.With("peer", c.RemoteAddr().String()) }

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

// next handles packets until one is for the library. It goes aside where a message is
// judged.
func (c *conn) next() error {
	for forward := false; !forward; {
		err := c.nextPacket()
		if err == nil && gomilter.Code(c.packet[4]) == gomilter.CodeEOB {
			forward, err = c.session.lend()
		} else if err == nil {
			forward, err = c.session.event(c.packet[4], c.packet[5:])
		}
		if err != nil {
			return err
		}
	}
	c.unread = c.packet
	return nil
}

// goOn handles the packet that is there and those after it, until one is for the library.
func (c *conn) goOn() (forward bool, err error) {
	for {
		forward, err = c.session.event(c.packet[4], c.packet[5:])
		if forward || err != nil {
			return forward, err
		}
		if err = c.nextPacket(); err != nil {
			return false, err
		}
	}
}

// nextPacket reads one, unless the session is over, or to be left.
func (c *conn) nextPacket() error {
	c.left = c.proceed(c.session.underWay())
	if c.failed || c.left {
		return io.EOF
	}
	return c.readPacket()
}

// readPacket leaves a packet where it was read to, if it fits there.
func (c *conn) readPacket() error {
	c.in.Discard(c.taken) // of the last one: it is there
	c.packet, c.taken = nil, 0
	if c.tape != nil && c.session.settled() {
		c.tape.Mark(c.in.Buffered())
	}
	if size := c.buffered(); size > 0 && c.phase != phaseNew {
		c.packet, _ = c.in.Peek(size)
		c.taken = size
		return nil
	}
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
	if size <= readSize {
		c.packet, err = c.in.Peek(size)
		c.taken = size
	} else {
		if size > cap(c.large) {
			recyclePacket(c.large)
			c.large = packetBuffer(size)
		}
		c.packet = c.large[:size]
		_, err = io.ReadFull(c.in, c.packet)
	}
	if err != nil {
		return fmt.Errorf("packet begun: %w", err)
	}
	return nil
}

// giveAway gives the buffer of the packet being handled to who keeps it, if it is one
// that in had no room for.
func (c *conn) giveAway() (buffer []byte) {
	if c.taken == 0 {
		buffer, c.large = c.large, nil
	}
	return buffer
}

// dropLarge lets go of the buffer for large packets.
func (c *conn) dropLarge() {
	recyclePacket(c.large)
	c.large = nil
}

// await waits for a packet to begin and sets the time it has to end.
func (c *conn) await() error {
	if c.phase == phaseNew {
		c.allow(c.opened.Add(firstPacketTime))
	}
	if c.in.Buffered() == 0 {
		if !c.session.underWay() || cap(c.large) > keepLarge {
			c.dropLarge()
		}
		if c.phase != phaseNew {
			c.allow(time.Now().Add(idleTime))
		}
		if _, err := c.in.Peek(1); err != nil {
			return err
		}
	}
	if c.phase != phaseNew && c.buffered() == 0 {
		c.allow(time.Now().Add(packetTime))
	}
	return nil
}

// buffered is the size of the next packet, if it has come and needs no waiting, nor a
// deadline; else 0.
func (c *conn) buffered() int {
	come := c.in.Buffered()
	if come < 4 {
		return 0
	}
	head, _ := c.in.Peek(4)
	if size := 4 + int(binary.BigEndian.Uint32(head)); size > 4 && size <= come {
		return size
	}
	return 0
}

// allow sets how long the peer may be silent, give or take the slack. Nothing is waited
// for any more by who is to leave.
func (c *conn) allow(until time.Time) {
	if !c.leaving.Load() && within(c.readUntil, until) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leaving.Load() && c.tape.Kept() {
		until = past
	}
	c.readUntil = until
	c.heard.Store(int64(time.Since(c.opened)))
	c.Conn.SetReadDeadline(until)
}

// silence is for how long the peer has said nothing.
func (c *conn) silence(now time.Time) time.Duration {
	return now.Sub(c.opened) - time.Duration(c.heard.Load())
}

// within says whether a deadline that is set does for the one that is wanted.
func within(set, wanted time.Time) bool {
	return !set.After(wanted) && !set.Before(wanted.Add(-slack))
}

// past is a deadline that is over.
var past = time.Unix(1, 0)

// explain logs why a connection ends, unless that is the ordinary way.
func (c *conn) explain(err error) {
	c.mu.Lock()
	busy, isCut := c.busy.Load(), c.isCut.Load()
	if c.leaving.Load() && c.tape.Kept() && errors.Is(err, os.ErrDeadlineExceeded) {
		c.left = true
	}
	c.mu.Unlock()
	switch {
	case isCut || c.left: // whoever cut it said so
	case err == io.EOF && !busy:
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.warn("milter: connection closed, peer silent too long", "err", err)
	default:
		c.warn("milter: connection closed", "err", err, "in_message", busy)
	}
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
	c.once.Do(func() {
		switch {
		case c.tape == nil:
		case c.stays():
			c.tape.Leave()
		default:
			c.tape.Free()
		}
		c.Conn.Close()
		c.session.forget()
		c.session.dismiss()
		c.in.Reset(nil)
		readers.Put(c.in)
		c.dropLarge()
		c.server.ended(c)
	})
	return nil
}

// stays says whether the session goes on after we have closed it.
func (c *conn) stays() bool {
	return c.left || c.leaving.Load() && c.isCut.Load() && c.tape.Kept()
}

// proceed says whether a message is under way, for who ends the session from outside,
// and whether the session is to be left as it is.
func (c *conn) proceed(busy bool) (leave bool) {
	if c.busy.Load() != busy {
		c.busy.Store(busy)
	}
	return c.leaving.Load() && c.tape.Kept()
}

// leave has the session left to the next process as soon as there is nothing to answer.
// One that cannot be left yet goes on.
func (c *conn) leave() {
	if c.tape == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaving.Store(true)
	if c.tape.Kept() {
		c.Conn.SetReadDeadline(past)
	}
}

// cut ends the session from outside and says whether that is the end of a message that
// is under way; the library notices at its next read.
func (c *conn) cut() (lost bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.isCut.Store(true)
	c.Conn.Close()
	return c.busy.Load() && !(c.leaving.Load() && c.tape.Kept())
}
