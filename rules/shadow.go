package rules

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"o2n-milter/state"
)

// What is in shadow stops nothing, and is counted as if it did: limits in shadow, by
// their own action, by [shadow] all or by an exemption, have windows of their own,
// which are charged what would have passed, all of it or nothing.

// shadowPrefix stands before the names of windows and sets of what is in shadow. No
// [limit.NAME] has a slash.
const shadowPrefix = "shadow/"

// Hit is a rule in shadow that would have stopped a message.
type Hit struct {
	Rule    string
	Subject string // who sent it; of a limit, whose window was full
}

// inShadow is set with every action above shadow put down to it ([shadow] all), but
// for two: blocks are looked at one by one, since a manual one is an operator's own
// word, and hold.full, which only what still holds mail can come to.
func inShadow(set Settings) Settings {
	set.Actions, set.Limits = maps.Clone(set.Actions), slices.Clone(set.Limits)
	for id, action := range set.Actions {
		if action > Accept && id != "block.active" && id != "hold.full" {
			set.Actions[id] = Shadow
		}
	}
	for i := range set.Limits {
		set.Limits[i].Action = min(set.Limits[i].Action, Shadow)
	}
	set.Blocking.Automatic = min(set.Blocking.Automatic, Shadow)
	return set
}

// meantBy are the actions of rules and limits as they are configured, whatever [shadow]
// makes of them.
func meantBy(set Settings) map[string]Action {
	meant := maps.Clone(set.Actions)
	maps.Copy(meant, fixed)
	for _, l := range set.Limits {
		meant["limit."+l.Name] = l.Action
	}
	return meant
}

// wouldStop says whether a rule that is in shadow for this message would stop it were
// nothing in shadow. Who is exempt stays so, and under [shadow] all a rule that is set
// to shadow stays there too. Counted is the subject that a limit counts.
func (e *Engine) wouldStop(r *ruling, id, counted string) bool {
	meant := e.meant[id]
	switch {
	case r.isExempt(id, counted), id == "block.active" && len(r.reaching) > 0, meant == Shadow && e.set.AllShadow:
		return false
	case meant == Shadow:
		meant = Reject
	}
	if id == "content.score" && r.score != nil {
		meant, _ = e.set.Content.reached(r.score.Score, meant)
	}
	return meant >= Quarantine
}

// split puts the charges of limits in shadow behind the others.
func split(costs []limitCharge) (enforced, shadow []limitCharge) {
	if !anyInShadow(costs) {
		return costs, nil
	}
	for _, c := range costs {
		if c.action == Shadow {
			shadow = append(shadow, c.inShadow())
		} else {
			enforced = append(enforced, c)
		}
	}
	return enforced, shadow
}

func anyInShadow(costs []limitCharge) bool {
	for i := range costs {
		if costs[i].action == Shadow {
			return true
		}
	}
	return false
}

// inShadow is the charge in the window of its own. Release takes it as it is: it is
// charged where there is room.
func (c limitCharge) inShadow() limitCharge {
	c.Limit = shadowPrefix + c.Limit
	if c.Set != "" {
		c.Set = shadowPrefix + c.Set
	}
	return c
}

// knownWindow is the one of learning.
const knownWindow = "known/" + recipientSet

// learning make known to their subjects the recipients that limits in shadow count, as
// the mail does go to them: an enforced limit begins with an empty window, and knows
// whom everybody writes to. Their windows hold nothing.
func learning(shadow []limitCharge) []state.Charge {
	var charges []state.Charge
	for _, c := range shadow {
		if c.Set != "" {
			charges = append(charges, state.Charge{
				Window: state.Window{Limit: knownWindow, Subject: c.Subject, Length: knownFor},
				Set:    recipientSet, Members: c.Members, Remember: c.Remember, CountOnly: true,
			})
		}
	}
	return charges
}

// chargeShadow charges limits in shadow what would have passed, and finds those that
// are full. Told are their charges as people are told. The mail has paid and passes
// even when the store does not answer.
func (e *Engine) chargeShadow(ctx context.Context, now time.Time, r *ruling, costs []limitCharge, told []Charge) {
	stopped := slices.ContainsFunc(r.hits, func(h Hit) bool { return e.wouldStop(r, h.Rule, "") })
	if len(costs) == 0 || r.action >= Quarantine || stopped {
		return
	}
	ask := state.Ask{Charges: make([]state.Charge, len(costs))}
	for i, c := range costs {
		ask.Charges[i] = c.Charge
		ask.Charges[i].CountOnly = !e.wouldStop(r, c.limit.rule(), c.Subject)
	}
	answer, err := e.take(ctx, now, r, ask)
	if err != nil {
		r.err = errors.Join(r.err, fmt.Errorf("store: limits in shadow: %w", err))
		return
	}
	e.taken(now, r, costs, told, answer)
}

// Try is the verdict that Decide would give, with the windows and blocks as they are.
// Nothing is charged, recorded, held or struck, and no notice of our own is taken for
// one, since each passes once.
func (e *Engine) Try(ctx context.Context, m *Mail) Verdict {
	now := e.now()
	r := e.judgeSafely(ctx, now, m, true)
	return e.verdict(r, now, NewID())
}

// hit notes a rule in shadow, once for each subject.
func (r *ruling) hit(id, subject string) {
	if h := (Hit{id, subject}); len(r.hits) < mostRecorded && !slices.Contains(r.hits, h) {
		r.hits = append(r.hits, h)
	}
}

// hitsOf are the rules in shadow that found something, with who would have been hit.
func (r *ruling) hitsOf() []Hit {
	var hits []Hit
	for _, h := range r.hits {
		if h.Rule == "block.active" && len(r.reaching) > 0 {
			continue // it may pass, whatever is in shadow
		}
		if h.Subject == "" {
			h.Subject = r.sender()
		}
		hits = append(hits, h)
	}
	return hits
}

// sparing takes out the blocks that [shadow] all keeps from stopping mail: those that
// nobody but we ourselves wanted.
func (e *Engine) sparing(r *ruling, blocks []state.Block) []state.Block {
	if !e.set.AllShadow {
		return blocks
	}
	var automatic, manual []state.Block
	for _, b := range blocks {
		if b.By == Automatic {
			automatic = append(automatic, b)
		} else {
			manual = append(manual, b)
		}
	}
	if e.action("block.active") != Off && len(automatic) > 0 {
		r.spared = true
		r.find("block.active", Shadow, blockActive(automatic))
	}
	return manual
}
