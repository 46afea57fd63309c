// Package text turns what others chose into text that a key or JSON can hold: one
// and the same for every driver, and an admin can read it.
package text

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Escape writes '/', '%', control characters and all that is not ASCII as %XX.
func Escape(s string) string {
	return escapeIf(s, func(c byte) bool { return c < ' ' || c > '~' || c == '/' || c == '%' })
}

// EscapeBinary makes s valid UTF-8, which JSON needs, and touches nothing else but '%'.
func EscapeBinary(s string) string {
	if utf8.ValidString(s) {
		return strings.ReplaceAll(s, "%", "%25")
	}
	return escapeIf(s, func(c byte) bool { return c >= utf8.RuneSelf || c == '%' })
}

func escapeIf(s string, special func(byte) bool) string {
	n := 0
	for i := range len(s) {
		if special(s[i]) {
			n++
		}
	}
	if n == 0 {
		return s
	}
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(s)+2*n)
	for i := range len(s) {
		if c := s[i]; special(c) {
			b = append(b, '%', hex[c>>4], hex[c&15])
		} else {
			b = append(b, c)
		}
	}
	return string(b)
}

// Unescape undoes Escape and EscapeBinary.
func Unescape(s string) (string, error) {
	before, rest, ok := strings.Cut(s, "%")
	if !ok {
		return s, nil
	}
	b := []byte(before)
	for ok {
		if len(rest) < 2 {
			return "", fmt.Errorf("%q ends in mid-escape", s)
		}
		c, err := strconv.ParseUint(rest[:2], 16, 8)
		if err != nil {
			return "", fmt.Errorf("%q holds an escape that is none", s)
		}
		before, rest, ok = strings.Cut(rest[2:], "%")
		b = append(append(b, byte(c)), before...)
	}
	return string(b), nil
}

// EscapeAll is EscapeBinary for each text.
func EscapeAll(texts []*string) {
	for _, t := range texts {
		*t = EscapeBinary(*t)
	}
}

// UnescapeAll is Unescape for each text.
func UnescapeAll(texts []*string) error {
	for _, t := range texts {
		s, err := Unescape(*t)
		if err != nil {
			return err
		}
		*t = s
	}
	return nil
}
