package badgerdb

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The keys, which an admin can read. What others chose is percent-escaped, so
// that a '/' always parts and no two names share a key.
//
//	limit/NAME/SUBJECT               a window: state.Slots
//	block/ID                         a block: JSON
//	decision/ID                      a decision: JSON
//	by/SUBJECT/INVERTED-TIME/ID      empty; a subject's decisions, newest first
//	meta/format                      the number of this layout
const (
	limitPrefix    = "limit/"
	blockPrefix    = "block/"
	decisionPrefix = "decision/"
	byPrefix       = "by/"
	formatKey      = "meta/format"
)

func limitKey(limit, subject string) []byte {
	return []byte(limitPrefix + escape(limit) + "/" + escape(subject))
}

func blockKey(id string) []byte    { return []byte(blockPrefix + escape(id)) }
func decisionKey(id string) []byte { return []byte(decisionPrefix + escape(id)) }

func bySubject(subject string) string { return byPrefix + escape(subject) + "/" }

// byKey sorts newest first: the time is what is left of an int64 of ns, always 19 digits.
func byKey(subject string, at time.Time, id string) []byte {
	return fmt.Appendf(nil, "%s%019d/%s", bySubject(subject), math.MaxInt64-at.UnixNano(), escape(id))
}

// idOf reads the id from the rest of a by/ key behind the subject.
func idOf(rest string) (string, error) {
	_, id, ok := strings.Cut(rest, "/")
	if !ok {
		return "", fmt.Errorf("key part %q holds no id", rest)
	}
	return unescape(id)
}

// escape writes '/', '%', control characters and all that is not ASCII as %XX.
func escape(s string) string {
	return escapeIf(s, func(c byte) bool { return c < ' ' || c > '~' || c == '/' || c == '%' })
}

// escapeBinary makes s valid UTF-8, which JSON needs, and touches nothing else but '%'.
func escapeBinary(s string) string {
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

// unescape undoes escape and escapeBinary.
func unescape(s string) (string, error) {
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
