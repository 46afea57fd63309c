package mta

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/emersion/go-milter"
)

// Filter is a connection to a milter as Postfix makes it: version 6, every action
// and protocol bit offered, and packets that wait in a buffer until an answer is
// wanted. The library's own client can neither offer the no-reply bits nor take a
// quarantine. Not safe for concurrent use.
type Filter struct {
	conn    net.Conn
	in      *bufio.Reader
	out     *bufio.Writer
	asked   milter.OptProtocol // what the filter does not want to be shown or to answer
	version uint32             // what it speaks
	macros  map[milter.Stage][]string
}

const (
	offerActions  = 0x1ff    // Postfix 3.7
	offerProtocol = 0x1fffff // Postfix 3.7
	// filterTimeout is less than Postfix' 30 s (milter_command_timeout).
	filterTimeout = 20 * time.Second
	// bodyChunk is how much of a body Postfix sends in one packet.
	bodyChunk = 65535
)

// Outcome is what the filter said at the end of a message.
type Outcome struct {
	Reply      Reply    // 250 when the message passes
	Quarantine string   // the reason; empty when it is not held
	Fields     []string // added, "Name: value"
	Removed    []string // names of fields deleted
}

// DialFilter connects and negotiates.
func DialFilter(network, addr string) (*Filter, error) {
	conn, err := net.DialTimeout(network, addr, filterTimeout)
	if err != nil {
		return nil, err
	}
	return NewFilter(conn)
}

// NewFilter negotiates on a connection, which is its own from then on. To be quite
// like Postfix a TCP connection has Nagle's algorithm on.
func NewFilter(conn net.Conn) (*Filter, error) {
	f := &Filter{conn: conn, in: bufio.NewReader(conn), out: bufferFor(conn), macros: map[milter.Stage][]string{}}
	if err := f.negotiate(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("negotiation: %w", err)
	}
	return f, nil
}

// bufferFor is as large as Postfix' (VSTREAM_BUFSIZE; over TCP four segments, which on
// loopback have 65483 octets), and gives the kernel no more at a time.
func bufferFor(conn net.Conn) *bufio.Writer {
	size := 4 * 65483
	if conn.RemoteAddr().Network() == "unix" {
		size = 4096
	}
	return bufio.NewWriterSize(pieces{conn, size}, size)
}

type pieces struct {
	to   io.Writer
	size int
}

func (p pieces) Write(b []byte) (n int, err error) {
	for err == nil && n < len(b) {
		var k int
		k, err = p.to.Write(b[n:min(n+p.size, len(b))])
		n += k
	}
	return n, err
}

func (f *Filter) negotiate() error {
	offer := binary.BigEndian.AppendUint32(nil, 6)
	offer = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(offer, offerActions), offerProtocol)
	if err := f.Send('O', offer); err != nil {
		return err
	}
	code, data, err := f.read()
	if err != nil {
		return err
	}
	if code != 'O' || len(data) < 12 {
		return fmt.Errorf("got %q %x", code, data)
	}
	actions, protocol := binary.BigEndian.Uint32(data[4:]), binary.BigEndian.Uint32(data[8:])
	if actions&^offerActions != 0 || protocol&^offerProtocol != 0 {
		return fmt.Errorf("the filter asks for what was not offered: actions %x, protocol %x", actions, protocol)
	}
	f.version, f.asked = binary.BigEndian.Uint32(data), milter.OptProtocol(protocol)
	f.wishes(data[12:])
	return nil
}

// wishes notes which macros the filter wants: stages with the names, after each a NUL.
func (f *Filter) wishes(data []byte) {
	for len(data) > 4 {
		stage := milter.Stage(binary.BigEndian.Uint32(data))
		names, rest, _ := bytes.Cut(data[4:], []byte{0})
		if len(names) > 0 { // none: Postfix sends what it would
			f.macros[stage] = strings.Fields(strings.ReplaceAll(string(names), ",", " "))
		}
		data = rest
	}
}

// Close ends the connection as it is.
func (f *Filter) Close() {
	f.out.Flush() // what has been said, as Postfix would; a filter that is gone need not hear it
	f.conn.Close()
}

// Quit says that the session is over, and ends the connection.
func (f *Filter) Quit() {
	f.Send('Q', nil)
	f.Close()
}

// Send has one packet go out with the next that wants an answer, or with Close.
func (f *Filter) Send(code byte, data []byte) error {
	if err := f.begin(code, len(data)); err != nil {
		return err
	}
	_, err := f.out.Write(data)
	return err
}

