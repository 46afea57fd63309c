package demo

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
)

// frame is a packet of the milter protocol.
type frame struct {
	code byte
	data string
}

// fake is a filter that notes what it is told and answers as it was told to.
type fake struct {
	addr string
	// answers are the packets that answer a command; without any it is "continue".
	answers map[byte][]frame
	// hangUp is the command at which it goes away; 0: none.
	hangUp byte

	mu     sync.Mutex
	frames []frame
}

func newFake(t *testing.T) *fake {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{addr: ln.Addr().String(), answers: map[byte][]frame{}}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { f.serve(c) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		serving.Wait()
	})
	return f
}

func (f *fake) serve(c net.Conn) {
	defer c.Close()
	for {
		in, err := readFrame(c)
		if err != nil {
			return
		}
		f.mu.Lock()
		f.frames = append(f.frames, in)
		answers, known := f.answers[in.code]
		gone := in.code == f.hangUp
		f.mu.Unlock()
		switch {
		case gone, in.code == 'Q':
			return
		case in.code == 'D', in.code == 'A': // nobody waits for an answer
			continue
		case in.code == 'O': // version 2, adding and changing fields and quarantine, no protocol bits
			answers = []frame{{'O', "\x00\x00\x00\x02\x00\x00\x00\x31\x00\x00\x00\x00"}}
		case !known:
			answers = []frame{{'c', ""}}
		}
		for _, a := range answers {
			c.Write(a.bytes()) // a test that hangs up has seen enough
		}
	}
}

func (f *fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// told are the packets so far, macros behind their command's letter.
func (f *fake) told() []frame {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]frame(nil), f.frames...)
}

func readFrame(r io.Reader) (frame, error) {
	var length uint32
	if err := binary.Read(r, binary.BigEndian, &length); err != nil {
		return frame{}, err
	}
	packet := make([]byte, length)
	_, err := io.ReadFull(r, packet)
	if err != nil || length == 0 {
		return frame{}, io.ErrUnexpectedEOF
	}
	return frame{packet[0], string(packet[1:])}, nil
}

func (f frame) bytes() []byte {
	return append(append(binary.BigEndian.AppendUint32(nil, uint32(1+len(f.data))), f.code), f.data...)
}
