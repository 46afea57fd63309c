package message

import (
	"bytes"
	"mime"
	"strings"
)

// part is one MIME entity: what its header says, and its body, still encoded.
type part struct {
	kind     string // media type in lower case: "text/html"
	params   map[string]string
	encoding string // transfer encoding in lower case
	attached bool   // Content-Disposition says attachment
	picture  bool   // that belongs to a text
	id       string // Content-ID without brackets
	open     bool   // no delimiter ends it: there may be more of it
	fault    string // why its header is not what it shows; plain ASCII words
	body     []byte
}

// newPart reads the header of a part; kind is its media type where the header
// says none.
func newPart(fields []Field, kind string, body []byte) part {
	p := part{kind: kind, body: body}
	var seen [len(mimeFields)]struct {
		value string
		once  bool
	}
	for _, f := range fields {
		which := mimeField(f.Name)
		if which == noMIME {
			continue
		}
		value := toUTF8(unfold(cut(f.Value, maxMIMEField)))
		if first := &seen[which]; !first.once {
			first.value, first.once = value, true
		} else {
			if value != first.value { // which one counts is each reader's own affair
				p.fault = "a field of MIME that is there twice"
			}
			continue
		}
		switch which {
		case contentType:
			p.setType(value)
		case contentEncoding:
			p.encoding = firstToken(value)
		case contentDisposition:
			p.attached = firstToken(value) == "attachment"
		case contentID:
			p.id = strings.Trim(value, "<> \t")
		}
	}
	return p
}

// The fields of a part's header that are read, as places in mimeFields.
const (
	contentType = iota
	contentEncoding
	contentDisposition
	contentID
	noMIME
)

var mimeFields = [...]string{"Content-Type", "Content-Transfer-Encoding", "Content-Disposition", "Content-ID"}

// mimeField is which of these a field is.
func mimeField(name string) int {
	if len(name) < len("Content-ID") || name[0]|0x20 != 'c' {
		return noMIME
	}
	name = strings.TrimRight(name, " \t")
	for which, field := range mimeFields {
		if len(name) == len(field) && strings.EqualFold(name, field) {
			return which
		}
	}
	return noMIME
}

// maxMIMEField is how much of a Content-Type is read, in octets: several times
// what a boundary (RFC 2046 5.1.1: 70) and a long file name take.
const maxMIMEField = 4000

// setType takes the media type and its parameters. What the standard grammar
// refuses is read as far as it goes, which is what mail readers do.
func (p *part) setType(value string) {
	kind, params, err := mime.ParseMediaType(value)
	if err != nil {
		kind, params = looseType(value)
	}
	switch {
	case strings.Count(kind, "/") == 1 && !strings.HasPrefix(kind, "/") && !strings.HasSuffix(kind, "/"):
		p.kind = kind
	case p.kind != "message/rfc822" || kind != "":
		p.kind = "text/plain" // RFC 2045 5.2
	}
	p.params = params
	if err != nil && strings.HasPrefix(p.kind, "multipart/") {
		p.fault = "Content-Type that does not follow the grammar"
	}
}

// looseType cuts a Content-Type at its semicolons; the first parameter of a name
// counts.
func looseType(value string) (kind string, params map[string]string) {
	kind, rest, _ := strings.Cut(value, ";")
	kind = firstToken(kind)
	params = map[string]string{}
	for rest != "" {
		name, after, ok := strings.Cut(rest, "=")
		if !ok {
			break
		}
		name = strings.ToLower(strings.Trim(name, "; \t"))
		after = strings.TrimLeft(after, " \t")
		var text string
		if strings.HasPrefix(after, `"`) {
			text, rest, _ = strings.Cut(after[1:], `"`)
			_, rest, _ = strings.Cut(rest, ";")
		} else {
			text, rest, _ = strings.Cut(after, ";")
			text = strings.TrimSpace(text)
		}
		if _, known := params[name]; !known {
			params[name] = text
		}
	}
	return kind, params
}

