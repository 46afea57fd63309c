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
func (r *ruling) allowed(id string, action Action) Action {
	if action > Shadow && r.isExempt(id) {
		return Shadow
	}
	return action
}

// isExempt says whether an exemption keeps this rule from stopping the message.
func (r *ruling) isExempt(id string) bool {
	return r.exemption(id, func(x state.Exemption) bool { return x.Factor == 0 }) != nil
}

// factor is by how much an exemption raises the max of a limit; 1: not at all.
func (r *ruling) factor(id string) int64 {
	if x := r.exemption(id, func(x state.Exemption) bool { return x.Factor > 0 }); x != nil {
		return x.Factor
	}
	return 1
}

func (r *ruling) exemption(id string, wanted func(state.Exemption) bool) *state.Exemption {
	for i, x := range r.exemptions {
		if x.Rule == id && wanted(x) {
			return &r.exemptions[i]
		}
	}
	return nil
}
