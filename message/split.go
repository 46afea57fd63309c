package message

import (
	"bytes"
	"fmt"
	"io"
)

// maxValue is where Postfix cuts a header value, in octets, for the milter and
// on the wire.
const maxValue = 60000

// Raw is a message cut into header and body.
type Raw struct {
	Fields []Field
	Body   []byte // what follows the header, line ends as they came; cut where the limit fell
	Size   int64  // octets of the whole message, those beyond the limit too
}

// Split cuts a message as Postfix does before it hands it to a milter: the
// header ends at the first line that is none, folds stay as "\n" and their
// blank, one space after the colon goes, blanks before it go. At most limit
// octets are kept; a header that does not end within them is an error.
func Split(r io.Reader, limit int64) (Raw, error) {
	kept, err := io.ReadAll(io.LimitReader(r, limit))
	if err != nil {
		return Raw{}, fmt.Errorf("message after %d octets: %w", len(kept), err)
	}
	more, err := io.Copy(io.Discard, r)
	size := int64(len(kept)) + more
	if err != nil {
		return Raw{}, fmt.Errorf("message after %d octets: %w", size, err)
	}
	whole := kept
	if more > 0 { // the last line may be half a field
		whole = kept[:bytes.LastIndexByte(kept, '\n')+1]
	}
	fields, body, ended := splitHeader(whole)
	if !ended && more > 0 {
		return Raw{}, fmt.Errorf("header is longer than %d octets", limit)
	}
	return Raw{Fields: fields, Body: kept[len(whole)-len(body):], Size: size}, nil
}

// splitHeader reads fields until a line that is no header; ended is false when
// the data ended first.
func splitHeader(data []byte) (fields []Field, body []byte, ended bool) {
	data = mailboxLines(data, &fields)
	var name string
	var value []byte
	flush := func() {
		if name != "" {
			fields = append(fields, Field{Name: name, Value: string(value[:min(len(value), maxValue)])})
		}
	}
	for len(data) > 0 {
		line, rest := cutLine(data)
		if len(line) == 0 {
			flush()
			return fields, rest, true
		}
		if name != "" && (line[0] == ' ' || line[0] == '\t') {
			value = append(append(value, '\n'), headerText(line)...)
			data = rest
			continue
		}
		next := headerName(line)
		flush()
		if next == "" {
			return fields, data, true
		}
		name = next
		value = headerText(line[bytes.IndexByte(line, ':')+1:])
		value = bytes.TrimPrefix(value, []byte(" "))
		data = rest
	}
	flush()
	return fields, nil, false
}

// mailboxLines takes a mailbox file's separators, and what looks like them
// ("From : x"), off the front: Postfix makes Mailbox-Line fields of them.
func mailboxLines(data []byte, fields *[]Field) []byte {
	for bytes.HasPrefix(bytes.TrimLeft(data, ">"), []byte("From ")) {
		line, rest := cutLine(data)
		*fields = append(*fields, Field{Name: "Mailbox-Line", Value: string(headerText(line))})
		data = rest
	}
	return data
}

// cutLine takes a line off the data. Every CR before the LF belongs to the line
// end: "\r\r\n" is one.
func cutLine(data []byte) (line, rest []byte) {
	end := bytes.IndexByte(data, '\n')
	if end < 0 {
		end, rest = len(data), nil
	} else {
		rest = data[end+1:]
	}
	for end > 0 && data[end-1] == '\r' {
		end--
	}
	return data[:end], rest
}

// headerText is a header line as text: it ends at a NUL, and a bare CR is a blank.
func headerText(line []byte) []byte {
	line, _, _ = bytes.Cut(line, []byte{0})
	return bytes.ReplaceAll(line, []byte("\r"), []byte(" "))
}

// headerName is the name of the field that begins on this line, without the
// blanks before the colon; empty when the line begins none.
func headerName(line []byte) string {
	name, _, colon := bytes.Cut(line, []byte(":"))
	name = bytes.TrimRight(name, " \t")
	if !colon {
		return ""
	}
	for _, c := range name {
		if c <= ' ' || c >= 0x7f {
			return ""
		}
	}
	return string(name)
}
