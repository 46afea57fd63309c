package milter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"o2n-milter/message"
	"o2n-milter/rules"
)

// What is kept of one message; what lies beyond is counted and is an excess. Real
// mail is far below: Postfix takes 1,000 recipients and cuts a field at 60,000
// bytes, Sendmail takes 32 KiB of header in all.
const (
	maxFields     = 20_000
	maxRecipients = 20_000
	maxKept       = 1 << 20 // bytes of header, and apart from them of recipients
)

// markName is the field we add and nobody else may bring.
const markName = "X-O2N-Milter"

var markField = []byte(markName)

// client is what CONNECT says.
type client struct {
	known  bool // CONNECT has come
	addr   netip.Addr
	name   string
	local  bool
	host   string // the MTA's own name
	faulty bool   // its address cannot be read
}

// readClient reads CONNECT: host name, NUL, family, port for all families but
// "unknown", address, NUL. {client_addr} goes first: behind a proxy it is right
// where the packet may not be.
func readClient(data []byte, m *macroList) (client, error) {
	host, rest, ok := cutNUL(data)
	if !ok || len(rest) == 0 {
		return client{}, errors.New("CONNECT without family")
	}
	c := client{known: true, name: string(host)}
	family, rest := rest[0], rest[1:]
	switch family {
	case '4', '6':
		if len(rest) < 2 {
			return client{}, errors.New("CONNECT without port")
		}
		// Postfix' non_smtpd submissions have port 0, which no TCP peer has.
		c.local = binary.BigEndian.Uint16(rest) == 0
		c.addr = parseAddr(string(cString(rest[2:])))
		c.faulty = !c.addr.IsValid()
	default: // a unix socket or standard input: a program of this host
		c.local = true
	}
	if told, ok := m.get(clientAddr); ok {
		if addr := parseAddr(told); addr.IsValid() {
			c.addr, c.faulty = addr, false
		}
	}
	for _, own := range []macro{daemonAddr, ifAddr} {
		// A program of this host may as well take the host's public address.
		// A link-local address may be another host's on another link.
		if told, ok := m.get(own); ok && c.addr.IsValid() && !c.addr.IsLinkLocalUnicast() && parseAddr(told) == c.addr {
			c.local = true
		}
	}
	if told, ok := m.get(clientName); ok {
		c.name = told
	}
	if c.name == "unknown" || strings.HasPrefix(c.name, "[") {
		c.name = "" // an address in brackets stands for no name
	}
	c.host, _ = m.get(hostName)
	return c, nil
}

// parseAddr reads an address as either MTA writes it: Sendmail's IPv6 begins
// with "IPv6:". It is zero when there is none.
func parseAddr(s string) netip.Addr {
	if len(s) > 5 && strings.EqualFold(s[:5], "IPv6:") {
		s = s[5:]
	}
	addr, _ := netip.ParseAddr(s)
	return addr.Unmap().WithZone("")
}

// draft is a message that is being taken in.
type draft struct {
	mail     rules.Mail
	judge    Judge
	mailSeen bool
	broken   bool   // a panic on the way: not to be judged any more
	lent     bool   // a judge may still be looking at it
	bodyless bool   // nobody wants its body
	refused  []byte // the answer to all of its recipients; nil when they were taken
	head     []byte // the fields: name, NUL, value, NUL
	packet   []byte // the packet that the body is part of; nil: it is none
	fields   int    // in head
	headKept int    // bytes of header kept
	rcptKept int    // bytes of recipients kept
	marks    int    // fields named X-O2N-Milter
	memory   share  // of what all messages may keep
}

// drafts are there to be used again, with room for what most messages have. Their
// strings are not: who judges or records may keep those.
var drafts = sync.Pool{New: func() any { return new(draft) }}

