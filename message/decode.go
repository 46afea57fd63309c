package message

import (
	"bytes"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// sextets are the values of the base64 alphabet's characters, and above 63 what is none.
var sextets = func() (table [256]byte) {
	for i := range table {
		table[i] = 64
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for i := range len(alphabet) {
		table[alphabet[i]] = byte(i)
	}
	return table
}()

// appendBase64 decodes what it can: each run between paddings by itself, junk
// left out, as mail readers do.
func appendBase64[T string | []byte](dst []byte, src T) []byte {
	var bits uint32
	n := 0 // sextets in bits
	flush := func() {
		if n >= 2 { // six bits alone make no byte
			dst = append(dst, byte(bits<<(6*(4-n))>>16))
		}
		if n == 3 {
			dst = append(dst, byte(bits<<6>>8))
		}
		bits, n = 0, 0
	}
	for i := range len(src) {
		c := src[i]
		v := sextets[c]
		if v > 63 {
			if c == '=' {
				flush()
			}
			continue
		}
		bits = bits<<6 | uint32(v)
		if n++; n == 4 {
			dst = append(dst, byte(bits>>16), byte(bits>>8), byte(bits))
			bits, n = 0, 0
		}
	}
	flush()
	return dst
}

// quotedPrintable decodes RFC 2045 6.7 with lines of any length; what is no
// escape stays as it is.
func quotedPrintable(src []byte) []byte {
	if bytes.IndexByte(src, '=') < 0 {
		return src
	}
	dst := make([]byte, 0, len(src))
	for {
		i := bytes.IndexByte(src, '=')
		if i < 0 {
			return append(dst, src...)
		}
		dst = append(dst, src[:i]...)
		src = src[i+1:]
		if len(src) >= 2 && unhex(src[0]) < 16 && unhex(src[1]) < 16 {
			dst = append(dst, unhex(src[0])<<4|unhex(src[1]))
			src = src[2:]
			continue
		}
		blanks := 0
		for blanks < len(src) && (src[blanks] == ' ' || src[blanks] == '\t' || src[blanks] == '\r') {
			blanks++
		}
		switch {
		case blanks == len(src):
			return dst
		case src[blanks] == '\n':
			src = src[blanks+1:]
		default:
			dst = append(dst, '=')
		}
	}
}

// uudecode decodes what some readers still know: lines of a length and sextets,
// from "begin" to "end".
func uudecode(src []byte) []byte {
	var dst []byte
	for len(src) > 0 {
		var line []byte
		line, src = cutLine(src)
		if len(line) < 2 || bytes.HasPrefix(line, []byte("begin ")) || string(line) == "end" {
			continue
		}
		n := int(line[0]-' ') & 63
		var bits uint32
		for i, c := range line[1:] {
			bits = bits<<6 | uint32(c-' ')&63
			for k := 2; i%4 == 3 && k >= 0 && n > 0; k-- {
				dst = append(dst, byte(bits>>(8*k)))
				n--
			}
		}
	}
	return dst
}

// decodeTransfer undoes the transfer encoding; known is false when nobody knows it.
func decodeTransfer(encoding string, body []byte) (decoded []byte, known bool) {
	switch encoding {
	case "base64":
		return appendBase64(make([]byte, 0, len(body)/4*3+3), body), true
	case "quoted-printable":
		return quotedPrintable(body), true
	case "x-uuencode", "uuencode", "x-uue", "uue":
		return uudecode(body), true
	case "", "7bit", "8bit", "binary":
		return body, true
	}
	return body, false
}

// decodeCharset makes UTF-8 of the text. Who declares nothing, ASCII or UTF-8 and
// sends other bytes means windows-1252, and so does who says ISO-8859-1 (WHATWG
// Encoding 4.2): that is how readers show them.
func decodeCharset(name string, text []byte) []byte {
	switch strings.ToLower(name) {
	case "iso-8859-1", "latin1", "windows-1252", "cp1252":
		return western(text, false)
	case "", "utf-8", "utf8", "us-ascii", "ascii":
		return western(text, true)
	case "utf-7", "unicode-1-1-utf-7", "x-unicode-2-0-utf-7":
		return western(decodeUTF7(text), true)
	}
	decoded, known := fromCharset(name, text)
	if !known {
		return western(text, true)
	}
	return decoded
}

// western makes UTF-8 of windows-1252. With mixed set, what is UTF-8 already stays.
func western(text []byte, mixed bool) []byte {
	ascii := asciiRun(text)
	if ascii == len(text) || mixed && isUTF8(text[ascii:]) {
		return text
	}
	out := append(make([]byte, 0, len(text)+len(text)/8), text[:ascii]...)
	for text = text[ascii:]; len(text) > 0; {
		r, n := rune(text[0]), 1
		if mixed {
			r, n = utf8.DecodeRune(text)
		}
		if r >= utf8.RuneSelf && n == 1 {
			r = charmap.Windows1252.DecodeByte(text[0])
		}
		out = utf8.AppendRune(out, r)
		text = text[n:]
	}
	return out
}

// isUTF8 is utf8.Valid, faster for text in which ASCII stands in long runs.
func isUTF8(text []byte) bool {
	for len(text) > 0 {
		if c := text[0]; len(text) >= 2 && 0xc2 <= c && c <= 0xdf && text[1]&0xc0 == 0x80 { // most of what is not ASCII in Europe
			text = text[2:]
		} else if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRune(text)
			if r == utf8.RuneError && n == 1 {
				return false
			}
			text = text[n:]
		}
		text = text[asciiRun(text):]
	}
	return true
}

// decodeUTF7 decodes RFC 2152: between "+" and "-" stands UTF-16 in base64.
func decodeUTF7(src []byte) []byte {
	var dst []byte
	for {
		plus := bytes.IndexByte(src, '+')
		if plus < 0 {
			return append(dst, src...)
		}
		dst = append(dst, src[:plus]...)
		src = src[plus+1:]
		n := 0
		for n < len(src) && sextets[src[n]] < 64 {
			n++
		}
		if n == 0 {
			dst = append(dst, '+')
		}
		units := appendBase64(nil, src[:n])
		var wide []uint16
		for i := 0; i+1 < len(units); i += 2 {
			wide = append(wide, uint16(units[i])<<8|uint16(units[i+1]))
		}
		for _, r := range utf16.Decode(wide) {
			dst = utf8.AppendRune(dst, r)
		}
		if src = src[n:]; len(src) > 0 && src[0] == '-' {
			src = src[1:]
		}
	}
}

// joinBroken joins lines that were broken with a blank added, within words too (RFC
// 3676 4.1, DelSp). Quoted lines and the signature's mark stay as they are.
func joinBroken(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		var line []byte
		line, text = cutLine(text)
		if flowed := len(line) > 0 && line[len(line)-1] == ' ' && line[0] != '>' && string(line) != "-- "; flowed {
			out = append(out, line[:len(line)-1]...)
		} else {
			out = append(append(out, line...), '\n')
		}
	}
	return out
}
