package rules

import (
	"context"
	"fmt"
	"strings"
	"time"

	"o2n-milter/message"
	"o2n-milter/state"
)

// Campaign is what a message's letter is counted under: all letters like it that its
// subject sent lately.
type Campaign struct {
	ID         string `json:"id"`
	Subject    string `json:"subject"`
	Recipients int64  `json:"recipients"` // different ones, with this message's
	// Lacks are the rules that ask for what this letter lacks, whether or not the campaign
	// is large enough for them; none where it owes nothing or is bulk by its own word.
	Lacks []string `json:"lacks,omitempty"`
}

// wantsCampaigns says whether a rule is decided by a campaign's size.
func (o *often) wantsCampaigns() bool {
	return o.volume != Off || o.pace != Off || o.means != [len(o.means)]Action{}
}

// meansAction is what the rule of allMeans[i] does to this message.
func (e *Engine) meansAction(r *ruling, i int) Action {
	return r.allowed(allMeans[i].id, e.often.means[i], "")
}

// volumeAction is what bulk.volume does to this message.
func (e *Engine) volumeAction(r *ruling) Action { return r.allowed("bulk.volume", e.often.volume, "") }

// letters are what the message asks of the store as one of a campaign, the one that is
// seen first; none where no rule wants to know, where all recipients are the account's
// own, and where there is nothing in it to tell it from other letters by.
func (e *Engine) letters(r *ruling) []state.Letter {
	if !e.isLetter(r) {
		return nil
	}
	subject := r.campaignSubject()
	if subject == "" {
		return nil
	}
	sketches := r.sketches()
	if len(sketches) == 0 {
		return nil
	}
	r.lacking = e.lacking(r)
	letters := make([]state.Letter, len(sketches))
	for i, sketch := range sketches {
		letters[i] = e.letterOf(r, subject, sketch, message.Near)
	}
	return letters
}

// isLetter says whether a rule wants to know of the message as one of a campaign, and
// it goes to anybody who is not the account's own.
func (e *Engine) isLetter(r *ruling) bool {
	stopped, _ := r.strongest()
	return e.often.wantsCampaigns() && stopped <= Quarantine && len(r.outsiders()) > 0
}

// letterOf is a letter that lacks what r.lacking says.
func (e *Engine) letterOf(r *ruling, subject string, sketch state.Sketch, near int) state.Letter {
	counted := r.outsiders()
	return state.Letter{
		Subject: subject, Sketch: sketch, Near: near, Max: e.mostRecipients(r),
		Members: r.mailboxes(counted[:min(len(counted), state.MaxMembers)]), Remember: e.set.Bulk.Window,
	}
}

// lacks is what a letter lacks of allMeans, in their order; empty: nothing, or nobody
// asks for it.
type lacks [3]string

// lacking is what the letter lacks of what a campaign must have. What is bulk by its own
// word has been judged already.
func (e *Engine) lacking(r *ruling) (l lacks) {
	if len(r.msg.Lists.Declared) > 0 || r.owesNothing() {
		return l
	}
	for i, m := range allMeans {
		if e.often.means[i] != Off {
			l[i] = m.lacks(&r.facts)
		}
	}
	return l
}

// ids are the rules that ask for what is lacking.
func (l lacks) ids() []string {
	var ids []string
	for i, lack := range l {
		if lack != "" {
			ids = append(ids, allMeans[i].id)
		}
	}
	return ids
}

// nobodyKnows is the sketch of letters of which nobody knows what they show.
var nobodyKnows state.Sketch

// sketches are the letter's, of what is seen first; none when there is nothing in it to
// tell it by. Styles may hide it from us only: where they hide much, all of the text is
// another letter, and where they hide most, all such mail is one, whatever in it is
// truly hidden. A mail that was added to the text undecoded has one without that. All mail
// that shows nothing as far as it is looked at, and goes on, is one letter: whatever it
// says is behind that, and its Subject is all that is known of it.
func (r *ruling) sketches() []state.Sketch {
	body := r.readBody()
	if len(r.mail.Body) >= MaxBody && body.Octets == 0 && len(body.Files)+len(body.Pictures) == 0 {
		return []state.Sketch{nobodyKnows}
	}
	sketches := r.appendSketch(nil, body, &r.text.Folded)
	if body.Hides >= message.HidesMuch || body.Raw != "" {
		all := message.ReadAll(r.mail.Header, r.mail.Body)
		sketches = r.appendSketch(sketches, &all, nil)
	}
	if body.Hides == message.HidesMost || body.Hides == message.HidesMuch && body.Raw != "" {
		sketches = append(sketches, nobodyKnows)
	}
	return sketches
}

