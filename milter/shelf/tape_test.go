package shelf

import (
	"bytes"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"testing"
	"time"
	"unsafe"

	"o2n-milter/milter/shelf/shelftest"
)

const format = 7

// open is a shelf with a systemd that keeps max descriptors.
func open(t testing.TB, max int) (*Shelf, *shelftest.Systemd) {
	t.Helper()
	systemd := shelftest.New(t, max)
	t.Setenv("NOTIFY_SOCKET", systemd.Socket)
	s := Open(nil, format, slog.New(slog.DiscardHandler))
	t.Cleanup(s.Close)
	return s, systemd
}

func take(t testing.TB, s *Shelf, conn net.Conn) *Tape {
	t.Helper()
	tape := s.Take(conn, "unix:/test")
	if tape == nil {
		t.Fatal("no tape")
	}
	return tape
}

// moment is what a process leaves that is killed.
type moment struct {
	what   string
	memory []byte
	// The truth, which the tape must tell.
	bytes   []byte // came from the peer and are not done with
	answers int    // the peer has, for these
}

// witness runs operations on a tape and notes each moment between two of them at which
// the state in force, or what the kernel has noted, may change.
type witness struct {
	t       *testing.T
	tape    *Tape
	peer    net.Conn
	moments []moment

	read    []byte // since the last mark, or in the prefix
	prefix  int    // of these
	answers int
	told    int // of these, in the prefix
}

func (w *witness) note(what string) {
	size := headSize + int(w.tape.inForce().noted().length)
	w.moments = append(w.moments, moment{what, bytes.Clone(w.tape.slot.memory[:size]), bytes.Clone(w.read), w.answers})
}

func watch(t *testing.T, tape *Tape, peer net.Conn) *witness {
	w := &witness{t: t, tape: tape, peer: peer}
	recv, send := tape.recv, tape.send
	tape.recv = func(fd uintptr) bool {
		w.note("before recvmmsg")
		done := recv(fd)
		if c := tape.inForce(); done && tape.errno == 0 {
			w.read = append(w.read, tape.data[tape.now.length:][:c.recv.done]...)
		}
		w.note("after recvmmsg")
		return done
	}
	tape.send = func(fd uintptr) bool {
		w.note("before sendmmsg")
		done := send(fd)
		if c := tape.inForce(); done && c.send.done == c.owed {
			w.answers++
		}
		w.note("after sendmmsg")
		return done
	}
	return w
}

func (w *witness) ask(size int) {
	question := make([]byte, size)
	for i := range question {
		question[i] = byte(rand.Uint32())
	}
	if _, err := w.peer.Write(question); err != nil {
		w.t.Fatal(err)
	}
	got := make([]byte, size)
	if _, err := io.ReadFull(w.tape, got); err != nil || !bytes.Equal(got, question) {
		w.t.Fatalf("read %d bytes, %v", len(got), err)
	}
	w.note("after Read")
}

