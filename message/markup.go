package message

import (
	"bytes"
	"io"
	"strings"

	"golang.org/x/net/html"
)

// markup cuts HTML into tags and the texts between them, as HTML 13.2.5 says and
// golang.org/x/net/html does; but that copies each attribute several times, most of which
// nobody asks for. A tag that never ends is none, nor is what follows it.
type markup struct {
	html []byte
	at   int // what begins here is not cut yet
	raw  string
	// tagged says to take no content for raw, and what is marked as text in XML for text.
	tagged bool

	text       []byte // of a text: as it stands there
	textIsRaw  bool   // it stands in an element whose content has no tags
	hasNoSigns bool   // and it has no character references
	name       []byte // of a tag, in lower case
	attrs      []attr // of a start tag, as they stand there; several may have one name

	nameRoom, keyRoom, lines, room, values []byte // what is made of these
}

// attr is an attribute of a tag.
type attr struct{ key, value []byte }

// piece is what next has found.
type piece uint8

const (
	noPiece piece = iota // the HTML ends
	textPiece
	startPiece
	endPiece
)

// next goes to the next piece.
func (m *markup) next() piece {
	if m.raw != "" {
		end := m.rawEnd()
		m.hasNoSigns = m.raw != "textarea" && m.raw != "title"
		m.raw = ""
		if end > m.at {
			m.text, m.textIsRaw, m.at = m.html[m.at:end], true, end
			return textPiece
		}
	}
	m.textIsRaw, m.hasNoSigns = false, false
	for i := m.at; ; {
		n := bytes.IndexByte(m.html[i:], '<')
		if n < 0 || i+n+2 > len(m.html) {
			return m.textTo(len(m.html))
		}
		i += n
		switch c := m.html[i+1]; {
		case isASCIILetter(c):
			if i > m.at {
				return m.textTo(i)
			}
			return m.start(i + 1)
		case c == '/':
			if i > m.at {
				return m.textTo(i)
			}
			if i+3 > len(m.html) {
				return m.textTo(len(m.html))
			}
			if isASCIILetter(m.html[i+2]) {
				return m.end(i + 2)
			}
			i = m.behind(i+2, '>')
			m.at = i
		case c == '!' || c == '?':
			if i > m.at {
				return m.textTo(i)
			}
			if m.tagged && bytes.HasPrefix(m.html[i:], []byte(markedText)) {
				i += len(markedText)
			} else {
				i = m.commentEnd(i + 1)
			}
			m.at = i
		default:
			i++
		}
	}
}

// markedText begins text that has no tags in SVG and MathML, and a comment elsewhere.
const markedText = "<![CDATA["

// textTo takes the text up to end, if there is some.
func (m *markup) textTo(end int) piece {
	if end == m.at {
		return noPiece
	}
	m.text, m.at = m.html[m.at:end], end
	return textPiece
}

// behind is the place behind the next c, or the end.
func (m *markup) behind(i int, c byte) int {
	if n := bytes.IndexByte(m.html[i:], c); n >= 0 {
		return i + n + 1
	}
	return len(m.html)
}

// commentEnd is where the comment, or what counts as one, ends whose mark stands at i.
func (m *markup) commentEnd(i int) int {
	if !bytes.HasPrefix(m.html[i:], []byte("!--")) {
		return m.behind(i, '>')
	}
	dashes, begins := 0, true
	for i += 3; i < len(m.html); i++ {
		c := m.html[i]
		if c == '-' {
			dashes++
			continue
		}
		if c == '>' && (dashes >= 2 || begins) {
			return i + 1
		}
		if c == '!' && dashes >= 2 && i+1 < len(m.html) {
			i++
			switch m.html[i] {
			case '>':
				return i + 1
			case '-':
				dashes, begins = 1, false
				continue
			}
		}
		dashes, begins = 0, false
	}
	return len(m.html)
}

// start takes the start tag whose name begins at i.
func (m *markup) start(i int) piece {
	m.attrs, m.values = m.attrs[:0], m.values[:0]
	name, end := m.tag(i, true)
	if end < 0 {
		return m.nothing()
	}
	switch string(name) {
	case "iframe", "noembed", "noframes", "noscript", "plaintext", "script", "style", "textarea", "title", "xmp":
		if !m.tagged {
			m.raw = string(name)
		}
	}
	m.at = end
	return startPiece
}

// end takes the end tag whose name begins at i.
func (m *markup) end(i int) piece {
	_, end := m.tag(i, false)
	if end < 0 {
		return m.nothing()
	}
	m.at = end
	return endPiece
}

// nothing ends it all.
func (m *markup) nothing() piece {
	m.at = len(m.html)
	return noPiece
}

