package shelf

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	headSize   = 8 << 10 // two pages
	answerRoom = 4 << 10 // the longest answer that is counted; a verdict has 500 bytes
	labelRoom  = 128     // a unix socket's path has 108 at most (unix(7))
	// tapeRoom holds what Postfix takes by default (message_size_limit is 10,240,000), and
	// the macros and packet heads around it. Nobody pays for what is not written.
	tapeRoom = 12 << 20
	// ownRoom is every tape's own; what goes beyond comes out of the shelf's spare room
	// in steps of the same size.
	ownRoom = 64 << 10
)

// Why a session cannot be resumed.
var (
	errLost   = errors.New("more was read than its tape holds")
	errAgain  = errors.New("two processes were working at its message when they ended")
	errGone   = errors.New("its peer has gone")
	errReplay = errors.New("fewer questions on the tape than answers went out")
)

// Tape is the memory of one session, outside of the process: what was read from the
// connection since it was opened, without the messages that are over, and how many
// answers went out. It is the only way to read from and answer on that connection, and
// all its methods but Kept are for one goroutine.
//
// The process may be killed between any two instructions. So what counts is in two
// copies, of which one is in force: a change is written to the other one, which comes
// into force by a single store. What a system call does is noted by the kernel within
// that call: recvmmsg(2) and sendmmsg(2) write the number of bytes that went over
// behind the header that they are given, and that lies on the tape. There is no moment
// at which bytes are read, or an answer is out, and the tape does not say so.
type Tape struct {
	shelf *Shelf
	slot  *slot
	head  *head
	data  []byte
	now   state // as in force
	room  uint32
	kept  atomic.Bool // the opposite of now.lost

	conn net.Conn
	raw  syscall.RawConn

	played uint32 // how far the tape was read
	told   uint32 // answers of it that the peer has and the session has not given again

	// recv and send are made once: a closure for each call would be garbage.
	recv, send func(fd uintptr) bool
	errno      syscall.Errno
}

// head is what stands before the data.
type head struct {
	format    uint64
	active    uint32 // which copy is in force
	working   uint32 // 1: the session does not just wait for its peer
	labelSize uint32
	_         uint32
	label     [labelRoom]byte
	copies    [2]record
	answer    [answerRoom]byte // the answer that is on its way
}

type record struct {
	state
	recv, send call
}

type state struct {
	prefix        uint32 // bytes that every message of the session needs; 0: not known yet
	prefixAnswers uint32 // answers that went out for these
	length        uint32 // bytes on the tape
	answers       uint32 // answers that went out for these
	owed          uint32 // bytes of the answer that is on its way
	lost          uint32 // 1: the message under way is not all on the tape
	resumed       uint32 // how often the message under way ended a process, perhaps
	_             uint32
}

// call is the struct mmsghdr of Linux on a 64-bit machine, and behind it the iovec that
// it points to. The addresses mean nothing to the next process.
type call struct {
	name       uintptr
	nameSize   uint32
	_          uint32
	vec        uintptr
	vecs       uint64
	control    uintptr
	controlLen uint64
	flags      int32
	_          int32
	done       uint32 // bytes that went over, written by the kernel
	_          uint32

	base uintptr
	size uint64
}

// The layout is the kernel's: another machine's is refused by the compiler.
var _ [64]byte = [unsafe.Offsetof(call{}.base)]byte{}

// noted is the state with what the kernel has noted since.
func (r *record) noted() state {
	s := r.state
	s.length += r.recv.done
	switch r.send.done {
	case 0:
	case s.owed:
		s.answers++
	default: // a part of an answer cannot be taken back, nor be given again
		s.lost = 1
	}
	s.owed = 0
	return s
}

func (r *record) sound() bool {
	return r.prefix <= r.length && uint64(r.length)+uint64(r.recv.done) <= tapeRoom
}

