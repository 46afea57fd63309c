package milter

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"o2n-milter/rules"
)

// roomy is a draft of a budget that nothing exceeds.
func roomy() *draft { return &draft{memory: share{of: &budget{max: 1 << 30}}} }

func TestShare(t *testing.T) {
	for _, tt := range []struct {
		steps, missing int64 // of the budget
		keep           []int
		want           string
		held           int64
	}{
		{1, 1, []int{0, 1}, "[true false]", 0},
		{1, 0, []int{1}, "[true]", 1},
		{8, 0, []int{memoryStep - 1, 1}, "[true true]", 1},
		{8, 0, []int{memoryStep, 1}, "[true true]", 2},
		{8, 0, []int{7*memoryStep - 1}, "[true]", 7},
		{8, 0, []int{7 * memoryStep}, "[true]", 7},
		{8, 0, []int{7*memoryStep + 1}, "[false]", 7},
		{8, 8, []int{6*memoryStep + 1}, "[false]", 6},
		{8, 0, []int{8 * memoryStep, 0, 1}, "[false false false]", 7},
	} {
		of := &budget{max: tt.steps*memoryStep - tt.missing}
		s := share{of: of}
		var got []bool
		for _, n := range tt.keep {
			got = append(got, s.keep(n))
		}
		if fmt.Sprint(got) != tt.want || of.held.Load() != tt.held*memoryStep {
			t.Errorf("%d steps less %d, keep %v: %v with %d bytes held, want %s with %d steps", tt.steps, tt.missing, tt.keep, got, of.held.Load(), tt.want, tt.held)
		}
		s.giveBack()
		if s.giveBack(); of.held.Load() != 0 {
			t.Errorf("%d steps less %d: %d bytes held at the end", tt.steps, tt.missing, of.held.Load())
		}
	}
}

// A long header is there once, as a copy of which the fields are parts.
func TestLongHeaderIsKeptOnce(t *testing.T) {
	for size, want := range map[int]int{mostHead: mostHead, mostHead + 1: 0} {
		d := roomy()
		d.head = make([]byte, 0, size)
		d.addField([]byte("A\x00b\x00"))
		d.setHeader()
		if cap(d.head) != want || len(d.mail.Header) != 1 {
			t.Errorf("room of %d: %d left with %d fields, want %d with 1", size, cap(d.head), len(d.mail.Header), want)
		}
	}
}

// keeps is what the draft really takes.
func (d *draft) keeps() int64 {
	n := cap(d.head) + cap(d.mail.Body) + fieldRoom*max(cap(d.mail.Header), d.fields) + rcptRoom/2*cap(d.mail.Recipients)
	for _, r := range d.mail.Recipients {
		n += len(r.Address)
	}
	return int64(n)
}

// holds fails unless the open messages keep no more than they reserved, and that is what
// the budget says. Nothing may be running.
func (f *fixture) holds() (held int64) {
	f.t.Helper()
	synctest.Wait()
	for _, c := range f.sessions.all() {
		if cap(c.large) > keepLarge {
			f.t.Errorf("a packet's buffer of %d bytes is kept in mid-message", cap(c.large))
		}
		if d := c.session.msg; d != nil {
			if d.keeps() > d.memory.held {
				f.t.Errorf("a message keeps %d bytes and reserved %d", d.keeps(), d.memory.held)
			}
			held += d.memory.held
		}
	}
	if got := f.memory.held.Load(); got != held || got > f.memory.max {
		f.t.Errorf("the budget of %d bytes holds %d, the messages %d", f.memory.max, got, held)
	}
	return held
}