// firstToken is the beginning of a value up to a blank, a semicolon, a quote or
// a comment, in lower case.
func firstToken(value string) string {
	value = strings.TrimLeft(value, " \t\"")
	if end := strings.IndexAny(value, " \t;(\""); end >= 0 {
		value = value[:end]
	}
	return strings.ToLower(value)
}

// is says whether the part has the media type, or one of the class "text/".
func (p *part) is(kind string) bool {
	return p.kind == kind || strings.HasSuffix(kind, "/") && strings.HasPrefix(p.kind, kind)
}

// isText says whether the part is to be read, isMessage whether it is a whole mail.
func (p *part) isText() bool {
	return p.is("text/") && p.kind != "text/rtf" || p.is("message/") || p.kind == "application/xhtml+xml"
}
func (p *part) isMessage() bool {
	return p.kind == "message/rfc822" || p.kind == "message/global" || p.kind == "message/news"
}

// isOfProgram says that the sender's mail program adds such a part by itself: a
// signature, which differs in each mail, or a key or a visiting card, which does not.
func (p *part) isOfProgram() bool {
	switch p.kind {
	case "application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature", "application/pgp-keys",
		"text/vcard", "text/x-vcard", "text/directory":
		return true
	}
	return false
}

// cutPart reads a part within a multipart: its header up to an empty line, then
// its body. A line that is no field, after one that is, is passed over.
func cutPart(data []byte, kind string) part {
	var fields []Field
	fault := ""
	rest := data
	for len(rest) > 0 {
		line, next := cutLine(rest)
		if len(line) == 0 {
			rest = next
			break
		}
		last := len(fields) - 1
		switch name := headerName(line); {
		case (line[0] == ' ' || line[0] == '\t') && last >= 0:
			if len(fields[last].Value) < maxMIMEField {
				fields[last].Value += "\n" + string(headerText(line))
			}
		case name != "":
			fields = append(fields, Field{name, string(headerText(line[bytes.IndexByte(line, ':')+1:]))})
		case last < 0: // no header at all
			p := newPart(nil, kind, data)
			p.fault = "part without an empty line before its text"
			return p
		default:
			fault = "line in a part's header that is no field"
		}
		rest = next
	}
	p := newPart(fields, kind, rest)
	if fault != "" {
		p.fault = fault
	}
	return p
}

// delimited is a multipart's body between its delimiter lines.
type delimited struct {
	pieces [][]byte
	closed bool // the last delimiter came
	after  bool // and another delimiter after it
}

// splitParts cuts a multipart's body at its delimiter lines (RFC 2046 5.1.1), at
// most limit pieces; the last one holds the rest then. What stands before the
// first and after the last is shown to nobody.
func splitParts(body []byte, boundary string, limit int) delimited {
	var d delimited
	mark := []byte("--" + boundary)
	begin := -1 // of the piece, none before the first delimiter
	for pos := 0; pos < len(body); {
		i := bytes.Index(body[pos:], mark)
		if i < 0 {
			break
		}
		i += pos
		line, rest := cutLine(body[i:])
		pos = len(body) - len(rest)
		tail := bytes.TrimRight(line[len(mark):], " \t")
		if i > 0 && body[i-1] != '\n' || len(tail) > 0 && string(tail) != "--" {
			continue
		}
		if d.closed {
			d.after = true
			break
		}
		if begin >= 0 {
			d.pieces = append(d.pieces, trimLineEnd(body[begin:i]))
		}
		begin, d.closed = pos, len(tail) > 0
		if len(d.pieces) == limit-1 {
			break
		}
	}
	if begin >= 0 && !d.closed {
		d.pieces = append(d.pieces, body[begin:])
	}
	return d
}

// trimLineEnd takes off the line end that belongs to the delimiter after it.
func trimLineEnd(b []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
}
