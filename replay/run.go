package replay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"o2n-milter/message"
	"o2n-milter/rules"
	"o2n-milter/state"
)

// Run judges by the rules of one lane, and by those of another beside it. It is used by
// one goroutine.
type Run struct {
	// Each, unless nil, is told of every message once it is judged. Its error ends the
	// run.
	Each func(Judged) error

	lane, next *Lane // next is nil where there are no other rules
	tally      *tally
	unknown    map[string]int // what records did not tell, and of how many messages
	faults     int            // verdicts that went wrong inside
	fault      error          // the first of them
	partial    bool
}

// Judged is one message, or recorded decision, and what became of it.
type Judged struct {
	At        time.Time `json:"at"`
	ID        string    `json:"id,omitempty"`   // of the decision
	File      string    `json:"file,omitempty"` // of the message, and its number there
	MessageID string    `json:"message_id"`
	Subject   string    `json:"subject"` // who sent it; empty: it is inbound
	Action    string    `json:"action"`
	Rule      string    `json:"rule"`
	// By the new rules; empty without.
	NewAction string `json:"new_action,omitempty"`
	NewRule   string `json:"new_rule,omitempty"`
}

// NewRun begins with nothing counted; next may be nil.
func NewRun(lane, next *Lane) *Run {
	return &Run{lane: lane, next: next, tally: newTally(), unknown: map[string]int{}}
}

// Mail judges all messages of an Index; seen is told how many there are so far. When
// ctx ends, what was judged until then counts.
func (r *Run) Mail(ctx context.Context, x *Index, e Envelope, seen func(messages int)) error {
	err := x.Each(ctx, func(m Message) error {
		mail, _ := e.Mail(m.Raw)
		j := Judged{At: m.At, File: m.Name}
		if r.Each != nil {
			j.MessageID = message.Read(m.Raw.Fields).MessageID
		}
		err := r.judge(j, func(l *Lane) (rules.Verdict, []string) {
			// Not ctx: a verdict that it cuts short is none.
			return l.Judge(context.WithoutCancel(ctx), m.At, mail), nil
		})
		seen(r.tally.all.Count)
		return err
	})
	return r.ended(ctx, err)
}

// Decisions judges all decisions of a Tape likewise.
func (r *Run) Decisions(ctx context.Context, t *Tape, seen func(decisions int)) error {
	err := t.Each(ctx, func(d state.Decision) error {
		j := Judged{At: d.At, ID: d.ID}
		if r.Each != nil {
			j.MessageID = rules.MessageIDOf(d)
		}
		err := r.judge(j, func(l *Lane) (rules.Verdict, []string) { return l.Again(context.WithoutCancel(ctx), d) })
		seen(r.tally.all.Count)
		return err
	})
	return r.ended(ctx, err)
}

// Stop says that not all was judged.
func (r *Run) Stop() { r.partial = true }

// ended keeps what was judged when somebody ended it.
func (r *Run) ended(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		r.Stop()
		return nil
	}
	return err
}

// judge has both lanes judge at once.
func (r *Run) judge(j Judged, by func(*Lane) (rules.Verdict, []string)) error {
	var beside sync.WaitGroup
	var next *rules.Verdict
	if r.next != nil {
		beside.Go(func() {
			v, _ := by(r.next) // the record tells both the same
			next = &v
		})
	}
	v, unknown := by(r.lane)
	beside.Wait()
	for _, what := range unknown {
		r.unknown[what]++
	}
	r.check(v)
	if next != nil {
		r.check(*next)
	}
	r.tally.add(j.At, v, next)
	if r.Each == nil {
		return nil
	}
	return r.Each(j.with(v, next))
}

// with is the message with its verdicts.
func (j Judged) with(v rules.Verdict, next *rules.Verdict) Judged {
	j.Subject, j.Action, j.Rule = senderSubject(v), v.Action.String(), v.Rule
	if next != nil {
		j.Subject = cmp.Or(j.Subject, senderSubject(*next))
		j.NewAction, j.NewRule = next.Action.String(), next.Rule
	}
	return j
}

// check notes what went wrong inside: the rules' own fault, or the store's.
func (r *Run) check(v rules.Verdict) {
	if v.Err == nil {
		return
	}
	r.faults++
	if r.fault == nil {
		r.fault = fmt.Errorf("decision of %s: %w", v.At.Format(time.RFC3339), v.Err)
	}
}

// Result tells what became of all messages.
func (r *Run) Result(ctx context.Context) (Result, error) {
	res := r.tally.result()
	res.Partial = r.partial
	for _, what := range []string{rules.UnknownRecord, rules.UnknownUnjudged, rules.UnknownNew, rules.UnknownDestination, rules.UnknownReaders} {
		if n := r.unknown[what]; n > 0 {
			res.Notes = append(res.Notes, fmt.Sprintf("of %d messages: %s", n, what))
		}
	}
	if r.faults > 0 {
		res.Notes = append(res.Notes, fmt.Sprintf("%d verdicts went wrong inside, first the %v", r.faults, r.fault))
	}
	var err error
	if res.Blocks, err = blockLines(ctx, r.lane); err == nil && r.next != nil {
		res.NewBlocks, err = blockLines(ctx, r.next)
	}
	return res, err
}