const (
	mostRoom = 256      // fields and recipients that a draft keeps room for
	mostHead = 16 << 10 // and bytes of header
	mostBody = 16 << 10 // and of body

	fieldRoom = 32 // bytes of a message.Field beside its text
	rcptRoom  = 48 // of a rules.Recipient; their list may grow to twice its length
	// pooledRoom is what a draft may have room for when it is used again.
	pooledRoom = mostHead + mostBody + mostRoom*(fieldRoom+rcptRoom)
)

// newDraft begins a message with room of the budget.
func newDraft(of *budget) *draft {
	d := drafts.Get().(*draft)
	d.memory.of = of
	d.keep(pooledRoom)
	return d
}

// recycle ends the use of a draft, unless somebody is still looking at it.
func (d *draft) recycle() {
	if d.lent {
		return
	}
	d.memory.giveBack()
	fields, rcpts, head, body := d.mail.Header, d.mail.Recipients, d.head, d.mail.Body
	if d.packet != nil {
		recyclePacket(d.packet)
		body = nil
	}
	clear(fields)
	clear(rcpts)
	*d = draft{}
	if cap(fields) <= mostRoom {
		d.mail.Header = fields[:0]
	}
	if cap(rcpts) <= mostRoom {
		d.mail.Recipients = rcpts[:0]
	}
	if cap(head) <= mostHead {
		d.head = head[:0]
	}
	if cap(body) <= mostBody {
		d.mail.Body = body[:0]
	}
	drafts.Put(d)
}

// fault notes once why the message cannot be read, excess what was too much of it.
func (d *draft) fault(text string)  { note(&d.mail.Faults, text) }
func (d *draft) excess(text string) { note(&d.mail.Excess, text) }

// keep says whether n bytes more of the message may be kept.
func (d *draft) keep(n int) bool {
	if !d.memory.keep(n) {
		d.excess(overBudget)
		return false
	}
	return true
}

// grow gives list room for n bytes more, if they may be kept.
func (d *draft) grow(list []byte, n int) ([]byte, bool) {
	if n <= cap(list)-len(list) {
		return list, true
	}
	room := max(len(list)+n, cap(list)+cap(list)/2)
	if !d.keep(room - cap(list)) {
		return list, false
	}
	return append(make([]byte, 0, room), list...), true
}

func note(list *[]string, text string) {
	if !slices.Contains(*list, text) {
		*list = append(*list, text)
	}
}

// begin takes MAIL. The login is {auth_authen} of this very MAIL and nothing
// else; {auth_author} is what the client wrote behind AUTH=.
func (d *draft) begin(arg []byte, m *macroList, judge func() Judge) {
	d.mailSeen = true
	d.mail.Login, _ = m.get(authAuthen)
	d.mail.QueueID, _ = m.get(queueID)
	d.mail.Sender = string(envelopeAddress(arg, m, mailAddr))
	if d.judge = judge(); d.judge != nil {
		d.bodyless = !d.judge.WantsBody(&d.mail)
	}
}

func (d *draft) wantsBody() bool { return !d.bodyless }

// setQueueID is called for each macro packet, and the id is nearly always the same.
func (d *draft) setQueueID(macros []byte) {
	if known := d.mail.QueueID; known != "" && beginWithID(macros, known) {
		return
	}
	if id := macroIn(macros, queueID); len(id) > 0 && string(id) != d.mail.QueueID {
		d.mail.QueueID = string(id)
	}
}

// beginWithID says whether a queue id comes first, as it does from Postfix.
func beginWithID(macros []byte, id string) bool {
	end := 2 + len(id)
	return len(macros) > end && macros[0] == 'i' && macros[1] == 0 && macros[end] == 0 && string(macros[2:end]) == id
}

func (d *draft) addRecipient(arg []byte, m *macroList) {
	addr := envelopeAddress(arg, m, rcptAddr)
	d.rcptKept += len(addr)
	if len(d.mail.Recipients) >= maxRecipients || d.rcptKept > maxKept {
		d.excess("more than 20,000 recipients or 1 MiB of them")
		return
	}
	if !d.keep(len(addr) + rcptRoom) {
		return
	}
	d.mail.Recipients = append(d.mail.Recipients, rules.Recipient{Address: string(addr), Local: string(m.values[rcptMailer]) == "local"})
}

