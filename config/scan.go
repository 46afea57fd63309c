package config

import "strings"

// mark is where one key or table header of a TOML document stands. The library
// names all keys in document order but gives no place for the good ones.
type mark struct {
	line  int   // from 1
	elems []int // lines of the elements when the value is an array
}

// marks finds the keys of a document that the library has accepted: one mark for
// each of its MetaData.Keys, in the same order. It reads no names and checks
// nothing; on other text it ends too, with marks of no meaning.
func marks(text string) []mark {
	s := &scanner{text: strings.TrimPrefix(text, "\ufeff"), line: 1}
	for s.blank(); !s.end(); s.blank() {
		at := s.mark()
		if s.peek() == '[' {
			s.header()
			continue
		}
		s.pair(at)
	}
	return s.found
}

type scanner struct {
	text  string
	pos   int
	line  int
	found []mark
}

func (s *scanner) end() bool { return s.pos >= len(s.text) }

// peek is the byte at hand, 0 at the end.
func (s *scanner) peek() byte {
	if s.end() {
		return 0
	}
	return s.text[s.pos]
}

func (s *scanner) next() {
	if s.peek() == '\n' {
		s.line++
	}
	s.pos++
}

func (s *scanner) mark() int {
	s.found = append(s.found, mark{line: s.line})
	return len(s.found) - 1
}

// blank skips what may stand between expressions and between elements.
func (s *scanner) blank() {
	for !s.end() {
		switch s.peek() {
		case ' ', '\t', '\r', '\n', ',':
			s.next()
		case '#':
			s.until("\n")
		default:
			return
		}
	}
}

// until stops at the first byte of stops.
func (s *scanner) until(stops string) {
	for !s.end() && !strings.ContainsRune(stops, rune(s.peek())) {
		s.next()
	}
}

// header skips [a."b]".c] and what follows on its line, which is a comment at most.
func (s *scanner) header() { s.until("\n") }

// key skips a key, dotted and quoted as it may be, and its equals sign.
func (s *scanner) key() {
	for !s.end() {
		switch s.peek() {
		case '=':
			s.next()
			return
		case '"', '\'':
			s.quoted()
		default:
			s.next()
		}
	}
}

// value skips a value; elems, if not nil, takes the lines of an array's elements.
func (s *scanner) value(elems *[]int) {
	s.blank()
	switch s.peek() {
	case '"', '\'':
		s.quoted()
	case '[':
		s.array(elems)
	case '{':
		s.inlineTable()
	default: // number, boolean, date
		s.until(",]}#\n")
	}
}

func (s *scanner) array(elems *[]int) {
	s.next()
	for s.blank(); !s.end() && s.peek() != ']'; s.blank() {
		if s.peek() == '}' { // not TOML; do not stand still
			s.next()
			continue
		}
		if elems != nil {
			*elems = append(*elems, s.line)
		}
		s.value(nil)
	}
	s.next()
}

func (s *scanner) inlineTable() {
	s.next()
	for s.blank(); !s.end() && s.peek() != '}'; s.blank() {
		s.pair(s.mark())
	}
	s.next()
}

// pair skips a key and its value, whose mark is at.
func (s *scanner) pair(at int) {
	s.key()
	// Marks move while the value is read: do not keep a pointer to this one.
	var elems []int
	s.value(&elems)
	s.found[at].elems = elems
}

// quoted skips a string of any of the four kinds, or a quoted key.
func (s *scanner) quoted() {
	quote := s.text[s.pos : s.pos+1]
	long := strings.HasPrefix(s.text[s.pos:], strings.Repeat(quote, 3))
	if !long {
		s.next()
		s.closing(quote)
		return
	}
	for range 3 {
		s.next()
	}
	s.closing(strings.Repeat(quote, 3))
	// One or two quotes more belong to the text: """a""""" ends in a"".
	for i := 0; i < 2 && !s.end() && s.text[s.pos:s.pos+1] == quote; i++ {
		s.next()
	}
}

func (s *scanner) closing(quotes string) {
	for !s.end() && !strings.HasPrefix(s.text[s.pos:], quotes) {
		if s.peek() == '\\' && quotes[0] == '"' {
			s.next()
		}
		if !s.end() {
			s.next()
		}
	}
	for range quotes {
		s.next()
	}
}
