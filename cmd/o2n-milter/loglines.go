package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"o2n-milter/internal/chaos"
)

const (
	// mostUnwritten bounds the lines that wait to be written, in octets: some 10,000 of
	// them, seconds of a busy server. As much is in hand of the one who writes.
	mostUnwritten = 4 << 20
	// gatherLines is how long a line waits for others to be written with, after so many
	// writes without a pause of twice that: under load a write, and its reader's waking
	// up, is for many lines.
	gatherLines  = 5 * time.Millisecond
	gatherWrites = 32
	// logPatience is for what is left at the end.
	logPatience = 2 * time.Second
)

// logLines writes whole lines in the order in which they came. Who has one waits for
// nobody: a standard error that takes nothing costs log lines and no mail.
type logLines struct {
	out  io.Writer
	tell func(lost uint64) // once lines get through again

	more chan struct{} // of one place: waiting has something
	stop func()        // writes what is left

	mu      sync.Mutex
	waiting []byte
	through bool   // the last write worked
	missed  uint64 // lines that were not written
	told    uint64 // of these, the ones that tell knows of
}

// newLines takes lines, and writes none before start.
func newLines(out io.Writer, tell func(lost uint64)) *logLines {
	return &logLines{out: out, tell: tell, more: make(chan struct{}, 1)}
}

func (l *logLines) start(beside *loops) {
	l.stop = beside.start(context.Background(), "log", l.run)
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
	done := make(chan struct{})
	go func() {
		l.stop()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(logPatience):
	}
}

func (l *logLines) run(ctx context.Context) {
	var batch []byte
	var untold uint64
	var last time.Time // that something was written
	writes := 0        // without a pause
	for closing := false; ; {
		batch, untold = l.take(batch[:0])
		if untold > 0 {
			l.tell(untold) // now, as there is room for the line
		}
		if len(batch) > 0 {
			l.write(batch)
			if writes++; time.Since(last) >= 2*gatherLines {
				writes = 1
			}
			last = time.Now()
		} else if closing && untold == 0 {
			return
		}
		closing = closing || l.wait(ctx, writes >= gatherWrites)
	}
}

// take gives what waits for what has been written, and how many lost lines are to be
// told of.
func (l *logLines) take(written []byte) (batch []byte, untold uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	batch, l.waiting = l.waiting, written
	if l.through {
		untold, l.told = l.missed-l.told, l.missed
	}
	return batch, untold
}

// wait for more lines, and where they are gathered for those that come soon after; true
// when it is the end, and what came in between is written yet.
func (l *logLines) wait(ctx context.Context, gather bool) (closing bool) {
	select {
	case <-l.more:
	case <-ctx.Done():
		return true
	}
	if !gather {
		return false
	}
	select {
	case <-time.After(gatherLines):
		return false
	case <-ctx.Done():
		return true
	}
}

// write tries once: there is no other place to say that it did not work.
func (l *logLines) write(batch []byte) {
	n, err := 0, io.ErrShortWrite // where it panics
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.through = err == nil; !l.through {
			l.missed += uint64(bytes.Count(batch[n:], []byte{'\n'}))
		}
	}()
	chaos.Point("log")
	n, err = l.out.Write(batch)
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
