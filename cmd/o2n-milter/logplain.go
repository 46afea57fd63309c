package main

import (
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"
)

// plainLines are there to be written to again.
var plainLines = sync.Pool{New: func() any { return new([]byte) }}

// mostPlain is how many octets one of them may have: those of nearly all lines.
const mostPlain = 4 << 10

// addPlain adds the line of a record that appendPlain can write.
func (l *logLines) addPlain(prefix string, r *slog.Record) bool {
	room := plainLines.Get().(*[]byte)
	line, ok := appendPlain((*room)[:0], r)
	if ok {
		l.add(prefix, line)
	}
	if *room = line; cap(line) <= mostPlain {
		plainLines.Put(room)
	}
	return ok
}

// appendPlain writes what slog.TextHandler writes of a record, as every message has one
// and that takes four times as long. It says no to a record in which there is anything
// but ASCII and whole numbers.
func appendPlain(b []byte, r *slog.Record) (line []byte, ok bool) {
	if !r.Time.IsZero() {
		b = append(appendMillis(append(b, "time="...), r.Time), ' ')
	}
	b = append(append(b, "level="...), r.Level.String()...)
	b, ok = appendWord(append(b, " msg="...), r.Message)
	r.Attrs(func(a slog.Attr) bool {
		if !ok || a.Key == "" {
			ok = false
			return false
		}
		if b, ok = appendWord(append(b, ' '), a.Key); !ok {
			return false
		}
		b = append(b, '=')
		switch a.Value.Kind() {
		case slog.KindString:
			b, ok = appendWord(b, a.Value.String())
		case slog.KindInt64:
			b = strconv.AppendInt(b, a.Value.Int64(), 10)
		default:
			ok = false
		}
		return ok
	})
	return append(b, '\n'), ok
}

// appendMillis writes a time to the millisecond, as RFC 3339 has it.
func appendMillis(b []byte, t time.Time) []byte {
	point := len(b) + len("2006-01-02T15:04:05")
	b = t.AppendFormat(b, time.RFC3339)
	const digits = "0123456789"
	ms := t.Nanosecond() / int(time.Millisecond)
	return slices.Insert(b, point, '.', digits[ms/100], digits[ms/10%10], digits[ms%10])
}

// What a byte is to a value of a line.
const (
	ofWord   = iota // it may stand in one without quotes
	quoted          // it may not
	notPlain        // unicode's tables know; DEL is printableText's
)

var wordBytes = func() (table [256]byte) {
	for c := range table {
		switch {
		case c >= utf8.RuneSelf-1:
			table[c] = notPlain
		case c <= ' ' || c == '"' || c == '=':
			table[c] = quoted
		}
	}
	return table
}()

// appendWord writes a value of a line, in quotes if need be.
func appendWord(b []byte, s string) ([]byte, bool) {
	most := byte(ofWord)
	for i := range len(s) {
		most = max(most, wordBytes[s[i]])
	}
	switch {
	case most == notPlain:
		return b, false
	case most == quoted || s == "":
		return strconv.AppendQuote(b, s), true
	}
	return append(b, s...), true
}
