package rules

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"o2n-milter/accounts"
	"o2n-milter/message"
	"o2n-milter/state"
)

// mostHeld bounds the record of held mail, in bytes as stored: that of a doc (64 KiB),
// less what later changes may add: what cannot be changed stays on hold.
const mostHeld = 60 << 10

// toll is what the release of held mail costs: the facts from which it is worked out
// under the settings of that time, and as judged whatever no limit makes. It is
// Held.Ask.
type toll struct {
	Version int `json:"v"`
	// Who sent it. An account that could not be looked up is looked up then.
	Unknown bool   `json:"unknown,omitempty"`
	Login   string `json:"login,omitempty"` // as the MTA gave it; of Unknown only
	Plan    string `json:"plan,omitempty"`
	Local   bool   `json:"local,omitempty"`
	Script  string `json:"script,omitempty"`
	Client  string `json:"client,omitempty"`
	// Own says that the envelope sender is the submitter's, so that a report to it
	// goes to nobody else.
	Own      bool           `json:"own,omitempty"`
	Subjects []string       `json:"subjects,omitempty"` // that must not be blocked
	Letters  []state.Letter `json:"letters,omitempty"`
	Extra    []state.Charge `json:"extra,omitempty"` // of no limit
	// Paid mail had passed and was put on hold later: these were its charges.
	Paid    bool     `json:"paid,omitempty"`
	Charges []Charge `json:"charges,omitempty"` // of Paid only
}

// tollVersion is that of toll; another one is not read.
const tollVersion = 1

// hold writes down what is to be held, so that it leaves again. What cannot be
// written down is not held: that is hold.full. Without Settings.Hold nothing is
// really held: check only says so.
func (e *Engine) hold(ctx context.Context, now time.Time, r *ruling, v *Verdict) {
	if e.set.Hold == nil {
		return
	}
	if err := e.holdSafely(ctx, now, r, v); err != nil {
		e.holdFull(r, v, err)
	}
}

// holdSafely gives to Settings.Hold what is to be held; a panic is an error of it.
func (e *Engine) holdSafely(ctx context.Context, now time.Time, r *ruling, v *Verdict) (err error) {
	defer caught(&err)
	h, err := e.held(now, r, v)
	if err != nil {
		return err
	}
	return e.set.Hold(ctx, now, h)
}

// ErrNoRoom is in every error of Settings.Hold that says which bound is reached.
var ErrNoRoom = errors.New("no room for more held mail")

// holdFull is hold.full: the MTA is not told to hold what would never leave again.
// Postfix would try a local submission for ever, so that one is refused for good.
func (e *Engine) holdFull(r *ruling, v *Verdict, err error) {
	got := "cannot be written down"
	if errors.Is(err, ErrNoRoom) {
		got = printable(err.Error(), 200)
	} else {
		v.Err = errors.Join(v.Err, fmt.Errorf("hold %s: %w", v.ID, err))
	}
	action := e.action("hold.full")
	if r.mail.localSubmission() {
		action = Reject
	}
	v.Evidence = append(v.Evidence, Evidence{Rule: "hold.full", Fact: "mail held by " + v.Rule, Got: got, Want: "room to hold it"})
	v.Action, v.Rule = action, "hold.full"
	v.Code, v.Enhanced, v.Text = e.reply(v.Action, v.Rule, v.ID, r.params)
}

// held is the record of what the verdict holds.
func (e *Engine) held(now time.Time, r *ruling, v *Verdict) (state.Held, error) {
	m := r.mail
	if m.QueueID == "" {
		return state.Held{}, fmt.Errorf("%w: the MTA has not told its queue id", ErrNoRoom)
	}
	h := state.Held{
		ID: v.ID, Subject: r.heldFor(v.Rule), Rule: v.Rule, Reason: v.Text, Account: v.Account, Host: r.hostName(), QueueID: m.QueueID,
		From: m.Sender, About: r.msg.Subject, Size: m.Size, Since: now.UTC().Truncate(time.Microsecond), State: state.HeldKept,
	}
	if r.who.account != nil {
		h.Customer = r.who.account.Customer
	}
	for _, rcpt := range m.Recipients {
		h.Recipients = append(h.Recipients, rcpt.Address)
	}
	if LeavesByItself(v.Rule) {
		h.State, h.Due = state.HeldWaiting, now.UTC().Add(time.Duration(r.params.seconds)*time.Second).Truncate(time.Millisecond)
	}
	ask, err := json.Marshal(e.toll(r, v.Rule))
	if err != nil {
		return h, err
	}
	h.Ask = ask
	if size, err := state.RecordSize(h); err != nil || size > mostHeld {
		return h, errors.Join(err, fmt.Errorf("%w: its record would have %d bytes of at most %d", ErrNoRoom, size, mostHeld))
	}
	return h, nil
}

// LeavesByItself says whether what this rule holds leaves when the reason has gone.
// Whatever else holds mail has found something in the message itself, which waiting
// does not change: an operator decides.
func LeavesByItself(rule string) bool {
	return strings.HasPrefix(rule, "limit.") ||
		slices.Contains([]string{"block.active", "bulk.pace", "store.unavailable", "accounts.unavailable"}, rule)
}

