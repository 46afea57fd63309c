package rules

import (
	"context"
	"fmt"
	"math"
	"net/netip"
	"time"

	"o2n-milter/message"
	"o2n-milter/state"
)

// ReleaseState is what became of held mail that wanted to leave.
type ReleaseState int

// What a Release can be.
const (
	ReleaseLater   ReleaseState = iota // no room, or nobody knows
	ReleaseBlocked                     // a subject of it is blocked
	ReleaseNever                       // waiting does not help: an operator decides
	ReleasePaid
)

// Release is the answer to held mail that wants to leave.
type Release struct {
	State ReleaseState
	// NotBefore is when there is room, as far as is known; zero: nobody knows.
	NotBefore time.Time
	// For are the subjects that it waits for as far as the store goes: those that are
	// blocked, or whose windows are full.
	For []string
	// Charges are those that can refuse, with what they cost; none when it had to
	// be refused before they were worked out.
	Charges []state.Charge
	Rule    string // of ReleaseNever: what keeps it
	Why     string
}

// Release charges held mail for what it costs under the present settings: all of it,
// once, or nothing. Room is asked before anything is charged, and says when there
// will be room in whatever else counts; now or earlier: there is. An error says that
// nothing is known to have been charged; a panic is one too, so that a record which
// brings it does not keep all others from leaving.
func (e *Engine) Release(ctx context.Context, now time.Time, h state.Held, room func([]state.Charge) time.Time) (r Release, err error) {
	defer caught(&err)
	return e.release(ctx, now, h, room)
}

func (e *Engine) release(ctx context.Context, now time.Time, h state.Held, room func([]state.Charge) time.Time) (Release, error) {
	t, err := tollOf(h)
	if err != nil {
		return Release{State: ReleaseNever, Rule: h.Rule, Why: err.Error()}, nil
	}
	r, ask, err := e.askAgain(ctx, now, h, t)
	if err != nil {
		return Release{}, err
	}
	if r.who.unknown {
		return Release{State: ReleaseNever, Rule: "accounts.unknown", Why: "its login is in no source of accounts"}, nil
	}
	blocks, err := e.store.ActiveBlocks(ctx, now, ask.Subjects) // from memory
	if err != nil {
		return Release{}, fmt.Errorf("store: %w", err)
	}
	if len(blocks) > 0 {
		return releaseBlocked(blocks), nil
	}
	release := Release{Charges: refusing(ask.Charges)}
	if free := room(release.Charges); free.After(now) {
		release.NotBefore = free
		return release, nil
	}
	if t.Paid || len(ask.Charges)+len(ask.Letters)+len(ask.Subjects) == 0 {
		release.State = ReleasePaid
		return release, nil
	}
	answer, err := e.store.Take(ctx, now, ask)
	if err != nil {
		return Release{}, fmt.Errorf("store: %w", err)
	}
	return e.released(ask, answer), nil
}

// ReleaseCosts are the charges of held mail that has left already, as Release would
// give them now.
func (e *Engine) ReleaseCosts(ctx context.Context, now time.Time, h state.Held) (charges []state.Charge, err error) {
	defer caught(&err)
	t, err := tollOf(h)
	if err != nil {
		return nil, err
	}
	_, ask, err := e.askAgain(ctx, now, h, t)
	return refusing(ask.Charges), err
}

// rebuild is the ruling on held mail as far as its limits and exemptions go.
func (e *Engine) rebuild(ctx context.Context, now time.Time, h state.Held, t toll) (*ruling, error) {
	m := &Mail{Local: t.Local, Host: h.Host, Login: t.Login, Sender: h.From, QueueID: h.QueueID, Size: h.Size, CanHold: true}
	if client, err := netip.ParseAddr(t.Client); err == nil {
		m.Client = client
	}
	r := &ruling{}
	r.mail, r.set = m, &e.set
	for _, rcpt := range h.Recipients {
		m.Recipients = append(m.Recipients, Recipient{Address: rcpt})
		r.rcpts = append(r.rcpts, message.ParseAddress(rcpt))
	}
	if t.Unknown {
		who, err := e.submitterOf(ctx, m, nil)
		if err != nil {
			return nil, fmt.Errorf("accounts: %w", err)
		}
		r.who = who
	} else {
		r.who = submitter{local: t.Local, script: t.Script, account: e.accountAt(ctx, h, t)}
	}
	r.subjects = r.subjectsOf()
	r.blockable = t.Subjects
	if t.Unknown {
		r.blockable = r.blockableSubjects(r.subjects)
	}
	if err := e.findExemptions(ctx, now, r); err != nil {
		return nil, fmt.Errorf("exemptions: %w", err)
	}
	return r, nil
}