// begin writes the head of a packet with so much data.
func (f *Filter) begin(code byte, size int) error {
	if f.out.Available() < 5+size {
		f.conn.SetDeadline(time.Now().Add(filterTimeout))
	}
	head := binary.BigEndian.AppendUint32(f.out.AvailableBuffer(), uint32(size+1))
	if _, err := f.out.Write(append(head, code)); err != nil {
		return fmt.Errorf("write %q: %w", code, err)
	}
	return nil
}

func (f *Filter) read() (code byte, data []byte, err error) {
	f.conn.SetDeadline(time.Now().Add(filterTimeout))
	if err := f.out.Flush(); err != nil {
		return 0, nil, fmt.Errorf("write: %w", err)
	}
	var size [4]byte
	if _, err := io.ReadFull(f.in, size[:]); err != nil {
		return 0, nil, fmt.Errorf("read: %w", err)
	}
	n := binary.BigEndian.Uint32(size[:])
	if n == 0 || n > 1<<20 {
		return 0, nil, fmt.Errorf("read: packet of %d octets", n)
	}
	packet := make([]byte, n)
	if _, err := io.ReadFull(f.in, packet); err != nil {
		return 0, nil, fmt.Errorf("read %d octets: %w", n, err)
	}
	return packet[0], packet[1:], nil
}

// CStrings are the texts, each with a NUL behind it.
func CStrings(list ...string) []byte {
	var b []byte
	for _, s := range list {
		b = append(append(b, s...), 0)
	}
	return b
}

// Macros sends the macros of a stage, name and value in turn.
func (f *Filter) Macros(stage byte, kv ...string) error {
	size := 1
	for _, s := range kv {
		size += len(s) + 1
	}
	err := f.begin('D', size)
	if err == nil {
		err = f.out.WriteByte(stage)
	}
	for _, s := range kv {
		f.out.WriteString(s) // an error stays with the buffer
		err = f.out.WriteByte(0)
	}
	return err
}

// Event sends one event and reads the answer, unless the filter asked not to be
// shown it (hidden) or not to have to answer (silent).
func (f *Filter) Event(code byte, data []byte, hidden, silent milter.OptProtocol) (Reply, error) {
	return f.event(event{code: code, hidden: hidden, silent: silent}, string(data))
}

// event is a command of the protocol.
type event struct {
	code           byte
	stage          milter.Stage       // whose macros go before it
	hidden, silent milter.OptProtocol // bits by which a filter is not shown it, or does not answer it
}

func (f *Filter) event(e event, data string) (Reply, error) {
	if f.asked&e.hidden != 0 {
		return Reply{Code: 250}, nil
	}
	if err := f.begin(e.code, len(data)); err != nil {
		return Reply{}, err
	}
	if _, err := f.out.WriteString(data); err != nil || f.asked&e.silent != 0 {
		return Reply{Code: 250}, err
	}
	out, err := f.Answer()
	return out.Reply, err
}

// Answer reads until the final answer to an event.
func (f *Filter) Answer() (Outcome, error) {
	var out Outcome
	for {
		code, data, err := f.read()
		if err != nil {
			return out, err
		}
		text, _, _ := strings.Cut(string(data), "\x00")
		switch code {
		case 'p': // still thinking
		case 'q':
			out.Quarantine = text
		case 'h', 'i', 'm':
			out.modify(code, data)
		case 'c', 's':
			out.Reply = Reply{Code: 250}
			return out, nil
		case 'y':
			out.Reply, err = filterReply(text)
			return out, err
		default:
			// Plain answers replace the library's session in mid-message; accept ends the filtering.
			return out, fmt.Errorf("answer %q: the filter must only continue or reply with a code", code)
		}
	}
}

func filterReply(text string) (Reply, error) {
	// A single % is a format sign for the MTA.
	if strings.Contains(strings.ReplaceAll(text, "%%", ""), "%") {
		return Reply{}, fmt.Errorf("reply %q: a %% that is not doubled", text)
	}
	return ParseReply(strings.ReplaceAll(text, "%%", "%"))
}

// modify notes header changes: add (name, value), insert and change (index, name, value).
func (out *Outcome) modify(code byte, data []byte) {
	if code != 'h' {
		data = data[min(4, len(data)):]
	}
	parts := bytes.Split(data, []byte{0})
	if len(parts) < 2 {
		return
	}
	name, value := string(parts[0]), string(parts[1])
	if code == 'm' && value == "" {
		out.Removed = append(out.Removed, name)
		return
	}
	out.Fields = append(out.Fields, name+": "+value)
}
