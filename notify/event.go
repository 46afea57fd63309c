package notify

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"o2n-milter/message"
	"o2n-milter/rules"
	"o2n-milter/state"
)

// What an Event is about.
const (
	Block   = "block"   // a subject was blocked, by a rule or an operator
	Lift    = "lift"    // a block was ended
	Request = "request" // a customer asks to be unblocked
	Approve = "approve" // a request was granted
	Deny    = "deny"    // a request was refused
	Ceiling = "ceiling" // automatic blocks have reached their ceiling
	Store   = "store"   // the store is not whole
)

// All are the values of Event.What.
func All() []string { return []string{Block, Lift, Request, Approve, Deny, Ceiling, Store} }

// Event is what people are told of.
type Event struct {
	What    string        `json:"what"`
	At      time.Time     `json:"at"`
	Block   state.Block   `json:"block,omitzero"`
	Request state.Request `json:"request,omitzero"`
	Text    string        `json:"text,omitempty"` // what there is to say beside them
}

// Bounds of an event, in octets but for mostDecisions: a notice must fit into a doc
// (64 KiB), in which JSON may take six octets for one.
const (
	mostEvent     = 60 << 10 // in JSON
	mostEvidence  = 16 << 10 // in JSON; more is left out whole
	mostText      = 4000     // of what somebody wrote
	mostDecisions = 50
	mostID        = 100
)

// bounded is the event as it is kept. Its texts are cut shorter and shorter until
// it fits.
func (e Event) bounded(now time.Time) Event {
	if e.At.IsZero() {
		e.At = now
	}
	e.At = e.At.UTC().Truncate(time.Millisecond)
	if sizeOf(e.Block.Evidence) > mostEvidence {
		e.Block.Evidence = nil
	}
	e.Block.Decisions = slices.Clone(e.Block.Decisions[:min(len(e.Block.Decisions), mostDecisions)])
	for i, id := range e.Block.Decisions {
		e.Block.Decisions[i] = cut(id, mostID)
	}
	b, r := &e.Block, &e.Request
	for most := mostText; ; most /= 2 {
		for _, text := range []*string{
			&e.Text, &b.ID, &b.Subject, &b.Rule, &b.Reason, &b.By, &b.Account, &b.Customer, &b.LiftedBy, &b.Note,
			&r.ID, &r.Block, &r.Subject, &r.Account, &r.Happened, &r.Done, &r.From, &r.AnsweredBy, &r.Answer,
		} {
			*text = cut(strings.ToValidUTF8(*text, "\ufffd"), most)
		}
		if sizeOf(e) <= mostEvent || most < mostID {
			return e
		}
	}
}

// sizeOf is v's length in JSON; of what is none it is beyond all bounds.
func sizeOf(v any) int {
	data, err := json.Marshal(v)
	if err != nil {
		return math.MaxInt
	}
	return len(data)
}

// subject is who it is about; empty for what is about the whole.
func (e Event) subject() string {
	switch {
	case e.What == Ceiling || e.What == Store:
		return ""
	case e.Block.Subject != "":
		return e.Block.Subject
	}
	return e.Request.Subject
}

// account is the login that it concerns; empty when there is none.
func (e Event) account() string {
	switch {
	case e.Request.Account != "":
		return e.Request.Account
	case e.Block.Account != "":
		return e.Block.Account
	}
	login, _ := strings.CutPrefix(e.subject(), "account:")
	if login == e.subject() {
		return ""
	}
	return login
}

// block is the id of the block that it is about; empty when there is none.
func (e Event) block() string { return cmp.Or(e.Block.ID, e.Request.Block) }

// forOperator says whether the operator gets a mail: the answer to a request has told
// him of the lift that follows from it.
func (e Event) forOperator() bool { return e.What != Lift || e.Request.ID == "" }

// forCustomer says whether the customer is told: of a block and of an answer.
func (e Event) forCustomer() bool {
	return e.What == Block || e.What == Approve || e.What == Deny
}

// evidence is what the rules wrote into the block, a line for each.
func (e Event) evidence() []string {
	var found []rules.Evidence
	if json.Unmarshal(e.Block.Evidence, &found) != nil {
		return nil
	}
	var lines []string
	for _, ev := range found {
		lines = append(lines, clean(fmt.Sprintf("%s: %s %s; want %s", ev.Rule, ev.Fact, ev.Got, ev.Want), 300))
	}
	return lines
}

// clean is one line that shows what it holds: what others wrote may hold line
// breaks, escape sequences, and characters that show as nothing or turn the text
// around them. At most most octets.
func clean(s string, most int) string {
	return cut(strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t' || unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point):
			return '\ufffd'
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd")), most)
}

// lines is a text of several lines, each of them clean.
func lines(s string) []string {
	var list []string
	for line := range strings.Lines(s) {
		list = append(list, strings.TrimRight(clean(line, 1000), " "))
	}
	return list
}

// cut bounds s, in octets, and leaves no half letter.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	most -= len("...")
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "..."
}

// mailbox is an address to which mail may go, or an error: nothing that a program
// on the way may take for more than one plain address.
func mailbox(s string) (string, error) {
	a := message.ParseAddress(s)
	plain := a.Fault == "" && a.Domain != "" && strings.HasPrefix(s, a.Local+"@") &&
		len(a.Local) <= 64 && len(a.String()) <= 254 && // RFC 5321 4.5.3.1.1 and .3
		dotString(a.Local) && !strings.EqualFold(a.Local, "mailer-daemon")
	if !plain {
		return "", fmt.Errorf("%.100q: want a plain mail address", s)
	}
	return a.String(), nil
}

// dotString checks RFC 5321 4.1.2 Dot-string; one that a program may take for an
// option is none to us.
func dotString(s string) bool {
	for word := range strings.SplitSeq(s, ".") {
		odd := func(r rune) bool {
			return !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("#$&'*+-/=?^_`{|}~", r))
		}
		if word == "" || strings.ContainsFunc(word, odd) {
			return false
		}
	}
	return s[0] != '-' && s[0] != '|' && s[0] != '/'
}
