package simulation

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"o2n-milter/hold"
	"o2n-milter/notify"
	"o2n-milter/rules"
	"o2n-milter/state"
)

// send has somebody send a message, and holds the verdict against the model.
func (w *world) send(e event) error {
	w.ids++
	l := w.setup.compose(e, w.ids)
	if last := w.last[l.who]; last != nil && e.b%20 == 19 {
		again := *last // an honest queue tries the same once more
		again.Mail.QueueID = l.QueueID
		l = &again
	}
	s := session{w.engine, w.variant}
	if old, isOld := w.begun[e.a%4]; isOld && e.d == 1 {
		s = old
		delete(w.begun, e.a%4)
	}
	costs := w.model.costs(l, limitsOf(s.variant), w.clock(), w.now)
	alarmed := w.log.n
	v, met := w.decide(l, s)
	unasked := met && w.setup.accept // the store failed when it was asked again, and mail passes then
	if b := w.came; b != nil && w.inTime && !unasked && slices.Contains(l.subjects(), b.Subject) && v.Action == rules.Accept && l.to[0] != reachable {
		return fmt.Errorf("%s of %s: passes, and %s was blocked by %s meanwhile", l.QueueID, l.who.sender, b.Subject, b.ID)
	}
	w.verdict[v.Action.String()+" "+v.Rule]++
	if err := w.judge(l, &v, costs, met); err != nil {
		return fmt.Errorf("%s of %s to %d: %s %s: %w", l.QueueID, l.who.sender, len(l.to), v.Action, v.Rule, err)
	}
	if met && v.Err == nil && w.log.n == alarmed {
		return fmt.Errorf("%s: %s %s: the store failed, and nobody is told", l.QueueID, v.Action, v.Rule)
	}
	if !met && v.Err != nil {
		return fmt.Errorf("%s: %w, and the store is well", l.QueueID, v.Err)
	}
	w.last[l.who] = l
	for _, b := range v.Blocked {
		w.events = append(w.events, notify.Event{What: notify.Block, At: v.At, Block: b})
	}
	return w.tell()
}

// judge holds a verdict against the model, and brings that up to date.
func (w *world) judge(l *letter, v *rules.Verdict, costs []cost, met bool) error {
	m, clock := w.model, w.clock()
	blocked := m.blocked(l, clock)
	if w.came != nil { // its time is looked at elsewhere
		blocked = slices.DeleteFunc(blocked, func(b state.Block) bool { return b.ID == w.came.ID && v.Action < rules.Quarantine })
	}
	passes := v.Action == rules.Accept || v.Action == rules.Tag
	unasked := v.Rule == "store.unavailable" && passes
	if unasked && (!met || !w.setup.accept) {
		return errors.New("passes unasked")
	}
	if err := w.explained(l, v, met); err != nil {
		return err
	}
	switch {
	case unasked:
		if l.forged && !m.isExempt(l.who, "identity.header_from", clock) {
			return errors.New("a forged author passes")
		}
		m.passed(l, costs, w.now, false, met)
	case passes:
		if err := w.mayPass(l, costs, blocked); err != nil {
			return err
		}
		m.passed(l, costs, w.now, true, met)
	default:
		if err := w.mayStop(l, v, costs, blocked, met); err != nil {
			return err
		}
		if len(w.taken) > 0 && met {
			m.passed(l, costs, w.now, false, met) // it may have been charged, and nobody heard
		}
	}
	if v.Action == rules.Quarantine {
		w.onHold(l, v, met)
	}
	if err := w.struck(l, v, met); err != nil {
		return err
	}
	if met || len(v.Blocked) > 0 {
		return w.compare(met, mail)
	}
	return nil
}

// mayPass says why a message that passes must not.
func (w *world) mayPass(l *letter, costs []cost, blocked []state.Block) error {
	m, clock := w.model, w.clock()
	reaches := len(blocked) > 0 && len(l.to) == 1 && l.to[0] == reachable
	switch {
	case reaches:
		if err := w.reached(blocked); err != nil {
			return err
		}
	case len(blocked) > 0:
		return fmt.Errorf("passes, and %s is blocked by %s", blocked[0].Subject, blocked[0].ID)
	}
	switch {
	case l.forged && !m.isExempt(l.who, "identity.header_from", clock):
		return errors.New("a forged author passes")
	case l.many && !m.isExempt(l.who, "recipients.envelope", clock):
		return errors.New("too many recipients pass")
	}
	for _, c := range costs {
		least, _ := held(m.windows[c.key], w.now, c.limit.Window)
		if c.low > 0 && !c.free() && least+c.low > c.most { // what costs nothing always fits
			return fmt.Errorf("passes with %d, and %s of %s has %d of %d", c.low, c.what, c.subject, least, c.most)
		}
	}
	if least, _ := m.readers(l, w.now); least > l.mostTo() {
		return fmt.Errorf("text %d passes to %d; at most %d", l.text, least, l.mostTo())
	}
	return nil
}

