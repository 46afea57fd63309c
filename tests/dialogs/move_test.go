//go:build mta

package dialogs

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"o2n-milter/tests/mta"
)

// move is one thing that SMTP clients do.
type move struct {
	on   int    // which of two connections
	verb string // see the constants
	text string
	// with: it goes out in one segment with the next of this connection, unasked.
	with bool
}

const (
	toConnect = "connect" // anew, to the service that text names
	toSay     = "say"     // a line
	toWrite   = "write"   // the text of a message, where it is asked for
	toChunk   = "chunk"   // BDAT (RFC 3030)
	toFinish  = "finish"  // BDAT LAST
	toCut     = "cut"     // nothing more is said, wherever we are
	toKill    = "kill"    // -9, of the filter, and a new one
)

// The services of a server.
const (
	submission = "submission"
	loopback   = "loopback" // the host's own programs
	remote     = "remote"
)

func (m move) String() string {
	s := fmt.Sprintf("%d %s %q", m.on, m.verb, m.text)
	if m.with {
		s += ", at once with the next"
	}
	return s
}

func say(text string) move { return move{verb: toSay, text: text} }

// plain is the AUTH PLAIN of who with a password, on behalf of somebody (RFC 4616).
func plain(somebody, who, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(somebody + "\x00" + who + "\x00" + password))
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// marker stands in a message for what tells it from all others.
const marker = "{mark}"

// smtpDialog makes a dialog of some sessions, some of them at the same time, with what is
// wrong in them.
func smtpDialog(r *rand.Rand, postfix bool) []move {
	var dialog []move
	if one(r, 3) {
		dialog = interleave(r, smtpSession(r, postfix), smtpSession(r, postfix))
	} else {
		dialog = append(smtpSession(r, postfix), smtpSession(r, postfix)...)
	}
	for range r.IntN(6) {
		dialog = upset(r, dialog, postfix)
	}
	if one(r, 30) {
		dialog = slices.Insert(dialog, r.IntN(len(dialog)), move{verb: toKill})
	}
	return dialog
}

// interleave has two sessions go on at the same time.
func interleave(r *rand.Rand, a, b []move) (list []move) {
	for i := range b {
		b[i].on = 1
	}
	for len(a)+len(b) > 0 {
		next := &a
		if r.IntN(len(a)+len(b)) >= len(a) {
			next = &b
		}
		list, *next = append(list, (*next)[0]), (*next)[1:]
	}
	return list
}

// smtpSession is a connection with some messages.
func smtpSession(r *rand.Rand, postfix bool) []move {
	service := pick(r, []string{submission, submission, submission, loopback, remote})
	list := []move{{verb: toConnect, text: service}, say("EHLO client.example")}
	if one(r, 3) {
		list = append(list, upgrade(r)...)
	}
	who := ""
	if service == submission {
		who = pick(r, []string{alice, bob})
		if one(r, 4) {
			who = pick(r, mta.Logins)
		}
		list = append(list, authenticate(r, who)...)
	}
	if one(r, 12) { // once more, or late
		list = append(list, upgrade(r)...)
	}
	for range 1 + r.IntN(3) {
		list = append(list, smtpMessage(r, who, postfix)...)
		if postfix && one(r, 5) { // from here on it is another's
			list = append(list, say("XCLIENT LOGIN="+pick(r, []string{alice, bob})), say("EHLO client.example"))
		}
	}
	if one(r, 2) {
		list = append(list, say("QUIT"))
	}
	return list
}

// authenticate logs in, perhaps after something else.
func authenticate(r *rand.Rand, who string) []move {
	switch r.IntN(6) {
	case 0:
		return []move{say("AUTH PLAIN " + plain("", bob, "wrong")), say("AUTH PLAIN " + plain("", who, mta.Password))}
	case 1:
		return []move{say("AUTH LOGIN"), say(b64(who)), say(b64(mta.Password))}
	case 2:
		return []move{say("AUTH LOGIN"), say("*"), say("AUTH PLAIN"), say(plain("", who, mta.Password))}
	}
	return []move{say("AUTH PLAIN " + plain("", who, mta.Password))}
}

// smtpMessage is a message as a client would send it.
func smtpMessage(r *rand.Rand, who string, postfix bool) []move {
	sender, from := who, who
	if who == "" || one(r, 4) {
		sender, from = pick(r, senders), pick(r, senders[:4])
	}
	mail := "MAIL FROM:<" + sender + ">"
	if one(r, 5) {
		mail += pick(r, []string{" AUTH=<>", " AUTH=" + pick(r, []string{alice, bob}), " SIZE=100", " BODY=8BITMIME", " SIZE=99999999999"})
	}
	list := []move{say(mail)}
	for range 1 + r.IntN(3) {
		list = append(list, say("RCPT TO:<"+pick(r, smtpRecipients)+">"))
	}
	text := smtpText(r, from)
	if postfix && one(r, 4) {
		at := chunkEnd(r, text)
		list = append(list, move{verb: toChunk, text: text[:at]}, move{verb: toFinish, text: text[at:]})
	} else {
		list = append(list, say("DATA"), move{verb: toWrite, text: text + ".\r\n"})
	}
	if one(r, 3) { // all but the text at once, as RFC 2920 allows
		for i := range len(list) - 2 {
			list[i].with = true
		}
	}
	return list
}

