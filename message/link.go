package message

import (
	"bytes"
	"strings"
)

// find adds the URLs and mail addresses that stand in the text from there on
// and are not within a link already: mail readers make links of them.
func (p *page) find(from int) {
	p.sortLinks() // they are added where they end
	text, known := p.text[from:], p.links
	marks := newMarks(text)
	for i := 0; ; {
		at := marks.next(i)
		if at == len(text) {
			return
		}
		start, end, url := linkAt(text, i, at)
		i = max(end, at+1)
		for len(known) > 0 && known[0].end <= from+start {
			known = known[1:]
		}
		inside := len(known) > 0 && known[0].start < from+end
		if url != "" && !inside {
			p.link(anchor{url: url, start: from + start, end: from + end, apart: true})
		}
	}
}

// marks finds the signs of links in a text: "://", "www." and @. Each has a place of
// its own, len(text) for none, so that the text is searched for each of them once.
type marks struct {
	text            []byte
	at, scheme, www int
}

func newMarks(text []byte) marks { return marks{text, -1, -1, -1} }

// next is where the next sign at or behind from stands; len(text) for none. From
// never goes back.
func (m *marks) next(from int) int {
	if m.at < from {
		m.at = m.found(from, bytes.IndexByte(m.text[from:], '@'))
	}
	if m.scheme < from {
		m.scheme = m.found(from, bytes.Index(m.text[from:], []byte("://")))
	}
	if m.www < from {
		m.www = m.nextWWW(from)
	}
	return min(m.at, m.scheme, m.www)
}

func (m *marks) found(from, i int) int {
	if i < 0 {
		return len(m.text)
	}
	return from + i
}

// nextWWW looks for the full stop: that is rarer than a w.
func (m *marks) nextWWW(from int) int {
	for stop := from; ; stop++ {
		stop = m.found(stop, bytes.IndexByte(m.text[stop:], '.'))
		if stop == len(m.text) {
			return stop
		}
		if i := stop - 3; i >= from && bytes.EqualFold(m.text[i:stop], []byte("www")) && (i == 0 || !isWord(m.text[i-1])) {
			return i
		}
	}
}

// linkAt is the link around the sign at text[at], none before floor; the URL is
// empty when there is none.
func linkAt(text []byte, floor, at int) (start, end int, url string) {
	switch text[at] {
	case '@':
		return addressAt(text, floor, at)
	case ':':
		start = at
		for start > floor && isWord(text[start-1]) {
			start--
		}
		scheme := text[start:at]
		end = urlEnd(text, at+3)
		if !bytes.EqualFold(scheme, []byte("http")) && !bytes.EqualFold(scheme, []byte("https")) || end == at+3 {
			return at, at + 3, ""
		}
		return start, end, string(text[start:end])
	default:
		end = urlEnd(text, at+4)
		if end == at+4 {
			return at, end, ""
		}
		return at, end, "http://" + string(text[at:end])
	}
}

// addressAt is the mail address around the @.
func addressAt(text []byte, floor, at int) (start, end int, url string) {
	start, end = at, at+1
	for start > floor && isLocal(text[start-1]) {
		start--
	}
	for end < len(text) && (isWord(text[end]) || text[end] == '-' || text[end] == '.') {
		end++
	}
	for end > at && (text[end-1] == '.' || text[end-1] == '-') {
		end--
	}
	if start == at || bytes.IndexByte(text[at:max(at, end)], '.') < 0 {
		return at, max(end, at+1), ""
	}
	return start, end, "mailto:" + string(text[start:end])
}

// urlEnd is where the URL that goes through text[i] ends: before a blank, a
// bracket or a quote, and before the punctuation of the sentence it stands in.
func urlEnd(text []byte, i int) int {
	end := i
	for end < len(text) && text[end] > ' ' && strings.IndexByte("<>\"`|", text[end]) < 0 {
		end++
	}
	surplus := bytes.Count(text[i:end], []byte(")")) - bytes.Count(text[i:end], []byte("("))
	for end > i && strings.IndexByte(".,;:!?'*_)]}", text[end-1]) >= 0 {
		if text[end-1] == ')' {
			if surplus <= 0 { // it belongs to a bracket within the URL
				break
			}
			surplus--
		}
		end--
	}
	return end
}

// isWord: letters and digits, those beyond ASCII too.
func isWord(c byte) bool {
	return c >= 0x80 || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}

// isLocal: what people use in local parts.
func isLocal(c byte) bool { return isWord(c) || strings.IndexByte(".+-_=&'*/~#$", c) >= 0 }
