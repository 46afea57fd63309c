package milter

import "bytes"

// macro is one that is looked up.
type macro int

const (
	queueID macro = iota
	hostName
	daemonName
	daemonAddr
	ifAddr
	clientAddr
	clientName
	authAuthen
	mailAddr
	rcptAddr
	rcptMailer
	macroCount
)

// macroNames are without braces.
var macroNames = [macroCount]string{
	queueID: "i", hostName: "j",
	daemonName: "daemon_name", daemonAddr: "daemon_addr", ifAddr: "if_addr",
	clientAddr: "client_addr", clientName: "client_name",
	authAuthen: "auth_authen", mailAddr: "mail_addr",
	rcptAddr: "rcpt_addr", rcptMailer: "rcpt_mailer",
}

// macroList is what the MTA said before one command: names and values, each with
// a NUL behind.
type macroList struct {
	raw    []byte
	values [macroCount][]byte // in raw; nil: it was not sent
	fresh  bool               // its command has not come yet
}

// macros are kept by stage: CONNECT's for the connection, MAIL's and RCPT's for
// their command only. The MTA sends those of MAIL with every MAIL.
type macros struct {
	connect, mail, rcpt macroList
}

func (l *macroList) set(raw []byte) {
	l.forget()
	l.raw, l.fresh = append(l.raw, raw...), true
	for rest := l.raw; len(rest) > 0; {
		var name, value []byte
		name, value, rest = nextMacro(rest)
		if m, is := macroNamed(name); is && l.values[m] == nil {
			l.values[m] = value
		}
	}
}

// claim is called when the command comes. Macros that came before an earlier one
// are not this one's: nobody inherits a login.
func (l *macroList) claim() {
	if !l.fresh {
		l.forget()
	}
	l.fresh = false
}

// drop forgets what has come.
func (l *macroList) drop() {
	l.forget()
	l.fresh = false
}

func (l *macroList) forget() {
	if len(l.raw) > 0 {
		l.raw, l.values = l.raw[:0], [macroCount][]byte{}
	}
}

// get is the value of a macro and whether it was sent.
func (l *macroList) get(m macro) (string, bool) { return string(l.values[m]), l.has(m) }

// has says whether a macro was sent.
func (l *macroList) has(m macro) bool { return l.values[m] != nil }

// macroIn is a macro's value in a list that is not kept; nil: it was not sent.
func macroIn(raw []byte, m macro) []byte {
	for len(raw) > 0 {
		var name, value []byte
		name, value, raw = nextMacro(raw)
		if string(withoutBraces(name)) == macroNames[m] {
			return value
		}
	}
	return nil
}

// nextMacro takes the first one of a list. What is cut off is not nil.
func nextMacro(raw []byte) (name, value, rest []byte) {
	name, rest, _ = cutNUL(raw)
	value, rest, _ = cutNUL(rest)
	return name, value, rest
}

func macroNamed(name []byte) (m macro, is bool) {
	name = withoutBraces(name)
	for m, known := range macroNames {
		if string(name) == known {
			return macro(m), true
		}
	}
	return 0, false
}

func withoutBraces(name []byte) []byte {
	if last := len(name) - 1; last > 1 && name[0] == '{' && name[last] == '}' {
		return name[1:last]
	}
	return name
}

// cutNUL is bytes.Cut for a NUL, but after is never nil.
func cutNUL(b []byte) (before, after []byte, found bool) {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i], b[i+1:], true
	}
	return b, b[len(b):], false
}
