package milter

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/rules"
)

// A panic is a verdict of its own, and the session goes on.
func TestPanic(t *testing.T) {
	for name, tt := range map[string]struct {
		connect string
		want    string
		prefix  string
	}{
		"SMTP":             {helloA, "tempfail internal.panic", "y451 4.3.0 Internal error, please try again later. [internal.panic "},
		"local submission": {"C local", "quarantine internal.panic", "qInternal error, please try again later. [internal.panic "},
		"loopback":         {"C 127.0.0.1", "quarantine internal.panic", "qInternal error, please try again later. [internal.panic "},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				f := serve(t, judgeFunc(func(context.Context, *rules.Mail) rules.Verdict {
					if calls++; calls == 1 {
						panic("on purpose")
					}
					return pass
				}))
				m := f.session()
				m.run(tt.connect)
				got := m.run("M <a@client-a.example>", "R <r@r.example>", "E", "M <a@client-a.example>", "R <r@r.example>", "E")
				if !strings.HasPrefix(got[1], tt.prefix) || got[3] != "c" {
					t.Errorf("answers %q", got)
				}
				f.stop()
				if diff := cmp.Diff([]string{tt.want, "accept none"}, f.notes.rules()); diff != "" {
					t.Error(diff)
				}
				if logged := f.logs.String(); !strings.Contains(logged, "on purpose") || !strings.Contains(logged, "TestPanic") {
					t.Errorf("no stack in %q", logged)
				}
			})
		})
	}
}

// A panic on the way makes its message one that is not judged, and one outside
// of messages every message.
func TestGuard(t *testing.T) {
	s := &Server{Judge: func() Judge { return always(pass) }, Recorder: &notes{}, Log: slog.New(slog.DiscardHandler)}
	s.init()
	near, _ := net.Pipe()
	session := &newConn(near, s, nil).session
	session.aside = newAside()
	rule := func() string {
		session.begin(nil)
		v, _ := session.verdict(session.msg, time.Now())
		return v.Rule
	}
	if got := rule(); got != "none" {
		t.Errorf("before: %s", got)
	}
	session.guard("test", func() { panic("on purpose") })
	if v, _ := session.verdict(session.msg, time.Now()); v.Rule != "internal.panic" {
		t.Errorf("in the message: %s", v.Rule)
	}
	if got := rule(); got != "none" {
		t.Errorf("next message: %s", got)
	}
	session.msg = nil
	session.guard("test", func() { panic("on purpose") })
	for range 2 {
		if got := rule(); got != "internal.panic" {
			t.Errorf("outside of messages: %s", got)
		}
	}
}

type panicky struct{ notes }

func (*panicky) Record(*rules.Mail, rules.Verdict, time.Duration) { panic("on purpose") }

// Neither a Judge that cannot be had, nor a verdict that says nothing, nor a
// Recorder that panics lets mail pass or ends the session.
func TestNoVerdict(t *testing.T) {
	nobody := func(s *Server) { s.Judge = func() Judge { return nil } }
	noJudge := func(s *Server) { s.Judge = func() Judge { panic("on purpose") } }
	noNotes := func(s *Server) { s.Recorder = &panicky{} }
	for name, tt := range map[string]struct {
		verdict rules.Verdict
		set     func(*Server)
		want    string
	}{
		"nil judge":          {pass, nobody, "y451 4.3.0 Internal error"},
		"panic at MAIL":      {pass, noJudge, "y451 4.3.0 Internal error"},
		"panic on recording": {reject, noNotes, "y550 5.7.1 100%% no"},
		"zero verdict":       {rules.Verdict{}, func(*Server) {}, "y451 4.3.0 Internal error"},
		"shadow":             {rules.Verdict{Action: rules.Shadow}, func(*Server) {}, "y451 4.3.0 Internal error"},
		"no such action":     {rules.Verdict{Action: rules.Reject + 1}, func(*Server) {}, "y451 4.3.0 Internal error"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := serve(t, always(tt.verdict), tt.set)
				m := f.session()
				got := m.run(helloA, mailA, "R <r@r.example>", "E", mailA, "R <r@r.example>", "E", "E")
				for _, i := range []int{1, 3, 4} {
					if !strings.HasPrefix(got[i], tt.want) {
						t.Errorf("answers %q", got)
					}
				}
				f.stop()
			})
		})
	}
}

// The MTA is told to wait on, the context ends in time, and a judge that does
// not heed it is not waited for.
func TestSlowJudge(t *testing.T) {
	type ctx = context.Context
	for _, tt := range []struct {
		name  string
		judge judgeFunc
		took  time.Duration
		want  string
		rule  string
	}{
		{"4 s", func(ctx, *rules.Mail) rules.Verdict { time.Sleep(4 * time.Second); return pass }, 4 * time.Second, "c", "accept none"},
		{"6 s", func(ctx, *rules.Mail) rules.Verdict { time.Sleep(6 * time.Second); return pass }, 6 * time.Second, "p c", "accept none"},
		{"heeds its context", func(c ctx, _ *rules.Mail) rules.Verdict { <-c.Done(); return tempfail }, 8 * time.Second,
			"p y451 4.7.1 later [a.rule ID]", "tempfail a.rule"},
		{"within the grace", func(ctx, *rules.Mail) rules.Verdict { time.Sleep(9*time.Second - 1); return pass }, 9*time.Second - 1, "p c", "accept none"},
		{"comes too late", func(ctx, *rules.Mail) rules.Verdict { time.Sleep(time.Minute); return pass }, 9 * time.Second,
			"p y451 4.3.0 Internal error, please try again later.", "tempfail internal.panic"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := serve(t, tt.judge)
				m := f.session()
				m.run(helloA, mailA, "R <r@r.example>")
				start := time.Now()
				got := m.run("E")
				if took := time.Since(start); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
				if !strings.HasPrefix(got[0], tt.want) {
					t.Errorf("got %q, want %q", got[0], tt.want)
				}
				f.stop()
				if diff := cmp.Diff([]string{tt.rule}, f.notes.rules()); diff != "" {
					t.Error(diff)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				if late := f.late.Load(); late != 0 {
					t.Errorf("%d decisions still count as late", late)
				}
			})
		})
	}
}

// Decisions that hang are bounded: beyond the bound nobody is asked.
func TestStuckDecisions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		f := serve(t, judgeFunc(func(context.Context, *rules.Mail) rules.Verdict { calls++; return pass }))
		m := f.session()
		m.run(helloA)
		for _, late := range []int64{maxLate - 1, maxLate, maxLate + 1} {
			f.late.Store(late)
			m.run(mailA, "R <r@r.example>", "E")
		}
		f.stop()
		want := []string{"accept none", "tempfail internal.panic", "tempfail internal.panic"}
		if diff := cmp.Diff(want, f.notes.rules()); diff != "" || calls != 1 {
			t.Errorf("judge asked %d times; %s", calls, diff)
		}
	})
}

// A reload takes effect with the next message.
func TestJudgeTakenAtMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		current := pass
		f := serve(t, nil, func(s *Server) { s.Judge = func() Judge { return always(current) } })
		m := f.session()
		m.run(helloA, mailA, "R <r@r.example>")
		current = reject
		m.run("E", mailA, "R <r@r.example>", "E")
		f.stop()
		if diff := cmp.Diff([]string{"accept none", "reject a.rule"}, f.notes.rules()); diff != "" {
			t.Error(diff)
		}
	})
}
