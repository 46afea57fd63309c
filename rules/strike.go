package rules

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"o2n-milter/state"
)

// Blocking is how refusals become strikes, and strikes blocks.
type Blocking struct {
	// Automatic is Off, Shadow (strikes are counted, and what would be blocked is
	// logged) or Reject (it is blocked).
	Automatic Action
	Strikes   int           // a subject with so many within Within is blocked
	Within    time.Duration // how long a strike counts
	// Durations of a subject's first, second ... block within Remember, and of the
	// last one on; 0: until it is lifted.
	Durations []time.Duration
	Remember  time.Duration
	// Weights are what a refusal by a rule counts, by rule id or by the id's part
	// before the dot; what is not there is in strikeWeights.
	Weights map[string]int

	// At most so many automatic blocks an hour, and so many for each hundred
	// accounts that sent in the last hour; but never fewer than leastCeiling.
	MaxPerHour int
	MaxShare   int // percent

	CustomerAfter int // a customer with so many subjects blocked at once is blocked too
	IPAfter       int // a client with so many logins blocked within Within is blocked too

	// Reachable are the addresses, folded, that a blocked subject may still write
	// to, at most reachableMax messages an hour.
	Reachable []string
}

// strikeWeights is what a refusal counts. A forged author, Sender or envelope is
// what a hijacked account does; a full window also happens to the honest. What is
// not here never strikes: a block that is in force, what we cannot judge, and our
// own faults.
var strikeWeights = map[string]int{
	"identity":               1,
	"identity.header_from":   2,
	"identity.sender":        2,
	"identity.envelope_from": 2,
	"recipients":             1,
	"bulk":                   1,
	"content":                1,
	"limit":                  1,
}

// strikeSet names the set of messages that have struck.
const strikeSet = "strikes.messages"

// countless is the max of a window that only counts.
const countless = math.MaxInt64 >> 1

// weight of a refusal: 0 when it does not strike.
func (b *Blocking) weight(id string) int {
	if id == "content.unavailable" { // whatever "content" counts
		return 0
	}
	table, _, _ := strings.Cut(id, ".")
	for _, weights := range []map[string]int{b.Weights, strikeWeights} {
		for _, key := range []string{id, table} {
			if n, ok := weights[key]; ok {
				return n
			}
		}
	}
	return 0
}

// strikeSafely is strike; a panic is an error of it.
func (e *Engine) strikeSafely(ctx context.Context, now time.Time, r *ruling, v *Verdict) (err error) {
	defer caught(&err)
	return e.strike(ctx, now, r, v)
}

// Strikes says whether refusals by a rule strike where nothing else is configured.
func Strikes(id string) bool { return (&Blocking{}).weight(id) > 0 }

// strike counts a refusal against who caused it and blocks him when it was one too
// many: the last step of a decision. Its verdict stays as it is.
func (e *Engine) strike(ctx context.Context, now time.Time, r *ruling, v *Verdict) error {
	weight := e.strikeWeight(r, v)
	if weight == 0 {
		return nil
	}
	chain := r.guilty()
	if len(chain) == 0 || r.isExempt("block", "") {
		return nil
	}
	isNew, err := e.newToStrike(ctx, now, r, chain[0])
	if err != nil || !isNew {
		return err
	}
	past, err := e.store.BlocksOf(ctx, append(slices.Clip(chain), r.scriptName()))
	if err != nil {
		return err
	}
	charges := e.strikeCharges(r, v, chain, len(past), weight)
	answer, err := e.store.Take(ctx, now, state.Ask{Charges: charges})
	if err != nil || len(answer.Full) > 0 {
		return err // full: this window has struck already
	}
	v.Struck = weight
	for i, subject := range chain {
		if answer.Windows[i].Used < e.threshold(now, past, subject) {
			continue
		}
		if room, err := e.roomFor(ctx, now, r, v, subject); err != nil || !room {
			return err
		}
		return e.blockGuilty(ctx, now, r, v, subject)
	}
	return nil
}

// strikeWeight is what this verdict counts. What is held at the pace of a limit, or
// told to come back at that of bulk mail, is no abuse, and a window that others fill too tells nothing about this sender.
func (e *Engine) strikeWeight(r *ruling, v *Verdict) int {
	if !v.Judged || v.Action < Quarantine || e.set.Blocking.Automatic == Off || v.Rule == bulkPace {
		return 0
	}
	if l := e.limitOf(v.Rule); l != nil {
		shared := !slices.Contains([]string{"account", "account+domain", "script", "ip"}, l.Subject)
		if v.Action == Quarantine || shared {
			return 0
		}
	}
	return e.set.Blocking.weight(v.Rule)
}

// limitOf is the limit behind a rule id; nil for other rules.
func (e *Engine) limitOf(id string) *Limit {
	name, ok := strings.CutPrefix(id, "limit.")
	if !ok {
		return nil
	}
	i := slices.IndexFunc(e.set.Limits, func(l Limit) bool { return l.Name == name })
	if i < 0 {
		return nil
	}
	return &e.set.Limits[i]
}

