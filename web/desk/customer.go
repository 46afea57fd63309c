package desk

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"o2n-milter/rules"
	"o2n-milter/state"
)

// CustomerView is all that the customer page shows of an account.
type CustomerView struct {
	Account string          `json:"account"`
	Blocks  []CustomerBlock `json:"blocks"`  // in force, oldest first
	Earlier []BlockView     `json:"earlier"` // newest first
	Volume  Volume          `json:"volume"`
	Seen    []SeenMail      `json:"seen"`   // refused mail, newest first
	Limits  []UsageWindow   `json:"limits"` // of the account, then of its customer
}

// CustomerBlock is a block in force as its customer may see it.
type CustomerBlock struct {
	BlockView
	Evidence  []rules.Evidence `json:"evidence"`
	Decisions []SeenMail       `json:"decisions"`
	Request   *RequestView     `json:"request"`   // the account's newest about it; nil: none
	CanSelf   bool             `json:"can_self"`  // "unblock me now" is allowed, with a link of ScopeFull
	SelfLeft  int              `json:"self_left"` // how often the account may still, these 30 days
}

// SeenMail is a refused message as its sender may see it.
type SeenMail struct {
	ID       string           `json:"id"`
	At       time.Time        `json:"at"`
	Rcpts    int              `json:"rcpts"`
	Subject  string           `json:"subject"` // of the mail
	Rule     string           `json:"rule"`
	Action   string           `json:"action"`
	Evidence []rules.Evidence `json:"evidence"`
}

// mostSeen refused messages are shown.
const mostSeen = 20

// refused says that mail with this action did not go its way at once.
func refused(action string) bool {
	return action == "reject" || action == "tempfail" || action == "quarantine"
}

// holder is an account as the desk lets it see things.
type holder struct {
	login    string
	customer string // empty: none
	scripts  []string
}

// holderOf is the account that a link names. One that no source knows is itself
// alone.
func (d *Desk) holderOf(ctx context.Context, account string) (holder, error) {
	subject, err := rules.ParseSubject("account:" + account)
	if err != nil || rules.IsPair(subject) {
		return holder{}, notFound("no account %.400q", account)
	}
	h := holder{login: strings.TrimPrefix(subject, "account:")}
	acc, err := d.Judge.Account(ctx, h.login)
	if acc == nil || err != nil {
		return h, err
	}
	return holder{login: acc.Login, customer: acc.Customer, scripts: acc.Scripts}, nil
}

func (h *holder) subject() string { return "account:" + h.login }

// shared are the subjects that the account sees, but for its scripts.
func (h *holder) shared() []string {
	if h.customer == "" {
		return []string{h.subject()}
	}
	return []string{h.subject(), "customer:" + h.customer}
}

// owns says that a subject is the account's own: itself or one of its scripts.
func (h *holder) owns(subject string) bool {
	if subject == h.subject() {
		return true
	}
	script, ok := strings.CutPrefix(subject, "script:")
	return ok && slices.ContainsFunc(h.scripts, func(s string) bool {
		s = strings.ToLower(s)
		return script == s || strings.HasPrefix(script, s+"/")
	})
}

// sees says that a subject's blocks are shown to the account: its own, and its
// customer's, which stop it too.
func (h *holder) sees(subject string) bool {
	return h.owns(subject) || h.customer != "" && subject == "customer:"+h.customer
}

// sent says that the account sent what a decision is about.
func (h *holder) sent(dec state.Decision) bool {
	if dec.Account != "" {
		return dec.Account == h.login
	}
	return slices.ContainsFunc(dec.Subjects, h.owns)
}

// Customer tells an account what it may know about itself.
func (d *Desk) Customer(ctx context.Context, account string) (CustomerView, error) {
	h, err := d.holderOf(ctx, account)
	if err != nil {
		return CustomerView{}, err
	}
	v := CustomerView{Account: h.login, Blocks: []CustomerBlock{}, Earlier: []BlockView{}, Seen: []SeenMail{}}
	blocks, err := d.blocksOf(ctx, h)
	if err != nil {
		return v, err
	}
	now := d.Now()
	for _, b := range blocks {
		if b.State(now) != state.BlockActive {
			v.Earlier = append(v.Earlier, customerView(b, now))
			continue
		}
		cb, err := d.customerBlock(ctx, h, b, blocks)
		if err != nil {
			return v, err
		}
		v.Blocks = append(v.Blocks, cb)
	}
	slices.Reverse(v.Blocks)
	volume, seen, err := d.sentBy(ctx, h)
	if err != nil {
		return v, err
	}
	v.Volume = volume
	for _, dec := range seen {
		v.Seen = append(v.Seen, seenMail(dec, blocks))
	}
	v.Limits, err = d.limitsOf(ctx, h)
	return v, err
}

