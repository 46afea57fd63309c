package message

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html"
)

// shown is the text that next has found as a reader sees it, until the next one is looked
// for: line ends are "\n", character references are characters.
func (m *markup) shown() []byte {
	text := m.text
	if bytes.IndexByte(text, '\r') >= 0 || m.textIsRaw && bytes.IndexByte(text, 0) >= 0 {
		m.lines = appendLines(m.lines[:0], text, m.textIsRaw)
		text = m.lines
	}
	if m.hasNoSigns || bytes.IndexByte(text, '&') < 0 {
		return text
	}
	m.room = appendUnescaped(m.room[:0], text, false)
	return m.room
}

// value is that of an attribute as a browser takes it, until the next tag.
func (m *markup) value(a attr) []byte {
	value := a.value
	if bytes.IndexByte(value, '\r') >= 0 || bytes.IndexByte(value, 0) >= 0 {
		value = appendLines(nil, value, true)
	}
	if bytes.IndexByte(value, '&') < 0 {
		return value
	}
	from := len(m.values)
	m.values = appendUnescaped(m.values, value, true)
	return m.values[from:len(m.values):len(m.values)]
}

// appendLines adds the text with line ends as "\n", and U+FFFD for NUL where that is asked for.
func appendLines(to, text []byte, noNUL bool) []byte {
	for i, c := range text {
		switch {
		case c == '\r' && i+1 < len(text) && text[i+1] == '\n':
		case c == '\r':
			to = append(to, '\n')
		case c == 0 && noNUL:
			to = append(to, "\ufffd"...)
		default:
			to = append(to, c)
		}
	}
	return to
}

// appendUnescaped adds the text with its character references as characters, by the rules
// for text or for values of attributes.
func appendUnescaped(to, text []byte, isValue bool) []byte {
	for {
		i := bytes.IndexByte(text, '&')
		if i < 0 {
			return append(to, text...)
		}
		to = append(to, text[:i]...)
		text = text[i:]
		if r, n := reference(text); n > 0 {
			to = utf8.AppendRune(to, r)
			text = text[n:]
			continue
		}
		n := 1
		for n < len(text) && (isAlphanumeric(text[n]) || n == 1 && text[n] == '#') {
			n++
		}
		if n < len(text) && text[n] == ';' {
			n++
		}
		whole := string(text[:n])
		text = text[n:]
		if plain := html.UnescapeString(whole); !isValue || isReference(whole, plain, text) {
			to = append(to, plain...)
		} else {
			to = append(to, whole...)
		}
	}
}

// isReference says of what begins like a character reference in a value, and is plain in a
// text, that it is one in a value too, before rest: there a name without semicolon counts
// only as a whole, and not before "=".
func isReference(whole, plain string, rest []byte) bool {
	last := whole[len(whole)-1:]
	switch {
	case strings.HasPrefix(whole, "&#"):
		return true
	case last != ";" && len(rest) > 0 && rest[0] == '=':
		return false
	}
	return !strings.HasSuffix(plain, last) || whole == "&semi;" // else a part of the name was one
}

func isAlphanumeric(c byte) bool { return isASCIILetter(c) || '0' <= c && c <= '9' }

// longestReference is in bytes, of those that are in common use.
const longestReference = 10

// reference is the character that text begins with a reference to, and how long that is: 0
// for one that is rare, or none.
func reference(text []byte) (rune, int) {
	end := bytes.IndexByte(text[:min(len(text), longestReference)], ';')
	if end < 3 {
		return 0, 0
	}
	if text[1] != '#' {
		if r := commonReferences[string(text[1:end])]; r != 0 {
			return r, end + 1
		}
		return 0, 0
	}
	digits, base := text[2:end], rune(10)
	if digits[0]|0x20 == 'x' {
		digits, base = digits[1:], 16
	}
	r := rune(0) // of eight digits at most: no overflow
	for _, c := range digits {
		d := rune(unhex(c))
		if d >= base {
			return 0, 0
		}
		r = r*base + d
	}
	if r < 0xa0 && (r < ' ' || r >= 0x7f) || !utf8.ValidRune(r) {
		return 0, 0
	}
	return r, end + 1
}

// commonReferences are those of the alphabets and marks that mail has.
var commonReferences = func() map[string]rune {
	table := map[string]rune{}
	for _, name := range strings.Fields(`amp lt gt quot apos nbsp iexcl cent pound curren yen brvbar sect uml copy ordf laquo not shy reg macr deg plusmn
		sup2 sup3 acute micro para middot cedil sup1 ordm raquo frac14 frac12 frac34 iquest Agrave Aacute Acirc Atilde Auml Aring AElig Ccedil Egrave
		Eacute Ecirc Euml Igrave Iacute Icirc Iuml ETH Ntilde Ograve Oacute Ocirc Otilde Ouml times Oslash Ugrave Uacute Ucirc Uuml Yacute THORN szlig
		agrave aacute acirc atilde auml aring aelig ccedil egrave eacute ecirc euml igrave iacute icirc iuml eth ntilde ograve oacute ocirc otilde ouml
		divide oslash ugrave uacute ucirc uuml yacute thorn yuml OElig oelig Scaron scaron Yuml fnof circ tilde ensp emsp thinsp zwnj zwj lrm rlm ndash
		mdash lsquo rsquo sbquo ldquo rdquo bdquo dagger bull hellip permil prime lsaquo rsaquo euro trade larr rarr check`) {
		table[name], _ = utf8.DecodeRuneInString(html.UnescapeString("&" + name + ";"))
	}
	return table
}()
