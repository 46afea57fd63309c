package desk

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"o2n-milter/rules"
	"o2n-milter/state"
)

// Explained is a decision with all that led to it, as it then was.
type Explained struct {
	ID       string           `json:"id"`
	At       time.Time        `json:"at"`
	Action   string           `json:"action"`
	Rule     string           `json:"rule"`
	Reply    string           `json:"reply"`
	Outcome  string           `json:"outcome"` // in plain words
	Facts    Facts            `json:"facts"`
	Evidence []rules.Evidence `json:"evidence"`
	Windows  []rules.Window   `json:"windows"` // as the message left them; none were asked where a rule stopped it before
	Charges  []rules.Charge   `json:"charges"`
	Config   []rules.Line     `json:"config"`
	Remedies []rules.Remedy   `json:"remedies"` // what would have made it pass, or would if what is in shadow was enforced
	Version  string           `json:"version"`  // of the configuration
}

// Facts are what a message was judged by.
type Facts struct {
	Account    string          `json:"account"`
	Login      string          `json:"login"` // as the client spelled it; empty: it came without
	Client     string          `json:"client"`
	ClientName string          `json:"client_name"`
	Host       string          `json:"host"`
	From       string          `json:"from"` // envelope sender
	Rcpts      int             `json:"rcpts"`
	Recipients []string        `json:"recipients"` // the first ones
	Authors    []string        `json:"authors"`
	ReplyTo    []string        `json:"reply_to"`
	MessageID  string          `json:"message_id"`
	Subject    string          `json:"mail_subject"`
	Size       int64           `json:"size"` // octets
	QueueID    string          `json:"queue_id"`
	Score      string          `json:"score"` // of the content engine; empty: not asked
	Campaign   *rules.Campaign `json:"campaign"`
	Subjects   []string        `json:"subjects"`
}

func explained(d DecisionView) Explained {
	return Explained{
		ID: d.ID, At: d.At, Action: d.Action, Rule: d.Rule, Reply: d.Reply, Outcome: d.Outcome(),
		Evidence: orEmpty(d.Evidence), Windows: orEmpty(d.Windows), Charges: orEmpty(d.Charges),
		Config: orEmpty(d.Config), Remedies: d.Remedies(), Version: d.Version,
		Facts: Facts{
			Account: d.Account, Login: d.Login, Client: d.Client, ClientName: d.ClientName, Host: d.Host,
			From: d.From, Rcpts: d.Rcpts, Recipients: orEmpty(d.Recipients), Authors: orEmpty(d.Authors), ReplyTo: orEmpty(d.ReplyTo),
			MessageID: d.MessageID, Subject: d.Detail.Subject, Size: d.Size, QueueID: d.QueueID, Score: d.Score,
			Campaign: d.Campaign, Subjects: orEmpty(d.Subjects),
		},
	}
}

// orEmpty is a list that JSON shows as [].
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// Outcome says in plain words what became of the message.
func (v DecisionView) Outcome() string { return rules.Outcome(v.Action, v.Rule, &v.Detail) }

// Remedies are what would have made it pass, or would if what is in shadow was enforced.
func (v DecisionView) Remedies() []rules.Remedy {
	return rules.Remedies(v.Action, v.Rule, v.Account, &v.Detail)
}

// Explain tells all that is known of a decision.
func (d *Desk) Explain(ctx context.Context, id string) (Explained, error) {
	v, err := d.Decision(ctx, strings.ToUpper(strings.TrimSpace(id)))
	if errors.Is(err, ErrNotFound) { // ids are upper case, but for those of simulations
		v, err = d.Decision(ctx, id)
	}
	if err != nil {
		return Explained{}, err
	}
	return explained(v), nil
}

// HistoryQuery asks for decisions: those that are all of it.
type HistoryQuery struct {
	Subject   string // empty: of any
	Recipient string // an address, or what decisions hold in its place; empty: to anybody
	Rule      string // that decided; empty: any
	Found     string // a rule that found something, in shadow too; empty: any or none
	Action    string // empty: any
	Since     time.Time
	Before    time.Time // zero: up to the last
	Past      string    // with Before: those of that time behind this id too
	Limit     int       // 0: 100
}

