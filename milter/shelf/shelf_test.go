package shelf

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"o2n-milter/milter/shelf/shelftest"
)

func TestNoStore(t *testing.T) {
	for name, set := range map[string]func(){
		"nobody to notify":         func() { t.Setenv("NOTIFY_SOCKET", "") },
		"socket that is not there": func() { t.Setenv("NOTIFY_SOCKET", t.TempDir()+"/none") },
		"store that keeps nothing": func() { t.Setenv("NOTIFY_SOCKET", shelftest.New(t, 0).Socket) },
	} {
		set()
		s := Open(nil, format, slog.New(slog.DiscardHandler))
		if s != nil {
			t.Errorf("%s: there is a shelf", name)
		}
		conn, _ := shelftest.Pair(t)
		if tape := s.Take(conn, ""); tape != nil {
			t.Errorf("%s: there is a tape", name)
		}
		if left, closed := s.Left(); left != nil || closed != 0 {
			t.Errorf("%s: %d tapes, %d closed", name, len(left), closed)
		}
	}
}

// Somebody who takes what he is sent and says nothing holds up the start for so long.
func TestStoreThatIsSilent(t *testing.T) {
	path := t.TempDir() + "/notify"
	nc, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	start := time.Now()
	if s := Open(nil, format, slog.New(slog.DiscardHandler)); s != nil {
		t.Error("there is a shelf")
	}
	if took := time.Since(start); took < probeTime-100*time.Millisecond {
		t.Errorf("took %v, want %v", took, probeTime)
	}
}

// There are as many slots as the store says that it has room for.
func TestSlots(t *testing.T) {
	for _, tt := range []struct {
		store string // FDSTORE
		max   int
	}{{"", maxSlots}, {"nonsense", maxSlots}, {"2", 0}, {"3", 1}, {"5", 1}, {"6", 2}, {"100000", maxSlots}} {
		t.Setenv("FDSTORE", tt.store)
		s, _ := open(t, 100)
		if s.max != tt.max {
			t.Errorf("FDSTORE=%s: %d slots, want %d", tt.store, s.max, tt.max)
		}
		conn, _ := shelftest.Pair(t)
		for i := range 3 {
			if tape := s.Take(conn, ""); (tape != nil) != (i < tt.max) {
				t.Errorf("FDSTORE=%s: tape %d: %v", tt.store, i, tape != nil)
			}
		}
	}
}

// Slots are used again, and new ones are made only when none is free.
func TestSlotsAreUsedAgain(t *testing.T) {
	s, systemd := open(t, 1000)
	for range 3 {
		var tapes []*Tape
		for range firstSlots + 1 {
			conn, _ := shelftest.Pair(t)
			tapes = append(tapes, take(t, s, conn))
		}
		for _, tape := range tapes {
			tape.Free()
		}
	}
	if got := len(systemd.Files(t)); got != 3*(firstSlots+1) {
		t.Errorf("%d descriptors are kept", got)
	}
	again := next(t, systemd)
	if again.made != firstSlots+1 || len(again.free) != firstSlots+1 {
		t.Errorf("the next process has %d slots, %d of them free", again.made, len(again.free))
	}
	again.mu.Lock()
	number := again.next
	again.mu.Unlock()
	if number != firstSlots+1 {
		t.Errorf("its next slot is number %d", number)
	}
}

func TestLabel(t *testing.T) {
	s, _ := open(t, 100)
	for _, size := range []int{labelRoom - 1, labelRoom, labelRoom + 1} {
		conn, _ := shelftest.Pair(t)
		label := strings.Repeat("x", size)
		tape := s.Take(conn, label)
		if (tape != nil) != (size <= labelRoom) {
			t.Errorf("%d bytes: tape %v", size, tape != nil)
		}
		if tape == nil {
			continue
		}
		if _, got, err := tape.Resume(); got != label || err != nil {
			t.Errorf("%d bytes: label of %d, %v", size, len(got), err)
		}
	}
}

// A connection that has no descriptor is not kept.
func TestNoDescriptor(t *testing.T) {
	s, _ := open(t, 100)
	near, _ := net.Pipe()
	if s.Take(near, "") != nil {
		t.Error("there is a tape")
	}
}

