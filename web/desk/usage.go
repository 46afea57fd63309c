package desk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"o2n-milter/state"
)

// Status tells the daemon's health.
func (d *Desk) Status(ctx context.Context) (Status, error) {
	st, err := d.Store.Status(ctx, d.Now())
	if err != nil {
		return Status{}, err
	}
	active, err := d.Blocks(ctx, false)
	if err != nil && st.Degraded == "" { // a store that is away may not know them
		return Status{}, err
	}
	held, _, err := d.HeldCount(ctx)
	if err != nil && st.Degraded == "" {
		return Status{}, err
	}
	hold := ""
	if d.HoldAway != nil && held > 0 {
		hold = d.HoldAway()
	}
	expiring, err := d.expiring(ctx)
	if err != nil && st.Degraded == "" {
		return Status{}, err
	}
	clock := ""
	if d.Clock != nil {
		clock = d.Clock()
	}
	why := d.degraded(st)
	return Status{
		Version: d.Version, Backend: st.Backend, Degraded: why != "", Reason: why,
		Sessions: d.Sessions(), LastCommit: optional(st.LastCommit), Blocks: len(active.Blocks), Held: held,
		Size: st.Size, Windows: st.Windows, Memory: st.Memory, Clock: clock, Hold: hold,
		AllShadow: d.Judge.Settings().AllShadow, Expiring: expiring, Configuration: d.Judge.Settings().Version,
	}, nil
}

// degraded says what is not whole: the store, or a part of the daemon.
func (d *Desk) degraded(st state.Status) string {
	if d.Trouble == nil {
		return st.Degraded
	}
	return strings.Trim(st.Degraded+"; "+d.Trouble(), "; ")
}

// expiresSoon is how long before its end an exemption is shown.
const expiresSoon = 7 * 24 * time.Hour

// expiring are the exemptions that end soon, the next one first.
func (d *Desk) expiring(ctx context.Context) ([]ExemptionView, error) {
	soon := []ExemptionView{}
	list, err := d.Exemptions(ctx, false)
	for _, x := range list.Exemptions {
		if x.Until.Sub(d.Now()) <= expiresSoon {
			soon = append(soon, x)
		}
	}
	slices.SortStableFunc(soon, func(a, b ExemptionView) int { return a.Until.Compare(b.Until) })
	return soon, err
}

// Shadow tells whom rules in shadow would have hit.
func (d *Desk) Shadow(ctx context.Context) (Shadow, error) {
	if d.Stats == nil {
		return Shadow{Shadow: []ShadowCount{}}, nil
	}
	list, err := d.Stats.Shadow(ctx, d.Now())
	return Shadow{Shadow: list}, err
}

// Usage lists the windows of exactly this subject; none for one that nobody knows.
func (d *Desk) Usage(ctx context.Context, subject string) (Usage, error) {
	subject, err := parseSubject(subject)
	if err != nil {
		return Usage{}, err
	}
	windows, err := d.Judge.WindowsOf(ctx, d.Now(), subject)
	if err != nil {
		return Usage{}, err
	}
	if windows == nil {
		windows = []UsageWindow{}
	}
	return Usage{Subject: subject, Windows: windows}, nil
}

// Decision tells all that was kept of one.
func (d *Desk) Decision(ctx context.Context, id string) (DecisionView, error) {
	dec, err := d.Store.Decision(ctx, id)
	if errors.Is(err, state.ErrNotFound) {
		return DecisionView{}, notFound("no decision %.100q", id)
	}
	if err != nil {
		return DecisionView{}, err
	}
	v, err := decisionView(dec)
	if err != nil {
		return v, fmt.Errorf("decision %.100q: %w", id, err)
	}
	return v, nil
}

// Reset clears a subject's windows, and forgets whom it has written to.
func (d *Desk) Reset(ctx context.Context, who Actor, in Reset) (Resetted, error) {
	reason, err := text("reason", in.Reason)
	if err != nil {
		return Resetted{}, err
	}
	usage, err := d.Usage(ctx, in.Subject)
	if err != nil {
		return Resetted{}, err
	}
	done := Resetted{Subject: usage.Subject, Windows: []UsageWindow{}}
	for _, w := range usage.Windows {
		if w.Used > 0 {
			done.Windows = append(done.Windows, w)
		}
	}
	if in.DryRun {
		return done, nil
	}
	ctx, cancel := carryOn(ctx)
	defer cancel()
	if done.Cleared, err = d.Store.Reset(ctx, usage.Subject); err != nil {
		return Resetted{}, err
	}
	d.audit(ctx, who, change{what: "reset", subject: usage.Subject, reason: reason})
	return done, nil
}