var smtpRecipients = append([]string{mta.Refused + "@remote.example"}, recipients...)

// smtpText is a message, whose lines may be commands.
func smtpText(r *rand.Rand, from string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Subject: %s\r\nFrom: %s\r\nTo: r1@remote.example\r\n", marker, from)
	switch r.IntN(8) {
	case 0:
		fmt.Fprintf(&b, "Sender: %s\r\n", pick(r, senders[:3]))
	case 1:
		b.WriteString("Reply-To: service@bank.example\r\n")
	case 2:
		fmt.Fprintf(&b, "From: %s\r\n", pick(r, senders[:3]))
	}
	b.WriteString("\r\n")
	for range r.IntN(3) {
		b.WriteString(pick(r, []string{"Good morning.", "RSET", "MAIL FROM:<" + bob + ">", "RCPT TO:<r2@remote.example>", "DATA", "From: " + bob, "..", "QUIT"}) + "\r\n")
	}
	return b.String()
}

// chunkEnd is where a chunk may end: the marker stays with the From that comes behind it.
func chunkEnd(r *rand.Rand, text string) int {
	if one(r, 2) {
		return r.IntN(strings.Index(text, marker) + 1)
	}
	from := strings.Index(text, "To: ")
	return from + r.IntN(len(text)-from)
}

// upset does one thing wrong.
func upset(r *rand.Rand, dialog []move, postfix bool) []move {
	if len(dialog) == 0 {
		return []move{{verb: toConnect, text: submission}}
	}
	at := r.IntN(len(dialog))
	switch r.IntN(8) {
	case 0:
		return slices.Delete(dialog, at, at+1)
	case 1:
		return slices.Insert(dialog, at, dialog[at])
	case 2:
		to := r.IntN(len(dialog))
		dialog[at], dialog[to] = dialog[to], dialog[at]
	case 3:
		dialog[at].with = !dialog[at].with
	case 4:
		return slices.Insert(dialog, at, move{on: dialog[at].on, verb: toCut})
	default:
		m := strayMove(r, postfix)
		m.on, m.with = dialog[at].on, one(r, 4)
		return slices.Insert(dialog, at, m)
	}
	return dialog
}

// strayMove is a command that has no place here, or does no harm.
func strayMove(r *rand.Rand, postfix bool) move {
	if postfix {
		switch r.IntN(10) {
		case 0:
			return move{verb: pick(r, []string{toChunk, toFinish}), text: "Sender: " + bob + "\r\n"}
		case 1, 2, 3:
			return say("XCLIENT " + pick(r, []string{
				"LOGIN=" + bob, "LOGIN=" + alice, "ADDR=198.51.100.9 NAME=other.example", "ADDR=198.51.100.9 LOGIN=" + alice,
				"ADDR=127.0.0.1 LOGIN=" + bob, "LOGIN=[UNAVAILABLE]", "XYZZY=1",
			}))
		}
	}
	lines := []string{
		"RSET", "RSET", "NOOP", "VRFY root", "EXPN root", "HELP", "XYZZY", "DATA", "", "QUIT now",
		"EHLO again.example", "HELO again.example", "EHLO",
		"STARTTLS", "STARTTLS", "STARTTLS now",
		"AUTH PLAIN " + plain("", bob, mta.Password), "AUTH PLAIN " + plain("", alice, "wrong"),
		"AUTH PLAIN " + plain(bob, alice, mta.Password), // alice, on behalf of bob
		"AUTH LOGIN", "AUTH PLAIN ====", "AUTH XYZZY",
		"MAIL FROM:<" + pick(r, senders) + ">", "MAIL FROM:<" + bob + "> AUTH=" + alice, "MAIL FROM:" + bob, "MAIL FROM:<@@>",
		"RCPT TO:<" + pick(r, smtpRecipients) + ">", "RCPT TO:<>", "RCPT TO:<r4@remote.example> NOTIFY=NEVER", "RCPT TO:<@@>",
	}
	return say(pick(r, lines))
}

// simplerMove are moves that do less.
func simplerMove(m move) (list []move) {
	if m.with {
		apart := m
		apart.with = false
		list = append(list, apart)
	}
	switch m.verb {
	case toSay:
		if line, _, more := strings.Cut(m.text, "> "); more {
			m.text = line + ">"
			list = append(list, m)
		}
	case toWrite, toFinish:
		if head, body, ok := strings.Cut(m.text, "\r\n\r\n"); ok && body != "" && body != ".\r\n" {
			m.text = head + "\r\n\r\n"
			if m.verb == toWrite {
				m.text += ".\r\n"
			}
			list = append(list, m)
		}
	}
	return list
}
