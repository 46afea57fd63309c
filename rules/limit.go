package rules

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"o2n-milter/accounts"
	"o2n-milter/internal/chaos"
	"o2n-milter/state"
)

// Charge is what a message costs against one limit, as people are told.
type Charge struct {
	Limit   string `json:"limit"`
	Subject string `json:"subject"`
	Unit    Unit   `json:"unit"`
	// Cost in new_recipients is that of nobody known as long as the store has not
	// been asked.
	Cost int64 `json:"cost"`
}

// limitCharge is a charge with the limit that makes it.
type limitCharge struct {
	limit  *Limit
	action Action // the limit's, or what an exemption makes of it
	state.Charge
}

// charge is limit.NAME: it works out what the message costs, and, unless a rule
// already stopped it, takes all of it or nothing. The same call asks for blocks:
// one that another host made, or that was made since judging began, is in force
// here, also for mail that no limit counts.
func (e *Engine) charge(ctx context.Context, now time.Time, r *ruling) {
	most := math.MaxInt
	if r.action >= Quarantine {
		most = mostRecorded // to be told, not to be taken
	}
	costs := e.costs(r, most)
	r.room = costs[:0]
	if len(costs) > maxCharges && e.tooMany(r) {
		costs = costs[:mostRecorded]
	}
	e.settle(ctx, now, r, costs, e.letters(r))
}

// tooMany is message.too_complex for what would be charged to too many windows, and says
// whether it is refused.
func (e *Engine) tooMany(r *ruling) bool {
	const id = "message.too_complex"
	if action := r.allowed(id, e.action(id), ""); action != Off {
		r.find(id, action, one("message", "more destinations than are counted at once", "less"))
	}
	return r.action >= Quarantine
}

// maxCharges is how many windows a message may be charged to: five for each of the 1,000
// recipients that Postfix takes. Redis answers nobody else meanwhile, for some 15 us for
// each, and other hosts give it 200 ms.
const maxCharges = 5000

// settle charges what the limits cost and counts the letters, if there are any, unless a
// rule already stopped the message.
func (e *Engine) settle(ctx context.Context, now time.Time, r *ruling, limits []limitCharge, letters []state.Letter) {
	refused := r.action >= Quarantine
	costs := limits
	if len(letters) > 0 && !refused {
		pace, err := e.paced(ctx, now, r, letters)
		if err != nil {
			e.unavailable(r, "store.unavailable", fmt.Errorf("store: %w", err))
			r.toRelease(letters)
			return
		}
		if len(pace) > 0 {
			costs = append(pace, limits...) // bulk comes before the limits
		}
	}
	var b bill
	e.bill(r, &b, costs, letters)
	if !refused {
		b.ask.Charges = append(b.ask.Charges, learning(b.shadow)...)
		r.ask = b.ask
		if again := e.pay(ctx, now, r, &b); again {
			e.settle(ctx, now, r, limits, letters)
			return
		}
	}
	chaos.Point("charged")
	r.toRelease(b.ask.Letters)
}

// bill is what a message costs, and the question to the store that charges it.
type bill struct {
	costs, shadow    []limitCharge // of enforced limits, and of those in shadow
	told, toldShadow []Charge      // the same as people are told, in the ruling
	ask              state.Ask     // the costs first, in their order
	reachable        int           // where in ask.Charges a blocked subject's mail to us is charged; -1: it is not
}

// bill makes out b and tells people of it.
func (e *Engine) bill(r *ruling, b *bill, costs []limitCharge, letters []state.Letter) {
	b.reachable = -1
	b.costs, b.shadow = split(costs)
	n := len(b.costs)
	r.tell(b.costs, b.shadow)
	b.told, b.toldShadow = r.charges[:n], r.charges[n:]
	b.ask.Charges = make([]state.Charge, n)
	for i := range b.costs {
		b.ask.Charges[i] = b.costs[i].Charge
	}
	b.ask.Letters = letters
	switch {
	case len(r.reaching) > 0:
		b.reachable = n
		b.ask.Charges = append(b.ask.Charges, reachableCharge(r.reaching[0].Subject))
	case e.often.active >= Quarantine && !r.spared:
		b.ask.Subjects = r.blockable
	}
}

// pay has the store charge all of the bill or nothing, and rules by its answer. With a
// block that judging did not know, nothing is charged; when the message may pass all the
// same, within its share or since the block does not stop it, a new bill is to be made out.
func (e *Engine) pay(ctx context.Context, now time.Time, r *ruling, b *bill) (again bool) {
	if len(b.ask.Charges)+len(b.ask.Subjects)+len(b.ask.Letters) > 0 {
		answer, err := e.take(ctx, now, r, b.ask)
		switch {
		case err != nil:
			e.unavailable(r, "store.unavailable", fmt.Errorf("store: %w", err))
			return false
		case len(answer.Blocks) > 0:
			e.blocked(r, answer.Blocks)
			return len(r.reaching) > 0 || r.action < Quarantine
		}
		if slices.ContainsFunc(answer.Full, func(f state.Full) bool { return f.Index == b.reachable }) {
			r.find("block.active", e.action("block.active"), blockActive(r.reaching))
		}
		e.counted(r, b.ask.Letters, answer.Campaigns)
		e.taken(now, r, b.costs, b.told, firstOf(answer, len(b.costs)))
	}
	e.chargeShadow(ctx, now, r, b.shadow, b.toldShadow)
	return false
}