// reached counts the mail of a blocked subject to us.
func (w *world) reached(blocked []state.Block) error {
	if len(blocked) > 1 {
		return nil // one of them has the share
	}
	b := blocked[0]
	list := slices.DeleteFunc(w.model.reached[b.Subject], func(at time.Time) bool { return w.now.Sub(at) >= time.Hour })
	w.model.reached[b.Subject] = append(list, w.now)
	if len(list) >= 5 {
		return fmt.Errorf("%s is blocked and writes to us for the %d. time in an hour", b.Subject, len(list)+1)
	}
	return nil
}

// mayStop says why a message that is stopped should pass, or was stopped for another
// reason than is told.
func (w *world) mayStop(l *letter, v *rules.Verdict, costs []cost, blocked []state.Block, met bool) error {
	m, clock := w.model, w.clock()
	limit, isLimit := strings.CutPrefix(v.Rule, "limit.")
	switch {
	case met && (v.Rule == "store.unavailable" || v.Rule == "internal.panic" || v.Rule == "hold.full"):
	case met && v.Rule == "identity.header_from" && l.forged, met && v.Rule == "recipients.envelope" && l.many: // exemptions were not found
	case v.Rule == "identity.header_from" && l.forged && !m.isExempt(l.who, v.Rule, clock):
	case v.Rule == "recipients.envelope" && l.many && !m.isExempt(l.who, v.Rule, clock):
	case v.Rule == "block.active" && len(blocked) > 0:
	case isLimit && met, isLimit && w.now.Before(m.loose):
	case isLimit:
		full := slices.ContainsFunc(costs, func(c cost) bool {
			_, most := held(m.windows[c.key], w.now, c.limit.Window)
			return c.what == limit && !c.free() && most+c.high > c.most
		})
		if !full {
			return errors.New("stopped by a window that has room")
		}
	case v.Rule == "bulk.unsubscribe" || v.Rule == "bulk.volume":
		_, most := m.readers(l, w.now)
		if bound := l.mostTo(); most <= bound && !w.now.Before(m.loose) {
			return fmt.Errorf("text %d is stopped at %d; at most %d", l.text, most, bound)
		}
	default:
		return errors.New("stopped for no reason")
	}
	return nil
}

// explained wants the record of a verdict, with the same in it.
func (w *world) explained(l *letter, v *rules.Verdict, met bool) error {
	if v.ID == "" || !v.Judged || v.Code == 0 {
		return errors.New("no verdict at all")
	}
	if met {
		return nil
	}
	d, err := w.base.Decision(w.ctx, v.ID)
	if err != nil {
		return err
	}
	if d.Action != v.Action.String() || d.Rule != v.Rule || d.Rcpts != len(l.to) || d.Account != l.who.account() {
		return fmt.Errorf("recorded as %s %s of %s to %d", d.Action, d.Rule, d.Account, d.Rcpts)
	}
	return nil
}

// struck holds strikes and the blocks that they lead to against the model.
func (w *world) struck(l *letter, v *rules.Verdict, met bool) error {
	m, chain := w.model, l.who.chain()
	weight := map[string]int64{"identity.header_from": 2, "recipients.envelope": 1, "bulk.unsubscribe": 1, "bulk.volume": 1}[v.Rule]
	isLimit := strings.HasPrefix(v.Rule, "limit.")
	again := w.last[l.who] != nil && w.last[l.who].Mail == l.Mail
	exempt := m.isExempt(l.who, "block", w.clock()) && !met // which may not have been found
	lost := v.Rule == "internal.panic" && met               // it was refused, and struck, before that
	if exempt || weight == 0 && !isLimit && !lost {
		if len(v.Blocked) > 0 {
			return errors.New("blocks for nothing")
		}
		return nil
	}
	blocks, most := m.chainBlocks(chain), false
	sure := weight > 0 && !met && !again
	should, doubt := "", int64(0)
	if lost {
		doubt = 2
	}
	if w.came != nil { // nobody knows whether before this or after
		for _, subject := range chain {
			put(m.strikes, key{"strikes", subject, blocks}, charge{w.now, 2, false}, within)
			put(m.strikes, key{"strikes", subject, blocks - 1}, charge{w.now, 2, false}, within)
		}
		for _, b := range v.Blocked {
			m.blocks.put(b.ID, b)
		}
		return nil
	}
	for _, subject := range chain {
		k := key{"strikes", subject, blocks}
		put(m.strikes, k, charge{w.now, max(weight, 1, doubt), sure}, within)
		low, high := held(m.strikes[k], w.now, within)
		line := m.threshold(subject, w.setup.strikes, w.clock())
		if sure && low >= line && should == "" {
			should = subject
		}
		most = most || high >= line
	}
	if len(v.Blocked) > 0 && !most && !w.now.Before(m.loose) {
		return fmt.Errorf("%s is blocked before it has struck out", v.Blocked[0].Subject)
	}
	if should != "" && len(v.Blocked)+len(v.WouldBlock) == 0 && v.Alarm == "" && !w.setup.shadow {
		return fmt.Errorf("%s has struck out, and nobody is blocked", should)
	}
	for _, b := range v.Blocked {
		if !slices.Contains(append(l.who.subjects(), chain...), b.Subject) {
			return fmt.Errorf("%s is blocked for mail of %s", b.Subject, l.who.sender)
		}
		m.blocks.put(b.ID, b)
	}
	return nil
}

