package simulation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"o2n-milter/rules"
	"o2n-milter/state"
	"o2n-milter/web/desk"
)

var root = desk.Actor{Name: "root", From: "cli"}

// play has an event happen, and says what is wrong then.
func (w *world) play(e event) error {
	switch e.kind {
	case mail:
		return w.send(e)
	case begin:
		w.begun[e.a%4] = session{w.engine, w.variant}
	case tick:
		return w.pass(e.t)
	case setBack:
		w.skew -= e.t
		w.model.loose = w.now.Add(25 * time.Hour)
	case reload:
		w.configure(e.a % variants)
	case keep:
		return w.step()
	case mtaAway:
		switch {
		case w.mta.down != nil || w.mta.deaf:
			w.mta.down, w.mta.deaf = nil, false
		case e.b%2 == 1:
			w.mta.deaf = true
		default:
			w.mta.down = errMTA
		}
	case restart:
		return w.restarted(e.b%2 == 1)
	case between:
		w.other = &e
	case fault:
		w.plan = append(w.plan, e)
	default:
		return w.operate(e)
	}
	return nil
}

// pass lets time pass; the keeper has its turn meanwhile.
func (w *world) pass(t time.Duration) error {
	for _, part := range []time.Duration{t / 8, t - t/8} {
		w.now = w.now.Add(part)
		if err := w.step(); err != nil {
			return err
		}
	}
	return nil
}

// operate has somebody do something at the desk.
func (w *world) operate(e event) error {
	var err error
	met, panicked := w.try("desk", func() { err = w.atDesk(e) })
	done := panicked == nil && err == nil
	if !done && !met && !errors.Is(err, desk.ErrConflict) && !errors.Is(err, desk.ErrNotFound) && !errors.Is(err, desk.ErrBad) {
		return fmt.Errorf("%s: %w, and the store is well", kindNames[e.kind], err)
	}
	if err := w.compare(met, e.kind); err != nil {
		return fmt.Errorf("%s: %w", kindNames[e.kind], err)
	}
	if e.kind == reset && (done || met) {
		w.model.reset(w.subject(e.a), done)
	}
	return w.tell()
}

// subject is somebody's, by number.
func (w *world) subject(n int) string {
	p := &people[n%len(people)]
	list := []string{p.of("account"), p.of("customer"), p.of("script")}
	list = slices.DeleteFunc(list, func(s string) bool { return s == "" })
	return list[n/len(people)%len(list)]
}

var (
	blockTimes = []string{"10m", "1h", "4h", "manual"}
	exemptFrom = []string{"limit.minute", "limit.hour", "limit.day", "limit.dest", "identity.header_from", "recipients.envelope", "block"}
)

func (w *world) atDesk(e event) error {
	switch e.kind {
	case block:
		return w.addBlock(e)
	case lift:
		return w.liftBlock(e)
	case extend:
		return w.extendBlock(e)
	case ask:
		return w.askUnblock(e)
	case answer:
		return w.answerRequest(e)
	case exempt:
		return w.addExemption(e)
	case unexempt:
		return w.removeExemption(e)
	case reset:
		_, err := w.desk.Reset(w.ctx, root, desk.Reset{Subject: w.subject(e.a)})
		return err
	case wish:
		return w.wishHeld(e)
	}
	return nil
}

func (w *world) addBlock(e event) error {
	v, err := w.desk.AddBlock(w.ctx, root, desk.AddBlock{Subject: w.subject(e.a), For: blockTimes[e.b%4], Reason: "abuse"})
	if err == nil {
		w.blocked(v)
	}
	return err
}

// blocked notes a block that somebody was told of.
func (w *world) blocked(v desk.BlockView) {
	w.model.blocks.put(v.ID, state.Block{ID: v.ID, Subject: v.Subject, Since: v.Since, Until: until(v.Until)})
}

func (w *world) liftBlock(e event) error {
	b, known := w.model.blocks.pick(e.a)
	if !known {
		return nil
	}
	list, err := w.desk.LiftBlock(w.ctx, root, desk.LiftBlock{Block: b.ID, Reason: "mistake"})
	if err == nil && list.Blocks[0].Changed {
		w.lifted(b.ID)
	}
	return err
}

func (w *world) extendBlock(e event) error {
	b, known := w.model.blocks.pick(e.a)
	if !known {
		return nil
	}
	v, err := w.desk.ExtendBlock(w.ctx, root, desk.ExtendBlock{Block: b.ID, For: blockTimes[e.b%4]})
	if err == nil {
		w.lifted(b.ID)
		w.blocked(v)
	}
	return err
}