// addField takes a header packet: name, NUL, value, NUL.
func (d *draft) addField(data []byte) {
	name, value, ok := cutNUL(data)
	value, rest, ended := cutNUL(value)
	if !ok || !ended || len(rest) > 0 {
		// Neither MTA sends one. A reader of the mail may see what we do not.
		d.fault("header field with a NUL")
	}
	size := len(name) + len(value) + 4 // ": " and CRLF
	d.mail.Size += int64(size)
	if isMark(name) {
		d.marks++
	}
	if d.fields >= maxFields {
		d.excess("more than 20,000 header fields")
		return
	}
	if d.headKept += size; d.headKept > maxKept {
		d.excess("more than 1 MiB of header")
		return
	}
	head, ok := d.grow(d.head, len(name)+len(value)+2)
	if !ok || !d.keep(fieldRoom) {
		return
	}
	d.fields++
	d.head = append(append(append(append(head, name...), 0), value...), 0)
}

// isMark says whether a field has our name, which may have blanks behind it.
func isMark(name []byte) bool {
	return len(name) >= len(markName) && bytes.EqualFold(name[:len(markName)], markField) &&
		len(bytes.TrimRight(name[len(markName):], " \t")) == 0
}

// setHeader makes the fields of what has come of them. They are parts of one string,
// which takes the room of what is not used again.
func (d *draft) setHeader() {
	d.mail.Header = slices.Grow(d.mail.Header[:0], d.fields)
	for head := string(d.head); head != ""; {
		name := strings.IndexByte(head, 0)
		value := name + 1 + strings.IndexByte(head[name+1:], 0)
		d.mail.Header = append(d.mail.Header, message.Field{Name: head[:name], Value: head[name+1 : value]})
		head = head[value+1:]
	}
	if cap(d.head) > mostHead {
		d.head = nil
	}
}

// addBody counts the body and keeps the beginning of it.
func (d *draft) addBody(chunk []byte) {
	d.mail.Size += int64(len(chunk))
	if d.bodyless {
		return
	}
	kept := chunk[:min(len(chunk), rules.MaxBody-len(d.mail.Body))]
	if body, ok := d.grow(d.mail.Body, len(kept)); ok {
		d.mail.Body = append(body, kept...)
	}
}

// takeBody takes a packet for the body itself, with the buffer that it is in.
func (d *draft) takeBody(chunk, packet []byte) {
	d.mail.Size += int64(len(chunk))
	if d.keep(cap(packet)) {
		d.mail.Body, d.packet = chunk, packet
	} else {
		recyclePacket(packet)
	}
}

// envelopeAddress is the address of MAIL or RCPT without <>. Both MTAs take
// "<Some Name <x@y>>" and tell the clean address in the macro.
func envelopeAddress(arg []byte, m *macroList, told macro) []byte {
	arg = bytes.TrimSpace(arg)
	if len(arg) == 0 || string(arg) == "<>" {
		return nil // the null sender, whatever the macro calls it
	}
	if clean := m.values[told]; len(clean) > 0 {
		return unbracket(clean)
	}
	return unbracket(arg)
}

// unbracket takes the innermost <> off.
func unbracket(s []byte) []byte {
	inner, ok := bytes.CutPrefix(s, []byte{'<'})
	if !ok {
		return s
	}
	end := []byte{'>'}
	inner = bytes.TrimSuffix(inner, end)
	if cut, nested := bytes.CutSuffix(inner, end); nested {
		inner = cut[bytes.LastIndexByte(cut, '<')+1:]
	}
	return inner
}

// cString is what stands before the first NUL.
func cString(data []byte) []byte {
	s, _, _ := cutNUL(data)
	return s
}
