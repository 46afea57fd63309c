package dialogs

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// packet is one of the milter protocol, or bytes that are none.
type packet struct {
	code byte // 0: data goes out as it is, without a length
	data string
}

func (p packet) bytes() []byte {
	if p.code == 0 {
		return []byte(p.data)
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(1+len(p.data)))
	return append(append(b, p.code), p.data...)
}

func (p packet) String() string {
	data, more := p.data, ""
	if len(data) > 1000 {
		data, more = data[:1000], fmt.Sprintf(" ... %d octets", len(data))
	}
	if p.code == 0 {
		return fmt.Sprintf("raw %q%s", data, more)
	}
	return fmt.Sprintf("%c %q%s", p.code, data, more)
}

// stream is what a dialog puts on the wire.
func stream(dialog []packet) (b []byte) {
	for _, p := range dialog {
		b = append(b, p.bytes()...)
	}
	return b
}

// cs are the texts, each with a NUL behind it.
func cs(texts ...string) string {
	if len(texts) == 0 {
		return ""
	}
	return strings.Join(texts, "\x00") + "\x00"
}

// What dialogs are made of. Of all this the model knows what is to become of it.
var (
	logins     = []string{alice, alice, alice, bob, bob, "ALICE@client-a.example", "mallory@unlisted.example", "carol", ""}
	senders    = []string{alice, bob, "service@bank.example", "www-data@" + host, ""}
	recipients = []string{"r1@remote.example", "r2@remote.example", "r3@other.example", "root@" + host}
	fields     = []string{
		cs("From", alice), cs("From", bob), cs("From", "service@bank.example"), cs("From", "www-data@"+host),
		cs("To", "r1@remote.example"), cs("Subject", "one"), cs("Subject", "two"), cs("X-O2N-Milter", "forged"),
		cs("Sender", alice), cs("Sender", "service@bank.example"), cs("Reply-To", "service@bank.example"),
	}
	clients = []string{
		cs("client.example") + "4\x9c\x41" + cs("198.51.100.7"), cs("client.example") + "4\x9c\x41" + cs("198.51.100.8"),
		cs("client.example") + "6\x9c\x41" + cs("IPv6:2001:db8:0:0:0:0:0:7"), cs("client.example") + "6\x9c\x41" + cs("2001:db8::7"),
		cs("localhost") + "4\x9c\x41" + cs("127.0.0.1"), // a program of the host's, by SMTP
		cs("localhost") + "4\x00\x00" + cs("127.0.0.1"), // sendmail(1), as Postfix says it
		cs("localhost") + "L\x00\x00" + cs("/run/socket"), cs("unknown") + "U",
	}
	clientMacros = []string{"198.51.100.7", "198.51.100.9", "127.0.0.1", "unknown", "IPv6:2001:db8::8", ""}
)

const (
	alice = "alice@client-a.example"
	bob   = "bob@client-b.example"
	host  = "submit.host.example"
)

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// one says whether a thing of one chance in n comes true.
func one(r *rand.Rand, n int) bool { return r.IntN(n) == 0 }

// rawDialog makes a dialog: some messages as an MTA would send them, then with what is wrong.
func rawDialog(r *rand.Rand) []packet {
	dialog := []packet{{'O', offer(r)}}
	for range 1 + r.IntN(2) {
		dialog = append(dialog, rawSession(r)...)
	}
	for range r.IntN(7) {
		dialog = spoil(r, dialog)
	}
	if one(r, 4) && len(dialog) > 0 { // the MTA is gone
		last := r.IntN(len(dialog))
		b := dialog[last].bytes()
		dialog = append(dialog[:last], packet{0, string(b[:r.IntN(len(b)+1)])})
	}
	return dialog
}

// offer is the MTA's: version, actions, protocol.
func offer(r *rand.Rand) string {
	version, actions, protocol := uint32(6), uint32(0x1ff), uint32(0x1fffff) // of Postfix 3.7 and Sendmail 8.17
	switch r.IntN(8) {
	case 0:
		protocol = 0
	case 1:
		actions = 0
	case 2:
		version, actions, protocol = r.Uint32N(8), r.Uint32(), r.Uint32()
	}
	b := binary.BigEndian.AppendUint32(nil, version)
	return string(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, actions), protocol))
}

func macros(stage string, kv ...string) packet { return packet{'D', stage + cs(kv...)} }

// rawSession is CONNECT and some messages.
func rawSession(r *rand.Rand) (list []packet) {
	if one(r, 2) {
		told := []string{"j", host, "{client_addr}", pick(r, clientMacros)}
		if one(r, 4) {
			told = append(told, "{daemon_addr}", pick(r, clientMacros))
		}
		list = append(list, macros("C", told...))
	}
	list = append(list, packet{'C', pick(r, clients)})
	if one(r, 2) {
		list = append(list, macros("H"), packet{'H', cs("client.example")})
	}
	sendmail := one(r, 2)
	for range 1 + r.IntN(3) {
		list = append(list, rawMessage(r, sendmail)...)
	}
	if one(r, 3) {
		list = append(list, packet{'K', ""})
	}
	return list
}

