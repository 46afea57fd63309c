package message

import (
	"bytes"
	"slices"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// page takes what a reader sees, piece by piece: text, line ends, the ends of
// blocks, links. It keeps no more than MaxText bytes and MaxLinks links.
type page struct {
	text   []byte
	blank  bool  // white space came since the last visible character
	blocks []int // where in text each block begins but the first
	links  []anchor
	shown  bool // a picture or a link was shown, or text
	cut    bool
	of     view

	doubt   bool // something was seen, and not surely
	tangled bool // of an HTML text it is not sure what is seen
	hidden  int  // letters that styles hide, in octets
	boxless int  // of them those that every reader takes away altogether
	beside  int  // octets of text that is shown only where another one is hidden
}

// anchor is a link as long as the text still grows.
type anchor struct {
	url        string
	start, end int    // of what it shows in the page's text
	apart      bool   // it shows instead, which is not in the text
	instead    string // empty where only the URL itself, or a picture, is seen
}

// write adds visible text; white space of any kind becomes one blank.
func (p *page) write(s []byte) {
	for len(s) > 0 {
		if n := seenRun(s); n > 0 {
			p.add(s[:n])
			s = s[n:]
			continue
		}
		c := s[0]
		if c < utf8.RuneSelf {
			p.blank = p.blank || isWhite(rune(c))
			s = s[1:]
			continue
		}
		r, n := utf8.DecodeRune(s)
		switch {
		case isWhite(r):
			p.blank = true
		case isJoining(r):
			p.join(r)
		case isUnseen(r):
		default:
			p.add(s[:n])
		}
		s = s[n:]
	}
}

// seenRun is how many bytes at the beginning of s are shown as they are: visible ASCII,
// letters of two bytes, and single blanks between these. It may stop before its time.
func seenRun(s []byte) int {
	i, before := 0, uint64(0x80) // the answer of blanksIn for s[i-1]; no run begins with a blank
	for i+8 <= len(s) {
		x := eight(s[i:])
		blank := blanksIn(x)
		found := strangeIn(x) | blank&(blank<<8|before)
		if found == 0 {
			i, before = i+8, blank>>56
			continue
		}
		n := firstOf(found)
		i += n
		if i+1 < len(s) && isLetterOfTwo(s[i], s[i+1]) {
			i, before = i+2, 0
			continue
		}
		return visibleEnd(s, i)
	}
	for before = before >> 7; i < len(s); i++ {
		if c := s[i]; c == ' ' && before == 0 {
			before = 1
		} else if ' ' < c && c < 0x7f {
			before = 0
		} else if i+1 < len(s) && isLetterOfTwo(c, s[i+1]) {
			before = 0
			i++
		} else {
			break
		}
	}
	return visibleEnd(s, i)
}

// visibleEnd is end without the blank before it.
func visibleEnd(s []byte, end int) int {
	if end > 0 && s[end-1] == ' ' {
		end--
	}
	return end
}

// isLetterOfTwo says whether the bytes are a character from U+00C0 to U+02BF: all of
// these are seen, and are no mark.
func isLetterOfTwo(a, b byte) bool { return 0xc3 <= a && a <= 0xca && b&0xc0 == 0x80 }

// add appends visible characters and blanks between them, after the blank that is due.
func (p *page) add(s []byte) {
	if p.cut {
		return
	}
	n := len(p.text)
	if p.blank && n > 0 && p.text[n-1] != '\n' && n < MaxText {
		p.text = append(p.text, ' ')
		n++
	}
	p.blank = false
	if n+len(s) > MaxText {
		p.cut = true
		room := MaxText - n
		for room > 0 && !utf8.RuneStart(s[room]) {
			room--
		}
		if room == 0 && s[0] >= utf8.RuneSelf {
			return
		}
		s = s[:room]
	}
	p.text = append(p.text, s...)
	p.shown = true
}

// line ends a line; there are no empty ones.
func (p *page) line() {
	p.blank = false
	if n := len(p.text); n > 0 && p.text[n-1] != '\n' && n < MaxText {
		p.text = append(p.text, '\n')
	}
}

// block ends a block: what stands in another one does not explain a link.
func (p *page) block() {
	p.line()
	if n := len(p.blocks); n == 0 || p.blocks[n-1] < len(p.text) {
		p.blocks = append(p.blocks, len(p.text))
	}
}

// link adds a link, unless there are too many.
func (p *page) link(a anchor) {
	p.shown = true
	if len(p.links) >= MaxLinks {
		p.cut = true
		return
	}
	p.links = append(p.links, a)
}

// plain adds a plain text: its lines are lines, an empty one ends a block.
func (p *page) plain(text []byte) {
	p.text = slices.Grow(p.text, min(len(text), MaxText-len(p.text)))
	from := len(p.text)
	p.block()
	for len(text) > 0 && !p.cut {
		n := seenRun(text) // mostly the line, whose end need not be looked for then
		if n > 0 {
			p.add(text[:n])
		}
		var line []byte
		line, text = cutLine(text[n:])
		if n == 0 && len(bytes.TrimSpace(line)) == 0 {
			p.block()
			continue
		}
		p.write(line)
		p.line()
	}
	p.block()
	p.find(from)
}

// aroundLink is how many bytes of its block are told of a link: enough for a
// sentence before and after it, too little for somebody else's.
const aroundLink = 300

// finish gives the text, which is the page's own, and its links. Nothing must be written
// afterwards.
func (p *page) finish() (text []byte, links []Link) {
	text = bytes.TrimRight(p.text, "\n")
	if len(p.links) == 0 {
		return text, nil
	}
	p.sortLinks()
	links = make([]Link, 0, len(p.links))
	from, near := p.nearLinks(text)
	block := 0
	for _, a := range p.links {
		for block < len(p.blocks) && p.blocks[block] <= a.start {
			block++
		}
		start, end := 0, len(text)
		if block > 0 {
			start = p.blocks[block-1]
		}
		if next, _ := slices.BinarySearch(p.blocks, max(a.end, a.start+1)); next < len(p.blocks) {
			end = min(end, p.blocks[next])
		}
		a.start, a.end, start, end = a.start-from, a.end-from, max(0, start-from), min(end-from, len(near))
		links = append(links, a.told(near, min(start, end), end))
	}
	return text, links
}

// nearLinks is the part of the text that links are told with, and where it begins: of most
// letters little.
func (p *page) nearLinks(text []byte) (from int, near string) {
	to := 0
	for _, a := range p.links {
		to = max(to, a.start, a.end)
	}
	const beside = aroundLink + utf8.UTFMax
	from = min(max(0, p.links[0].start-beside), len(text))
	return from, string(text[from:min(to+beside, len(text))])
}

func (p *page) sortLinks() {
	slices.SortStableFunc(p.links, func(a, b anchor) int { return a.start - b.start })
}

// told makes the link of the anchor, whose block is text[start:end]. More of that than could
// be told may be left out.
func (a anchor) told(text string, start, end int) Link {
	from, to := min(a.start, end), min(a.end, end)
	link := Link{URL: a.url, Text: a.instead}
	if from < to && !a.apart {
		link.Text = trimBlanks(cut(text[from:to], aroundLink))
	}
	// Half of what there is room for stands before the link, unless one side is short.
	room := max(0, aroundLink-(to-from))
	before, after := from-start, end-to
	before = min(before, max(room/2, room-after))
	after = min(after, room-before)
	from, to = from-before, to+after
	for from < to && !utf8.RuneStart(text[from]) {
		from++
	}
	for to < len(text) && to > from && !utf8.RuneStart(text[to]) {
		to--
	}
	link.Around = trimBlanks(cut(text[from:to], aroundLink))
	return link
}

func trimBlanks(s string) string {
	for len(s) > 0 && (s[0] == ' ' || s[0] == '\n') {
		s = s[1:]
	}
	for len(s) > 0 && (s[len(s)-1] == ' ' || s[len(s)-1] == '\n') {
		s = s[:len(s)-1]
	}
	return s
}

// join puts an accent onto the letter before it. A mark that makes no letter of
// it is dropped: it only crosses a text out, or breaks its words.
func (p *page) join(mark rune) {
	last, n := utf8.DecodeLastRune(p.text)
	if p.blank || p.cut || last <= ' ' {
		return
	}
	var pair [2 * utf8.UTFMax]byte
	both := utf8.AppendRune(utf8.AppendRune(pair[:0], last), mark)
	one := norm.NFC.Bytes(both)
	switch {
	case utf8.RuneCount(one) != 1:
	case len(p.text)-n+len(one) > MaxText:
		p.cut = true
	default:
		p.text = append(p.text[:len(p.text)-n], one...)
	}
}