// place is where a list of decisions goes on: behind the one of this time and id. The
// zero place: nowhere.
type place struct {
	at time.Time
	id string
}

func placeOf(dec state.Decision) place { return place{dec.At, dec.ID} }

func (p place) isZero() bool { return p.at.IsZero() }

// cursor is the place as HistoryQuery's Before and Past have it; empty for the zero one.
func (p place) cursor() string {
	if p.isZero() {
		return ""
	}
	return p.at.UTC().Format(time.RFC3339Nano) + "/" + p.id
}

// compare says which comes first in a list: newest first, of one time by id.
func (p place) compare(o place) int {
	return cmp.Or(o.at.Compare(p.at), cmp.Compare(p.id, o.id))
}

// ParseCursor reads History.Next, or a plain time.
func ParseCursor(cursor string) (before time.Time, past string, err error) {
	at, past, _ := strings.Cut(cursor, "/")
	if before, err = time.Parse(time.RFC3339, at); err != nil {
		return before, "", bad("before %.60q: no time; want RFC 3339, 2026-11-23T10:00:00Z, or what a page before named", cursor)
	}
	return before, past, nil
}

// mostLooked bounds the decisions that one question looks at, 25 to 50 us each: a
// second at most. What it asks for beyond one history may be rare.
const mostLooked = 20_000

// lookedPage is how many are read at one time.
const lookedPage = 1000

// History lists decisions, newest first.
func (d *Desk) History(ctx context.Context, q HistoryQuery) (History, error) {
	wanted, found, next, err := d.find(ctx, q)
	if err != nil {
		return History{}, err
	}
	h := History{Subject: wanted.Subject, Decisions: make([]DecisionLine, len(found)), Next: next}
	for i, dec := range found {
		h.Decisions[i] = lineOf(dec)
	}
	return h, nil
}

// ExplainedList is newest first.
type ExplainedList struct {
	Decisions []Explained `json:"decisions"`
	Next      string      `json:"next,omitempty"` // as in History
}

// Explanations are a History with all that is known of each.
func (d *Desk) Explanations(ctx context.Context, q HistoryQuery) (ExplainedList, error) {
	_, found, next, err := d.find(ctx, q)
	if err != nil {
		return ExplainedList{}, err
	}
	list := ExplainedList{Decisions: make([]Explained, len(found)), Next: next}
	for i, dec := range found {
		v, err := decisionView(dec)
		if err != nil {
			return ExplainedList{}, fmt.Errorf("decision %.100q: %w", dec.ID, err)
		}
		list.Decisions[i] = explained(v)
	}
	return list, nil
}

// find is what History and Explanations do. A recipient may stand in decisions in two
// forms: their lists are read side by side, as far as both have been looked through.
func (d *Desk) find(ctx context.Context, q HistoryQuery) (wanted state.Query, found []state.Decision, next string, err error) {
	wanted, forms, err := d.queryOf(ctx, q)
	if err != nil {
		return wanted, nil, "", err
	}
	most := limitOf(q.Limit)
	var end place // of what was looked through
	for _, form := range forms {
		wanted.Recipient = form
		list, stop, err := d.look(ctx, wanted, q.Found, most+1)
		if err != nil {
			return wanted, nil, "", err
		}
		found = append(found, list...)
		if !stop.isZero() && (end.isZero() || stop.compare(end) < 0) {
			end = stop
		}
	}
	slices.SortFunc(found, func(a, b state.Decision) int { return placeOf(a).compare(placeOf(b)) })
	if !end.isZero() {
		found = slices.DeleteFunc(found, func(dec state.Decision) bool { return placeOf(dec).compare(end) > 0 })
	}
	if len(found) > most { // one more than asked for
		found = found[:most]
		end = placeOf(found[most-1])
	}
	return wanted, found, end.cursor(), nil
}

