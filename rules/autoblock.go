package rules

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"o2n-milter/state"
)

// Automatic is who makes the blocks that strikes lead to: their By.
const Automatic = "o2n-milter"

// BlocksWindow counts automatic blocks; its Max is the ceiling's.
func BlocksWindow(most int64) state.Window {
	return state.Window{Limit: "blocks", Subject: "automatic", Length: time.Hour, Max: most}
}

// StrangersWindow counts the automatic blocks of scripts that are no account's.
// Whoever has one invents the names of others: under the one ceiling he would use it
// up for those who have stolen logins.
func StrangersWindow() state.Window {
	return state.Window{Limit: "blocks.strangers", Subject: "automatic", Length: time.Hour, Max: leastCeiling}
}

const (
	// leastCeiling is how many automatic blocks an hour there may always be.
	leastCeiling = 10
	// reachableMax is how many messages an hour a blocked subject may write to
	// Blocking.Reachable.
	reachableMax = 5
	// mostStruck bounds the decisions that a block names.
	mostStruck = 20
)

// toReachable says whether every recipient may be written to by whom is blocked.
func (r *ruling) toReachable() bool {
	for _, a := range r.rcpts {
		if !slices.Contains(r.set.Blocking.Reachable, a.Fold()) {
			return false
		}
	}
	return len(r.rcpts) > 0
}

func reachableCharge(subject string) state.Charge {
	return state.Charge{Window: state.Window{Limit: "block.reachable", Subject: subject, Length: time.Hour, Max: reachableMax}, Cost: 1}
}

// blockGuilty blocks the smallest subject that is guilty and not blocked yet.
func (e *Engine) blockGuilty(ctx context.Context, now time.Time, r *ruling, v *Verdict, subject string) error {
	all, err := e.store.Blocks(ctx)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(b state.Block) bool { return b.State(now) != state.BlockActive })
	if strings.HasPrefix(subject, "script:") {
		subject = r.smallest(subject, all)
	}
	if err := e.block(ctx, now, r, v, subject); err != nil || len(v.Blocked) == 0 {
		return err
	}
	return errors.Join(e.blockCustomer(ctx, now, r, v, all), e.blockClient(ctx, now, r, v))
}

// smallest is whom to block for what this script's user did: the script by its
// name, as long as no other name of the user is blocked (names are forgeable); then
// the user; and where another script of its account is blocked, the account.
func (r *ruling) smallest(user string, active []state.Block) string {
	name, acc := r.scriptName(), r.who.account
	for _, b := range active {
		switch {
		case strings.HasPrefix(b.Subject, user+"/"):
			name = ""
		case acc != nil && b.Account == acc.Login && strings.HasPrefix(b.Subject, "script:"):
			return "account:" + acc.Login
		}
	}
	if name != "" {
		return name
	}
	return user
}

// blockCustomer blocks the customer too when several subjects of his are blocked at
// once. Active are the blocks that there were before.
func (e *Engine) blockCustomer(ctx context.Context, now time.Time, r *ruling, v *Verdict, active []state.Block) error {
	acc := r.who.account
	if acc == nil || acc.Customer == "" {
		return nil
	}
	blocked := map[string]bool{}
	for _, b := range append(active, v.Blocked...) {
		if b.Customer == acc.Customer {
			blocked[wholeScript(b.Subject)] = true
		}
	}
	if len(blocked) < e.set.Blocking.CustomerAfter {
		return nil
	}
	return e.block(ctx, now, r, v, "customer:"+acc.Customer)
}

// wholeScript is a script: subject without the script's own name. A user and a name
// of his are one who is guilty, and either is easily forged.
func wholeScript(subject string) string {
	user, _, _ := strings.Cut(subject, "/")
	if !strings.HasPrefix(subject, "script:") {
		return subject
	}
	return user
}

// block makes the block, unless there are too many of this hour: then a rule is
// more likely wrong than everybody guilty, and people must look.
func (e *Engine) block(ctx context.Context, now time.Time, r *ruling, v *Verdict, subject string) error {
	past, err := e.store.BlocksOf(ctx, []string{subject})
	if err != nil {
		return err
	}
	if slices.ContainsFunc(past, func(b state.Block) bool { return b.State(now) == state.BlockActive }) {
		return nil
	}
	b, err := e.blockOf(ctx, now, r, v, subject, past)
	if err != nil {
		return err
	}
	if e.set.Blocking.Automatic == Shadow {
		v.WouldBlock = append(v.WouldBlock, b)
		return nil
	}
	window := e.ceilingOf(now, r, subject)
	answer, err := e.store.Take(ctx, now, state.Ask{Charges: []state.Charge{{Window: window, Cost: 1}}})
	if err != nil {
		return err
	}
	if len(answer.Full) > 0 {
		v.Alarm = tooMany(subject, window)
		return nil
	}
	return e.keep(ctx, b, v)
}