// Of more mail at once than there is memory for, what is not kept whole is not passed,
// small mail is judged all the same, and in the end nothing is held.
func TestMemoryOfAll(t *testing.T) {
	large := strings.Repeat("x", 50_000)
	field, body := "L X-A: "+large, "B "+large
	rcpt := "R <" + strings.Repeat("r", 900) + "@r.example>"
	for name, content := range map[string][]string{
		"header":     {field, field, field, field, field, field, field, field, field, field},
		"fields":     strings.Split(strings.Repeat("L A: b|", 12_000)+"N", "|"),
		"recipients": strings.Split(strings.Repeat(rcpt+"|", 600)+"N", "|"),
		"body":       {body, body, body, body, body, body, body, body, body},
		"packet":     {field, "B " + strings.Repeat(large, 9)},
		"wide":       {"L X-A: " + strings.Repeat(large, 9)},
		"all":        {body, field, rcpt, rcpt, field, field, field, body, body, body},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := serve(t, wholeOnly, func(s *Server) { s.MaxMemory, s.Recorder = 64*memoryStep, quiet{} })
				f.init()
				letter := ""
				for _, line := range content {
					letter += (&mta{}).step(line)
				}
				var all []*mta
				for range 8 {
					m := f.session()
					m.run(helloA, mailA, "R <r@r.example>")
					m.write(letter)
					f.holds()
					all = append(all, m)
				}
				small := f.session()
				if got := small.run(helloA, mailA, "R <r@r.example>", "L A: b", "B text", "E"); got[1] != "c" {
					t.Errorf("small mail: %q", got)
				}
				ends := map[string]int{}
				for _, m := range all {
					ends[m.end(content)]++
					f.holds()
				}
				if ends["c"] == 0 || ends["y451 4.3.0 no"] == 0 || ends["c"]+ends["y451 4.3.0 no"] != 8 {
					t.Errorf("answered %v, want some to pass and the others 451 4.3.0", ends)
				}
				if held := f.holds(); held != 0 {
					t.Errorf("%d bytes held at the end", held)
				}
				all[7].run(mailA, "R <r@r.example>")
				all[7].write(letter)
				if got := all[7].end(content); got != "c" {
					t.Errorf("when the others have ended: %q", got)
				}
				f.stop()
			})
		})
	}
}

// end is the answer to a message, behind those to the recipients of its content.
func (m *mta) end(content []string) string {
	for _, line := range content {
		if line[0] == 'R' {
			m.reply()
		}
	}
	return m.run("E")[0]
}

// wholeOnly is a judge that takes what is whole.
var wholeOnly = judgeFunc(func(_ context.Context, m *rules.Mail) rules.Verdict {
	switch {
	case len(m.Excess) == 0:
		return pass
	case len(m.Excess) == 1 && m.Excess[0] == overBudget:
		return rules.Verdict{Action: rules.Tempfail, Code: 451, Enhanced: "4.3.0", Text: "no"}
	}
	panic(m.Excess)
})

// Wherever a message ends, its memory is given back.
func TestMemoryIsGivenBack(t *testing.T) {
	large := strings.Repeat("x", 60_000)
	letter := []string{helloA, mailA, "R <r@r.example>", "L A: " + large, "L B: " + large, "N", "B " + large, "B " + large, "E"}
	for stage := range len(letter) + 1 {
		for name, end := range map[string]func(f *fixture, m *mta){
			"the peer goes": func(_ *fixture, m *mta) { m.nc.Close() },
			"half a packet": func(_ *fixture, m *mta) { m.write("\x00\x00\x10\x00B"); m.nc.Close() },
			"no command":    func(_ *fixture, m *mta) { m.send('?', "") },
			"silence":       func(*fixture, *mta) { time.Sleep(idleTime + time.Second) },
			"QUIT":          func(_ *fixture, m *mta) { m.send('Q', "") },
			"ABORT":         func(_ *fixture, m *mta) { m.send('A', "") },
			"a new session": func(_ *fixture, m *mta) { m.send('K', "") },
			"CONNECT":       func(_ *fixture, m *mta) { m.run(helloA) },
			"MAIL":          func(_ *fixture, m *mta) { m.run(mailA, "A") },
			"cut":           func(f *fixture, _ *mta) { f.sessions.all()[0].cut() },
		} {
			synctest.Test(t, func(t *testing.T) {
				f := serve(t, always(pass))
				m := f.session()
				m.run(letter[:stage]...)
				synctest.Wait()
				held := f.memory.held.Load() // and no look at the message, which silence ends
				if under := stage > 1 && stage < len(letter); under != (held > 0) {
					t.Errorf("stage %d: %d bytes held", stage, held)
				}
				end(f, m)
				if held := f.holds(); held != 0 {
					t.Errorf("stage %d, %s: %d bytes held", stage, name, held)
				}
				m.nc.Close()
				synctest.Wait()
				f.stop()
			})
		}
	}
}

// What somebody is still looking at is counted until he has done.
func TestMemoryOfLateDecisions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var looking atomic.Bool
		f := serve(t, judgeFunc(func(context.Context, *rules.Mail) rules.Verdict {
			looking.Store(true)
			time.Sleep(time.Minute)
			looking.Store(false)
			return pass
		}))
		m := f.session()
		m.run(helloA, mailA, "R <r@r.example>", "L A: b", "E")
		if !looking.Load() || f.memory.held.Load() != memoryStep {
			t.Errorf("looking: %v, %d bytes held; want a step of %d", looking.Load(), f.memory.held.Load(), memoryStep)
		}
		time.Sleep(time.Minute)
		if held := f.holds(); held != 0 {
			t.Errorf("%d bytes held", held)
		}
		f.stop()
	})
}
