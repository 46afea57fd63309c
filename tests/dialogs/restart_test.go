package dialogs

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"o2n-milter/milter"
	"o2n-milter/milter/shelf"
	"o2n-milter/milter/shelf/shelftest"
	"o2n-milter/tests/campaign"
)

// TestPacketsOverARestart has the process stop somewhere in a dialog, and the next one go on
// with it: nobody is to see a difference.
func TestPacketsOverARestart(t *testing.T) {
	count := campaign.Counting(t, "sessions", "sequences of milter packets over a restart")
	r := campaign.Rand(t)
	systemd := shelftest.New(t, 3)
	t.Setenv("NOTIFY_SOCKET", systemd.Socket)
	t.Setenv("FDSTORE", "3") // one session
	f, next := newFilter(t), func() *shelf.Shelf {
		return shelf.Open(systemd.Files(t), milter.TapeFormat, slog.New(slog.DiscardHandler))
	}
	p, resumed := f.start(next()), 0
	for range campaign.Pick(200, 3000) { // each takes descriptors, which are this process' to its end
		dialog := rawDialog(r)
		piece := pieceSize(r, dialog)
		sent := stream(dialog)
		answered, n, err := f.over(&p, next, dialog, r.IntN(len(dialog)+1), piece)
		resumed += n.resumed
		fault := ""
		if err != nil {
			fault = err.Error()
		} else {
			fault = f.check(t.Context(), sent, answered, n)
		}
		if fault == "" {
			count.Held()
			continue
		}
		count.Failed()
		t.Errorf("%s\nover a restart:\n%s", fault, show(dialog))
		break
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	if t.Logf("%d sessions went on", resumed); resumed == 0 {
		t.Error("no session was there when the process stopped")
	}
}

// over is talk with a stop of p when so many packets have been read, the last of them one
// by one; p is the next one then.
func (f *filter) over(p **process, next func() *shelf.Shelf, dialog []packet, packets, piece int) (answered []byte, n *notes, err error) {
	near, far, err := socketpair()
	if err != nil {
		return nil, &notes{}, err
	}
	defer near.Close()
	(*p).ln.ends <- far
	near.SetDeadline(time.Now().Add(hung))
	halfway := make(chan struct{})
	go func() {
		last := max(0, packets-3) // these alone
		near.Write(stream(dialog[:last]))
		for _, one := range dialog[last:packets] {
			near.Write(one.bytes()) // an error: it has hung up
			untilRead(near)
		}
		close(halfway)
		write(near, stream(dialog[packets:]), piece)
	}()
	read := make(chan error, 1)
	go func() {
		var err error
		answered, err = readAll(near)
		read <- err
	}()
	<-halfway
	err = (*p).stop()
	before := (*p).notes
	*p = f.start(next())
	err = errors.Join(err, <-read)
	after := (*p).notes
	after.mu.Lock()
	defer after.mu.Unlock()
	n = &notes{letters: append(before.letters, after.letters...), actions: append(before.actions, after.actions...), resumed: after.resumed}
	if after.letters, after.actions = nil, nil; len(after.odd) > 0 {
		err = errors.Join(err, fmt.Errorf("a fault of ours: %q", after.odd))
	}
	return answered, n, err
}

// untilRead waits until the peer has read all that was written.
func untilRead(c *net.UnixConn) {
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	for left := 1; left > 0; time.Sleep(10 * time.Microsecond) {
		raw.Control(func(fd uintptr) { left, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
		if err != nil {
			return
		}
	}
}
