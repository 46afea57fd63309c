package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// part is one part of the figures. To the packages that start servers for tests it is a
// test: it is told what is wrong, and ends what was started.
type part struct {
	testing.TB // has a method that only a test can have; all that is called is below
	*bench
	name   string
	out    bytes.Buffer // its tables
	ends   []func()
	failed bool
}

// stopped is what a part panics with when it cannot go on.
type stopped struct {
	why  string
	skip bool
}

// errSkipped is in the error of a part that lacks something of this machine.
var errSkipped = errors.New("SKIPPED")

// run does the part, and ends what it started.
func (p *part) run(do func(*part)) (err error) {
	begin := time.Now()
	fmt.Fprintf(os.Stderr, "== %s\n", p.name)
	defer func() {
		switch s := recover().(type) {
		case nil:
		case stopped:
			p.failed = !s.skip
			err = errors.New(s.why)
			if s.skip {
				err = fmt.Errorf("%w: %s", errSkipped, s.why)
			}
		default:
			panic(s) // a fault of our own: with its stack
		}
		p.end()
		fmt.Fprintf(os.Stderr, "== %s: %d s\n", p.name, int(time.Since(begin).Seconds()))
	}()
	do(p)
	return nil
}

// end ends what was started so far, the newest first.
func (p *part) end() {
	for len(p.ends) > 0 {
		last := p.ends[len(p.ends)-1]
		p.ends = p.ends[:len(p.ends)-1]
		last()
	}
}

func (p *part) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "   "+format+"\n", args...)
}

func (p *part) Helper()                           {}
func (p *part) Name() string                      { return p.name }
func (p *part) Context() context.Context          { return context.Background() }
func (p *part) Cleanup(f func())                  { p.ends = append(p.ends, f) }
func (p *part) Failed() bool                      { return p.failed }
func (p *part) Fatal(args ...any)                 { panic(stopped{why: fmt.Sprint(args...)}) }
func (p *part) Fatalf(format string, args ...any) { panic(stopped{why: fmt.Sprintf(format, args...)}) }
func (p *part) Skip(args ...any)                  { panic(stopped{why: fmt.Sprint(args...), skip: true}) }
func (p *part) Skipf(format string, args ...any) {
	panic(stopped{why: fmt.Sprintf(format, args...), skip: true})
}

func (p *part) Log(args ...any) { p.Logf("%s", fmt.Sprint(args...)) }

// Logf shows the end: a log of a server under load is long.
func (p *part) Logf(format string, args ...any) {
	lines := strings.Split(strings.TrimSpace(fmt.Sprintf(format, args...)), "\n")
	p.say("%s", strings.Join(lines[max(0, len(lines)-10):], "\n   "))
}

// must ends the part.
func (p *part) must(what string, err error) {
	if err != nil {
		p.Fatalf("%s: %v", what, err)
	}
}
