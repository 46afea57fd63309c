package console

import (
	"fmt"
	"net/url"
	"slices"
	"time"

	"o2n-milter/state"
	"o2n-milter/web/desk"
)

// heldPage is the mail on hold: by subject and rule, or message by message.
type heldPage struct {
	Subject, Rule string // of the messages; both empty: of any
	All           bool   // also what is no longer held
	Groups        []desk.HeldGroup
	Mail          []desk.HeldView
	Count         int    // messages on all pages
	More          int    // messages that no page has
	Until         string // when the last of Count came to be held
	Unknown       []desk.UnknownHeld
	MoreUnknown   int
	Pager         pager
}

// Messages says that single messages are shown.
func (p heldPage) Messages() bool { return p.All || p.Subject != "" || p.Rule != "" }

// held is one page of it, the mail that waits longest first; with what is no longer
// held, the latest first.
func (v *visit) held() (*sheet, error) {
	p := heldPage{Subject: v.r.FormValue("subject"), Rule: v.r.FormValue("rule"), All: v.r.FormValue("all") != ""}
	list, err := v.Desk.Held(v.r.Context(), desk.HeldQuery{Subject: p.Subject, Rule: p.Rule, All: p.All})
	if err != nil {
		return nil, err
	}
	p.Count, p.More = len(list.Held), list.More
	n := min(len(list.Unknown), perPage)
	p.Unknown, p.MoreUnknown = list.Unknown[:n], len(list.Unknown)-n
	if p.Count > 0 {
		p.Until = list.Held[p.Count-1].Since.Format(time.RFC3339Nano)
	}
	if p.Messages() {
		if p.All {
			slices.Reverse(list.Held)
		}
		p.Mail, p.Pager = cut(v.r, list.Held)
	} else {
		groups, err := v.Desk.HeldGroups(v.r.Context())
		if err != nil {
			return nil, err
		}
		p.Groups, p.Pager = cut(v.r, groups)
	}
	return &sheet{Title: heldTitle(p), Menu: "/admin/held", template: heldPages, Page: p}, nil
}

func heldTitle(p heldPage) string {
	title := "Held mail"
	if p.Subject != "" {
		title += " of " + p.Subject
	}
	if p.Rule != "" {
		title += " by " + p.Rule
	}
	return title
}

// heldURL is the address of a subject's held mail, by one rule or by all.
func heldURL(subject, rule string) string {
	q := url.Values{"subject": {subject}}
	if rule != "" {
		q.Set("rule", rule)
	}
	return "/admin/held?" + q.Encode()
}

// heldMail is one held message.
type heldMail struct {
	desk.HeldDetail
	MoreTo int // recipients that are not shown
}

// Open says that somebody can still say what is to become of it.
func (h heldMail) Open() bool { return h.State == state.HeldWaiting || h.State == state.HeldKept }

func (v *visit) heldMail() (*sheet, error) {
	h, err := v.Desk.HeldMail(v.r.Context(), v.r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	p := heldMail{HeldDetail: h, MoreTo: max(0, len(h.To)-perPage)}
	p.To = h.To[:len(h.To)-p.MoreTo]
	return &sheet{Title: "Held mail " + h.ID, Menu: "/admin/held", template: heldMailPage, Page: p}, nil
}

// wish reads what a form wants of held mail. The box that says so for sure is on
// the page of the form: what is deleted comes back from nowhere.
func (v *visit) wish() (desk.WishHeld, error) {
	in := desk.WishHeld{Wish: state.Wish(v.r.PostFormValue("wish")), Reason: v.r.PostFormValue("reason")}
	if v.r.PostFormValue("sure") != "yes" {
		return in, wrong("sure: tick the box to say that this is meant")
	}
	return in, nil
}

// wished is what becomes of mail, in a sentence.
var wished = map[state.Wish]string{state.WishRelease: "released", state.WishDelete: "deleted", state.WishBounce: "sent back"}

func (v *visit) wishOne() (to, done string, err error) {
	in, err := v.wish()
	if err != nil {
		return "", "", err
	}
	in.IDs = []string{v.r.PathValue("id")}
	list, err := v.Desk.WishHeld(v.r.Context(), v.actor(), in)
	if err != nil {
		return "", "", err
	}
	h := list.Held[0] // one id names one message
	done = fmt.Sprintf("Message %s is to be %s. Its host, %s, does it within seconds, or as soon as it is back.", h.ID, wished[in.Wish], h.Host)
	switch h.Outcome {
	case desk.HeldAsked:
	case desk.HeldUndone:
		done = fmt.Sprintf("Message %s cannot be %s: its envelope sender is not known to be who sent it. Nothing was changed.", h.ID, wished[in.Wish])
	default:
		done = fmt.Sprintf("Message %s is %s already: nothing was changed.", h.ID, h.State)
	}
	return "/admin/held/" + h.ID, done, nil
}

func (v *visit) wishAll() (to, done string, err error) {
	in, err := v.wish()
	if err != nil {
		return "", "", err
	}
	in.Subject, in.Rule = v.r.PostFormValue("subject"), v.r.PostFormValue("rule")
	// Mail that came to be held since the page was made was not seen.
	until := v.r.PostFormValue("until")
	if in.Until, err = time.Parse(time.RFC3339Nano, until); err != nil || in.Until.IsZero() {
		return "", "", wrong("until %.40q: no time", until)
	}
	list, err := v.Desk.WishHeld(v.r.Context(), v.actor(), in)
	if err != nil {
		return "", "", err
	}
	return heldURL(in.Subject, in.Rule), wishedInWords(in, list.Held), nil
}

// wishedInWords says what became of a wish about many messages.
func wishedInWords(in desk.WishHeld, list []desk.WishedHeld) string {
	count := map[desk.HeldOutcome]int{}
	for _, h := range list {
		count[h.Outcome]++
	}
	text := fmt.Sprintf("Messages of %s that are to be %s: %d.", in.Subject, wished[in.Wish], count[desk.HeldAsked])
	if n := count[desk.HeldDone] + count[desk.HeldLate]; n > 0 {
		text += fmt.Sprintf(" Left already: %d.", n)
	}
	if n := count[desk.HeldUndone]; n > 0 {
		text += fmt.Sprintf(" With an envelope sender that is not known to be who sent it: %d, which stay.", n)
	}
	return text
}
