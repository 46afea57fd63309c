package rules

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"o2n-milter/accounts"
	"o2n-milter/message"
	"o2n-milter/state"
)

// What Again cannot know of a decision.
const (
	UnknownRecord      = "the record of the decision cannot be read: it is taken to pass"
	UnknownUnjudged    = "the message was not judged in full at its time: what is not in its record finds nothing"
	UnknownNew         = "how many of the recipients were new is not in the record: limits of new recipients charge nothing"
	UnknownDestination = "how many recipients each destination had is not in the record: one is taken for each"
)

// past is a decision that is judged anew.
type past struct {
	ruling
	decision state.Decision
	detail   Detail
	named    bool // the record has all recipients
	unknown  []string
}

// Again judges a recorded decision anew, by what its record has: what was found in the
// message's text is taken as found, with the actions of these settings; numbers that
// the record holds are held against these settings' bounds; limits are charged what
// it cost, and refusals strike, at the time of the engine's clock. unknown is what the
// record does not tell.
func (e *Engine) Again(ctx context.Context, d state.Decision) (v Verdict, unknown []string) {
	now := e.now()
	p := past{decision: d}
	p.set, p.words = &e.set, &e.words
	if err := json.Unmarshal(d.Detail, &p.detail); err != nil {
		p.unknown = append(p.unknown, UnknownRecord)
		p.unjudged = true
	}
	p.remember()
	if p.unjudged = p.unjudged || e.isInbound(p.mail); !p.unjudged {
		e.judgeAgain(ctx, now, &p)
	}
	v = e.verdict(&p.ruling, now, d.ID)
	if !v.Judged {
		return v, p.unknown
	}
	err := e.strikeSafely(ctx, now, &p.ruling, &v)
	d.Action, d.Rule = v.Action.String(), v.Rule
	v.Err = errors.Join(v.Err, err, e.store.Record(ctx, d))
	return v, p.unknown
}

// remember makes of the record the message that rules look at.
func (p *past) remember() {
	d := p.decision
	m := &Mail{Login: d.Account, Sender: d.From, Host: p.detail.Host, QueueID: p.detail.QueueID, Size: p.detail.Size, CanHold: true}
	if ip, err := netip.ParseAddr(d.Client); err == nil {
		m.Client = ip
	}
	// Its retries have the same id, other messages have not.
	m.Header = []message.Field{{Name: "Message-ID", Value: p.detail.MessageID}}
	if p.detail.MessageID == "" {
		m.Header[0].Value = d.ID
	}
	for _, s := range d.Subjects {
		kind, name, _ := strings.Cut(s, ":")
		switch kind {
		case "host": // only local submissions have it
			m.Local, m.Host, m.Login = true, name, ""
		case "script":
			at := strings.LastIndexByte(name, '@') + 1
			domain, file, _ := strings.Cut(name[at:], "/")
			p.msg.Script = cmp.Or(file, p.msg.Script)
			if _, isHidden := HiddenDomain(m.Sender); isHidden {
				m.Sender = name[:at] + domain // subjects are in clear
			}
		}
	}
	if len(p.evidenceOf("message.malformed")) > 0 && d.Account == "" {
		m.Faults = []string{"as found then"} // it was judged, whoever sent it
	}
	m.Recipients = p.recipients()
	p.mail = m
	p.msg.MessageID, p.msg.Subject = p.detail.MessageID, p.detail.Subject
	p.rcpts = make([]message.Address, len(m.Recipients))
	for i, r := range m.Recipients {
		p.rcpts[i] = message.ParseAddress(r.Address)
	}
}

// recipients are those that the record has, else as many as the message had at its
// destinations, whoever they were.
func (p *past) recipients() []Recipient {
	left := p.decision.Rcpts
	var list []Recipient
	if p.named = len(p.decision.To) == left; p.named {
		for _, address := range p.decision.To {
			list = append(list, Recipient{Address: address})
		}
		return list
	}
	add := func(n int, at string) {
		for range min(n, left) {
			list = append(list, Recipient{Address: strconv.Itoa(len(list)+1) + at})
			left--
		}
	}
	var destinations []string
	for _, s := range p.decision.Subjects {
		if name, ok := strings.CutPrefix(s, "domain:"); ok {
			destinations = append(destinations, name)
		}
	}
	for _, name := range destinations {
		n, known := p.cost(Recipients, func(s string) bool {
			return s == "domain:"+name || strings.HasSuffix(s, "+domain:"+name)
		})
		switch {
		case known:
		case len(destinations) == 1:
			n = int64(left)
		default:
			n = 1
		}
		if !known && len(destinations) > 1 && left > len(destinations) {
			p.unsure(UnknownDestination)
		}
		add(int(n), "@"+name)
	}
	add(left, "") // on this host, as far as is known
	return list
}

// cost is what the record says that a subject was charged in this unit.
func (p *past) cost(unit Unit, of func(subject string) bool) (int64, bool) {
	for _, c := range p.detail.Charges {
		if c.Unit == unit && of(c.Subject) {
			return c.Cost, true
		}
	}
	return 0, false
}

func (p *past) unsure(why string) {
	if !slices.Contains(p.unknown, why) {
		p.unknown = append(p.unknown, why)
	}
}