// What cannot be gone on with is closed, and systemd is told to forget it.
func TestGivenUp(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, slot *slot, files []*os.File) []*os.File{
		"another format": func(_ *testing.T, slot *slot, files []*os.File) []*os.File {
			slot.memory[0]++
			return files
		},
		"damaged": func(_ *testing.T, slot *slot, files []*os.File) []*os.File {
			slot.memory[8] = 2
			return files
		},
		"too long": func(t *testing.T, slot *slot, files []*os.File) []*os.File {
			tape := newTape(&Shelf{}, slot)
			tape.now.length = tapeRoom + 1
			tape.commit()
			return files
		},
		"a descriptor is missing": func(_ *testing.T, _ *slot, files []*os.File) []*os.File {
			files[0].Close()
			return files[1:]
		},
		"one too many": func(t *testing.T, slot *slot, files []*os.File) []*os.File {
			fd, err := unix.Dup(slot.files[0])
			if err != nil {
				t.Fatal(err)
			}
			return append(files, os.NewFile(uintptr(fd), slot.name))
		},
		"the memory is shorter": func(t *testing.T, slot *slot, files []*os.File) []*os.File {
			if err := unix.Ftruncate(slot.files[0], headSize); err != nil {
				t.Fatal(err)
			}
			return files
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("FDSTORE", "3")
			s, systemd := open(t, 3)
			conn, peer := shelftest.Pair(t)
			tape := take(t, s, conn)
			files := spoil(t, tape.slot, systemd.Files(t))
			conn.Close()
			tape.slot.close() // as the process's end does
			var said bytes.Buffer
			again := Open(files, format, slog.New(slog.NewTextHandler(&said, nil)))
			whole := len(files) == 3 // else nobody knows whether there was a connection
			if left, closed := again.Left(); len(left) != 0 || (closed == 1) != whole {
				t.Errorf("%d tapes are left, %d closed", len(left), closed)
			}
			if !strings.Contains(said.String(), "given up") {
				t.Errorf("said %q", said.String())
			}
			// The new process' first slot has taken the place in the store of the one given up.
			names := []string{}
			for _, f := range systemd.Files(t) {
				names = append(names, f.Name())
				f.Close()
			}
			if fmt.Sprint(names) != "[session-1 session-1 session-1]" {
				t.Errorf("kept: %v", names)
			}
			peer.SetReadDeadline(time.Now().Add(10 * time.Second))
			if _, err := peer.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("the peer reads %v", err)
			}
		})
	}
}

// A slot of a version with another room for its tape, and nobody in it, is none to speak of.
func TestEmptySlotOfAnotherSize(t *testing.T) {
	s, systemd := open(t, 1000)
	conn, _ := shelftest.Pair(t)
	tape := take(t, s, conn)
	tape.Free()
	if err := unix.Ftruncate(tape.slot.files[0], headSize); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	again := Open(systemd.Files(t), format, slog.New(slog.NewTextHandler(&said, nil)))
	if left, closed := again.Left(); len(left) != 0 || closed != 0 || said.Len() != 0 {
		t.Errorf("%d tapes are left, %d closed, said %q", len(left), closed, said.String())
	}
}

// A TCP peer that has reset the connection meanwhile is no session any more.
func TestPeerGone(t *testing.T) {
	s, systemd := open(t, 100)
	conn, peer := shelftest.TCPPair(t)
	take(t, s, conn)
	peer.(*net.TCPConn).SetLinger(0)
	peer.Close()
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Fatal("the connection was not reset")
	}
	left, _ := next(t, systemd).Left()
	if _, _, err := left[0].Resume(); err != errGone {
		t.Errorf("Resume: %v", err)
	}
	left[0].Free()
}

// At the start there may be much to say to a systemd that is busy, and all of it is said.
func TestBusyAtTheStart(t *testing.T) {
	s, systemd := open(t, 2048)
	for range 100 {
		conn, _ := shelftest.Pair(t)
		take(t, s, conn).Free()
	}
	files := systemd.Files(t)
	systemd.Busy(t, func(idle func()) {
		opened := make(chan *Shelf)
		go func() { opened <- Open(files, format+1, slog.New(slog.DiscardHandler)) }()
		select {
		case <-opened:
			t.Fatal("not waited for")
		case <-time.After(100 * time.Millisecond):
		}
		idle()
		again := <-opened
		if again == nil {
			t.Fatal("there is no shelf")
		}
		again.Close()
	})
	kept := systemd.Files(t)
	for _, f := range kept {
		f.Close()
	}
	if len(kept) != 3*firstSlots {
		t.Errorf("%d descriptors are kept, want %d", len(kept), 3*firstSlots)
	}
}

// Later a session does not wait for systemd; it is not kept then, and the next one is.
func TestBusyLater(t *testing.T) {
	s, systemd := open(t, 2048)
	conn, _ := shelftest.Pair(t)
	for range firstSlots {
		take(t, s, conn)
	}
	systemd.Busy(t, func(func()) {
		start := time.Now()
		if s.Take(conn, "") != nil {
			t.Error("there is a tape")
		}
		if took := time.Since(start); took > probeTime/2 {
			t.Errorf("waited for %v", took)
		}
	})
	for _, f := range systemd.Files(t) { // it has looked at all then
		f.Close()
	}
	if s.Take(conn, "") != nil {
		t.Error("not put off for a while")
	}
	s.rest = time.Time{}
	take(t, s, conn)
}
