package console

import (
	"fmt"
	"time"

	"o2n-milter/state"
	"o2n-milter/web/desk"
)

// subject is all about one subject.
type subject struct {
	Subject    string
	Windows    []desk.UsageWindow
	History    []desk.DecisionLine
	Pager      pager // of the history
	Active     []desk.BlockView
	Blocks     []desk.BlockView
	Requests   []desk.RequestView
	Held       []desk.HeldView
	HeldCount  int
	Exemptions []desk.ExemptionView
	Audit      []state.AuditLine
	Exempt     exemptForm
}

func (v *visit) subject() (*sheet, error) {
	ctx := v.r.Context()
	usage, err := v.Desk.Usage(ctx, v.r.FormValue("subject"))
	if err != nil {
		return nil, err
	}
	name := usage.Subject
	p := subject{Subject: name, Windows: usage.Windows}
	s := &sheet{Title: name, template: subjectPage}
	p.Exempt = v.exemptForm(s, name)
	if err = v.history(&p); err != nil {
		return nil, err
	}
	blocks, err := v.Desk.Blocks(ctx, true)
	if err != nil {
		return nil, err
	}
	p.Blocks = only(blocks.Blocks, func(b desk.BlockView) bool { return b.Subject == name })
	for _, b := range p.Blocks {
		if b.State == state.BlockActive {
			p.Active = append(p.Active, b)
		}
	}
	requests, err := v.Desk.Requests(ctx, true)
	if err != nil {
		return nil, err
	}
	p.Requests = only(requests.Requests, func(r desk.RequestView) bool { return r.Subject == name || "account:"+r.Account == name })
	held, err := v.Desk.Held(ctx, desk.HeldQuery{Subject: name})
	if err != nil {
		return nil, err
	}
	p.Held, p.HeldCount = held.Held[:min(len(held.Held), mostNewest)], len(held.Held)+held.More
	exemptions, err := v.Desk.Exemptions(ctx, true)
	if err != nil {
		return nil, err
	}
	p.Exemptions = only(exemptions.Exemptions, func(e desk.ExemptionView) bool { return e.Subject == name })
	audit, err := v.Desk.Audit(ctx, desk.AuditQuery{Subject: name, Limit: 20})
	p.Audit = audit.Audit
	s.Page = p
	return s, err
}

// history fills in one page of decisions: those before ?before=.
func (v *visit) history(p *subject) error {
	q := desk.HistoryQuery{Subject: p.Subject, Limit: perPage + 1}
	if before := v.r.FormValue("before"); before != "" {
		t, err := time.Parse(time.RFC3339Nano, before)
		if err != nil {
			return missing("before %.40q: no time", before)
		}
		q.Before, p.Pager.Newer = t, subjectURL(p.Subject)
	}
	h, err := v.Desk.History(v.r.Context(), q)
	if err != nil {
		return err
	}
	p.History = h.Decisions
	if n := cutInTime(h.Decisions); n < len(h.Decisions) {
		p.History = h.Decisions[:n]
		p.Pager.Older = subjectURL(p.Subject) + "&before=" + p.History[n-1].At.Format("2006-01-02T15:04:05.999Z")
	}
	return nil
}

// cutInTime says how many decisions go on one page. The next one begins before the
// time of the last: so decisions of the same millisecond stay together, unless they
// fill a page.
func cutInTime(list []desk.DecisionLine) int {
	if len(list) <= perPage {
		return len(list)
	}
	for n := perPage; n > 0; n-- {
		if list[n].At.Before(list[n-1].At) {
			return n
		}
	}
	return perPage
}

func (v *visit) addBlock() (to, done string, err error) {
	b, err := v.Desk.AddBlock(v.r.Context(), v.actor(), desk.AddBlock{
		Subject: v.r.PostFormValue("subject"), For: v.r.PostFormValue("for"), Reason: v.r.PostFormValue("reason"),
	})
	return "/admin/blocks/" + b.ID, fmt.Sprintf("Blocked %s %s: %s.", b.Subject, ending(b.Until), b.ID), err
}

func (v *visit) reset() (to, done string, err error) {
	r, err := v.Desk.Reset(v.r.Context(), v.actor(), desk.Reset{Subject: v.r.PostFormValue("subject")})
	return subjectURL(r.Subject), fmt.Sprintf("Cleared the windows of %s: %d.", r.Subject, r.Cleared), err
}

func (v *visit) exemptSubject() (to, done string, err error) {
	e, done, err := v.addExemption()
	return subjectURL(e.Subject), done, err
}

// ending says when something ends, in a sentence.
func ending(until *time.Time) string {
	if until == nil {
		return "until it is lifted"
	}
	return "until " + until.Format("2 Jan 2006, 15:04 MST")
}
