package desk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"o2n-milter/rules"
	"o2n-milter/state"
)

// mostFactor bounds what a limit's max is multiplied by; who needs more needs a
// plan, or no limit.
const mostFactor = 1000

// noExemption are rules that say something about the server, not about a sender.
var noExemption = []string{"accounts.unavailable", "store.unavailable", "content.unavailable", "hold.full", "internal.panic", "internal.overload", "block.active", "limit.NAME"}

// Exemptions lists those in force, or all.
func (d *Desk) Exemptions(ctx context.Context, all bool) (ExemptionList, error) {
	records, err := state.Records[state.Exemption](ctx, d.Store)
	if err != nil {
		return ExemptionList{}, err
	}
	slices.SortStableFunc(records, func(a, b state.Exemption) int { return b.Since.Compare(a.Since) })
	now := d.Now()
	list := ExemptionList{Exemptions: []ExemptionView{}}
	for _, e := range records {
		if v := exemptionView(e, now); all || v.State == ExemptionActive {
			list.Exemptions = append(list.Exemptions, v)
		}
	}
	return list, nil
}

func exemptionView(e state.Exemption, now time.Time) ExemptionView {
	v := ExemptionView{
		ID: e.ID, Scope: "rule", Rule: e.Rule, Subject: e.Subject, Owner: e.Owner, Reason: e.Reason,
		Until: e.Until.UTC(), Factor: e.Factor, Domain: e.Domain, Since: e.Since.UTC(), By: e.By,
		State: ExemptionActive, RemovedAt: optional(e.RemovedAt), RemovedBy: e.RemovedBy,
	}
	if e.Factor > 0 {
		v.Scope = fmt.Sprintf("limit x%d", e.Factor)
	}
	if e.Domain != "" {
		v.Scope += " to " + e.Domain
	}
	switch {
	case !e.RemovedAt.IsZero():
		v.State = ExemptionRemoved
	case !e.Active(now):
		v.State = ExemptionExpired
	}
	return v
}

// AddExemption allows a subject what a rule forbids, until an end date.
func (d *Desk) AddExemption(ctx context.Context, who Actor, in AddExemption) (ExemptionView, error) {
	now := d.now()
	e, err := d.exemption(now, in)
	if err != nil {
		return ExemptionView{}, err
	}
	e.By = who.Name
	if in.DryRun {
		return exemptionView(e, now), nil
	}
	ctx, cancel := carryOn(ctx)
	defer cancel()
	if err = d.pruneExemptions(ctx); err != nil {
		return ExemptionView{}, err
	}
	for {
		e.ID = "E" + rules.NewID()
		if err = state.PutRecord(ctx, d.Store, &e); !errors.Is(err, state.ErrConflict) || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		return ExemptionView{}, err
	}
	d.audit(ctx, who, change{"exemption add", e.ID, e.Subject, e.Reason})
	return exemptionView(e, now), nil
}

// exemption checks what was asked for.
func (d *Desk) exemption(now time.Time, in AddExemption) (e state.Exemption, err error) {
	e = state.Exemption{Rule: in.Rule, Factor: in.Factor, Since: now}
	if e.Subject, err = mailSubject(in.Subject); err != nil {
		return e, err
	}
	if err = d.checkRule(in.Rule, in.Factor); err != nil {
		return e, err
	}
	if in.Domain != "" {
		domain, err := rules.ParseSubject("domain:" + in.Domain)
		if err != nil {
			return e, bad("domain %.400q: no domain name", in.Domain)
		}
		e.Domain = strings.TrimPrefix(domain, "domain:")
	}
	if e.Owner, err = name("owner", in.Owner); err == nil && e.Owner == "" {
		err = bad("owner is empty; want who answers for it")
	}
	if err != nil {
		return e, err
	}
	if e.Reason, err = needText("reason", in.Reason); err != nil {
		return e, err
	}
	e.Until, err = endOf(now, in.For, false)
	return e, err
}

// checkRule makes sure that the rule is one, and that a factor has a max to multiply.
func (d *Desk) checkRule(id string, factor int64) error {
	limit, isLimit := strings.CutPrefix(id, "limit.")
	switch {
	case isLimit:
		if !slices.ContainsFunc(d.Judge.Settings().Limits, func(l rules.Limit) bool { return l.Name == limit }) {
			return bad("rule %.100q: no such limit is configured", id)
		}
	case id != "block" && (!slices.Contains(rules.IDs(), id) || slices.Contains(noExemption, id)):
		return bad("rule %.100q: nobody can be exempt from it; want a rule's id, limit.NAME, or block for automatic blocks", id)
	case factor != 0:
		return bad("factor %d: rule %s has no max to multiply; want a limit", factor, id)
	}
	if factor != 0 && (factor < 2 || factor > mostFactor) {
		return bad("factor %d: want 2 to %d, or none for no limit at all", factor, mostFactor)
	}
	return nil
}

// RemoveExemption ends one before its time. Ending it twice changes nothing.
func (d *Desk) RemoveExemption(ctx context.Context, who Actor, in RemoveExemption) (ExemptionView, error) {
	reason, err := text("reason", in.Reason)
	if err != nil {
		return ExemptionView{}, err
	}
	ctx, cancel := carryOn(ctx)
	defer cancel()
	for {
		now := d.now()
		e, err := d.exemptionNamed(ctx, in.ID)
		if err != nil {
			return ExemptionView{}, err
		}
		if !e.Active(now) {
			return exemptionView(e, now), nil
		}
		e.RemovedAt, e.RemovedBy = now, who.Name
		v := exemptionView(e, now)
		v.Changed = true
		if in.DryRun {
			return v, nil
		}
		err = state.PutRecord(ctx, d.Store, &e)
		switch {
		case errors.Is(err, state.ErrConflict):
			continue // somebody else removed it: look again
		case err != nil:
			return ExemptionView{}, err
		}
		d.audit(ctx, who, change{"exemption remove", e.ID, e.Subject, reason})
		return v, nil
	}
}

func (d *Desk) exemptionNamed(ctx context.Context, id string) (state.Exemption, error) {
	records, err := state.Records[state.Exemption](ctx, d.Store)
	if err != nil {
		return state.Exemption{}, err
	}
	i := slices.IndexFunc(records, func(e state.Exemption) bool { return e.ID == id })
	if i < 0 {
		return state.Exemption{}, notFound("no exemption %.100q", id)
	}
	return records[i], nil
}

// pruneExemptions deletes what ended long ago.
func (d *Desk) pruneExemptions(ctx context.Context) error {
	all, err := state.Records[state.Exemption](ctx, d.Store)
	if err != nil {
		return err
	}
	last := d.Now().Add(-endedKept)
	old := slices.DeleteFunc(all, func(e state.Exemption) bool { return !e.Until.Before(last) })
	return deleteAll(old, func(e state.Exemption) error { return state.DeleteRecord(ctx, d.Store, e) })
}
