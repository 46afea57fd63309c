package shelf

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// slot is what systemd keeps for one session after another: the memory of its tape, and
// two sockets that are connected to each other. A connection is kept by sending it from
// one to the other and not receiving it: it waits in the kernel for as long as anybody
// has the sockets, and systemd need not hear of it.
type slot struct {
	name   string
	memory []byte
	files  [3]int // the memory and the two sockets
	in, to int    // the sockets: connections are sent to one and wait in the other
}

// newSlot makes a slot that nobody keeps yet.
func newSlot(name string) (*slot, error) {
	memory, err := memfd(name)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		unix.Close(memory)
		return nil, fmt.Errorf("socketpair: %w", err)
	}
	s := &slot{name: name, files: [3]int{memory, pair[0], pair[1]}, to: pair[0], in: pair[1]}
	if err := unix.Ftruncate(memory, headSize+tapeRoom); err != nil {
		s.close()
		return nil, fmt.Errorf("ftruncate: %w", err)
	}
	if err := s.mmap(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// memfd makes memory that cannot be executed. Kernels before 6.3 do not know the flag,
// and later ones may be told to insist on it (vm.memfd_noexec, sysctl(5)).
func memfd(name string) (int, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) {
		return unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	}
	return fd, err
}

// slotOf puts together a slot that systemd has kept. It owns the files then, also with an
// error; nil: they are no slot.
func slotOf(name string, files []int) (*slot, error) {
	s := &slot{name: name}
	var sockets []int
	var size int64
	for _, fd := range files {
		var stat unix.Stat_t
		if err := unix.Fstat(fd, &stat); err != nil {
			return nil, fmt.Errorf("descriptor: %w", err)
		}
		switch {
		case stat.Mode&unix.S_IFMT == unix.S_IFSOCK:
			sockets = append(sockets, fd)
		case stat.Mode&unix.S_IFMT == unix.S_IFREG && s.files[0] == 0:
			s.files[0], size = fd, stat.Size
		default:
			return nil, errors.New("descriptor of an unknown kind")
		}
	}
	if s.files[0] == 0 || len(sockets) != 2 {
		return nil, errors.New("not all of its descriptors came")
	}
	s.files[1], s.files[2] = sockets[0], sockets[1]
	s.in, s.to = sockets[0], sockets[1]
	if !s.parked() {
		s.in, s.to = s.to, s.in
	}
	if size != headSize+tapeRoom {
		return s, fmt.Errorf("its tape has room for %d bytes, not for %d", size-headSize, tapeRoom)
	}
	return s, s.mmap()
}

func (s *slot) mmap() (err error) {
	s.memory, err = unix.Mmap(s.files[0], 0, headSize+tapeRoom, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("mmap: %w", err)
	}
	return nil
}

// close gives the slot up. What waits in it is closed when systemd forgets it as well.
func (s *slot) close() {
	if s.memory != nil {
		unix.Munmap(s.memory)
	}
	for _, fd := range s.files {
		unix.Close(fd)
	}
}

// park keeps a connection.
func (s *slot) park(raw syscall.RawConn) error {
	var err error
	if ctlErr := raw.Control(func(fd uintptr) {
		err = unix.Sendmsg(s.to, []byte{0}, unix.UnixRights(int(fd)), nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	}); ctlErr != nil {
		return ctlErr
	}
	return err
}

// receive takes what waits out of the slot, or with MSG_PEEK another descriptor of it.
func (s *slot) receive(flags int) (fd int, err error) {
	var oob [64]byte // a header of 16 bytes and a descriptor
	_, n, _, _, err := unix.Recvmsg(s.in, make([]byte, 1), oob[:], flags|unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return -1, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) != 1 {
		return -1, errors.New("no descriptor in it")
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return -1, errors.New("no descriptor in it")
	}
	return fds[0], nil
}

// unpark lets the connection go.
func (s *slot) unpark() {
	if fd, err := s.receive(0); err == nil {
		unix.Close(fd)
	}
}

func (s *slot) parked() bool {
	fd, err := s.receive(unix.MSG_PEEK)
	if err == nil {
		unix.Close(fd)
	}
	return err == nil
}

// peek opens the connection, which stays parked.
func (s *slot) peek() (net.Conn, error) {
	fd, err := s.receive(unix.MSG_PEEK)
	if err != nil {
		return nil, fmt.Errorf("connection: %w", err)
	}
	file := os.NewFile(uintptr(fd), s.name)
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, fmt.Errorf("connection: %w", err)
	}
	if conn.RemoteAddr() == nil || conn.LocalAddr() == nil { // getpeername(2) of a TCP connection that was reset
		conn.Close()
		return nil, errGone
	}
	return conn, nil
}