func (w *witness) answer(size int) {
	if err := w.tape.Answer(bytes.Repeat([]byte("a"), size)); err != nil {
		w.t.Fatal(err)
	}
	w.note("after Answer")
	if _, err := io.ReadFull(w.peer, make([]byte, size)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *witness) mark() {
	w.tape.Mark(0)
	if w.prefix == 0 {
		w.prefix, w.told = len(w.read), w.answers
	}
	w.read, w.answers = w.read[:w.prefix], w.told
	w.note("after Mark")
}

// Whenever the process ends, the tape has every byte that the kernel gave it, and every
// answer that the kernel took, and no other.
func TestEveryMoment(t *testing.T) {
	s, _ := open(t, 100)
	conn, peer := shelftest.Pair(t)
	w := watch(t, take(t, s, conn), peer)
	for _, n := range []int{0, 1, 100, ownRoom + 1} {
		if n > 0 {
			w.ask(n)
		}
		w.ask(17)
		w.answer(5)
		if n > 1 {
			w.answer(answerRoom)
		}
		w.mark()
		w.mark()
	}
	if len(w.moments) < 40 {
		t.Fatalf("only %d moments", len(w.moments))
	}
	for i, m := range w.moments {
		for _, torn := range []bool{false, true} {
			h := (*head)(unsafe.Pointer(&m.memory[0]))
			if torn { // the copy that is not in force was being written
				c := (*[unsafe.Sizeof(record{})]byte)(unsafe.Pointer(&h.copies[1-h.active]))
				for j := range c {
					c[j] = 0xa5
				}
			}
			got := h.copies[h.active].noted()
			data := m.memory[headSize:][:got.length]
			if !bytes.Equal(data, m.bytes) || int(got.answers) != m.answers || got.lost != 0 {
				t.Errorf("moment %d, %s: %d bytes and %d answers, lost %d; want %d and %d",
					i, m.what, len(data), got.answers, got.lost, len(m.bytes), m.answers)
			}
		}
	}
}

// next is the shelf of the next process.
func next(t *testing.T, systemd *shelftest.Systemd) *Shelf {
	t.Helper()
	s := Open(systemd.Files(t), format, slog.New(slog.DiscardHandler))
	t.Cleanup(s.Close)
	return s
}

// resume goes on with the one session that is left.
func resume(t *testing.T, s *Shelf) *Tape {
	t.Helper()
	left, closed := s.Left()
	if len(left) != 1 || closed != 0 {
		t.Fatalf("%d tapes, %d closed", len(left), closed)
	}
	if _, label, err := left[0].Resume(); err != nil || label != "unix:/test" {
		t.Fatalf("label %q, %v", label, err)
	}
	return left[0]
}

func read(t *testing.T, tape *Tape, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(tape, got); err != nil || string(got) != want {
		t.Fatalf("read %q, %v, want %q", got, err, want)
	}
}

func answer(t *testing.T, tape *Tape, text string) {
	t.Helper()
	if err := tape.Answer([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func send(t *testing.T, peer net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(peer, text); err != nil {
		t.Fatal(err)
	}
}

// The next process reads all anew, and sends only the answers that are missing.
func TestResume(t *testing.T) {
	s, systemd := open(t, 100)
	conn, peer := shelftest.Pair(t)
	tape := take(t, s, conn)
	send(t, peer, "hello")
	read(t, tape, "hello")
	answer(t, tape, "1")
	tape.Mark(0)
	send(t, peer, "MAIL")
	read(t, tape, "MAIL")
	answer(t, tape, "2")
	send(t, peer, "DATA.")
	read(t, tape, "DATA.")
	conn.Close() // as the process's end does; the peer does not see it

	tape = resume(t, next(t, systemd))
	read(t, tape, "hello")
	tape.Mark(0) // not at the end yet
	for _, text := range []string{"one", "two"} {
		if !tape.Told() {
			t.Errorf("answer %s is to be given", text)
		}
		answer(t, tape, text)
	}
	read(t, tape, "MAILDATA.")
	if tape.Told() {
		t.Error("the last answer is not to be given")
	}
	answer(t, tape, "3")
	tape.Mark(0)
	tape.conn.Close()

	tape = resume(t, next(t, systemd))
	read(t, tape, "hello")
	answer(t, tape, "one")
	send(t, peer, "QUIT")
	read(t, tape, "QUIT")
	answer(t, tape, "4")
	got := make([]byte, 4)
	if _, err := io.ReadFull(peer, got); err != nil || string(got) != "1234" {
		t.Errorf("the peer got %q, %v", got, err)
	}
	tape.conn.Close()
	tape.Free()
	peer.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := peer.Read(got); err != io.EOF {
		t.Errorf("after Free: %v", err)
	}
	if left, closed := next(t, systemd).Left(); len(left)+closed != 0 {
		t.Errorf("%d tapes left, %d closed", len(left), closed)
	}
}

// A message that a process was working at when it ended is resumed once; one that waited
// for its peer, or was left in peace, any number of times.
func TestResumedOnce(t *testing.T) {
	for _, end := range []string{"working", "waiting", "left", "between messages"} {
		t.Run(end, func(t *testing.T) {
			s, systemd := open(t, 100)
			conn, peer := shelftest.Pair(t)
			tape := take(t, s, conn)
			send(t, peer, "hello")
			read(t, tape, "hello")
			tape.Mark(0)
			if end != "between messages" {
				send(t, peer, "MAIL")
				read(t, tape, "MAIL")
			}
			for i := range 4 {
				switch end {
				case "waiting":
					// The moment at which it waits, and not that after it.
					recv := tape.recv
					var before []byte
					tape.recv = func(fd uintptr) bool { before = bytes.Clone(tape.slot.memory[:headSize]); return recv(fd) }
					tape.conn.SetReadDeadline(time.Now().Add(time.Millisecond))
					if _, err := tape.Read(make([]byte, 1)); err == nil {
						t.Fatal("read")
					}
					copy(tape.slot.memory, before)
				case "left":
					tape.Leave()
				}
				tape.conn.Close()
				left, _ := next(t, systemd).Left()
				tape = left[0]
				_, _, err := tape.Resume()
				want := error(nil)
				if end == "working" && i > 0 {
					want = errAgain
				}
				if err != want {
					t.Fatalf("resumed %d times: %v, want %v", i, err, want)
				}
				if err != nil {
					break
				}
				read(t, tape, "hello")
				if end != "between messages" {
					read(t, tape, "MAIL")
				}
			}
			tape.Free()
		})
	}
}

// The same questions must lead to as many answers; else nothing is given at all.
func TestFewerQuestions(t *testing.T) {
	s, systemd := open(t, 100)
	conn, peer := shelftest.Pair(t)
	tape := take(t, s, conn)
	send(t, peer, "x")
	read(t, tape, "x")
	answer(t, tape, "1")
	answer(t, tape, "2")
	tape = resume(t, next(t, systemd))
	read(t, tape, "x")
	answer(t, tape, "1")
	tape.Mark(0)
	if _, err := tape.Read(make([]byte, 1)); err != errReplay {
		t.Errorf("Read: %v", err)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte{format, 0, 0, 0, 0, 0, 0, layout >> 56})
	f.Add(append(append([]byte{format, 0, 0, 0, 0, 0, 0, layout >> 56, 1}, make([]byte, 200)...), 0xff, 0xff, 0xff, 0xff))
	s, _ := open(f, 100)
	slot, err := newSlot("session-0")
	if err != nil {
		f.Fatal(err)
	}
	conn, _ := shelftest.Pair(f)
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		f.Fatal(err)
	}
	if err := slot.park(raw); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s.spare.Store(spareRoom)
		copy(slot.memory[copy(slot.memory[:headSize], b):headSize], make([]byte, headSize))
		tape := newTape(s, slot)
		if err := tape.load(layout | format); err != nil {
			return
		}
		if _, _, err := tape.Resume(); err != nil {
			return
		}
		defer tape.conn.Close()
		for tape.played < tape.now.length {
			if _, err := tape.Read(make([]byte, 1<<20)); err != nil {
				t.Fatal(err)
			}
		}
	})
}
