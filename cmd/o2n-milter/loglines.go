package main

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	// mostUnwritten bounds the lines that wait to be written, in octets: some 10,000 of
	// them, seconds of a busy server. As much is in hand of the one who writes.
	mostUnwritten = 4 << 20
	// logPatience is for what is left at the end.
	logPatience = 2 * time.Second
)

// logLines writes whole lines in the order in which they came. Who has one waits for
// nobody: a standard error that takes nothing costs log lines and no mail.
type logLines struct {
	out  io.Writer
	tell func(lost uint64) // once lines get through again

	more    chan struct{} // of one place: waiting has something
	closing chan struct{}
	done    chan struct{}

	mu      sync.Mutex
	waiting []byte
	missed  uint64 // lines that were not written
	told    uint64 // of these, the ones that tell knows of
}

func writeLines(out io.Writer, tell func(lost uint64)) *logLines {
	l := &logLines{out: out, tell: tell, more: make(chan struct{}, 1), closing: make(chan struct{}), done: make(chan struct{})}
	go l.run()
	return l
}

// add takes a line, or counts it as lost.
func (l *logLines) add(prefix string, line []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting)+len(prefix)+len(line) > mostUnwritten {
		l.missed++
		return
	}
	l.waiting = append(append(l.waiting, prefix...), line...)
	select {
	case l.more <- struct{}{}:
	default:
	}
}

// lost is how many lines were not written so far.
func (l *logLines) lost() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.missed
}

// close waits a while until all is written.
func (l *logLines) close() {
	close(l.closing)
	select {
	case <-l.done:
	case <-time.After(logPatience):
	}
}

func (l *logLines) run() {
	defer close(l.done)
	var batch []byte
	for closing := false; ; {
		l.mu.Lock()
		batch, l.waiting = l.waiting, batch[:0]
		l.mu.Unlock()
		if len(batch) > 0 {
			l.write(batch)
			continue
		}
		if closing {
			return
		}
		select {
		case <-l.more:
		case <-l.closing:
			closing = true // what came in between is written yet
		}
	}
}

// write tries once: there is no other place to say that it did not work.
func (l *logLines) write(batch []byte) {
	n, err := l.out.Write(batch)
	l.mu.Lock()
	if err != nil {
		l.missed += uint64(bytes.Count(batch[n:], []byte{'\n'}))
	}
	untold := l.missed - l.told
	if err != nil || untold == 0 {
		l.mu.Unlock()
		return
	}
	l.told = l.missed
	l.mu.Unlock()
	l.tell(untold)
}

// lineWriter hands lines of one severity to logLines.
type lineWriter struct {
	lines  *logLines
	prefix string
	shape  func([]byte) []byte
}

// Write implements io.Writer; line is a whole one.
func (w lineWriter) Write(line []byte) (int, error) {
	w.lines.add(w.prefix, w.shape(line))
	return len(line), nil
}

// printableText escapes DEL, the one character that cannot be printed for which slog
// does not quote a value.
func printableText(line []byte) []byte {
	if bytes.IndexByte(line, 0x7f) < 0 {
		return line
	}
	return bytes.ReplaceAll(line, []byte{0x7f}, []byte(`\x7f`))
}

// printableJSON escapes what cannot be printed and slog leaves as it is in JSON: DEL,
// the C1 controls, marks that turn the direction of text. Outside its strings JSON has
// ASCII only.
func printableJSON(line []byte) []byte {
	if isPlain(line) || !bytes.ContainsFunc(line, hidden) {
		return line
	}
	out := make([]byte, 0, len(line)+64)
	for len(line) > 0 {
		r, size := utf8.DecodeRune(line)
		switch {
		case !hidden(r):
			out = append(out, line[:size]...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		line = line[size:]
	}
	return out
}

// isPlain says that there is nothing beyond what a keyboard of old has, as in nearly all
// lines.
func isPlain(line []byte) bool {
	for _, c := range line {
		if c >= 0x7f {
			return false
		}
	}
	return true
}

func hidden(r rune) bool { return r >= 0x7f && !unicode.IsPrint(r) }
