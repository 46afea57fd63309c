package rules

import (
	"context"
	"fmt"
	"math"
	"time"

	"o2n-milter/state"
)

// Charge is what a message costs against one limit, as people are told.
type Charge struct {
	Limit   string `json:"limit"`
	Subject string `json:"subject"`
	Unit    Unit   `json:"unit"`
	Cost    int64  `json:"cost"`
}

// limitCharge is a charge with the limit that makes it.
type limitCharge struct {
	limit *Limit
	state.Charge
}

// charge is limit.NAME: it works out what the message costs, and, unless a rule
// already stopped it, takes all of it or nothing.
func (e *Engine) charge(ctx context.Context, now time.Time, r *ruling) {
	refused := r.action >= Quarantine
	most := math.MaxInt
	if refused {
		most = mostRecorded // to be told, not to be taken
	}
	costs := e.costs(&r.facts, most)
	charges := make([]state.Charge, len(costs))
	r.charges = make([]Charge, len(costs))
	for i, c := range costs {
		r.charges[i] = Charge{c.limit.Name, c.Subject, c.limit.Unit, c.Cost}
		charges[i] = c.Charge
	}
	if refused || len(charges) == 0 {
		return
	}
	if e.tooBig(r, costs) {
		return
	}
	answer, err := e.store.Take(ctx, now, state.Ask{Charges: charges})
	if err != nil {
		e.unavailable(r, "store.unavailable", fmt.Errorf("store: %w", err))
		return
	}
	for _, f := range answer.Full {
		c := costs[f.Index]
		r.overLimit(c, fmt.Sprintf("%d used, %d more", f.Used, c.Cost), c.limit.Action, waitSeconds(now, f.Free))
	}
}

// tooBig refuses for good what no window of an enforced limit can ever hold:
// waiting does not help.
func (e *Engine) tooBig(r *ruling, costs []limitCharge) bool {
	for _, c := range costs {
		if c.Cost > c.Max && !c.CountOnly {
			r.params.alone = true
			r.overLimit(c, fmt.Sprintf("%d in one message", c.Cost), Reject, 0)
		}
	}
	return r.params.alone
}

// overLimit notes a full window. The reply speaks of the limit that decides,
// the first of the strongest, and of the longest wait of all enforced ones, as
// the message passes no earlier.
func (r *ruling) overLimit(c limitCharge, got string, action Action, seconds int64) {
	decides := r.find("limit."+c.limit.Name, action, []Evidence{{
		Fact: fmt.Sprintf("%s of %s", c.limit.Unit, printable(c.Subject, 200)),
		Got:  got,
		Want: fmt.Sprintf("at most %d in %s", c.Max, FormatDuration(c.Length)),
	}})
	if decides {
		r.params.unit, r.params.max, r.params.window = c.limit.Unit, c.Max, c.Length
	}
	if action >= Quarantine {
		r.params.seconds = max(r.params.seconds, seconds)
	}
}

// waitSeconds rounds up, so that a client that waits so long finds the place free.
func waitSeconds(now, free time.Time) int64 {
	return max(1, int64((free.Sub(now)+time.Second-1)/time.Second))
}

// costs is what the message costs against each limit, in file order, at most so
// many charges.
func (e *Engine) costs(f *facts, most int) []limitCharge {
	var costs []limitCharge
	for i := range e.set.Limits {
		l := &e.set.Limits[i]
		if l.Action == Off || l.Unit == NewRecipients {
			continue
		}
		for _, s := range f.limitSubjects(l.Subject) {
			if len(costs) >= most {
				return costs
			}
			costs = append(costs, limitCharge{l, state.Charge{
				Window:    state.Window{Limit: l.Name, Subject: s.subject, Length: l.Window, Max: l.maxFor(f)},
				Cost:      costIn(l.Unit, f, s.recipients),
				CountOnly: l.Action < Quarantine,
			}})
		}
	}
	return costs
}

func costIn(unit Unit, f *facts, recipients int) int64 {
	switch unit {
	case Recipients:
		return int64(recipients)
	case Bytes:
		return f.mail.Size
	}
	return 1
}

// maxFor is the limit's max for this submitter's plan.
func (l *Limit) maxFor(f *facts) int64 {
	if f.who.account != nil {
		if m, ok := l.Plans[f.who.account.Plan]; ok {
			return m
		}
	}
	return l.Max
}
