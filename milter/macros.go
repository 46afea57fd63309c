package milter

import "bytes"

// macroList is what the MTA said before one command: names and values, each with
// a NUL behind. It is kept raw, since few of the names are ever looked up.
type macroList struct {
	raw   []byte
	fresh bool // its command has not come yet
}

// macros are kept by stage: CONNECT's for the connection, MAIL's and RCPT's for
// their command only. The MTA sends those of MAIL with every MAIL.
type macros struct {
	connect, mail, rcpt macroList
}

func (l *macroList) set(raw []byte) {
	l.raw = append(l.raw[:0], raw...)
	l.fresh = true
}

// claim is called when the command comes. Macros that came before an earlier one
// are not this one's: nobody inherits a login.
func (l *macroList) claim() {
	if !l.fresh {
		l.raw = l.raw[:0]
	}
	l.fresh = false
}

// drop forgets what has come.
func (l *macroList) drop() { l.raw, l.fresh = l.raw[:0], false }

// get is the value of a macro and whether it was sent. Names are without braces.
func (l *macroList) get(name string) (string, bool) {
	value, sent := macroIn(l.raw, name)
	return string(value), sent
}

// has says whether a macro was sent.
func (l *macroList) has(name string) bool {
	_, sent := macroIn(l.raw, name)
	return sent
}

func macroIn(raw []byte, name string) (value []byte, sent bool) {
	for len(raw) > 0 {
		var key []byte
		key, raw, _ = bytes.Cut(raw, zero)
		value, raw, _ = bytes.Cut(raw, zero)
		if len(key) > 2 && key[0] == '{' && key[len(key)-1] == '}' {
			key = key[1 : len(key)-1]
		}
		if string(key) == name {
			return value, true
		}
	}
	return nil, false
}

var zero = []byte{0}