func newTape(sh *Shelf, s *slot) *Tape {
	t := &Tape{
		shelf: sh, slot: s, room: ownRoom,
		head: (*head)(unsafe.Pointer(&s.memory[0])),
		data: s.memory[headSize:],
	}
	t.recv = func(fd uintptr) bool {
		return t.call(unix.SYS_RECVMMSG, fd, &t.inForce().recv, unix.MSG_DONTWAIT)
	}
	t.send = func(fd uintptr) bool {
		return t.call(unix.SYS_SENDMMSG, fd, &t.inForce().send, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	}
	return t
}

// address is for the kernel only. What it is taken of lies in memory that Go's
// collector does not know and does not move.
func address[T any](p *T) uintptr { return uintptr(unsafe.Pointer(p)) }

func (t *Tape) inForce() *record { return &t.head.copies[t.head.active] }

// commit brings the state into force.
func (t *Tape) commit() {
	next := 1 - t.head.active
	c := &t.head.copies[next]
	*c = record{
		state: t.now,
		recv:  call{vec: address(&c.recv.base), vecs: 1},
		send:  call{vec: address(&c.send.base), vecs: 1, base: address(&t.head.answer)},
	}
	atomic.StoreUint32(&t.head.active, next)
	t.kept.Store(t.now.lost == 0)
}

// begin makes the tape that of a new session.
func (t *Tape) begin(conn net.Conn, raw syscall.RawConn, label string) {
	t.conn, t.raw, t.played, t.told, t.now, t.head.working = conn, raw, 0, 0, state{}, 1
	t.head.labelSize = uint32(copy(t.head.label[:], label))
	t.commit()
}

// Kept says whether the next process could go on with the session as it stands.
func (t *Tape) Kept() bool { return t.kept.Load() }

// Read gives what is on the tape first, then what comes from the connection, which goes
// onto the tape. What does not fit there is read all the same.
func (t *Tape) Read(p []byte) (int, error) {
	if t.played < t.now.length {
		n := copy(p, t.data[t.played:t.now.length])
		t.played += uint32(n)
		return n, nil
	}
	if t.told > 0 {
		return 0, errReplay
	}
	size := t.fits(len(p))
	if size == 0 {
		t.lose()
	}
	if t.now.lost != 0 {
		return t.conn.Read(p)
	}
	return t.record(p[:size])
}

// fits is how much of size may be read onto the tape.
func (t *Tape) fits(size int) int {
	for int(t.now.length)+size > int(t.room) && t.room < tapeRoom && t.shelf.spend() {
		t.room += ownRoom
	}
	return min(size, int(t.room-t.now.length))
}

func (t *Tape) record(p []byte) (int, error) {
	c := t.inForce()
	c.recv.base, c.recv.size = address(&t.data[t.now.length]), uint64(len(p))
	atomic.StoreUint32(&t.head.working, 0)
	err := t.raw.Read(t.recv)
	atomic.StoreUint32(&t.head.working, 1)
	if err != nil {
		return 0, err
	}
	if t.errno != 0 {
		return 0, fmt.Errorf("recvmmsg: %w", t.errno)
	}
	n := copy(p, t.data[t.now.length:t.now.length+c.recv.done])
	if n == 0 {
		return 0, io.EOF
	}
	t.now = c.noted()
	t.played = t.now.length
	t.commit()
	return n, nil
}

// call does a system call of one message. False: it would have to wait.
func (t *Tape) call(trap, fd uintptr, m *call, flags uintptr) bool {
	for {
		_, _, t.errno = unix.Syscall6(trap, fd, address(m), 1, flags, 0, 0)
		switch t.errno {
		case unix.EINTR:
		case unix.EAGAIN:
			return false
		default:
			return true
		}
	}
}

// Told says that the peer has the next answer already, from the process before.
func (t *Tape) Told() bool { return t.told > 0 }

// Answer sends one whole answer, unless the peer has it already. All answers of a
// session must come this way, in an order that the questions alone decide.
func (t *Tape) Answer(b []byte) error {
	if t.told > 0 {
		t.told--
		return nil
	}
	if len(b) > answerRoom {
		t.lose()
	}
	if t.now.lost != 0 {
		_, err := t.conn.Write(b)
		return err
	}
	t.now.owed = uint32(copy(t.head.answer[:], b))
	t.commit()
	c := t.inForce()
	c.send.size = uint64(len(b))
	if err := t.raw.Write(t.send); err != nil {
		return err
	}
	if t.errno != 0 {
		return fmt.Errorf("sendmmsg: %w", t.errno)
	}
	done := c.send.done
	t.now = c.noted()
	t.commit()
	if int(done) == len(b) {
		return nil
	}
	_, err := t.conn.Write(b[done:])
	return err
}

// lose says that the message under way cannot be resumed.
func (t *Tape) lose() {
	if t.now.lost == 0 {
		t.now.lost = 1
		t.commit()
	}
}

// Drop says that the session cannot be resumed any more.
func (t *Tape) Drop() {
	t.now.prefix, t.now.lost = 0, 1
	t.commit()
}

// Mark is called when no message is under way and all that was read is done with, but for
// the last bytes, which the session has not looked at. What was done with at the first
// call is kept for all messages, what comes later only until a call with none left.
func (t *Tape) Mark(unread int) {
	switch {
	case t.now.prefix == 0 && t.now.lost == 0:
		t.now.prefix, t.now.prefixAnswers = t.played-uint32(unread), t.now.answers-t.told
	case t.now.prefix == 0 || unread > 0 || t.played < t.now.length || t.told > 0:
		return
	default:
		if t.now.length == t.now.prefix && t.now.lost == 0 {
			return // nothing came since
		}
		t.now.length, t.now.answers, t.now.lost, t.now.resumed = t.now.prefix, t.now.prefixAnswers, 0, 0
		t.played = t.now.length
	}
	t.commit()
	t.shrink()
}

// shrink gives back what a large message took.
func (t *Tape) shrink() {
	if t.room <= ownRoom || t.now.length > ownRoom {
		return
	}
	// It cannot fail on memory that is shared and not locked; if it did, the pages stay.
	_ = unix.Madvise(t.data[ownRoom:t.room], unix.MADV_REMOVE)
	t.shelf.refund(t.room - ownRoom)
	t.room = ownRoom
}

// load takes over the tape of an earlier process.
func (t *Tape) load(format uint64) error {
	switch {
	case t.head.format != format:
		return errors.New("another version of the program wrote it")
	case t.head.active > 1 || t.head.labelSize > labelRoom || !t.inForce().sound():
		return errors.New("it is damaged")
	}
	t.now = t.inForce().noted()
	for t.room < t.now.length {
		t.shelf.spare.Add(-ownRoom)
		t.room += ownRoom
	}
	t.commit()
	return nil
}

// Resume opens the connection of a tape that an earlier process left. label is what
// Take was given. Read and Answer then begin anew from the session's start. A message
// that two processes were working at when they ended is not resumed: it may be what ends
// them.
func (t *Tape) Resume() (conn net.Conn, label string, err error) {
	if t.now.lost != 0 {
		return nil, "", errLost
	}
	if t.now.length > t.now.prefix && t.head.working == 1 {
		if t.now.resumed > 0 {
			return nil, "", errAgain
		}
		t.now.resumed++
		t.commit()
	}
	atomic.StoreUint32(&t.head.working, 1)
	if t.conn, err = t.slot.peek(); err != nil {
		return nil, "", err
	}
	if t.raw, err = t.conn.(syscall.Conn).SyscallConn(); err != nil {
		return nil, "", err
	}
	t.played, t.told = 0, t.now.answers
	return t.conn, string(t.head.label[:t.head.labelSize]), nil
}

// Leave leaves the session to the next process, as it stands. The connection is to be
// closed behind it, and not to be shut down.
func (t *Tape) Leave() {
	atomic.StoreUint32(&t.head.working, 0)
	t.now.resumed = 0
	t.commit()
}

// Free is called when the session is over. Only now does the peer see the connection
// closed.
func (t *Tape) Free() {
	t.slot.unpark()
	t.now = state{}
	t.commit()
	t.shrink()
	t.conn, t.raw = nil, nil
	t.shelf.put(t)
}
