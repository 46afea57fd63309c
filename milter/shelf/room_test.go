package shelf

import (
	"bytes"
	"fmt"
	"io"
	"testing"
	"time"

	"o2n-milter/milter/shelf/shelftest"
)

// What is too large is not kept, and is read and answered all the same; the next message
// is kept again.
func TestRoom(t *testing.T) {
	for _, tt := range []struct {
		size int
		kept bool
	}{{tapeRoom - 6, true}, {tapeRoom - 5, true}, {tapeRoom - 4, false}} {
		t.Run(fmt.Sprint(tt.size), func(t *testing.T) {
			s, systemd := open(t, 100)
			conn, peer := shelftest.Pair(t)
			tape := take(t, s, conn)
			send(t, peer, "hello")
			read(t, tape, "hello")
			tape.Mark(0)
			text := bytes.Repeat([]byte("x"), tt.size)
			go peer.Write(text)
			got := make([]byte, tt.size)
			if _, err := io.ReadFull(tape, got); err != nil || !bytes.Equal(got, text) {
				t.Fatal(err)
			}
			if tape.Kept() != tt.kept {
				t.Errorf("kept: %v", tape.Kept())
			}
			left, _ := next(t, systemd).Left()
			if _, _, err := left[0].Resume(); (err == nil) != tt.kept {
				t.Errorf("Resume: %v", err)
			}
			answer(t, tape, "1")
			tape.Mark(0)
			if !tape.Kept() || s.spare.Load() != spareRoom {
				t.Errorf("next message: kept %v, spare %d", tape.Kept(), s.spare.Load())
			}
			if _, err := io.ReadFull(peer, got[:1]); err != nil {
				t.Error(err)
			}
		})
	}
}

// All tapes together have a bound.
func TestSpareRoom(t *testing.T) {
	s, _ := open(t, 100)
	const each = tapeRoom - ownRoom
	var tapes []*Tape
	for i := range spareRoom/each + 1 {
		conn, peer := shelftest.Pair(t)
		tape := take(t, s, conn)
		go peer.Write(make([]byte, tapeRoom))
		if _, err := io.ReadFull(tape, make([]byte, tapeRoom)); err != nil {
			t.Fatal(err)
		}
		if kept := i < spareRoom/each; tape.Kept() != kept {
			t.Errorf("tape %d of %d bytes: kept %v", i, tapeRoom, tape.Kept())
		}
		tapes = append(tapes, tape)
	}
	for _, tape := range tapes {
		tape.Free()
	}
	if got := s.spare.Load(); got != spareRoom {
		t.Errorf("%d bytes of spare room in the end", got)
	}
}

// An answer that is too long to be counted is sent; its message is not kept.
func TestLongAnswer(t *testing.T) {
	for _, size := range []int{answerRoom - 1, answerRoom, answerRoom + 1} {
		s, _ := open(t, 100)
		conn, peer := shelftest.Pair(t)
		tape := take(t, s, conn)
		answer(t, tape, string(make([]byte, size)))
		if _, err := io.ReadFull(peer, make([]byte, size)); err != nil {
			t.Error(err)
		}
		if tape.Kept() != (size <= answerRoom) {
			t.Errorf("%d bytes: kept %v", size, tape.Kept())
		}
	}
}

// A peer that takes half an answer cannot be given the other half by the next process.
func TestHalfAnAnswer(t *testing.T) {
	s, systemd := open(t, 100)
	conn, _ := shelftest.TCPPair(t)
	var err error
	tape := take(t, s, conn)
	conn.SetWriteDeadline(time.Now().Add(time.Second))
	sent := 0
	for err == nil && sent < 1<<30 { // until the buffers of both are full
		sent += answerRoom
		err = tape.Answer(make([]byte, answerRoom))
	}
	if err == nil {
		t.Fatal("a peer that reads nothing took a gigabyte")
	}
	whole := tape.inForce().noted()
	left, _ := next(t, systemd).Left()
	if _, _, err := left[0].Resume(); (err == errLost) != (whole.lost == 1) {
		t.Errorf("Resume: %v, lost %d", err, whole.lost)
	}
	if int(whole.answers)*answerRoom > sent {
		t.Errorf("%d answers counted, %d bytes given", whole.answers, sent)
	}
}