// rawMessage is a message as Postfix or Sendmail tells it.
func rawMessage(r *rand.Rand, sendmail bool) (list []packet) {
	who, id := pick(r, logins), fmt.Sprintf("Q%d", r.IntN(100))
	sender, from := strings.ToLower(who), strings.ToLower(who)
	if who == "" || one(r, 5) {
		sender, from = pick(r, senders), pick(r, senders)
	}
	told := []string{"{mail_addr}", sender}
	if who != "" || one(r, 4) {
		told = append(told, "{auth_type}", "PLAIN", "{auth_authen}", who)
	}
	if sendmail {
		told = append(told, "i", id)
	}
	if one(r, 6) {
		told = append(told, "{auth_author}", pick(r, logins))
	}
	list = append(list, macros("M", told...), packet{'M', cs("<"+sender+">", "AUTH="+pick(r, logins))})
	for i := range 1 + r.IntN(3) {
		to := pick(r, recipients)
		told := []string{"{rcpt_addr}", to, "{rcpt_mailer}", "smtp"}
		if strings.HasSuffix(to, host) {
			told[3] = "local"
		}
		if i > 0 && !sendmail {
			told = append(told, "i", id)
		}
		if !one(r, 8) {
			list = append(list, macros("R", told...))
		}
		list = append(list, packet{'R', cs("<" + to + ">")})
	}
	list = append(list, packet{'L', cs("From", from)})
	for range r.IntN(3) {
		list = append(list, packet{'L', pick(r, fields)})
	}
	if one(r, 50) {
		list = append(list, packet{'L', cs("Subject", much(r, id))})
	}
	list = append(list, packet{'N', ""})
	for range r.IntN(3) {
		text := fmt.Sprintf("text of %s\r\n", id)
		if one(r, 20) {
			text = much(r, text)
		}
		list = append(list, packet{'B', text})
	}
	list = append(list, macros("E", "i", id), packet{'E', ""})
	if !sendmail {
		list = append(list, packet{'A', ""}, packet{'A', ""})
	}
	return list
}

// much is text that has no room where small packets are read to.
func much(r *rand.Rand, text string) string {
	return strings.Repeat(fmt.Sprintf("%s %d ", text, r.IntN(1000)), 1+r.IntN(2000))
}

// spoil does one thing wrong.
func spoil(r *rand.Rand, dialog []packet) []packet {
	if len(dialog) == 0 {
		return []packet{stray(r)}
	}
	at := r.IntN(len(dialog))
	switch r.IntN(9) {
	case 0, 1: // leave it out
		return slices.Delete(dialog, at, at+1)
	case 2: // again
		return slices.Insert(dialog, at, dialog[at])
	case 3: // out of order
		to := r.IntN(len(dialog))
		dialog[at], dialog[to] = dialog[to], dialog[at]
	case 4: // again, later
		return slices.Insert(dialog, at+r.IntN(len(dialog)-at), dialog[at])
	case 5: // cut short
		if p := &dialog[at]; p.data != "" {
			p.data = p.data[:r.IntN(len(p.data))]
		}
	case 6: // an octet that is another
		if b := dialog[at].bytes(); len(b) > 0 {
			b[r.IntN(len(b))] ^= 1 << r.IntN(8)
			dialog[at] = packet{0, string(b)}
		}
	default:
		return slices.Insert(dialog, at, stray(r))
	}
	return dialog
}

// stray is a packet that nobody waits for.
func stray(r *rand.Rand) packet {
	switch r.IntN(24) {
	case 0:
		return packet{0, "\x00\x00\x00\x00"}
	case 1:
		return packet{0, "\x00\x10\x00\x01M"}
	case 2:
		return packet{0, "GET / HTTP/1.0\r\n\r\n"}
	case 3:
		return packet{'Q', ""}
	case 4:
		return packet{'O', offer(r)}
	case 5:
		return packet{byte(r.IntN(256)), pick(r, fields)}
	case 6:
		return packet{'K', ""}
	case 7:
		return packet{'C', pick(r, clients)}
	case 8, 9:
		return macros("M", "{auth_authen}", pick(r, logins), "{mail_addr}", pick(r, senders))
	case 10: // a login that nobody asked for
		return macros(pick(r, []string{"C", "H", "R", "L", "T", "N", "E", "Z", "B"}), "{auth_authen}", pick(r, logins), "i", "stray")
	case 11: // other names for it
		return macros("M", pick(r, []string{"auth_authen", "{AUTH_AUTHEN}", "{auth_author}", "auth_authen}"}), pick(r, logins))
	case 12: // twice, and with no value
		return packet{'D', "M" + cs("{auth_authen}", pick(r, logins), "{auth_authen}", pick(r, logins), "i")}
	case 13:
		return macros("R", "{rcpt_addr}", pick(r, recipients), "{rcpt_mailer}", "local")
	case 14:
		return packet{'M', cs("<" + pick(r, senders) + ">")}
	case 15:
		return packet{'R', cs("<" + pick(r, recipients) + ">")}
	case 16:
		return packet{'L', pick(r, fields)}
	case 17:
		return packet{'L', pick(r, []string{"", "From", "From\x00", cs("From", alice, bob), cs("", "", "")})}
	case 18:
		return packet{'B', "more text\r\n"}
	case 19:
		return packet{'E', pick(r, []string{"", "the last of it\r\n"})}
	case 20:
		return packet{'U', cs("XYZZY")}
	case 21:
		return packet{'T', ""}
	case 22:
		return packet{'H', cs("again.example")}
	}
	return packet{'A', ""}
}

// simpler are packets that say less than this one.
func simpler(p packet) (list []packet) {
	plain := map[byte]string{'C': clients[0], 'M': cs("<>"), 'R': cs("<" + recipients[0] + ">"), 'L': fields[0], 'B': "x", 'E': "", 'H': cs("x"), 'D': "M"}
	if data, ok := plain[p.code]; ok && data != p.data {
		list = append(list, packet{p.code, data})
	}
	if p.code == 'D' && p.data != "" {
		parts := strings.Split(p.data[1:], "\x00")
		for i := 0; i+1 < len(parts); i += 2 {
			list = append(list, packet{'D', p.data[:1] + cs(parts[i], parts[i+1])})
		}
	}
	return list
}
