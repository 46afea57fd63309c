package milter

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	gomilter "github.com/emersion/go-milter"

	"o2n-milter/rules"
)

const (
	// progressEvery is how often a waiting MTA is told to wait on; Sendmail hangs
	// up after 10 s of silence.
	progressEvery = 5 * time.Second
	// maxLate bounds the decisions that nobody waits for any more (a disk that
	// hangs takes no context): at the bound, messages are answered unasked.
	maxLate = 1000
)

// verdict decides over a message and says how long it took. It always comes back
// with an action that can be answered.
func (s *session) verdict(d *draft) (rules.Verdict, time.Duration) {
	start := time.Now()
	if !d.mailSeen {
		s.guard("end of message", func() { d.judge = s.server.Judge() })
	}
	v, why := rules.Verdict{}, ""
	switch {
	case s.broken || d.broken:
		why = "panic"
	case d.judge == nil:
		why = "no judge"
	case s.server.late.Load() >= maxLate:
		why = "decisions are stuck"
	default:
		v, why = s.decide(d)
	}
	switch {
	case why != "":
	case v.Action < rules.Accept || v.Action > rules.Reject:
		why = "verdict without action"
	case v.Action == rules.Quarantine && !d.mail.CanHold:
		why = "the MTA offered no quarantine"
	}
	if why != "" {
		v = rules.Panicked(&d.mail, start, errors.New(why))
		s.conn.log.Error("milter: message not judged", "reason", why, "id", v.ID, "qid", d.mail.QueueID)
	}
	return v, time.Since(start)
}

// decide waits for the judge, keeping the MTA patient. why is not empty when
// there is no verdict: the judge panicked, or did not come back in time, which
// ends a second after its context does.
func (s *session) decide(d *draft) (v rules.Verdict, why string) {
	ctx, cancel := context.WithTimeout(s.server.deciding, s.server.DecideTimeout)
	defer cancel()
	type outcome struct {
		verdict rules.Verdict
		why     string
	}
	done := make(chan outcome, 1)
	go func() {
		o := outcome{why: "panic"}
		defer func() {
			if p := recover(); p != nil {
				s.conn.log.Error("milter: panic", "stage", "decide", "panic", p, "stack", string(debug.Stack()))
			}
			done <- o
		}()
		o = outcome{verdict: d.judge.Decide(ctx, &d.mail)}
	}()
	progress := time.NewTicker(progressEvery)
	defer progress.Stop()
	over := ctx.Done()
	var tooLate <-chan time.Time
	for {
		select {
		case o := <-done:
			return o.verdict, o.why
		case <-progress.C:
			s.conn.sendProgress()
		case <-over:
			over, tooLate = nil, time.After(cutGrace)
		case <-tooLate:
			s.server.late.Add(1)
			go func() { <-done; s.server.late.Add(-1) }()
			return v, "no verdict in time"
		}
	}
}

// answer is what the MTA gets for a verdict.
func (s *session) answer(m *gomilter.Modifier, d *draft, v *rules.Verdict) gomilter.Response {
	switch v.Action {
	case rules.Tempfail, rules.Reject:
		return gomilter.NewResponseStr('y', replyLine(v))
	case rules.Quarantine:
		s.mark(m, d, v)
		m.Quarantine(printable(v.Text, maxReply))
	default:
		s.mark(m, d, v)
	}
	return gomilter.RespContinue
}

// mark takes forged marks off and puts ours on tagged mail. The
// Modifier's errors are always nil: our conn keeps them for the next read.
func (s *session) mark(m *gomilter.Modifier, d *draft, v *rules.Verdict) {
	if d.marks > 0 {
		if s.terms.may(gomilter.OptChangeHeader) {
			for i := d.marks; i > 0; i-- { // from the end, so that the numbers hold
				m.ChangeHeader(i, markField, "")
			}
		} else {
			s.conn.log.Warn("milter: the MTA lets no header field be removed", "id", v.ID, "qid", d.mail.QueueID)
		}
	}
	if v.Action != rules.Tag {
		return
	}
	if s.terms.may(gomilter.OptAddHeader) {
		m.AddHeader(markField, printable(v.Rule+" "+v.ID, maxReply))
	} else {
		s.conn.log.Warn("milter: the MTA lets no header field be added", "id", v.ID, "qid", d.mail.QueueID)
	}
}
