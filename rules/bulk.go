package rules

import (
	"slices"
	"strings"
	"time"

	"o2n-milter/message"
	"o2n-milter/state"
)

// bulk.*: a letter to many people owes them a way to unsubscribe and the reason why
// they get it; to very many it belongs to the bulk service. Mail that declares itself
// bulk owes the means at once, other mail when its letter went to Similar people.

// Bulk is how bulk mail is recognised, and what is asked of it.
type Bulk struct {
	// A letter to so many different recipients within Window is a campaign.
	Similar int64
	Window  time.Duration

	MaxCampaign int64 // bulk.volume: more recipients than these

	PaceMax    int64 // bulk.pace: messages of campaigns in PaceWindow
	PaceWindow time.Duration

	// Where a word begins with one of these, whatever the case and the accents, it is
	// about unsubscribing, or says why somebody gets the mail.
	UnsubscribePhrases, ReasonPhrases []string
}

// MaxCampaign bounds Similar and MaxCampaign: a set keeps so many recipients apart,
// with one more to see that there are too many.
const MaxCampaign = state.MaxMembers - 1

// means is something that bulk mail must have.
type means struct {
	id    string
	fact  string
	want  string
	lacks func(*facts) string // what is missing, as evidence says it; empty when it is there
}

// allMeans are the means in the order of their rules.
var allMeans = []means{
	{"bulk.unsubscribe", "way to unsubscribe", "List-Unsubscribe with mailto or https, or a visible link or address", lacksUnsubscribe},
	{"bulk.one_click", "one-click unsubscription", "List-Unsubscribe with https, List-Unsubscribe-Post, both signed where there is a DKIM-Signature", lacksOneClick},
	{"bulk.reason", "reason why the recipient gets it", "a sentence in the text that says it", lacksReason},
}

// declared is a rule for mail that says of itself that it is bulk.
func (m means) declared(f *facts) []Evidence {
	marks := f.msg.Lists.Declared
	if len(marks) == 0 || f.owesNothing() {
		return nil
	}
	return m.missing(m.lacks(f), "bulk by its own "+strings.Join(marks, ", "))
}

// missing is the evidence that bulk mail lacks this; none when lack is empty.
func (m means) missing(lack, why string) []Evidence {
	if lack == "" {
		return nil
	}
	return one(m.fact+" ("+why+")", lack, m.want)
}

// outsiders are the distinct recipients that are not the account's own, as places
// among the recipients: a company may tell its people what it likes.
func (f *facts) outsiders() []int {
	if f.others != nil {
		return f.others
	}
	f.others = f.sole.outside[:0]
	if len(f.rcpts) == 1 {
		if !f.owns(f.rcpts[0]) {
			f.others = append(f.others, 0)
		}
		return f.others
	}
	seen := make(map[string]bool, len(f.rcpts))
	for i, a := range f.rcpts {
		if m := a.Mailbox(); !seen[m] && !f.owns(a) {
			f.others = append(f.others, i)
		}
		seen[a.Mailbox()] = true
	}
	return f.others
}

// owesNothing says that the mail is somebody's or some program's answer to one
// person, or an invitation, whatever it is like: nobody unsubscribes from those. All
// these marks are the sender's to write, so what bears them is counted all the same,
// and bulk.volume holds for it.
func (f *facts) owesNothing() bool {
	others := f.outsiders()
	if len(others) == 0 {
		return true
	}
	body := f.readBody()
	if body.Calendar != "" && body.Calendar != "publish" { // RFC 5546 3.2: that one expects no answer
		return true
	}
	if len(others) > 1 {
		return false
	}
	lists := &f.msg.Lists
	return f.mail.Sender == "" || body.Report != "" || // RFC 5321 4.5.5
		lists.AutoSubmitted == "auto-replied" || lists.Precedence == "auto_reply" || // RFC 3834 5
		f.answers(f.rcpts[others[0]])
}

// answers says whether the mail refers to one that came from this recipient: its
// message id is of his domain, or of a provider that names messages after itself.
func (f *facts) answers(to message.Address) bool {
	lists := &f.msg.Lists
	if len(lists.InReplyTo)+len(lists.References) == 0 {
		return false // as most do, and the public suffix list is long
	}
	his := registrable(to.Domain)
	for _, ids := range [...][]string{lists.InReplyTo, lists.References} {
		for _, id := range ids {
			if d := idDomain(id); d != "" && (d == his || slices.Contains(idProviders, d)) {
				return true
			}
		}
	}
	return false
}

// idProviders put their own name into the message ids of all their customers, whose
// addresses are in domains of their own.
var idProviders = []string{"outlook.com", "gmail.com", "yahoo.com", "icloud.com", "me.com", "zoho.com", "zoho.eu", "protonmail.com", "proton.me"}

// idDomain is the registrable domain in a message id.
func idDomain(id string) string {
	domain := strings.ToLower(strings.Trim(id[strings.LastIndexByte(id, '@')+1:], "<>"))
	if domain == "" {
		return ""
	}
	return registrable(domain)
}

// campaignSubject is whose campaigns the letter is counted under. One customer is one
// sender, whatever accounts and scripts he has. Where the envelope sender is all that
// is known, it is the owner of that domain: its local part is easily invented.
func (f *facts) campaignSubject() string {
	for _, kind := range []string{"customer", "account"} {
		if list := f.limitSubjects(kind); len(list) > 0 {
			return list[0].subject
		}
	}
	if kin := f.who.kin; len(f.who.domains.list) > 0 && len(kin) > 0 {
		return kin[len(kin)-1]
	}
	for _, kind := range []string{"script", "ip"} {
		if list := f.limitSubjects(kind); len(list) > 0 {
			return list[0].subject
		}
	}
	return ""
}
