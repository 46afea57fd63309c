package message

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// maxSound is how many brackets may be open at once.
const maxSound = 32

// isSound says of a style element, or of a style attribute, that all who know of styles take
// its pieces for the same: each bracket and quotation has its end, none holds what looks like
// a rule or declaration, and no word has a comment in it, nor an escape of what is no letter.
// Of other CSS a browser passes over more than we do, or less.
func isSound(css []byte, isElement bool) bool {
	var open [maxSound]byte // the ends that are wanted
	depth, least := 0, 0
	if !isElement { // as if in braces
		open[0], depth, least = '}', 1, 1
	}
	for i := 0; i < len(css); i++ {
		switch c := css[i]; c {
		case '"', '\'':
			n := quotedEnd(css[i:])
			if n == 0 {
				return false
			}
			i += n - 1
		case '\\':
			n := escapeEnd(css[i:])
			if n == 0 {
				return false
			}
			i += n - 1
		case '/', '<', '-':
			n := asideEnd(css[i:], depth == 0)
			if n < 0 || n > 0 && i > 0 && isNamed(css[i-1]) && i+n < len(css) && isNamed(css[i+n]) {
				return false
			}
			i += max(n-1, 0)
		case '(', '[', '{':
			inBlock := depth > 0 && open[depth-1] == '}'
			if depth == maxSound || c == '{' && (!isElement || depth > 0 && !inBlock) || c == '[' && inBlock {
				return false
			}
			open[depth] = ")]}"[strings.IndexByte("([{", c)]
			depth++
		case ')', ']', '}':
			if depth == least || open[depth-1] != c {
				return false
			}
			depth--
		}
	}
	return depth == least
}

// quotedEnd is how long the quotation is that css begins with; 0 for one that does not end in
// its line.
func quotedEnd(css []byte) int {
	for i := 1; i < len(css); i++ {
		switch css[i] {
		case css[0]:
			return i + 1
		case '\\':
			i++
		case '\n', '\r', '\f':
			return 0
		}
	}
	return 0
}

// escapeEnd is how long the escape is that css begins with; 0 for one of what is no letter.
func escapeEnd(css []byte) int {
	n, code := 1, 0
	for n < len(css) && n < 7 && unhex(css[n]) < 16 {
		code = code<<4 | int(unhex(css[n]))
		n++
	}
	if n == 1 || code < utf8.RuneSelf && !isNamed(byte(code)) {
		return 0
	}
	return n
}

// asideEnd is how long the comment is, or the mark of one of HTML, that css begins with; 0
// for none, -1 for one that does not end, or a mark that does not stand between rules.
func asideEnd(css []byte, between bool) int {
	for _, mark := range []string{"<!--", "-->"} {
		if bytes.HasPrefix(css, []byte(mark)) {
			if !between {
				return -1
			}
			return len(mark)
		}
	}
	if !bytes.HasPrefix(css, []byte("/*")) {
		return 0
	}
	end := bytes.Index(css[2:], []byte("*/"))
	if end < 0 {
		return -1
	}
	return end + 4
}

// isNamed says whether c may be of a name in CSS.
func isNamed(c byte) bool { return isAlphanumeric(c) || c == '-' || c == '_' || c >= utf8.RuneSelf }

// isIdentifier says whether s, made of what names are made of, is one: "2a" and "-2" are none.
func isIdentifier(s string) bool {
	s = strings.TrimPrefix(s, "-")
	return s != "" && (s[0] < '0' || s[0] > '9')
}

// isTest says whether what stands in the brackets of a selector follows the grammar.
func isTest(inside string) bool {
	name, rest := cutName(strings.TrimSpace(inside))
	rest = strings.TrimSpace(rest)
	if !isIdentifier(name) {
		return false
	}
	if rest == "" {
		return true
	}
	op, value, ok := strings.Cut(rest, "=")
	if !ok || len(op) > 1 || !strings.Contains("~|^$*", op) {
		return false
	}
	value = strings.TrimSpace(strings.TrimSuffix(strings.TrimSuffix(strings.TrimSpace(value), " i"), " s"))
	if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') {
		return quotedEnd([]byte(value)) == n
	}
	word, rest := cutName(value)
	return isIdentifier(word) && rest == ""
}

// isPlace says of a pseudo-class that browsers know it, and that it asks where an element
// stands or how it is.
func isPlace(name string) bool {
	return oneOf(name, "root first-child last-child only-child first-of-type last-of-type only-of-type "+
		"nth-child nth-last-child nth-of-type nth-last-of-type enabled read-only read-write required optional lang dir")
}

// spell notes how classes and ids are written in the style element.
func (s *sheet) spell(css []byte) {
	for i := 0; i < len(css); {
		if css[i] != '.' && css[i] != '#' {
			i++
			continue
		}
		from := i + 1
		for i = from; i < len(css) && isNamed(css[i]); {
			i++
		}
		name := string(css[from:i])
		low := string(bytes.ToLower(css[from:i]))
		if known, ok := s.spelt[low]; ok && known != name {
			name = ""
		}
		s.spelt[low] = name
	}
}

// doubt leaves the selectors of a class or id to full where its capitals differ: they count
// in a text with a doctype, and in none without (HTML 13.2.6.4.1, quirks mode).
func (s *sheet) doubt(matched []*selector, low, written []byte) {
	if len(matched) == 0 || s.spelt[string(low)] == string(written) {
		return
	}
	for i, sel := range matched {
		other := *sel
		other.reader = max(other.reader, full)
		matched[i] = &other
	}
}
