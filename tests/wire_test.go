package tests

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-milter"

	"o2n-milter/tests/mta"
)

// wire speaks the milter protocol as Postfix does: version 6, every action and
// protocol bit offered, macros before each event, ABORT after each message. The
// library's own client can neither offer the no-reply bits nor take a quarantine.
type wire struct {
	t     testing.TB
	conn  net.Conn
	proto milter.OptProtocol // what the filter asked for
}

const (
	offerActions  = 0x1ff    // Postfix 3.7
	offerProtocol = 0x1fffff // Postfix 3.7
	wireTimeout   = 20 * time.Second
)

// outcome is what the filter said at the end of a message.
type outcome struct {
	reply      mta.Reply // 250 when the message passes
	quarantine string    // the reason; empty when it is not held
	fields     []string  // added, "Name: value"
	removed    []string  // names of fields deleted
}

func dialWire(t testing.TB, network, addr string) *wire {
	t.Helper()
	conn, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	w := &wire{t: t, conn: conn}
	w.send('O', binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(
		binary.BigEndian.AppendUint32(nil, 6), offerActions), offerProtocol))
	code, data := w.read()
	if code != 'O' || len(data) < 12 {
		t.Fatalf("negotiation: got %q %x", code, data)
	}
	w.proto = milter.OptProtocol(binary.BigEndian.Uint32(data[8:]))
	if actions := binary.BigEndian.Uint32(data[4:]); actions&^offerActions != 0 || uint32(w.proto)&^offerProtocol != 0 {
		t.Fatalf("negotiation: the filter asks for what was not offered: actions %x, protocol %x", actions, w.proto)
	}
	return w
}

func (w *wire) send(code byte, data []byte) {
	w.t.Helper()
	w.conn.SetDeadline(time.Now().Add(wireTimeout))
	packet := binary.BigEndian.AppendUint32(nil, uint32(len(data)+1))
	packet = append(append(packet, code), data...)
	if _, err := w.conn.Write(packet); err != nil {
		w.t.Fatalf("milter write %q: %v", code, err)
	}
}

func (w *wire) read() (code byte, data []byte) {
	w.t.Helper()
	w.conn.SetDeadline(time.Now().Add(wireTimeout))
	var size [4]byte
	if _, err := io.ReadFull(w.conn, size[:]); err != nil {
		w.t.Fatalf("milter read: %v", err)
	}
	packet := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(w.conn, packet); err != nil || len(packet) == 0 {
		w.t.Fatalf("milter read %d octets: %v", len(packet), err)
	}
	return packet[0], packet[1:]
}

func cstrings(list ...string) []byte {
	var b []byte
	for _, s := range list {
		b = append(append(b, s...), 0)
	}
	return b
}

// macros gives name and value in turn.
func (w *wire) macros(stage byte, kv ...string) {
	w.t.Helper()
	w.send('D', append([]byte{stage}, cstrings(kv...)...))
}

// event sends one event and reads the answer, unless the filter asked not to be
// shown it or not to have to answer.
func (w *wire) event(code byte, data []byte, hidden, silent milter.OptProtocol) mta.Reply {
	w.t.Helper()
	if w.proto&hidden != 0 {
		return mta.Reply{Code: 250}
	}
	w.send(code, data)
	if w.proto&silent != 0 {
		return mta.Reply{Code: 250}
	}
	var out outcome
	w.answer(&out)
	return out.reply
}

// answer reads until the final answer to an event.
func (w *wire) answer(out *outcome) {
	w.t.Helper()
	for {
		code, data := w.read()
		text, _, _ := strings.Cut(string(data), "\x00")
		switch code {
		case 'p': // still thinking
			continue
		case 'q':
			out.quarantine = text
			continue
		case 'h', 'i', 'm':
			out.modify(code, data)
			continue
		case 'c', 's':
			out.reply = mta.Reply{Code: 250}
		case 'y':
			out.reply = w.reply(text)
		default:
			// Plain answers replace the library's session in mid-message; accept ends the filtering.
			w.t.Fatalf("answer %q: the filter must only continue or reply with a code", code)
		}
		return
	}
}

func (w *wire) reply(text string) mta.Reply {
	w.t.Helper()
	// A single % is a format sign for the MTA.
	if strings.Contains(strings.ReplaceAll(text, "%%", ""), "%") {
		w.t.Errorf("reply %q: a %% that is not doubled", text)
	}
	r, err := mta.ParseReply(strings.ReplaceAll(text, "%%", "%"))
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// modify notes header changes: add (name, value), insert and change (index, name, value).
func (out *outcome) modify(code byte, data []byte) {
	if code != 'h' {
		data = data[min(4, len(data)):]
	}
	parts := bytes.Split(data, []byte{0})
	if len(parts) < 2 {
		return
	}
	name, value := string(parts[0]), string(parts[1])
	if code == 'm' && value == "" {
		out.removed = append(out.removed, name)
		return
	}
	out.fields = append(out.fields, name+": "+value)
}