// guilty are the subjects that a strike counts against, the smallest first: the
// script, then the account. Only where there is neither it is the client.
func (f *facts) guilty() []string {
	if f.who.unknown {
		return nil // nobody's account: its login is a guess
	}
	var chain []string
	if user := f.scriptUser(); user != "" {
		chain = append(chain, user)
	}
	for _, s := range f.limitSubjects("account") {
		chain = append(chain, s.subject)
	}
	if len(chain) == 0 && f.blockableClient() {
		chain = append(chain, clientSubject(f.mail.Client))
	}
	return chain
}

// blockableClient is false for loopback and this host's own addresses: everybody's
// mail comes from there.
func (f *facts) blockableClient() bool {
	c := f.mail.Client
	return c.IsValid() && !c.IsLoopback() && !f.who.local && !slices.Contains(f.set.Own, c)
}

// newToStrike says whether this very message has not struck yet: an honest
// queue's retries are one abuse, not many.
func (e *Engine) newToStrike(ctx context.Context, now time.Time, r *ruling, subject string) (bool, error) {
	within := e.set.Blocking.Within
	answer, err := e.store.Take(ctx, now, state.Ask{Charges: []state.Charge{{
		Window: state.Window{Limit: strikeSet, Subject: subject, Length: within, Max: countless},
		Set:    strikeSet, Members: []string{r.sameness()}, Remember: within,
	}}})
	if err != nil {
		return false, err
	}
	return answer.Costs[0] > 0, nil
}

// sameness tells one message from another, and not a retry from the first try.
func (f *facts) sameness() string {
	h := sha256.New()
	var room [256]byte
	write := func(s string) { // with its length: no two lists of texts are one
		text := binary.AppendUvarint(room[:0], uint64(len(s)))
		h.Write(append(text, s...)) // never fails (package hash)
	}
	write(f.mail.Sender)
	for _, a := range f.mail.Recipients {
		write(a.Address)
	}
	for _, field := range f.mail.Header {
		if !strings.EqualFold(field.Name, "Received") {
			write(field.Name)
			write(field.Value)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// strikeCharges are the strike against each of the chain, in its order, and, when a
// limit refused, that its window may strike once. After each block strikes are
// counted anew, so that the first mail after it is not the last straw.
func (e *Engine) strikeCharges(r *ruling, v *Verdict, chain []string, blocks, weight int) []state.Charge {
	var charges []state.Charge
	for _, s := range chain {
		charges = append(charges, state.Charge{
			Window: state.Window{Limit: fmt.Sprintf("strikes.%d", blocks), Subject: s, Length: e.set.Blocking.Within, Max: countless},
			Cost:   int64(weight),
		})
	}
	if l := e.limitOf(v.Rule); l != nil && !r.params.alone {
		charges = append(charges, state.Charge{
			Window: state.Window{Limit: "strikes.limit." + l.Name, Subject: chain[0], Length: l.Window, Max: 1}, Cost: 1,
		})
	}
	return charges
}

// threshold is how many strikes block the subject: half of them when a block of it,
// or of a script of its, was lifted lately, as the detector is armed again and not
// switched off.
func (e *Engine) threshold(now time.Time, past []state.Block, subject string) int64 {
	n := int64(e.set.Blocking.Strikes)
	for _, b := range past {
		own := b.Subject == subject || strings.HasPrefix(b.Subject, subject+"/")
		if own && !b.LiftedAt.IsZero() && now.Sub(b.LiftedAt) < e.set.Blocking.Remember {
			return (n + 1) / 2
		}
	}
	return n
}

// blockClient counts a blocked login against the client that it came from, and
// blocks that when it was one too many: a thief tries one stolen password after the
// other. Full windows do not count: an office behind one address fills many.
func (e *Engine) blockClient(ctx context.Context, now time.Time, r *ruling, v *Verdict) error {
	if r.mail.Login == "" || e.limitOf(v.Rule) != nil || !r.blockableClient() || e.inNetworks(r.mail.Client) {
		return nil
	}
	b, subject := e.set.Blocking, clientSubject(r.mail.Client)
	past, err := e.store.BlocksOf(ctx, []string{subject})
	if err != nil {
		return err
	}
	name := fmt.Sprintf("strikes.logins.%d", len(past))
	answer, err := e.store.Take(ctx, now, state.Ask{Charges: []state.Charge{{
		Window: state.Window{Limit: name, Subject: subject, Length: b.Within, Max: countless},
		Set:    name, Members: []string{v.Account}, Remember: b.Within,
	}}})
	if err != nil || answer.Windows[0].Used < int64(b.IPAfter) {
		return err
	}
	return e.block(ctx, now, r, v, subject)
}