// keep stores the block. Its id may be taken: by another message of this moment, or
// another host, that has made the very block; or by chance, or by somebody who looked
// for a script's name of the same hash, by another subject's.
func (e *Engine) keep(ctx context.Context, b state.Block, v *Verdict) error {
	err := e.store.AddBlock(ctx, b)
	if errors.Is(err, state.ErrConflict) {
		own, errOwn := e.store.BlocksOf(ctx, []string{b.Subject})
		if errOwn != nil || slices.ContainsFunc(own, func(o state.Block) bool { return o.ID == b.ID }) {
			return errOwn
		}
		b.ID = "B" + NewID()
		err = e.store.AddBlock(ctx, b)
	}
	if err == nil {
		v.Blocked = append(v.Blocked, b)
	}
	return err
}

// roomFor says whether the subject can be blocked at all before anybody looks at all
// blocks for it: in a flood that is asked of each message. In Shadow it is told once
// in Within.
func (e *Engine) roomFor(ctx context.Context, now time.Time, r *ruling, v *Verdict, subject string) (bool, error) {
	if e.set.Blocking.Automatic == Shadow {
		answer, err := e.store.Take(ctx, now, state.Ask{Charges: []state.Charge{{
			Window: state.Window{Limit: "strikes.shadow", Subject: subject, Length: e.set.Blocking.Within, Max: 1}, Cost: 1,
		}}})
		return len(answer.Full) == 0, err
	}
	window := e.ceilingOf(now, r, subject)
	used, err := e.store.Usage(ctx, now, []state.Window{window})
	if err != nil || used[0].Used < window.Max {
		return err == nil, err
	}
	v.Alarm = tooMany(subject, window)
	return false, nil
}

func tooMany(subject string, w state.Window) string {
	return fmt.Sprintf("%s is not blocked: %d automatic blocks in an hour are the most; is a rule wrong?", printable(subject, 200), w.Max)
}

// ceilingOf is the window under which the subject is blocked.
func (e *Engine) ceilingOf(now time.Time, r *ruling, subject string) state.Window {
	if r.who.account == nil && strings.HasPrefix(subject, "script:") {
		return StrangersWindow()
	}
	return BlocksWindow(e.ceiling(now))
}

// ceiling is how many automatic blocks an hour there may be.
func (e *Engine) ceiling(now time.Time) int64 {
	b := e.set.Blocking
	share := e.active.count(now) * b.MaxShare / 100
	return int64(max(leastCeiling, min(b.MaxPerHour, share)))
}

// blockOf writes the block's record. Its id follows from the subject and how many
// blocks it had, so that of several messages at once one makes it.
func (e *Engine) blockOf(ctx context.Context, now time.Time, r *ruling, v *Verdict, subject string, past []state.Block) (state.Block, error) {
	set := e.set.Blocking
	before, recent := 0, 0
	for _, p := range past {
		before = max(before, p.Before+1)
		if now.Sub(p.Since) < set.Remember {
			recent++
		}
	}
	b := state.Block{
		ID: blockID(subject, before), Subject: subject, Rule: v.Rule, By: Automatic, Since: now.UTC().Truncate(time.Second),
		Before: before,
	}
	if d := set.Durations[min(recent, len(set.Durations)-1)]; d > 0 {
		b.Until = b.Since.Add(d)
	}
	// A client is not the customer's: others log in from there.
	if acc := r.who.account; acc != nil && !strings.HasPrefix(subject, "ip:") {
		b.Account, b.Customer = acc.Login, acc.Customer
	}
	evidence := v.Evidence[:min(len(v.Evidence), mostStruck)]
	if e.set.HideAddresses {
		key, _ := e.addressKey(ctx) // without it addresses are left out; record tells why
		evidence = key.hideEvidence(v.Account, evidence)
	}
	var err error
	if b.Evidence, err = json.Marshal(evidence); err != nil {
		return b, err
	}
	if b.Decisions, err = e.struck(ctx, now, v, r.guilty(), past); err != nil {
		return b, err
	}
	b.Reason = fmt.Sprintf("%s refused as abuse in %s, the last one by %s", plural(len(b.Decisions), "message"), FormatDuration(set.Within), v.Rule)
	if len(b.Decisions) == mostStruck {
		b.Reason = "at least " + b.Reason
	}
	return b, nil
}

// blockID is the id of a subject's block after so many.
func blockID(subject string, before int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", subject, before))
	return "B" + base32.StdEncoding.EncodeToString(sum[:5])
}

// struck are the decisions behind a block, the newest first. Those behind an earlier
// one do not count again. Those of an account's script are kept under the account.
func (e *Engine) struck(ctx context.Context, now time.Time, v *Verdict, chain []string, past []state.Block) ([]string, error) {
	ids := []string{v.ID}
	kept := slices.IndexFunc(chain, func(s string) bool { return slices.Contains(v.Subjects, s) })
	list, err := e.store.Decisions(ctx, state.Query{Subject: chain[max(kept, 0)], Since: now.Add(-e.set.Blocking.Within), Limit: 10 * mostStruck})
	for _, d := range list {
		_, isHidden := HiddenDomain(d.From)
		if kept > 0 && !isHidden && scriptSubject(d.From) != chain[0] {
			continue
		}
		if slices.ContainsFunc(past, func(b state.Block) bool { return slices.Contains(b.Decisions, d.ID) }) {
			continue
		}
		action, actionErr := ParseAction(d.Action)
		if actionErr == nil && action >= Quarantine && e.set.Blocking.weight(d.Rule) > 0 && len(ids) < mostStruck {
			ids = append(ids, d.ID)
		}
	}
	return ids, err
}