// take asks the store; for a verdict that is only asked for, nothing is charged.
func (e *Engine) take(ctx context.Context, now time.Time, r *ruling, ask state.Ask) (state.Answer, error) {
	ask.Dry = ask.Dry || r.dry
	return e.store.Take(ctx, now, ask)
}

// tell notes the charges as people are told, those of limits in shadow last.
func (r *ruling) tell(lists ...[]limitCharge) {
	n := 0
	for _, list := range lists {
		n += len(list)
	}
	r.charges = make([]Charge, 0, n)
	for _, list := range lists {
		for i := range list {
			c := &list[i]
			r.charges = append(r.charges, Charge{c.limit.Name, c.Subject, c.limit.Unit, c.Cost})
		}
	}
}

// taken notes what the store says of each charge, and what has no room. Told are the
// charges as people are told.
func (e *Engine) taken(now time.Time, r *ruling, costs []limitCharge, told []Charge, answer state.Answer) {
	for i, cost := range answer.Costs {
		costs[i].Cost, told[i].Cost = cost, cost
	}
	r.windows = slices.Grow(r.windows, len(answer.Windows))
	for i, u := range answer.Windows {
		costs[i].Max = u.Max // a store that counts alone has its own
		w := e.windowOf(costs[i].limit.Unit, u)
		w.Limit, w.Shadow = costs[i].limit.Name, costs[i].action == Shadow
		r.windows = append(r.windows, w)
	}
	// What no window can ever hold is refused for good, waiting does not help:
	// that comes first, since the reply is the first one's of the strongest.
	for _, f := range answer.Full {
		if c := costs[f.Index]; f.Free.IsZero() && !c.CountOnly {
			r.overLimit(c, fmt.Sprintf("%d in one message", c.Cost), Reject, 0)
		}
	}
	for _, f := range answer.Full {
		if c := costs[f.Index]; !f.Free.IsZero() || c.CountOnly {
			r.overLimit(c, fmt.Sprintf("%d used, %d more", f.Used, c.Cost), c.action, waitSeconds(now, f.Free))
		}
	}
}

// firstOf is the answer to the first n charges.
func firstOf(a state.Answer, n int) state.Answer {
	a.Costs, a.Windows = a.Costs[:min(n, len(a.Costs))], a.Windows[:min(n, len(a.Windows))]
	a.Full = slices.DeleteFunc(a.Full, func(f state.Full) bool { return f.Index >= n })
	return a
}

// overLimit notes a full window; no seconds: it will never have room. The reply
// speaks of the limit that decides, the first of the strongest, and of the
// longest wait of all enforced ones, as the message passes no earlier.
func (r *ruling) overLimit(c limitCharge, got string, action Action, seconds int64) {
	rule := c.limit.rule()
	decides := r.find(rule, action, []Evidence{{
		Fact:   fmt.Sprintf("%s of %s", c.limit.Unit, printable(c.Subject, 200)),
		Got:    got,
		Want:   fmt.Sprintf("at most %d in %s", c.Max, FormatDuration(c.Length)),
		Exempt: r.exemptBy(rule, c.Subject, action),
	}})
	if decides {
		r.params.unit, r.params.max, r.params.window = c.limit.Unit, c.Max, c.Length
		r.params.alone = seconds == 0
		r.behind = c.Subject
	}
	if action == Shadow {
		r.hit(rule, c.Subject)
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
func (e *Engine) costs(r *ruling, most int) []limitCharge {
	f := &r.facts
	costs := slices.Grow(r.room, len(e.set.Limits))
	for i := range e.set.Limits {
		l := &e.set.Limits[i]
		if l.Action == Off {
			continue
		}
		for _, s := range f.limitSubjects(l.Subject) {
			if len(costs) >= most {
				return costs
			}
			c := limitCharge{limit: l, action: l.Action, Charge: state.Charge{
				Window: state.Window{Limit: l.Name, Subject: s.subject, Length: l.Window, Max: l.maxFor(f.who.account)},
			}}
			if len(r.exemptions) > 0 {
				c.action = r.allowed(l.rule(), l.Action, s.subject)
				c.Max *= r.factor(l.rule(), s.subject)
			}
			c.CountOnly = c.action < Quarantine
			c.cost(f, s)
			costs = append(costs, c)
		}
	}
	return costs
}

// rule is the id of the rule that the limit is.
func (l *Limit) rule() string {
	if l.Name == bulkPace {
		return bulkPace
	}
	return "limit." + l.Name
}

// knownFor is how long a recipient is known to a subject that has written to him:
// a newsletter each quarter knows its readers.
const knownFor = 90 * day

// recipientSet names the set of those who are known to a subject.
const recipientSet = "recipients"

func (c *limitCharge) cost(f *facts, s subjectCount) {
	switch c.limit.Unit {
	case Recipients:
		c.Cost = int64(s.recipients)
	case Bytes:
		c.Cost = f.mail.Size
	case NewRecipients:
		members := f.members(s)
		c.Cost = int64(len(members))
		// More than a set can hold are all new, which they nearly all are.
		if len(members) <= state.MaxMembers {
			c.Set, c.Members, c.Remember = recipientSet, members, knownFor
		}
	default:
		c.Cost = 1
	}
}

// maxFor is the limit's max for the plan of this account, which may be nil.
func (l *Limit) maxFor(acc *accounts.Account) int64 {
	if acc != nil {
		if m, ok := l.Plans[acc.Plan]; ok {
			return m
		}
	}
	return l.Max
}
