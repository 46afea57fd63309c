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
	d.setHeader()
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
		s.conn.log().Error("milter: message not judged", "reason", why, "id", v.ID, "qid", d.mail.QueueID)
	}
	return v, time.Since(start)
}

// decision is one question to a judge, and the goroutine that asks it: a judge wants a
// deep stack, which is not to grow anew for each message. It is used again, but for one
// that is late.
type decision struct {
	asked   chan question
	done    chan struct{}
	late    *time.Timer // until the MTA is told to wait on, or nobody waits any more
	verdict rules.Verdict
	why     string // why there is no verdict; empty when there is one
}

// decide waits for the judge, keeping the MTA patient. why is not empty when
// there is no verdict: the judge panicked, or did not come back in time, which
// ends a second after its context does.
func (s *session) decide(d *draft) (v rules.Verdict, why string) {
	ctx, cancel := context.WithTimeout(s.server.deciding, s.server.DecideTimeout)
	defer cancel()
	q := s.deciding
	if q == nil {
		q = &decision{asked: make(chan question, 1), done: make(chan struct{}, 1), late: time.NewTimer(progressEvery)}
		s.deciding = q
		go s.answer(q)
	} else {
		q.late.Reset(progressEvery)
	}
	defer q.late.Stop()
	q.asked <- question{ctx, d.judge, &d.mail}
	over := ctx.Done()
	for {
		select {
		case <-q.done:
			return q.verdict, q.why
		case <-q.late.C:
			if over == nil {
				s.dismiss()
				d.lent = true
				s.server.late.Add(1)
				go func() { <-q.done; d.memory.giveBack(); s.server.late.Add(-1) }()
				return v, "no verdict in time"
			}
			s.conn.sendProgress()
			q.late.Reset(progressEvery)
		case <-over:
			over = nil
			q.late.Reset(cutGrace)
		}
	}
}

// question is a message and who is asked about it.
type question struct {
	ctx   context.Context
	judge Judge
	mail  *rules.Mail
}

// dismiss ends the goroutine that asks, when it has its answer.
func (s *session) dismiss() {
	if s.deciding != nil {
		close(s.deciding.asked)
		s.deciding = nil
	}
}

// answer answers one question after the other.
func (s *session) answer(q *decision) {
	for asked := range q.asked {
		s.ask(q, asked)
		q.done <- struct{}{}
	}
}

// ask has the judge decide.
func (s *session) ask(q *decision, asked question) {
	q.verdict, q.why = rules.Verdict{}, "panic"
	defer func() {
		if p := recover(); p != nil {
			s.conn.log().Error("milter: panic", "stage", "decide", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	q.verdict = asked.judge.Decide(asked.ctx, asked.mail)
	q.why = ""
}

// change has the library write what a verdict changes in a message that passes.
func (s *session) change(m *gomilter.Modifier, d *draft, v *rules.Verdict) {
	s.mark(m, d, v)
	if v.Action == rules.Quarantine {
		m.Quarantine(printable(v.Text, maxReply))
	}
}

// mark takes forged marks off and puts ours on tagged mail. The
// Modifier's errors are always nil: our conn keeps them for the next read.
func (s *session) mark(m *gomilter.Modifier, d *draft, v *rules.Verdict) {
	if d.marks > 0 {
		if s.terms.may(gomilter.OptChangeHeader) {
			for i := d.marks; i > 0; i-- { // from the end, so that the numbers hold
				m.ChangeHeader(i, markName, "")
			}
		} else {
			s.conn.log().Warn("milter: the MTA lets no header field be removed", "id", v.ID, "qid", d.mail.QueueID)
		}
	}
	if v.Action != rules.Tag {
		return
	}
	if s.terms.may(gomilter.OptAddHeader) {
		m.AddHeader(markName, printable(v.Rule+" "+v.ID, maxReply))
	} else {
		s.conn.log().Warn("milter: the MTA lets no header field be added", "id", v.ID, "qid", d.mail.QueueID)
	}
}
