package main

import (
	"bytes"
	"io"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"o2n-milter/config"
)

// failing takes so many octets of each write while it is broken.
type failing struct {
	bytes.Buffer
	takes int // -1: all
}

func (f *failing) Write(p []byte) (int, error) {
	if f.takes < 0 {
		return f.Buffer.Write(p)
	}
	n, _ := f.Buffer.Write(p[:min(f.takes, len(p))])
	return n, syscall.ENOSPC
}

func TestLogCountsWhatFails(t *testing.T) {
	out := &failing{takes: 4}
	l := &logLines{out: out}
	for i, step := range []struct {
		line                string
		takes               int
		lost, before, after uint64
	}{
		{"one\ntwo\nthree\n", 4, 2, 0, 0}, {"four\n", -1, 2, 0, 2}, {"five\n", -1, 2, 0, 0},
	} {
		out.takes = step.takes
		_, before := l.take(nil)
		l.write([]byte(step.line))
		_, after := l.take(nil)
		if l.lost() != step.lost || before != step.before || after != step.after {
			t.Errorf("step %d: %d lost, %d to be told before, %d after; want %+v", i, l.lost(), before, after, step)
		}
	}
	if out.String() != "one\nfour\nfive\n" {
		t.Errorf("%q is written", out.String())
	}
}

// diskful is a file on a disk that is full for a while.
type diskful struct {
	mu   sync.Mutex
	full bool
	text strings.Builder
}

func (d *diskful) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full {
		return 0, syscall.ENOSPC
	}
	return d.text.Write(p)
}

func (d *diskful) set(full bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = full
}

// While the disk of the log is full nobody waits; each line is counted, and when there is
// room again the lines go on, and one tells how many there were.
func TestLogOnAFullDisk(t *testing.T) {
	openLog(io.Discard, config.Log{}).close() // what waits for signals begins with the first one, and outlives it
	synctest.Test(t, func(t *testing.T) {
		out := &diskful{}
		l := openLog(out, config.Log{})
		log := func(text string) {
			l.Info(text)
			time.Sleep(time.Second)
			synctest.Wait()
		}
		log("before")
		out.set(true)
		began := time.Now()
		for range 100 {
			l.Info("lost")
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("100 lines wait for %s", took)
		}
		log("lost")
		if lost := l.lines.lost(); lost != 101 {
			t.Errorf("%d lines are lost; want 101", lost)
		}
		out.set(false)
		log("after")
		log("end")
		l.close()
		text := out.text.String()
		for part, times := range map[string]int{"msg=before": 1, "msg=lost": 0, "msg=after": 1, "msg=end": 1, "did not take them\" lines=101\n": 1} {
			if strings.Count(text, part) != times {
				t.Errorf("%s is not there %d times:\n%s", part, times, text)
			}
		}
	})
}
