package dialogs

import (
	"encoding/binary"
	"net/netip"
	"strings"

	"o2n-milter/rules"
)

// told are macros: names without braces, and values.
type told map[string]string

// readMacros reads a macro packet, behind its stage. What is said twice is what was said first.
func readMacros(data string) told {
	parts, m := strings.Split(data, "\x00"), told{}
	for i := 0; i+1 < len(parts); i += 2 {
		name := parts[i]
		if len(name) > 2 && strings.HasPrefix(name, "{") && strings.HasSuffix(name, "}") {
			name = name[1 : len(name)-1]
		}
		if _, again := m[name]; !again {
			m[name] = parts[i+1]
		}
	}
	return m
}

func (m told) mark(address string) string {
	if m["rcpt_mailer"] == "local" {
		return address + " local"
	}
	return address
}

// address is the one in a MAIL or RCPT. The macro has it without what else may stand there.
func (m told) address(data, macro string) string {
	arg, _, _ := strings.Cut(data, "\x00")
	switch arg = strings.TrimSpace(arg); {
	case arg == "" || arg == "<>":
		return ""
	case m[macro] != "":
		arg = m[macro]
	}
	if inner, ok := strings.CutPrefix(arg, "<"); ok {
		return strings.TrimSuffix(inner, ">")
	}
	return arg
}

// model is what the milter protocol means by a stream of packets. It keeps what CONNECT
// said for a session, and what MAIL said for a message: nothing goes from one to another.
type model struct {
	negotiated        bool
	actions, protocol uint32 // offered by the MTA and wanted by us

	connect, mail, rcpt told // what was told for a command that is to come
	connected           bool
	peer                letter // what CONNECT says of it
	now                 *letter
	stray               bool // now began with something else than MAIL

	answers []answer
}

// answer is due to the MTA.
type answer struct {
	code byte    // 'O', 'c', or 'E' for the end of a message
	of   *letter // the one whose end it is
}

// What we ask of the MTA: doc of package milter.
const (
	mayAdd, mayChange, mayHold = 0x01, 0x10, 0x20
	wantedActions              = mayAdd | mayChange | mayHold | 0x100
	silentHeader               = 0x80
	silentConnect              = 0x1000
	silentHello                = 0x2000
	silentMail                 = 0x4000
	silentEOH                  = 0x40000
	silentBody                 = 0x80000
	wantedProtocol             = silentHeader | silentConnect | silentHello | silentMail | silentEOH | silentBody
)

// read takes the stream up to its end, or to what ends the connection.
func (m *model) read(stream []byte) {
	for len(stream) >= 4 {
		n := uint64(binary.BigEndian.Uint32(stream))
		if n == 0 || n > 1<<20 || n > uint64(len(stream)-4) {
			return
		}
		code, data := stream[4], string(stream[5:4+n])
		stream = stream[4+n:]
		if !m.packet(code, data) {
			return
		}
	}
}

// packet takes one and says whether the connection goes on.
func (m *model) packet(code byte, data string) bool {
	if !m.negotiated {
		return m.negotiate(code, data)
	}
	switch code {
	case 'C':
		return m.connects(data)
	case 'D':
		return m.tells(data)
	case 'H':
		m.unless(silentHello)
	case 'M':
		m.begin(data)
		m.unless(silentMail)
	case 'R':
		l := m.current()
		l.recipients = append(l.recipients, m.rcpt.mark(m.rcpt.address(data, "rcpt_addr")))
		m.rcpt = nil
		m.reply('c', nil)
	case 'L':
		m.field(data)
		m.unless(silentHeader)
	case 'N':
		m.unless(silentEOH)
	case 'B':
		m.body(data)
		m.unless(silentBody)
	case 'E':
		l := m.current()
		m.body(data)
		m.now = nil
		m.reply('E', l)
	case 'A':
		m.now, m.mail, m.rcpt = nil, nil, nil
	case 'T', 'U':
		m.reply('c', nil)
	case 'K':
		m.hangUp()
		m.connect = nil
	default: // QUIT, negotiation again, and what nobody knows
		return false
	}
	return true
}