// notRaw says that the content of the element that has just begun is read as any other.
func (m *markup) notRaw() { m.raw = "" }

// isSameTagged says of the raw element that has just begun that its content is the same to who
// takes it for raw and who does not: it ends, and there are no tags in it.
func (m *markup) isSameTagged() bool {
	end := m.rawEnd()
	return end < len(m.html) && m.html[m.at-2] != '/' && bytes.IndexByte(m.html[m.at:end], '<') < 0
}

// tag takes the tag whose name begins at i, with its attributes or without, and says where
// it ends; -1 for nowhere.
func (m *markup) tag(i int, attrs bool) (name []byte, end int) {
	h := m.html
	from := i
	for i < len(h) && !isSpace(h[i]) && h[i] != '/' && h[i] != '>' {
		i++
	}
	m.name = lowered(&m.nameRoom, h[from:i])
	for {
		i = skipSpace(h, i)
		if i == len(h) {
			return nil, -1
		}
		if h[i] == '>' {
			return m.name, i + 1
		}
		var a attr
		if a, i = cutAttribute(h, i); attrs && len(a.key) > 0 {
			m.attrs = append(m.attrs, a)
		}
	}
}

// cutAttribute takes the attribute that begins at i, and says what follows it. It may have no
// name: "/" by itself.
func cutAttribute(h []byte, i int) (a attr, next int) {
	from := i
	for i < len(h) && !isSpace(h[i]) && h[i] != '/' && h[i] != '>' && (h[i] != '=' || i == from) {
		i++
	}
	a = attr{h[from:i], h[i:i]}
	i = skipSpace(h, i)
	if i == len(h) || h[i] != '=' {
		if i < len(h) && h[i] == '/' {
			i++
		}
		return a, i
	}
	i = skipSpace(h, i+1)
	if i == len(h) || h[i] == '>' {
		return a, i
	}
	if quote := h[i]; quote == '"' || quote == '\'' {
		i++
		n := bytes.IndexByte(h[i:], quote)
		if n < 0 {
			return a, len(h)
		}
		a.value = h[i : i+n]
		return a, i + n + 1
	}
	from = i
	for i < len(h) && !isSpace(h[i]) && h[i] != '>' {
		i++
	}
	a.value = h[from:i]
	return a, i
}

// rawEnd is where the content of the raw element ends that has begun.
func (m *markup) rawEnd() int {
	switch m.raw {
	case "plaintext":
		return len(m.html)
	case "script":
		return m.scriptEnd()
	}
	return m.rawTo()
}

// rawTo is where the next end tag of the raw element stands, or the end.
func (m *markup) rawTo() int {
	for i := m.at; ; i++ {
		n := bytes.IndexByte(m.html[i:], '<')
		if n < 0 {
			return len(m.html)
		}
		if i += n; m.endsRaw(i) {
			return i
		}
	}
}

// scriptEnd is where the script ends that has begun: not always with the first end tag
// where a comment has begun in it (HTML 13.2.5.18 to 31).
func (m *markup) scriptEnd() int {
	end := m.rawTo()
	if !bytes.Contains(m.html[m.at:end], []byte("<!--")) {
		return end
	}
	z := html.NewTokenizer(io.MultiReader(strings.NewReader("<script>"), bytes.NewReader(m.html[m.at:])))
	z.Next()
	z.Next()
	return m.at + len(z.Raw())
}

// endsRaw says whether the end tag of the raw element stands at i.
func (m *markup) endsRaw(i int) bool {
	behind := i + len("</") + len(m.raw)
	return behind < len(m.html) && m.html[i+1] == '/' && bytes.EqualFold(m.html[i+2:behind], []byte(m.raw)) && (isSpace(m.html[behind]) || m.html[behind] == '/' || m.html[behind] == '>')
}

// key is the attribute's name in lower case, until the next one is asked for.
func (m *markup) key(a attr) []byte { return lowered(&m.keyRoom, a.key) }

// lowered is the name in lower case, which may need the room.
func lowered(room *[]byte, name []byte) []byte {
	simple := true
	for _, c := range name {
		simple = simple && c != 0 && (c < 'A' || c > 'Z')
	}
	if simple {
		return name
	}
	out := (*room)[:0]
	for _, c := range name {
		if c == 0 {
			out = append(out, "\ufffd"...)
		} else {
			out = append(out, lower(c))
		}
	}
	*room = out
	return out
}

// skipSpace is the first place from i on that is no white space of HTML.
func skipSpace(h []byte, i int) int {
	for i < len(h) && isSpace(h[i]) {
		i++
	}
	return i
}

func isSpace(c byte) bool {
	return c <= ' ' && (c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '\f')
}

func isASCIILetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
