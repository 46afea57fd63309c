package shelf

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// probeTime is how long systemd may take to say whether it has a store for us. It has
// hundredths of a second to do; a host that boots is slow.
const probeTime = 2 * time.Second

// store is systemd's file descriptor store, as sd_notify(3) speaks to it.
type store struct {
	fd int
	to unix.Sockaddr
	// patient is true at the start, when there may be much to say at once. Later nothing
	// waits for a first process that is busy: that would hold up mail.
	patient bool
}

// openStore is nil where nobody is to be notified.
func openStore(socket string) *store {
	if socket == "" {
		return nil
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	wait := unix.NsecToTimeval(int64(probeTime))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &wait); err != nil {
		unix.Close(fd)
		return nil
	}
	return &store{fd: fd, to: &unix.SockaddrUnix{Name: socket}, patient: true}
}

func (s *store) close() { unix.Close(s.fd) }

// slots is how many slots the store has room for, as far as it says so: systemd 254 and
// newer do.
func (s *store) slots() int {
	most, err := strconv.Atoi(os.Getenv("FDSTORE"))
	if err != nil {
		return maxSlots
	}
	return min(maxSlots, most/len(slot{}.files))
}

func (s *store) send(text string, files ...int) error {
	flags := unix.MSG_NOSIGNAL
	if !s.patient {
		flags |= unix.MSG_DONTWAIT
	}
	err := unix.Sendmsg(s.fd, []byte(text), unix.UnixRights(files...), s.to, flags)
	s.patient = s.patient && err == nil // it is not waited for another time
	return err
}

// put has systemd keep files. It need not watch them: we say when they are to go.
func (s *store) put(name string, files ...int) error {
	return s.send("FDSTORE=1\nFDPOLL=0\nFDNAME="+name, files...)
}

func (s *store) remove(name string) { s.send("FDSTOREREMOVE=1\nFDNAME=" + name) }

// works finds out whether the store keeps anything: no version of systemd says so. It is
// given the one end of a pipe, which we then close: if it is not kept, nobody has that
// end any more, and the other one says so. What was sent before has been looked at when
// systemd closes what came with BARRIER=1.
func (s *store) works() bool {
	const name = prefix + "probe"
	kept, err := s.hand(func(fd int) error { return s.put(name, fd) })
	if err != nil {
		return false
	}
	defer unix.Close(kept)
	barrier, err := s.hand(func(fd int) error { return s.send("BARRIER=1", fd) })
	if err != nil {
		return false
	}
	defer unix.Close(barrier)
	if !hungUp(barrier, probeTime) || hungUp(kept, 0) {
		return false
	}
	s.remove(name)
	return true
}

// hand makes a pipe, gives the one end away and keeps the other.
func (s *store) hand(give func(fd int) error) (end int, err error) {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return -1, fmt.Errorf("pipe: %w", err)
	}
	defer unix.Close(pipe[1])
	if err := give(pipe[1]); err != nil {
		unix.Close(pipe[0])
		return -1, err
	}
	return pipe[0], nil
}

// hungUp waits until nobody has the other end of a pipe.
func hungUp(fd int, wait time.Duration) bool {
	deadline := time.Now().Add(wait)
	for {
		fds := []unix.PollFd{{Fd: int32(fd)}}
		n, err := unix.Poll(fds, int(max(time.Until(deadline), 0)/time.Millisecond))
		if err != unix.EINTR {
			return err == nil && n == 1 && fds[0].Revents&unix.POLLHUP != 0
		}
	}
}