// appendSketch adds that of the mail with this body, whose text folded may be nil, unless
// it has none.
func (r *ruling) appendSketch(list []state.Sketch, b *message.Body, folded *message.Folded) []state.Sketch {
	letter := message.Letter{Subject: r.msg.Subject, Text: b.Text, Folded: folded, Links: b.Links, Files: b.Files, Pictures: b.Pictures}
	if sketch, ok := letter.Sketch(); ok {
		list = append(list, state.Sketch(sketch))
	}
	return list
}

// mostRecipients is how many recipients the letter may have: the store counts and
// refuses in one step. What refuses nothing bounds nothing.
func (e *Engine) mostRecipients(r *ruling) int64 {
	most := int64(countless)
	if e.volumeAction(r) >= Quarantine {
		most = e.set.Bulk.MaxCampaign
	}
	for i, lack := range r.lacking {
		if lack != "" && e.meansAction(r, i) >= Quarantine {
			return min(most, e.set.Bulk.Similar-1)
		}
	}
	return most
}

// largest is which of the campaigns, of which there is one, has the most recipients.
func largest(campaigns []state.Campaign) int {
	most := 0
	for i, c := range campaigns {
		if c.Known+c.New > campaigns[most].Known+campaigns[most].New {
			most = i
		}
	}
	return most
}

// counted judges the message by the campaigns that its letters, all with one max, were
// found to be of: by the largest, so that it is told of once.
func (e *Engine) counted(r *ruling, letters []state.Letter, campaigns []state.Campaign) {
	if len(campaigns) == 0 {
		return
	}
	i := largest(campaigns)
	l, c := &letters[i], &campaigns[i]
	b := &e.set.Bulk
	size := c.Known + c.New
	r.campaign = &Campaign{ID: c.ID, Subject: l.Subject, Recipients: size, Lacks: r.lacking.ids()}
	// A store that counts alone has half of every max: there a campaign is full before
	// it has its size. Whatever bound it then decides.
	over := func(most int64) bool { return size > most || c.Full && l.Max == most }
	if over(b.Similar - 1) {
		why := fmt.Sprintf("campaign %s of %s, %s", c.ID, printable(l.Subject, 200), plural(int(size), "recipient"))
		for i, m := range allMeans {
			r.find(m.id, e.meansAction(r, i), m.missing(r.lacking[i], why))
		}
	}
	if action := e.volumeAction(r); action != Off && over(b.MaxCampaign) {
		r.find("bulk.volume", action, one("campaign "+c.ID+" of "+printable(l.Subject, 200), plural(int(size), "recipient"),
			fmt.Sprintf("at most %d in %s", b.MaxCampaign, FormatDuration(b.Window))))
	}
}

// toRelease notes what the release of the message counts, should it be held. What a
// bulk rule holds is let go by somebody who has looked at it: no size stops it then.
func (r *ruling) toRelease(letters []state.Letter) {
	if strings.HasPrefix(r.decider, "bulk.") && r.decider != bulkPace {
		for i := range letters {
			letters[i].Max = countless
		}
	}
	r.ask.Letters = letters
}

// paced is the charge of bulk.pace, for mail of a campaign only: a question that
// changes nothing finds that out. Of two letters at once that make a campaign
// together the pace misses one, once.
func (e *Engine) paced(ctx context.Context, now time.Time, r *ruling, letters []state.Letter) ([]limitCharge, error) {
	action := r.allowed(bulkPace, e.often.pace, "")
	if action == Off {
		return nil, nil
	}
	answer, err := e.store.Take(ctx, now, state.Ask{Letters: letters, Dry: true})
	if err != nil {
		return nil, err
	}
	if c := answer.Campaigns[largest(answer.Campaigns)]; c.Known+c.New < e.set.Bulk.Similar {
		return nil, nil
	}
	return []limitCharge{{
		limit: &Limit{Name: bulkPace, Unit: Messages}, action: action,
		Charge: state.Charge{Window: e.paceWindow(letters[0].Subject), Cost: 1, CountOnly: action < Quarantine},
	}}, nil
}

// bulkPace is the rule and the name of its window, which no [limit.NAME] can have.
const bulkPace = "bulk.pace"

// paceWindow is the one that all campaigns of the subject share.
func (e *Engine) paceWindow(subject string) state.Window {
	return state.Window{Limit: bulkPace, Subject: subject, Length: e.set.Bulk.PaceWindow, Max: e.set.Bulk.PaceMax}
}