// askAgain is what the release costs under the present settings. Limits that are
// gone cost nothing, new ones do.
func (e *Engine) askAgain(ctx context.Context, now time.Time, h state.Held, t toll) (*ruling, state.Ask, error) {
	r, err := e.rebuild(ctx, now, h, t)
	if err != nil {
		return nil, state.Ask{}, err
	}
	ask := state.Ask{Letters: t.Letters}
	if e.action("block.active") >= Quarantine {
		ask.Subjects = r.blockable
	}
	if t.Paid {
		ask.Charges = e.paidCharges(r, t)
		return r, ask, nil
	}
	enforced, shadow := split(e.costs(r, math.MaxInt))
	for _, c := range append(enforced, shadow...) {
		ask.Charges = append(ask.Charges, c.Charge)
	}
	ask.Charges = append(ask.Charges, learning(shadow)...)
	for _, c := range t.Extra {
		if c, ok := e.extraCharge(c); ok {
			ask.Charges = append(ask.Charges, c)
		}
	}
	return r, ask, nil
}

// paidCharges are what mail that had passed was charged, as far as limits are left.
func (e *Engine) paidCharges(r *ruling, t toll) []state.Charge {
	var charges []state.Charge
	for _, c := range t.Charges {
		l := e.limitNamed(c.Limit)
		if l == nil || l.Action < Quarantine {
			continue
		}
		most := l.maxFor(r.who.account) * r.factor("limit."+l.Name, c.Subject)
		charges = append(charges, state.Charge{
			Window: state.Window{Limit: l.Name, Subject: c.Subject, Length: l.Window, Max: most}, Cost: c.Cost,
		})
	}
	return charges
}

// extraCharge is a charge that no limit makes, under the present settings.
func (e *Engine) extraCharge(c state.Charge) (state.Charge, bool) {
	if c.Limit != "bulk.pace" {
		return c, true
	}
	action := e.action("bulk.pace")
	c.Length, c.Max, c.CountOnly = e.set.Bulk.PaceWindow, e.set.Bulk.PaceMax, action < Quarantine
	return c, action != Off
}

// refusing are the charges whose windows can keep mail from leaving.
func refusing(charges []state.Charge) []state.Charge {
	var list []state.Charge
	for _, c := range charges {
		if !c.CountOnly {
			list = append(list, c)
		}
	}
	return list
}

// released reads the store's answer.
func (e *Engine) released(ask state.Ask, answer state.Answer) Release {
	if len(answer.Blocks) > 0 {
		return releaseBlocked(answer.Blocks)
	}
	charges := append([]state.Charge(nil), ask.Charges...)
	for i, cost := range answer.Costs {
		charges[i].Cost = cost
	}
	r := Release{State: ReleasePaid, Charges: refusing(charges)}
	for _, f := range answer.Full {
		c := charges[f.Index]
		switch {
		case c.CountOnly:
		case f.Free.IsZero():
			return Release{State: ReleaseNever, Rule: e.ruleOf(c.Limit), Charges: r.Charges,
				Why: fmt.Sprintf("it costs %d of %s, which has at most %d in %s", c.Cost, c.Limit, c.Max, FormatDuration(c.Length))}
		default:
			r.State = ReleaseLater
			r.For = append(r.For, c.Subject)
			if f.Free.After(r.NotBefore) {
				r.NotBefore = f.Free
			}
		}
	}
	for i, c := range answer.Campaigns {
		if c.Full {
			return Release{State: ReleaseNever, Rule: e.campaignRule(ask.Letters[i].Max), Charges: r.Charges,
				Why: fmt.Sprintf("its campaign %s has %s meanwhile", c.ID, plural(int(c.Known), "recipient"))}
		}
	}
	return r
}

// releaseBlocked is the answer to held mail that has blocked subjects.
func releaseBlocked(blocks []state.Block) Release {
	r := Release{State: ReleaseBlocked, NotBefore: endOf(blocks)}
	for _, b := range blocks {
		r.For = append(r.For, b.Subject)
	}
	return r
}

// ruleOf is the rule behind a window's name.
func (e *Engine) ruleOf(limit string) string {
	if e.limitNamed(limit) != nil {
		return "limit." + limit
	}
	return limit
}

// campaignRule is the rule that bounds a letter at this many recipients.
func (e *Engine) campaignRule(most int64) string {
	for _, m := range allMeans {
		if most < e.set.Bulk.Similar && e.action(m.id) >= Quarantine {
			return m.id
		}
	}
	return "bulk.volume"
}

// endOf is when the last of the blocks ends by itself; zero when one does not.
func endOf(blocks []state.Block) time.Time {
	var end time.Time
	for _, b := range blocks {
		if b.Until.IsZero() {
			return time.Time{}
		}
		if b.Until.After(end) {
			end = b.Until
		}
	}
	return end
}
