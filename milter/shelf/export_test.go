package shelf

import (
	"bytes"
	"net"
	"os"
	"syscall"
)

// Watch has f told of each moment at which the process may be killed, of the session that is
// to be resumed, else of the next one: the tape as it is, how many bytes came since the last
// moment, and how many went out.
func (s *Shelf) Watch(f func(memory []byte, came, sent int)) {
	var t *Tape
	if len(s.left) > 0 {
		t = s.left[0]
	} else {
		t = s.get()
		defer s.put(t)
	}
	recv, send := t.recv, t.send
	memory := func() []byte { return bytes.Clone(t.slot.memory[:headSize+int(t.inForce().noted().length)]) }
	t.recv = func(fd uintptr) bool {
		f(memory(), 0, 0)
		done := recv(fd)
		if done && t.errno == 0 {
			f(memory(), int(t.inForce().recv.done), 0)
		}
		return done
	}
	t.send = func(fd uintptr) bool {
		f(memory(), 0, 0)
		done := send(fd)
		if done && t.errno == 0 {
			f(memory(), 0, int(t.inForce().send.done))
		}
		return done
	}
}

// Kept are the descriptors of a slot with this tape and this connection.
func Kept(memory []byte, conn net.Conn) ([]*os.File, error) {
	slot, err := newSlot(prefix + "0")
	if err != nil {
		return nil, err
	}
	copy(slot.memory, memory)
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil, err
	}
	if err := slot.park(raw); err != nil {
		return nil, err
	}
	var files []*os.File
	for _, fd := range slot.files {
		files = append(files, os.NewFile(uintptr(fd), slot.name))
	}
	return files, nil
}

// Close closes what the process' end would close, but for tapes in use.
func (s *Shelf) Close() {
	for _, t := range append(s.free, s.left...) {
		t.slot.close()
	}
	s.free, s.left = nil, nil
	s.store.close()
}
