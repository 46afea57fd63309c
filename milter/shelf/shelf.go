// Package shelf keeps connections, and what was read from them, outside of the process:
// in the file descriptor store that systemd has for a service (sd_notify(3), FDSTORE=1).
// A process that is killed leaves them there, and the next one goes on.
//
// It knows nothing of milters: to it a session is bytes that come in and answers that go
// out. That the same bytes lead to the same number of answers is up to the session.
//
// systemd hears of a slot once, when it is made; after that sessions come and go in it
// without anybody's help. To put something into the store costs systemd 252 a millisecond
// or two when there is much in it already, for it compares each descriptor with each: with
// a descriptor for each session, fifty sessions a second would be a tenth of a processor.
// What the store does not take, and what has no room on its tape, is
// not kept, and all else is as it would be without a shelf.
package shelf

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxSlots are the sessions that are kept. A slot is three descriptors; the unit's
	// FileDescriptorStoreMax= must have room for all.
	maxSlots = 512
	// spareRoom is what all tapes together may have beyond their own room.
	spareRoom = 64 << 20
	restTime  = time.Second
	// firstSlots are made at the start, so that the first sessions wait for none: a
	// connection that is not on the shelf yet ends with the process.
	firstSlots = 32

	prefix = "session-" // of the names of our descriptors

	// layout is the number of the tapes' head, in the highest byte of its format. Another
	// head takes another number.
	layout = 2 << 56
)

// Shelf hands out tapes. A nil Shelf has none.
type Shelf struct {
	store  *store
	format uint64
	log    *slog.Logger
	max    int
	spare  atomic.Int64 // bytes; below zero when an earlier process left more

	mu     sync.Mutex
	free   []*Tape
	made   int       // slots that there are
	next   int       // number of the next one
	left   []*Tape   // of an earlier process, to be resumed
	closed int       // connections of an earlier process that were given up
	rest   time.Time // until when no slot is made, after one could not be
}

// Open begins with what systemd handed over under our names, and looks whether the store
// takes more. nil: there is none. It owns the files. format, of 56 bits, says which tapes
// can be read: those of the same.
func Open(files []*os.File, format uint64, log *slog.Logger) *Shelf {
	st := openStore(os.Getenv("NOTIFY_SOCKET"))
	if st == nil {
		for _, f := range files {
			f.Close()
		}
		return nil
	}
	s := &Shelf{store: st, format: layout | format, log: log, max: st.slots()}
	s.spare.Store(spareRoom)
	s.inherit(files)
	if s.made == 0 && !st.works() {
		log.Info("systemd keeps no sessions for this unit; want FileDescriptorStoreMax= in it")
		st.close()
		return nil
	}
	var first []*Tape
	for range firstSlots - s.made {
		if t := s.get(); t != nil {
			first = append(first, t)
		}
	}
	s.free = append(s.free, first...)
	st.patient = false
	return s
}

// Ours says whether a descriptor of systemd's is one of the shelf's, by its name.
func Ours(name string) bool { return strings.HasPrefix(name, prefix) }

// inherit takes over the slots of an earlier process.
func (s *Shelf) inherit(files []*os.File) {
	byName := map[string][]int{}
	for _, f := range files {
		// Its own descriptor: that of an os.File ends with it.
		if fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0); err == nil {
			byName[f.Name()] = append(byName[f.Name()], fd)
		}
		f.Close()
	}
	for name, fds := range byName {
		if number, err := strconv.Atoi(strings.TrimPrefix(name, prefix)); err == nil {
			s.next = max(s.next, number+1)
		}
		if err := s.adopt(name, fds); err != nil {
			s.store.remove(name)
		}
	}
}

// adopt takes over a slot. With an error it is given up, and what waits in it is closed.
func (s *Shelf) adopt(name string, fds []int) error {
	slot, err := slotOf(name, fds)
	if slot == nil {
		for _, fd := range fds {
			syscall.Close(fd)
		}
		s.log.Warn("a kept session is given up", "name", name, "reason", err)
		return err
	}
	parked := slot.parked()
	var t *Tape
	if err == nil {
		t = newTape(s, slot)
		err = t.load(s.format)
	}
	if err != nil {
		if parked {
			s.closed++
			s.log.Warn("a kept session is given up", "name", name, "reason", err)
		}
		slot.close()
		return err
	}
	s.made++
	if parked {
		s.left = append(s.left, t)
	} else {
		s.free = append(s.free, t)
	}
	return nil
}

// Left are the tapes of sessions that an earlier process left, each to be resumed or
// freed, and how many were given up already, since their tapes cannot be read.
func (s *Shelf) Left() (tapes []*Tape, closed int) {
	if s == nil {
		return nil, 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	tapes, closed = s.left, s.closed
	s.left, s.closed = nil, 0
	return tapes, closed
}

// Take gives a session a tape; nil when it cannot be kept. label is for Resume, at most
// 128 bytes.
func (s *Shelf) Take(conn net.Conn, label string) *Tape {
	if s == nil || len(label) > labelRoom {
		return nil
	}
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	t := s.get()
	if t == nil {
		return nil
	}
	t.begin(conn, raw, label)
	if err := t.slot.park(raw); err != nil {
		s.put(t)
		return nil
	}
	return t
}

// get is a free tape, or a new one while there may be more.
func (s *Shelf) get() *Tape {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.free); n > 0 {
		t := s.free[n-1]
		s.free = s.free[:n-1]
		return t
	}
	if s.made >= s.max || time.Now().Before(s.rest) {
		return nil
	}
	t, err := s.make()
	if err != nil {
		s.rest = time.Now().Add(restTime)
		s.log.Warn("new sessions are not kept for a while", "reason", err, "retry", restTime)
		return nil
	}
	s.made++
	return t
}

// make makes a slot and gives it to systemd.
func (s *Shelf) make() (*Tape, error) {
	slot, err := newSlot(prefix + strconv.Itoa(s.next))
	if err != nil {
		return nil, err
	}
	s.next++
	t := newTape(s, slot)
	t.head.format = s.format
	if err := s.store.put(slot.name, slot.files[:]...); err != nil {
		slot.close()
		return nil, fmt.Errorf("systemd's store: %w", err)
	}
	return t, nil
}

func (s *Shelf) put(t *Tape) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free = append(s.free, t)
}

// spend takes a step of room out of the spare room.
func (s *Shelf) spend() bool {
	if s.spare.Add(-ownRoom) >= 0 {
		return true
	}
	s.spare.Add(ownRoom)
	return false
}

func (s *Shelf) refund(bytes uint32) { s.spare.Add(int64(bytes)) }
