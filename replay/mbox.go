package replay

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
)

// mostHeader bounds how much of a header is looked at for its time, in octets.
// Postfix keeps 100 KB of a header (header_size_limit).
const mostHeader = 256 << 10

// span is where a message lies in a file; header is its beginning, up to the first
// empty line.
type span struct {
	offset, length int64
	header         []byte
}

// scanMbox tells where the messages of a mailbox file lie: each begins behind a line
// "From sender date". Where such lines of a text are not quoted (mboxcl), or lack
// their date, what stands before and after them decides. The header is only good
// until found returns.
func scanMbox(r io.Reader, found func(span) error) error {
	s := mboxScan{in: bufio.NewReaderSize(r, 64<<10), found: found, start: -1}
	for {
		line, err := s.in.ReadSlice('\n')
		if len(line) > 0 {
			if err := s.line(line); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return s.end()
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
}

type mboxScan struct {
	in    *bufio.Reader
	found func(span) error

	pos      int64 // of the next line
	start    int64 // of this message; -1 before the first
	inside   bool  // of a line that is longer than the buffer
	blank    int64 // octets of the empty line just before; 0: there is none
	inHeader bool
	header   []byte
}

// line takes a line, or a part of one that is longer than the buffer.
func (s *mboxScan) line(line []byte) error {
	begins := !s.inside
	s.inside = line[len(line)-1] != '\n'
	empty := begins && len(bytes.TrimRight(line, "\r\n")) == 0
	if begins && bytes.HasPrefix(line, []byte("From ")) {
		at := s.pos + int64(len(line))
		if s.separates(line) { // line is gone from here on
			if err := s.end(); err != nil {
				return err
			}
			*s = mboxScan{in: s.in, found: s.found, pos: at, start: at, inside: s.inside, inHeader: true, header: s.header[:0]}
			return nil
		}
		line = nil // no header line either
		s.pos = at
	}
	if s.inHeader = s.inHeader && !empty; s.inHeader && len(s.header)+len(line) <= mostHeader {
		s.header = append(s.header, line...)
	}
	s.pos += int64(len(line))
	s.blank = 0
	if empty {
		s.blank = int64(len(line))
	}
	return nil
}

// separates says whether a line that begins with "From " begins a message.
func (s *mboxScan) separates(line []byte) bool {
	if s.start < 0 || hasMboxDate(string(line)) {
		return true
	}
	if s.blank == 0 {
		return false
	}
	next, _ := s.in.Peek(256) // what there is before the end of the file
	return beginsField(next)
}

// end tells of the message before; the empty line behind it is the mailbox's.
func (s *mboxScan) end() error {
	if s.start < 0 {
		return nil
	}
	return s.found(span{s.start, s.pos - s.blank - s.start, s.header})
}

// hasMboxDate says whether a separator bears a date as asctime(3) writes it, with
// or without a zone (RFC 4155).
func hasMboxDate(line string) bool {
	var weekday, month, clock, year bool
	for _, w := range strings.Fields(line) {
		switch {
		case len(w) == 3 && strings.Contains("Mon Tue Wed Thu Fri Sat Sun", w):
			weekday = true
		case len(w) == 3 && strings.Contains("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec", w):
			month = weekday
		case len(w) >= 4 && len(w) <= 8 && strings.Trim(w, "0123456789:") == "" && strings.Contains(w, ":"):
			clock = month
		case len(w) == 4 && (w[:2] == "19" || w[:2] == "20") && strings.Trim(w, "0123456789") == "":
			year = month
		}
	}
	return clock && year
}

// beginsField says whether data begins with a header field, "Name:".
func beginsField(data []byte) bool {
	name, _, colon := bytes.Cut(data, []byte(":"))
	odd := func(r rune) bool { return r <= ' ' || r >= 0x7f }
	return colon && len(name) > 0 && !bytes.ContainsFunc(name, odd)
}

// unquoted takes the quotes off the lines of a mailbox's message: one > before
// "From ", whatever number of them there is (mboxrd; mboxo quotes only once).
type unquoted struct {
	in      *bufio.Reader
	inside  bool // of a line that is longer than the buffer
	pending []byte
}

func newUnquoted(r io.Reader) *unquoted { return &unquoted{in: bufio.NewReaderSize(r, 64<<10)} }

// Read implements io.Reader.
func (u *unquoted) Read(p []byte) (int, error) {
	for len(u.pending) == 0 {
		line, err := u.in.ReadSlice('\n')
		if len(line) == 0 {
			return 0, err
		}
		if !u.inside && line[0] == '>' && bytes.HasPrefix(bytes.TrimLeft(line, ">"), []byte("From ")) {
			line = line[1:]
		}
		u.inside = line[len(line)-1] != '\n'
		u.pending = line
	}
	n := copy(p, u.pending)
	u.pending = u.pending[n:]
	return n, nil
}