// onHold is what the MTA does with a message that is to be held.
func (w *world) onHold(l *letter, v *rules.Verdict, met bool) {
	q := &queued{letter: l, Queued: hold.Queued{
		ID: l.QueueID, Queue: hold.QueueHold, Arrived: w.clock().Truncate(time.Second), From: l.Sender, Recipients: l.to, Count: len(l.to), Size: l.Size,
	}}
	w.mta.queue[q.ID] = q
	if v.Rule == "internal.panic" && met {
		w.orphans[q.ID] = true
	}
}

// compare wants blocks, exemptions and requests in the store as people were told.
// After a fault that they heard of, or may have, it is as the store has it.
func (w *world) compare(doubt bool, after kind) error {
	m := w.model
	blocks, err := w.base.Blocks(w.ctx)
	if err != nil {
		return err
	}
	slices.Reverse(blocks)
	there := map[string]bool{}
	for _, b := range blocks {
		there[b.ID] = true
		was, known := m.blocks.of[b.ID]
		changed := !known || was.Subject != b.Subject || !was.Until.Equal(b.Until) || was.LiftedAt.IsZero() != b.LiftedAt.IsZero()
		if changed && !doubt && after != answer { // an answer may close what it did not name
			return fmt.Errorf("block %s of %s until %s, lifted %t; told until %s, lifted %t", b.ID, b.Subject, b.Until, !b.LiftedAt.IsZero(), was.Until, !was.LiftedAt.IsZero())
		}
		if known && !was.LiftedAt.IsZero() && b.LiftedAt.IsZero() {
			return fmt.Errorf("block %s is in force again", b.ID)
		}
		m.blocks.put(b.ID, b)
	}
	for id := range m.blocks.of {
		if !there[id] {
			return fmt.Errorf("block %s of %s is lost", id, m.blocks.of[id].Subject)
		}
	}
	return errors.Join(w.compareExemptions(doubt), w.compareRequests(doubt))
}

func (w *world) compareExemptions(doubt bool) error {
	list, err := state.Records[state.Exemption](w.ctx, w.base)
	if err != nil {
		return err
	}
	slices.SortStableFunc(list, func(a, b state.Exemption) int { return a.Since.Compare(b.Since) })
	there := map[string]bool{}
	for _, x := range list {
		there[x.ID] = true
		was, known := w.model.exemptions.of[x.ID]
		if changed := !known || was.RemovedAt.IsZero() != x.RemovedAt.IsZero() || !was.Until.Equal(x.Until); changed && !doubt {
			return fmt.Errorf("exemption %s of %s from %s is not as it was told", x.ID, x.Subject, x.Rule)
		}
		w.model.exemptions.put(x.ID, x)
	}
	for id := range w.model.exemptions.of {
		if !there[id] {
			return fmt.Errorf("exemption %s is lost", id)
		}
	}
	return nil
}

func (w *world) compareRequests(doubt bool) error {
	list, err := state.Records[state.Request](w.ctx, w.base)
	if err != nil {
		return err
	}
	slices.SortStableFunc(list, func(a, b state.Request) int { return a.At.Compare(b.At) })
	there := map[string]bool{}
	for _, r := range list {
		there[r.ID] = true
		was, known := w.model.requests.of[r.ID]
		if known && was.State != state.RequestOpen && was.State != r.State {
			return fmt.Errorf("request %s was %s and is %s", r.ID, was.State, r.State)
		}
		if !known && !doubt {
			return fmt.Errorf("request %s comes from nowhere", r.ID)
		}
		w.model.requests.put(r.ID, r)
	}
	for id := range maps.Clone(w.model.requests.of) {
		if !there[id] {
			return fmt.Errorf("request %s is lost", id)
		}
	}
	return nil
}

// compareWindows wants in the store's windows what the model has in its own.
func (w *world) compareWindows() error {
	for _, limit := range limitsOf(w.variant) {
		var asked []state.Window
		for k := range w.model.windows {
			if k.what == limit.Name {
				asked = append(asked, state.Window{Limit: k.what, Subject: k.subject, Length: limit.Window, Max: limit.Max})
			}
		}
		usage, err := w.base.Usage(w.ctx, w.clock(), asked)
		if err != nil {
			return err
		}
		for _, u := range usage {
			list := w.model.windows[key{what: u.Limit, subject: u.Subject}]
			least, most := held(list, w.now, limit.Window)
			if u.Used < least || u.Used > most && !w.now.Before(w.model.loose) {
				return fmt.Errorf("window %s of %s holds %d; want %d to %d", u.Limit, u.Subject, u.Used, least, most)
			}
		}
	}
	return nil
}