// blocksOf are the blocks that the account sees, newest first. The names of its
// scripts are known from the blocks alone: who has none needs not all of them, which
// take 25 ms when there are 20,000.
func (d *Desk) blocksOf(ctx context.Context, h holder) ([]state.Block, error) {
	if len(h.scripts) == 0 {
		list, err := d.Store.BlocksOf(ctx, h.shared())
		slices.Reverse(list)
		return list, err
	}
	all, err := d.Store.Blocks(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(b state.Block) bool { return !h.sees(b.Subject) }), nil
}

// requestsOf are the account's own requests, about whatever it sees.
func (d *Desk) requestsOf(ctx context.Context, h holder) ([]state.Request, error) {
	blocks, err := d.blocksOf(ctx, h)
	if err != nil {
		return nil, err
	}
	subjects := h.shared()
	for _, b := range blocks {
		subjects = append(subjects, b.Subject)
	}
	slices.Sort(subjects)
	list, err := state.RecordsOf[state.Request](ctx, d.Store, slices.Compact(subjects))
	return slices.DeleteFunc(list, func(r state.Request) bool { return r.Account != h.login }), err
}

// customerView leaves out which operator did what, and why he lifted it: notes are
// for the record.
func customerView(b state.Block, now time.Time) BlockView {
	v := viewOf(b, now)
	v.By, v.LiftedBy, v.Note = "", "", ""
	return v
}

func (d *Desk) customerBlock(ctx context.Context, h holder, b state.Block, visible []state.Block) (CustomerBlock, error) {
	v := CustomerBlock{BlockView: customerView(b, d.Now()), Evidence: []rules.Evidence{}, Decisions: []SeenMail{}}
	if h.owns(b.Subject) || b.Account == h.login {
		v.Evidence = own(evidenceOf(b), visible)
	}
	for _, id := range b.Decisions {
		dec, err := d.Store.Decision(ctx, id)
		if isGone(err) {
			continue
		}
		if err != nil {
			return v, err
		}
		if h.sent(dec) {
			v.Decisions = append(v.Decisions, seenMail(dec, visible))
		}
	}
	requests, err := d.requestsAbout(ctx, b.Subject)
	if err != nil {
		return v, err
	}
	for _, r := range requests {
		if r.Block == b.ID && r.Account == h.login {
			rv := requestView(r)
			rv.AnsweredBy = ""
			v.Request = &rv
		}
	}
	v.SelfLeft, err = d.selfLeft(ctx, h)
	v.CanSelf = v.SelfLeft > 0 && selfAllowed(h, b)
	return v, err
}

// own is evidence without what it says of others' blocks: those of a shared script
// or a domain's owner may stop the account's mail too.
func own(list []rules.Evidence, visible []state.Block) []rules.Evidence {
	list = slices.Clone(list)
	for i, ev := range list {
		id, isBlock := strings.CutPrefix(ev.Fact, "block ")
		if isBlock && !slices.ContainsFunc(visible, func(b state.Block) bool { return b.ID == id }) {
			list[i].Fact, list[i].Got = "block", "another subject of the message is blocked"
		}
	}
	return list
}

func seenMail(dec state.Decision, visible []state.Block) SeenMail {
	var detail rules.Detail
	if json.Unmarshal(dec.Detail, &detail) != nil {
		// Written by another version: the line without its particulars.
		detail = rules.Detail{}
	}
	evidence := own(detail.Evidence, visible)
	if evidence == nil {
		evidence = []rules.Evidence{}
	}
	return SeenMail{
		ID: dec.ID, At: dec.At.UTC(), Rcpts: dec.Rcpts, Subject: detail.Subject,
		Rule: dec.Rule, Action: dec.Action, Evidence: evidence,
	}
}

// limitsOf are the windows of the account and of its customer, which it shares.
func (d *Desk) limitsOf(ctx context.Context, h holder) ([]UsageWindow, error) {
	list := []UsageWindow{}
	for _, s := range h.shared() {
		windows, err := d.Judge.WindowsOf(ctx, d.Now(), s)
		if err != nil {
			return nil, err
		}
		for _, w := range windows {
			if !w.Shadow { // which stops nobody
				w.Subject = s
				list = append(list, w)
			}
		}
	}
	return list, nil
}