func (w *world) addExemption(e event) error {
	in := desk.AddExemption{Subject: w.subject(e.a), Rule: exemptFrom[e.b%len(exemptFrom)], Owner: "sales", Reason: "a contract", For: "4h"}
	if strings.HasPrefix(in.Rule, "limit.") && e.c%2 == 1 {
		in.Factor = exemptFactor
	}
	v, err := w.desk.AddExemption(w.ctx, root, in)
	if err == nil {
		w.model.exemptions.put(v.ID, state.Exemption{ID: v.ID, Subject: v.Subject, Rule: v.Rule, Factor: v.Factor, Since: v.Since, Until: v.Until})
	}
	return err
}

func (w *world) removeExemption(e event) error {
	x, known := w.model.exemptions.pick(e.a)
	if !known {
		return nil
	}
	v, err := w.desk.RemoveExemption(w.ctx, root, desk.RemoveExemption{ID: x.ID})
	if err == nil && v.RemovedAt != nil {
		x.RemovedAt = *v.RemovedAt
		w.model.exemptions.put(x.ID, x)
	}
	return err
}

// askUnblock has a customer ask for the end of a block.
func (w *world) askUnblock(e event) error {
	b, known := w.model.blocks.pick(e.a)
	login, isAccount := strings.CutPrefix(b.Subject, "account:")
	if !known || !isAccount {
		return nil
	}
	in := desk.AskUnblock{Account: login, Scope: desk.ScopeFull, Block: b.ID, Happened: "a virus", Self: e.b%2 == 1}
	v, err := w.desk.Ask(w.ctx, desk.Actor{Name: "customer " + login}, in)
	if err == nil {
		w.model.requests.put(v.ID, state.Request{ID: v.ID, Block: b.ID, Subject: b.Subject, State: v.State})
		if in.Self {
			w.lifted(b.ID)
		}
	}
	return err
}

func (w *world) answerRequest(e event) error {
	r, known := w.model.requests.pick(e.a)
	if !known {
		return nil
	}
	in := desk.AnswerRequest{Request: r.ID, Text: "thank you"}
	if e.b%3 == 0 {
		v, err := w.desk.Deny(w.ctx, root, in)
		if err == nil {
			r.State = v.State
			w.model.requests.put(r.ID, r)
		}
		return err
	}
	v, err := w.desk.Approve(w.ctx, root, in)
	if err == nil {
		r.State = v.State
		w.model.requests.put(r.ID, r)
		for _, id := range v.Lifted {
			w.lifted(id)
		}
	}
	return err
}

// lifted notes that a block has ended, as somebody was told.
func (w *world) lifted(id string) {
	b := w.model.blocks.of[id]
	b.LiftedAt = w.clock().UTC().Truncate(time.Second)
	w.model.blocks.put(id, b)
}

var wishes = []state.Wish{state.WishRelease, state.WishDelete, state.WishBounce}

func (w *world) wishHeld(e event) error {
	list, err := state.Records[state.Held](w.ctx, w.base)
	list = slices.DeleteFunc(list, func(h state.Held) bool { return h.State != state.HeldWaiting && h.State != state.HeldKept })
	if err != nil || len(list) == 0 {
		return err
	}
	slices.SortFunc(list, func(a, b state.Held) int { return strings.Compare(a.QueueID, b.QueueID) })
	_, err = w.desk.WishHeld(w.ctx, root, desk.WishHeld{Wish: wishes[e.b%3], IDs: []string{list[e.a%len(list)].ID}})
	return err
}

// restarted is a restart, after which all is to be as it was.
func (w *world) restarted(kill bool) error {
	if err := w.restart(kill); err != nil {
		return fmt.Errorf("restart: %w", err)
	}
	for id, q := range w.mta.queue {
		if h, err := w.recordOf(q); err != nil {
			return err
		} else if h == nil {
			w.orphans[id] = true // its record was in memory only
		}
	}
	if err := w.compare(false, restart); err != nil {
		return fmt.Errorf("after a restart: %w", err)
	}
	return w.compareWindows()
}

// decide is what a session does at the end of a message.
func (w *world) decide(l *letter, s session) (v rules.Verdict, met bool) {
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	w.hanging = cancel
	defer func() { w.hanging = nil }()
	met, panicked := w.try("mail", func() { v = s.engine.Decide(ctx, l.Mail) })
	if panicked != nil {
		v = rules.Panicked(l.Mail, w.clock(), fmt.Errorf("%v", panicked))
	}
	return v, met
}

func until(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}
