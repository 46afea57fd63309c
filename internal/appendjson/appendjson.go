// Package appendjson writes the JSON of records that every message makes, byte for byte
// as encoding/json writes it and without what that allocates. It writes what it is told:
// that brackets close and keys come once is for who calls it.
package appendjson

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// Key writes the name of an object's next member, which needs no escapes.
func Key(dst []byte, name string) []byte {
	dst = append(Next(dst), '"')
	dst = append(dst, name...)
	return append(dst, '"', ':')
}

// Next writes the comma before an array's next element, but for its first.
func Next(dst []byte) []byte {
	if c := dst[len(dst)-1]; c == '[' || c == '{' {
		return dst
	}
	return append(dst, ',')
}

// Strings writes a list; one that is nil is null.
func Strings(dst []byte, list []string) []byte {
	if list == nil {
		return append(dst, "null"...)
	}
	dst = append(dst, '[')
	for _, s := range list {
		dst = String(Next(dst), s)
	}
	return append(dst, ']')
}

// Int writes a number.
func Int[N int | int64](dst []byte, n N) []byte { return strconv.AppendInt(dst, int64(n), 10) }

// Time writes a time, whose year has four digits.
func Time(dst []byte, t time.Time) []byte {
	return append(t.AppendFormat(append(dst, '"'), time.RFC3339Nano), '"')
}

// asIs are the characters of one byte that stand for themselves: not those that JSON
// escapes, nor those that HTML would take for its own.
var asIs = func() (table [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		table[c] = c != '"' && c != '\\' && c != '<' && c != '>' && c != '&'
	}
	return table
}()

// String writes a string; what is no UTF-8 in it becomes U+FFFD.
func String(dst []byte, s string) []byte {
	for i := range len(s) {
		if !asIs[s[i]] {
			return escaped(dst, s, i)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}

// escaped is String for s whose first n bytes stand for themselves.
func escaped(dst []byte, s string, n int) []byte {
	dst = append(dst, '"')
	plain := 0 // where what stands for itself begins
	for i := n; i < len(s); {
		if asIs[s[i]] {
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r >= utf8.RuneSelf && r != '\u2028' && r != '\u2029' && !(r == utf8.RuneError && size == 1) {
			i += size
			continue
		}
		dst = escape(append(dst, s[plain:i]...), r)
		i += size
		plain = i
	}
	dst = append(dst, s[plain:]...)
	return append(dst, '"')
}

func escape(dst []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	switch r {
	case '"', '\\':
		return append(dst, '\\', byte(r))
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return append(dst, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}
