package rules

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"o2n-milter/message"
	"o2n-milter/state"
)

// What Again cannot know of a decision.
const (
	UnknownRecord      = "the record of the decision cannot be read: it is taken to pass"
	UnknownUnjudged    = "the message was not judged in full at its time: what is not in its record finds nothing"
	UnknownNew         = "how many of the recipients were new is not in the record: limits of new recipients charge nothing"
	UnknownDestination = "how many recipients each destination had is not in the record: one is taken for each"
	UnknownReaders     = "the record has not all recipients: for the campaign they are taken for new ones"
)

// past is a decision that is judged anew.
type past struct {
	ruling
	decision state.Decision
	detail   Detail
	named    bool // the record has all recipients
	unknown  []string
}

// remember makes of the record the message that rules look at.
func (p *past) remember() {
	d, detail := p.decision, &p.detail
	m := &Mail{Sender: d.From, Host: detail.Host, QueueID: cmp.Or(detail.QueueID, p.decision.ID), Size: detail.Size, CanHold: true}
	if detail.Login != "" {
		m.Login = cmp.Or(d.Account, detail.Login) // no account: its source did not answer
	}
	if ip, err := netip.ParseAddr(d.Client); err == nil {
		m.Client = ip
	}
	// Its retries have the same id, other messages have not.
	m.Header = []message.Field{{Name: "Message-ID", Value: detail.MessageID}}
	if detail.MessageID == "" {
		m.Header[0].Value = d.ID
	}
	for _, s := range d.Subjects {
		kind, name, _ := strings.Cut(s, ":")
		_, isHidden := HiddenDomain(m.Sender)
		switch {
		case kind == "host": // only local submissions have it
			m.Local, m.Host = true, name
		case kind == "script" && isHidden: // subjects are in clear
			m.Sender, _, _ = strings.Cut(name, "/")
		}
	}
	if len(p.evidenceOf("message.malformed")) > 0 && d.Account == "" {
		m.Faults = []string{"as found then"} // it was judged, whoever sent it
	}
	m.Recipients = p.recipients()
	p.mail = m
	p.rememberHeader()
	p.rcpts = make([]message.Address, len(m.Recipients))
	for i, r := range m.Recipients {
		p.rcpts[i] = message.ParseAddress(r.Address)
	}
}

// rememberHeader makes of the record what the header said.
func (p *past) rememberHeader() {
	detail, f := &p.detail, &p.msg
	f.MessageID, f.Subject, f.Script = detail.MessageID, detail.Subject, detail.Script
	senders := min(max(detail.Senders, 0), len(detail.Authors))
	authors := detail.Authors[:len(detail.Authors)-senders]
	for _, field := range []struct {
		lists *[]message.List
		texts []string
	}{{&f.From, authors}, {&f.Sender, detail.Authors[len(authors):]}, {&f.ReplyTo, detail.ReplyTo}} {
		var l message.List
		for _, text := range field.texts {
			l.Addresses = append(l.Addresses, message.ParseAddress(text))
		}
		*field.lists = []message.List{l}
	}
}

// recipients are those that the record has, else as many as the message had at its
// destinations, whoever they were: nobody that another message had.
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
			list = append(list, Recipient{Address: fmt.Sprintf("%d.%s%s", len(list)+1, p.decision.ID, at)})
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

// foundBy is what a rule finds: what it found then, unless the record tells what it
// goes by.
func (p *past) foundBy(rule rule) []Evidence {
	own := func(a message.Address) bool { return p.owns(a) }
	switch id := rule.id; id {
	case "accounts.unknown", "recipients.envelope":
		return rule.check(&p.facts)
	case "recipients.visible":
		return p.over(id, visibleFact, p.detail.Visible, p.set.MaxVisible)
	case "recipients.duplicate":
		return append(p.over(id, duplicatesFact, p.detail.Duplicates, p.set.MaxDuplicates),
			p.over(id, envelopeDuplicatesFact, p.detail.EnvelopeDuplicates, p.set.MaxDuplicates)...)
	case "identity.header_from":
		return p.foreignAgain(id, p.msg.From[0].Addresses, own)
	case "identity.sender":
		return p.foreignAgain(id, p.msg.Sender[0].Addresses, own)
	case "identity.envelope_from":
		if p.mail.Sender == "" {
			return nil
		}
		return p.foreignAgain(id, []message.Address{message.ParseAddress(p.mail.Sender)},
			func(a message.Address) bool { return p.who.mayBounceTo(a, p.set.Strict) })
	case "identity.reply_to":
		return p.foreignAgain(id, p.msg.ReplyTo[0].Addresses,
			func(a message.Address) bool { return p.who.mayReplyTo(a, p.set.Strict) || p.onlyOwnRecipients() })
	case "identity.display_name": // other names than that one are not in the record
		return slices.DeleteFunc(p.evidenceOf(id), func(ev Evidence) bool { return p.owns(message.ParseAddress(ev.Got)) })
	case "bulk.unsubscribe", "bulk.one_click", "bulk.reason":
		if c := p.detail.Campaign; c != nil && slices.Contains(c.Lacks, id) {
			return nil // its campaign is counted anew
		}
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

// foreignAgain finds the first of a field's addresses that the submitter may not use.
// What was found then and is none of them, and of hidden addresses all but their
// domains, is as it was then.
func (p *past) foreignAgain(id string, list []message.Address, may func(message.Address) bool) []Evidence {
	found := p.evidenceOf(id)
	if len(found) > 0 && !slices.ContainsFunc(list, func(a message.Address) bool { return show(a) == found[0].Got }) {
		return found
	}
	for _, a := range list {
		_, isHidden := HiddenDomain(a.String())
		isUnclear := isHidden || strings.Contains(a.String(), "?") // printable's mark
		if !may(a) && !(isUnclear && len(found) == 0) {
			return one("address", show(a), p.ownText())
		}
	}
	return nil
}

// over is the evidence of a recorded number; records of older versions have it only
// where it was over the bound of then.
func (p *past) over(id, fact string, n, most int) []Evidence {
	for _, ev := range p.evidenceOf(id) {
		if was, err := strconv.Atoi(ev.Got); err == nil && ev.Fact == fact {
			n = max(n, was)
		}
	}
	return over(fact, n, most)
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