// look gives the newest decisions that are wanted and in which this rule found
// something (empty: any or none), and where it stopped though there may be more.
func (d *Desk) look(ctx context.Context, wanted state.Query, finder string, most int) (found []state.Decision, stop place, err error) {
	step := oneHistory(wanted)
	step.Limit = lookedPage // most of them may be something else
	if oneHistory(wanted) == wanted && finder == "" {
		step.Limit = min(lookedPage, most)
	}
	for looked := 0; ; {
		page, err := d.Store.Decisions(ctx, step)
		if err != nil {
			return nil, place{}, err
		}
		for _, dec := range page {
			if !wanted.Wants(dec) || finder != "" && !foundBy(finder, dec) {
				continue
			}
			if found = append(found, dec); len(found) == most {
				return found, placeOf(dec), nil
			}
		}
		if len(page) < step.Limit {
			return found, place{}, nil
		}
		last := page[len(page)-1]
		if looked += len(page); looked >= mostLooked {
			return found, placeOf(last), nil
		}
		step.Before, step.Past = last.At, last.ID
	}
}

// foundBy says whether a rule found something. A record that cannot be read has nothing.
func foundBy(id string, dec state.Decision) bool {
	if !bytes.Contains(dec.Detail, []byte(id)) { // nearly all: nothing is decoded for them
		return false
	}
	v, err := decisionView(dec)
	return err == nil && slices.ContainsFunc(v.Evidence, func(ev rules.Evidence) bool { return ev.Rule == id })
}

// oneHistory is the part of a question that a store answers without looking at
// anything else: one history within a time.
func oneHistory(q state.Query) state.Query {
	one := state.Query{Since: q.Since, Before: q.Before, Past: q.Past}
	switch {
	case q.Recipient != "":
		one.Recipient = q.Recipient
	case q.Subject != "":
		one.Subject = q.Subject
	case q.Rule != "" && q.Rule != "none":
		one.Rule = q.Rule
	}
	return one
}

// queryOf checks a question, and gives the forms in which decisions may have its
// recipient; of none the empty one.
func (d *Desk) queryOf(ctx context.Context, q HistoryQuery) (wanted state.Query, forms []string, err error) {
	wanted = state.Query{Rule: q.Rule, Action: q.Action, Since: q.Since, Before: q.Before, Past: q.Past}
	if cmp.Or(q.Subject, q.Recipient, q.Rule, q.Found, q.Action) == "" && q.Since.IsZero() {
		return wanted, nil, bad("want a subject, such as account:alice@client-a.example, a recipient, a rule, an action or a time")
	}
	if q.Subject != "" {
		if wanted.Subject, err = mailSubject(q.Subject); err != nil {
			return wanted, nil, err
		}
	}
	if !slices.Contains([]string{"", "accept", "tag", "quarantine", "tempfail", "reject"}, q.Action) {
		return wanted, nil, bad("action %.40q is not known; want accept, tag, quarantine, tempfail or reject", q.Action)
	}
	for _, id := range []string{q.Rule, q.Found} {
		if !isRule(id) && (id != "none" || id == q.Found) {
			return wanted, nil, bad("rule %.60q is not known; want a rule's id or limit.NAME", id)
		}
	}
	if q.Recipient == "" {
		return wanted, []string{""}, nil
	}
	forms, err = d.recipient(ctx, q.Recipient)
	return wanted, forms, err
}

// isRule is also true of a limit that is configured no more, and of no rule at all.
func isRule(id string) bool {
	return id == "" || strings.HasPrefix(id, "limit.") || slices.Contains(rules.IDs(), id)
}

// recipient are the forms in which decisions may have an address: in the clear, also
// where they are hashed now, since those before were not, and an account's own never
// is; and its hash, where there is a key.
func (d *Desk) recipient(ctx context.Context, address string) ([]string, error) {
	if len(address) > 2*mostName {
		return nil, bad("recipient: want an address")
	}
	address = rules.RecipientForm(address)
	forms := []string{address}
	if _, hidden := rules.HiddenDomain(address); hidden {
		return forms, nil
	}
	key, err := rules.AddressKeyOf(ctx, d.Store)
	if key != nil {
		forms = append(forms, key.Hide(address))
	}
	return forms, err
}