// judgeAgain is judge for what is recorded.
func (e *Engine) judgeAgain(ctx context.Context, now time.Time, p *past) {
	r := &p.ruling
	if err := e.submitterAgain(ctx, p); err != nil {
		e.unavailable(r, "accounts.unavailable", fmt.Errorf("accounts: %w", err))
		return
	}
	r.subjects = r.subjectsOf()
	if r.who.account != nil && !r.who.unknown {
		e.active.seen(now, r.who.account.Login)
	}
	r.blockable = r.blockableSubjects(r.subjects)
	blocks, err := e.store.ActiveBlocks(ctx, now, r.blockable)
	if err == nil {
		err = e.findExemptions(ctx, now, r)
	}
	if err != nil {
		e.unavailable(r, "store.unavailable", fmt.Errorf("store: %w", err))
		return
	}
	e.blocked(r, blocks)
	for _, rule := range ruleOrder {
		if action := r.allowed(rule.id, e.action(rule.id), ""); action != Off {
			r.find(rule.id, action, p.foundBy(rule))
		}
		if rule.id == "message.too_complex" && r.decider == rule.id && r.action >= Quarantine {
			return
		}
	}
	e.contentAgain(p)
	e.campaignAgain(p)
	e.chargeAgain(ctx, now, p)
}

// submitterAgain is who sent it: an account as it is now.
func (e *Engine) submitterAgain(ctx context.Context, p *past) error {
	p.who.local = p.mail.localSubmission()
	if p.decision.Account == "" {
		for _, s := range p.decision.Subjects {
			name, ok := strings.CutPrefix(s, "script:")
			if ok && p.who.script == "" && windowKind(s) == "script" {
				p.who.script = name
			}
		}
		return nil
	}
	acc, err := e.AccountOf(ctx, p.decision.Account)
	if err != nil {
		return err
	}
	if acc == nil {
		p.who.unknown, acc = true, &accounts.Account{Login: p.decision.Account}
	}
	p.who.account = acc
	return nil
}

// foundBy is what a rule finds: what it found then, unless the record tells the number
// that it goes by.
func (p *past) foundBy(rule rule) []Evidence {
	switch rule.id {
	case "accounts.unknown", "recipients.envelope":
		return rule.check(&p.facts)
	case "recipients.visible":
		return p.over(rule.id, p.set.MaxVisible)
	case "recipients.duplicate":
		return p.over(rule.id, p.set.MaxDuplicates)
	}
	return p.evidenceOf(rule.id)
}

// evidenceOf is what the record has of a rule.
func (p *past) evidenceOf(id string) []Evidence {
	var list []Evidence
	for _, ev := range p.detail.Evidence {
		if ev.Rule == id {
			list = append(list, ev)
		}
	}
	return list
}

// over is what of a rule's recorded numbers is over most.
func (p *past) over(id string, most int) []Evidence {
	var list []Evidence
	for _, ev := range p.evidenceOf(id) {
		if n, err := strconv.Atoi(ev.Got); err != nil || n > most {
			ev.Want = fmt.Sprintf("at most %d", most)
			list = append(list, ev)
		}
	}
	return list
}

// contentAgain is content.score, where the record has the score.
func (e *Engine) contentAgain(p *past) {
	for _, id := range []string{"content.unavailable", "store.unavailable", "accounts.unavailable", "internal.panic", "message.too_complex"} {
		if len(p.evidenceOf(id)) > 0 {
			p.unsure(UnknownUnjudged)
		}
	}
	action := p.allowed("content.score", e.action("content.score"), "")
	if action == Off || p.action >= Quarantine {
		return
	}
	got := p.detail.Score // records of older versions have it in the evidence only
	for _, ev := range p.evidenceOf("content.score") {
		got = cmp.Or(got, ev.Got)
	}
	text, _, _ := strings.Cut(got, " ")
	score, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return // it was not asked
	}
	if action, from := e.set.Content.reached(score, action); action != Off {
		p.find("content.score", action, one("content score", got, "below "+number(from)))
	}
}

// campaignAgain is bulk.volume, for a campaign of the size that it had then. What its
// letter lacked was found in the text.
func (e *Engine) campaignAgain(p *past) {
	c := p.detail.Campaign
	if c == nil {
		return
	}
	p.campaign = c
	if action := e.bulkAction(&p.ruling, "bulk.volume"); action != Off && c.Recipients > e.set.Bulk.MaxCampaign {
		p.find("bulk.volume", action, one("campaign "+c.ID+" of "+printable(c.Subject, 200), plural(int(c.Recipients), "recipient"),
			fmt.Sprintf("at most %d in %s", e.set.Bulk.MaxCampaign, FormatDuration(e.set.Bulk.Window))))
	}
}

// chargeAgain is charge for what is recorded.
func (e *Engine) chargeAgain(ctx context.Context, now time.Time, p *past) {
	b := e.bill(&p.ruling, p.costs(append(e.paceAgain(p), e.costs(&p.ruling, math.MaxInt)...)), nil)
	if p.action < Quarantine && e.pay(ctx, now, &p.ruling, b) {
		e.chargeAgain(ctx, now, p)
	}
}

// paceAgain is the charge of bulk.pace for a message of a campaign.
func (e *Engine) paceAgain(p *past) []limitCharge {
	c, action := p.campaign, e.bulkAction(&p.ruling, bulkPace)
	if c == nil || action == Off || c.Recipients < e.set.Bulk.Similar {
		return nil
	}
	return []limitCharge{{
		limit: &Limit{Name: bulkPace, Unit: Messages}, rule: bulkPace, action: action,
		Charge: state.Charge{Window: e.paceWindow(c.Subject), Cost: 1, CountOnly: action < Quarantine},
	}}
}

// costs puts what the record says into charges that go by who the recipients were, and
// drops those of which it says nothing.
func (p *past) costs(list []limitCharge) []limitCharge {
	kept := list[:0]
	for _, c := range list {
		if c.limit.Unit == NewRecipients && !p.named {
			n, known := p.cost(NewRecipients, func(s string) bool { return s == c.Subject })
			if !known {
				p.unsure(UnknownNew)
				continue
			}
			c.Cost, c.Set, c.Members, c.Remember = n, "", nil, 0
		}
		kept = append(kept, c)
	}
	return kept
}
