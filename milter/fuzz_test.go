package milter

import (
	"encoding/binary"
	"strings"
	"testing"
	"testing/synctest"
)

// FuzzSession sends anything behind a good negotiation. No panic, no hang, no
// goroutine left (the bubble waits for all), the global log silent, nothing
// accepted in the library's way, and a verdict for every end of message.
func FuzzSession(f *testing.F) {
	m := &mta{}
	script := func(lines ...string) []byte {
		var b strings.Builder
		for _, line := range lines {
			b.WriteString(m.step(line))
		}
		return []byte(b.String())
	}
	f.Add(script(helloA, "H x", mailA, "R <r@r.example> i=Q1", "L Subject: one", "N", "B text", "E", "A", "A", "Q"))
	f.Add(script("C local", "M a@host.example", "R <r@r.example>", "E tail", "K", "C IPv6:::1", mailB, "E"))
	f.Add(script("E", "E", "U x", "T", "R x", "M x", "L : x", "C 192.0.2.7"))
	f.Add([]byte("\x00\x00\x00\x06C\x00L\x00\x00x\x00\x00\x00\x01C\x00\x00\x00\x00"))
	f.Add([]byte(packet('L', "a\x00b\x00c\x00") + packet('D', "M") + packet('M', "") + packet('E', "")))
	f.Fuzz(func(t *testing.T, data []byte) {
		synctest.Test(t, func(t *testing.T) {
			f := serve(t, always(reject))
			m := f.session()
			m.write(string(data))
			synctest.Wait()
			m.nc.Close()
			f.stop()
			got := map[byte]int{}
			for p := range m.packets {
				got[p[0]]++
			}
			ends, replies := expected(data)
			verdicts, _ := f.notes.all()
			if got['y'] != ends || got['c'] != replies || len(got) > 2 || len(verdicts) != ends {
				t.Errorf("%d ends of message, %d other replies due; got %v, %d verdicts", ends, replies, got, len(verdicts))
			}
			if logged := f.logs.String(); strings.Contains(logged, "panic") {
				t.Error(logged)
			}
		})
	})
}

// expected counts the refusals and the other replies that are due to whole
// packets, up to the first that ends the connection.
func expected(data []byte) (ends, replies int) {
	for len(data) >= 5 {
		n := int(binary.BigEndian.Uint32(data))
		if n == 0 || n > maxPacket || n > len(data)-4 {
			break
		}
		code, body := data[4], data[5:4+n]
		data = data[4+n:]
		switch code {
		case 'E':
			ends++
		case 'R', 'T', 'U':
			replies++
		case 'C':
			if _, err := readClient(body, &macroList{}); err != nil {
				return ends, replies
			}
		case 'D':
			if len(body) == 0 {
				return ends, replies
			}
		case 'H', 'M', 'L', 'N', 'B', 'A', 'K':
		default: // QUIT, negotiation again, unknown
			return ends, replies
		}
	}
	return ends, replies
}

// FuzzRefusal sends anything to a session over the caps, behind a good negotiation: no
// panic, nothing accepted, one answer at most to a packet, and the session ends.
func FuzzRefusal(f *testing.F) {
	m := &mta{}
	f.Add([]byte(m.step(helloA) + m.step("H x") + m.step(mailA) + m.step("R <r@r.example>") + m.step("E") + m.step("A") + m.step("Q")))
	f.Add([]byte(packet('D', "M") + packet('D', "") + packet('M', "") + packet('C', "h\x004") + packet('O', "")))
	f.Add([]byte(m.step("B "+strings.Repeat("x", 2*refusalSize)) + "\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		synctest.Test(t, func(t *testing.T) {
			f, in := capped(t)
			m := f.dial("")
			m.negotiate(6, allActions, allProtocol)
			m.write(string(data))
			synctest.Wait()
			m.nc.Close()
			in.nc.Close()
			f.stop()
			answers, packets := 0, 0
			for rest := data; len(rest) >= 5; packets++ {
				rest = rest[min(len(rest), 4+max(1, int(binary.BigEndian.Uint32(rest)))):]
			}
			for p := range m.packets {
				if answers++; p[0] != 'y' {
					t.Errorf("answered %q", p)
				}
			}
			if answers > packets {
				t.Errorf("%d answers to %d packets", answers, packets)
			}
		})
	})
}
