package mta

import (
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
// and protocol bit offered. The library's own client can neither offer the no-reply
// bits nor take a quarantine. Not safe for concurrent use.
type Filter struct {
	conn  net.Conn
	asked milter.OptProtocol // what the filter does not want to be shown or to answer
}

const (
	offerActions  = 0x1ff    // Postfix 3.7
	offerProtocol = 0x1fffff // Postfix 3.7
	// filterTimeout is less than Postfix' 30 s (milter_command_timeout).
	filterTimeout = 20 * time.Second
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
	f := &Filter{conn: conn}
	if err := f.negotiate(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("negotiation: %w", err)
	}
	return f, nil
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
	f.asked = milter.OptProtocol(protocol)
	return nil
}

// Close ends the connection as it is.
func (f *Filter) Close() { f.conn.Close() }

// Send writes one packet.
func (f *Filter) Send(code byte, data []byte) error {
	f.conn.SetDeadline(time.Now().Add(filterTimeout))
	packet := binary.BigEndian.AppendUint32(nil, uint32(len(data)+1))
	packet = append(append(packet, code), data...)
	if _, err := f.conn.Write(packet); err != nil {
		return fmt.Errorf("write %q: %w", code, err)
	}
	return nil
}

func (f *Filter) read() (code byte, data []byte, err error) {
	f.conn.SetDeadline(time.Now().Add(filterTimeout))
	var size [4]byte
	if _, err := io.ReadFull(f.conn, size[:]); err != nil {
		return 0, nil, fmt.Errorf("read: %w", err)
	}
	n := binary.BigEndian.Uint32(size[:])
	if n == 0 || n > 1<<20 {
		return 0, nil, fmt.Errorf("read: packet of %d octets", n)
	}
	packet := make([]byte, n)
	if _, err := io.ReadFull(f.conn, packet); err != nil {
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
	return f.Send('D', append([]byte{stage}, CStrings(kv...)...))
}

// Event sends one event and reads the answer, unless the filter asked not to be
// shown it (hidden) or not to have to answer (silent).
func (f *Filter) Event(code byte, data []byte, hidden, silent milter.OptProtocol) (Reply, error) {
	if f.asked&hidden != 0 {
		return Reply{Code: 250}, nil
	}
	if err := f.Send(code, data); err != nil || f.asked&silent != 0 {
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

// Letter is a plain message of a login, or without one from a client.
type Letter struct {
	Client, Login, Sender string
	Recipients            []string
	Header                []string // lines
	Body                  string
}

// Connect tells the filter of the client.
func (f *Filter) Connect(name, client string, port uint16) error {
	err := f.Macros('C', "j", Host, "{daemon_name}", "smtpd", "{daemon_addr}", "127.0.0.1", "v", "Postfix 3.7.11",
		"_", name+" ["+client+"]", "{client_addr}", client, "{client_name}", name)
	if err != nil {
		return err
	}
	data := binary.BigEndian.AppendUint16(append(CStrings(name), '4'), port)
	_, err = f.Event('C', append(data, CStrings(client)...), milter.OptNoConnect, milter.OptNoConnReply)
	return err
}

// Deliver sends the letter in this session and returns the verdict.
func (f *Filter) Deliver(l Letter) (Outcome, error) {
	macros := []string{"{mail_addr}", l.Sender, "{mail_mailer}", "smtp"}
	if l.Login != "" {
		macros = append(macros, "{auth_type}", "PLAIN", "{auth_authen}", l.Login)
	}
	steps := []func() error{
		func() error { return f.Macros('M', macros...) },
		func() error {
			return f.must('M', CStrings("<"+l.Sender+">"), milter.OptNoMailFrom, milter.OptNoMailReply)
		},
	}
	for _, rcpt := range l.Recipients {
		steps = append(steps,
			func() error { return f.Macros('R', "{rcpt_addr}", rcpt, "{rcpt_mailer}", "smtp") },
			func() error { return f.must('R', CStrings("<"+rcpt+">"), milter.OptNoRcptTo, milter.OptNoRcptReply) })
	}
	for _, line := range l.Header {
		name, value, _ := strings.Cut(line, ": ")
		steps = append(steps, func() error {
			return f.must('L', CStrings(name, value), milter.OptNoHeaders, milter.OptNoHeaderReply)
		})
	}
	steps = append(steps,
		func() error { return f.must('N', nil, milter.OptNoEOH, milter.OptNoEOHReply) },
		func() error { return f.must('B', []byte(l.Body), milter.OptNoBody, milter.OptNoBodyReply) },
		func() error { return f.Macros('E', "i", "4T00001") },
		func() error { return f.Send('E', nil) })
	for _, step := range steps {
		if err := step(); err != nil {
			return Outcome{}, err
		}
	}
	out, err := f.Answer()
	if err == nil {
		err = f.Send('A', nil) // Postfix: after every message
	}
	return out, err
}

// must wants an event to be let through.
func (f *Filter) must(code byte, data []byte, hidden, silent milter.OptProtocol) error {
	r, err := f.Event(code, data, hidden, silent)
	if err == nil && r.Code != 250 {
		err = fmt.Errorf("event %q was answered %s", code, r)
	}
	return err
}
