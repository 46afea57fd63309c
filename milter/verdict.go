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

// errLate says that there is a verdict that nobody waits for any more.
var errLate = errors.New("verdict came too late")

// verdict decides over a message since start. It always comes back with an action that
// can be answered, or with errLate; then the message has been answered.
func (s *session) verdict(d *draft, start time.Time) (rules.Verdict, error) {
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
		var late bool
		if v, why, late = s.decide(d, start); late {
			return v, errLate
		}
	}
	switch {
	case why != "":
	case v.Action < rules.Accept || v.Action > rules.Reject:
		why = "verdict without action"
	case v.Action == rules.Quarantine && !d.mail.CanHold:
		why = "the MTA offered no quarantine"
	}
	if why != "" {
		v = s.unjudged(d, start, why)
	}
	return v, nil
}

// unjudged is the verdict on a message that nobody has judged.
func (s *session) unjudged(d *draft, start time.Time, why string) rules.Verdict {
	v := rules.Panicked(&d.mail, start, errors.New(why))
	s.conn.log().Error("milter: message not judged", "reason", why, "id", v.ID, "qid", d.mail.QueueID)
	return v
}

// decide asks the judge. why is not empty when there is no verdict, since the judge
// panicked; late says that he was not waited for.
func (s *session) decide(d *draft, start time.Time) (v rules.Verdict, why string, late bool) {
	a := s.aside // not the session's any more when it is late
	ctx := a.begin(start, s.server.DecideTimeout)
	v, why = s.ask(ctx, d)
	return v, why, a.end(ctx)
}

func (s *session) ask(ctx context.Context, d *draft) (v rules.Verdict, why string) {
	why = "panic"
	defer func() {
		if p := recover(); p != nil {
			s.conn.log().Error("milter: panic", "stage", "decide", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	return d.judge.Decide(ctx, &d.mail), ""
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
