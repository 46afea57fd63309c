package message

import (
	"bytes"
	"strings"
)

// calendar notes the method of a calendar part (RFC 6047 2.4), and reads what a
// reader shows of it: summary, place and description.
func (r *bodyReader) calendar(p part) {
	text := decodeCharset(p.params["charset"], r.decode(p))
	method := firstToken(p.params["method"])
	var shown []byte
	kept := false
	for len(text) > 0 {
		var line []byte
		line, text = cutLine(text)
		if kept && len(line) > 0 && (line[0] == ' ' || line[0] == '\t') { // RFC 5545 3.1: folded
			shown = append(shown, line[1:]...)
			continue
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		name, _, _ = bytes.Cut(name, []byte(";"))
		switch strings.ToUpper(string(name[:min(len(name), 20)])) {
		case "METHOD":
			if method == "" {
				method = firstToken(string(value[:min(len(value), 50)]))
			}
			kept = false
		case "SUMMARY", "LOCATION", "DESCRIPTION":
			shown = append(append(shown, '\n'), value...)
			kept = true
		default:
			kept = false
		}
	}
	if r.body.Calendar == "" {
		r.body.Calendar = method
	}
	if !r.page.shown {
		r.page.plain(unescape(shown))
	}
}

// unescape undoes RFC 5545 3.3.11.
func unescape(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '\\' && i+1 < len(text) {
			i++
			if c = text[i]; c|0x20 == 'n' {
				c = '\n'
			}
		}
		out = append(out, c)
	}
	return out
}