// heldFor is the subject behind whose mail it waits.
func (r *ruling) heldFor(rule string) string {
	if r.behind != "" && (rule == "block.active" || rule == "bulk.pace" || strings.HasPrefix(rule, "limit.")) {
		return r.behind
	}
	return r.sender()
}

// sender is who sent it: the account, else the script, else the client.
func (f *facts) sender() string {
	for _, kind := range []string{"account", "script", "ip"} {
		if list := f.limitSubjects(kind); len(list) > 0 {
			return list[0].subject
		}
	}
	return "host:" + f.hostName()
}

// toll is what the message will cost.
func (e *Engine) toll(r *ruling, rule string) toll {
	t := toll{
		Version: tollVersion, Local: r.who.local, Script: r.who.script, Subjects: r.blockable, Letters: r.ask.Letters,
		Extra: e.noLimits(r.ask.Charges), Own: r.mayBounce(),
	}
	if r.mail.Client.IsValid() {
		t.Client = r.mail.Client.String()
	}
	if r.who.account != nil {
		t.Plan = r.who.account.Plan
	}
	if rule == "accounts.unavailable" {
		t.Unknown, t.Login, t.Local = true, r.mail.Login, r.mail.localSubmission()
	}
	return t
}

// mayBounce says that a report to the envelope sender goes to whoever sent it.
func (r *ruling) mayBounce() bool {
	return r.mail.Sender != "" && r.who.mayBounceTo(message.ParseAddress(r.mail.Sender), r.set.Strict)
}

// noLimits are the charges that no limit makes, in shadow or not.
func (e *Engine) noLimits(charges []state.Charge) []state.Charge {
	return slices.DeleteFunc(slices.Clone(charges), func(c state.Charge) bool { return c.Limit == knownWindow || e.limitNamed(c.Limit) != nil })
}

func (e *Engine) limitNamed(name string) *Limit { return e.limitOf("limit." + name) }

// HeldInQueue is the record of mail that had passed, and waits in its MTA's queue
// when its sender is blocked; without host and recipients, which the queue knows. It
// has paid.
func (e *Engine) HeldInQueue(ctx context.Context, now time.Time, b state.Block, d state.Decision) (state.Held, error) {
	var detail Detail
	if err := json.Unmarshal(d.Detail, &detail); err != nil {
		return state.Held{}, fmt.Errorf("decision %s: %w", d.ID, err)
	}
	ask, err := json.Marshal(toll{
		Version: tollVersion, Subjects: d.Subjects, Own: e.sentAsItself(ctx, d), Paid: true, Charges: detail.Charges,
	})
	if err != nil {
		return state.Held{}, err
	}
	h := state.Held{
		ID: d.ID, Subject: b.Subject, Rule: "block.active", Reason: "its sender was blocked before it had left the queue",
		Account: d.Account, QueueID: detail.QueueID, From: d.From, About: detail.Subject, Size: detail.Size,
		Since: now.UTC().Truncate(time.Microsecond), Ask: ask, State: state.HeldWaiting,
	}
	for _, s := range d.Subjects {
		if customer, ok := strings.CutPrefix(s, "customer:"); ok {
			h.Customer = customer
		}
	}
	return h, nil
}

// sentAsItself says that a passed message's envelope sender is its account's, or this
// host's.
func (e *Engine) sentAsItself(ctx context.Context, d state.Decision) bool {
	who := submitter{envelope: e.set.Hosts}
	if d.Account != "" {
		acc, err := e.AccountOf(ctx, d.Account)
		if err != nil || acc == nil {
			return false
		}
		who = ofAccount(acc)
		who.envelope = e.set.Hosts
	}
	return d.From != "" && who.mayBounceTo(message.ParseAddress(d.From), e.set.Strict)
}

// MayBounce says whether a report about held mail may go to its envelope sender.
func MayBounce(h state.Held) bool {
	t, err := tollOf(h)
	return err == nil && t.Own && h.From != ""
}

func tollOf(h state.Held) (toll, error) {
	var t toll
	if err := json.Unmarshal(h.Ask, &t); err != nil {
		return t, fmt.Errorf("held mail %s: what it costs: %w", h.ID, err)
	}
	if t.Version != tollVersion {
		return t, fmt.Errorf("held mail %s: what it costs is of version %d; want %d", h.ID, t.Version, tollVersion)
	}
	return t, nil
}

// accountAt is the account as it is now; where its source does not know it, or does
// not answer, as it was.
func (e *Engine) accountAt(ctx context.Context, h state.Held, t toll) *accounts.Account {
	if h.Account == "" {
		return nil
	}
	if acc, err := e.accounts.ByLogin(ctx, h.Account); err == nil && acc != nil {
		return acc
	}
	return &accounts.Account{Login: h.Account, Customer: h.Customer, Plan: t.Plan}
}
