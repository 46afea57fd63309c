package rules

import (
	"context"
	"strings"
	"time"

	"o2n-milter/message"
	"o2n-milter/state"
)

// findExemptions keeps those in force for this message. Whatever they name is
// judged, counted and logged all the same, and stops nothing.
func (e *Engine) findExemptions(ctx context.Context, now time.Time, r *ruling) error {
	list, err := state.RecordsOf[state.Exemption](ctx, e.store, r.subjects)
	for _, x := range list {
		if x.Active(now) && r.allIn(x.Domain) {
			r.exemptions = append(r.exemptions, x)
		}
	}
	return err
}

// allIn says whether every recipient is in this domain or below it.
func (f *facts) allIn(domain string) bool {
	for _, m := range f.mail.Recipients {
		d := message.Destination(m.Address)
		if domain != "" && d != domain && !strings.HasSuffix(d, "."+domain) {
			return false
		}
	}
	return true
}

// allowed is the rule's action, or shadow where an exemption lets it stop nothing.
func (r *ruling) allowed(id string, action Action, counted string) Action {
	if len(r.exemptions) > 0 && action > Shadow && r.isExempt(id, counted) {
		return Shadow
	}
	return action
}

// isExempt says whether an exemption keeps this rule from stopping the message.
// Counted is the subject that a limit counts; empty for other rules.
func (r *ruling) isExempt(id, counted string) bool {
	return r.exemption(id, counted, func(x state.Exemption) bool { return x.Factor == 0 }) != nil
}

// factor is by how much an exemption raises the max of a limit; 1: not at all.
func (r *ruling) factor(id, counted string) int64 {
	if x := r.exemption(id, counted, func(x state.Exemption) bool { return x.Factor > 0 }); x != nil {
		return x.Factor
	}
	return 1
}

// exemptBy is the id of the exemption that made of a rule's action this one, or has
// raised the max of its limit; empty when the settings alone did.
func (r *ruling) exemptBy(id, counted string, action Action) string {
	whole := action == Shadow
	x := r.exemption(id, counted, func(x state.Exemption) bool { return whole == (x.Factor == 0) })
	if x == nil || whole && r.setTo(id) <= Shadow {
		return ""
	}
	return x.ID
}

// setTo is a rule's or limit's action in the settings in force.
func (r *ruling) setTo(id string) Action {
	for _, l := range r.set.Limits {
		if "limit."+l.Name == id {
			return l.Action
		}
	}
	return r.set.action(id)
}

func (r *ruling) exemption(id, counted string, wanted func(state.Exemption) bool) *state.Exemption {
	for i, x := range r.exemptions {
		if x.Rule == id && wanted(x) && (r.isFor(x.Subject) || counted != "" && strings.HasSuffix(counted, x.Subject)) {
			return &r.exemptions[i]
		}
	}
	return nil
}

// isFor says that a subject's exemption is for the whole message. A domain's is for
// mail to it: one more recipient, there, would else open every rule to anybody. In a
// limit's window of that domain, or of an account at it, it counts all the same.
func (r *ruling) isFor(subject string) bool {
	if !strings.HasPrefix(subject, "domain:") {
		return true
	}
	to := r.byDomain()
	return len(to) == 1 && to[0].recipients == len(r.rcpts)
}