func (m *model) negotiate(code byte, data string) bool {
	if code != 'O' || len(data) < 12 {
		return false
	}
	m.negotiated = true
	m.actions = binary.BigEndian.Uint32([]byte(data[4:])) & wantedActions
	m.protocol = binary.BigEndian.Uint32([]byte(data[8:])) & wantedProtocol
	m.reply('O', nil)
	return true
}

func (m *model) reply(code byte, of *letter) { m.answers = append(m.answers, answer{code, of}) }

// unless notes a reply that is due where the MTA could not be spared it.
func (m *model) unless(silent uint32) {
	if m.protocol&silent == 0 {
		m.reply('c', nil)
	}
}

// hangUp is the end of an SMTP session: nothing it said counts any more.
func (m *model) hangUp() {
	m.connected, m.peer, m.now, m.mail, m.rcpt = false, letter{}, nil, nil, nil
}

// connects takes CONNECT: name, NUL, family, port where that has one, address, NUL.
func (m *model) connects(data string) bool {
	said := m.connect
	m.hangUp()
	m.connect = nil
	_, rest, ok := strings.Cut(data, "\x00")
	if !ok || rest == "" {
		return false
	}
	p := letter{host: said["j"]}
	switch family := rest[0]; family {
	case '4', '6':
		if len(rest) < 3 {
			return false
		}
		address, _, _ := strings.Cut(rest[3:], "\x00")
		p.local = rest[1:3] == "\x00\x00"
		p.client = readAddress(address)
		p.faulty = !p.client.IsValid()
	default:
		p.local = true
	}
	if a := readAddress(said["client_addr"]); a.IsValid() {
		p.client, p.faulty = a, false
	}
	for _, own := range []string{said["daemon_addr"], said["if_addr"]} {
		if a := readAddress(own); a.IsValid() && a == p.client && !a.IsLinkLocalUnicast() {
			p.local = true
		}
	}
	m.connected, m.peer = true, p
	m.unless(silentConnect)
	return true
}

func readAddress(s string) netip.Addr {
	if len(s) > 5 && strings.EqualFold(s[:5], "IPv6:") {
		s = s[5:]
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}

// tells takes macros. All but those of CONNECT, HELO and MAIL go with the message under way.
func (m *model) tells(data string) bool {
	if data == "" {
		return false
	}
	said := readMacros(data[1:])
	switch data[0] {
	case 'C':
		m.connect = said
		return true
	case 'H':
		return true
	case 'M':
		m.mail = said
		return true
	case 'R':
		m.rcpt = said
	}
	if m.now != nil && said["i"] != "" {
		m.now.queueID = said["i"]
	}
	return true
}

// current is the message under way. One that MAIL did not begin is faulty, and so is the
// next, for nobody knows whose that was.
func (m *model) current() *letter {
	if m.now == nil {
		m.now, m.stray = m.blank(), true
		m.now.faulty = true
	}
	return m.now
}

// blank is a message of this session of which nothing is known yet.
func (m *model) blank() *letter {
	l := m.peer
	l.faulty = l.faulty || !m.connected
	l.canHold = m.actions&mayHold != 0
	return &l
}

// begin is MAIL: the login is what was told for it, and nothing that was told before it is
// of its recipients.
func (m *model) begin(data string) {
	stray := m.now != nil && m.stray
	l := m.blank()
	l.faulty = l.faulty || stray
	l.login, l.queueID = m.mail["auth_authen"], m.mail["i"]
	l.sender = m.mail.address(data, "mail_addr")
	m.now, m.stray, m.mail, m.rcpt = l, false, nil, nil
}

// body keeps as much as is looked at.
func (m *model) body(data string) {
	l := m.current()
	l.body += data[:min(len(data), rules.MaxBody-len(l.body))]
}

func (m *model) field(data string) {
	l := m.current()
	parts := strings.Split(data, "\x00")
	if len(parts) != 3 || parts[2] != "" { // name and value, a NUL behind each
		l.faulty = true
		return
	}
	l.fields = append(l.fields, parts[0]+": "+parts[1])
}
