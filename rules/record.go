package rules

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"o2n-milter/internal/chaos"
	"o2n-milter/message"
	"o2n-milter/state"
)

// Detail is what a decision record keeps beside its index: enough to explain it.
type Detail struct {
	Reply      string `json:"reply,omitempty"`
	QueueID    string `json:"queue_id,omitempty"`
	ClientName string `json:"client_name,omitempty"`
	Login      string `json:"login,omitempty"` // as the client spelled it; empty without login
	Host       string `json:"host,omitempty"`  // the MTA's own name
	// Authors are the addresses in From and Sender, ReplyTo those in Reply-To: the
	// first 10 of each.
	Authors []string `json:"authors,omitempty"`
	ReplyTo []string `json:"reply_to,omitempty"`
	// Senders is how many of the authors, the last ones, are those of Sender.
	Senders int `json:"senders,omitempty"`
	// Script is the name that a local program gave itself.
	Script string `json:"script,omitempty"`
	// How many recipients To, Cc and Bcc named, and how often one of them, or one of the
	// envelope, was there already.
	Visible            int `json:"visible,omitempty"`
	Duplicates         int `json:"duplicates,omitempty"`
	EnvelopeDuplicates int `json:"envelope_duplicates,omitempty"`
	// MessageID and Subject help an operator to find the mail at hand.
	MessageID string     `json:"message_id,omitempty"`
	Subject   string     `json:"mail_subject,omitempty"`
	Size      int64      `json:"size"`            // octets
	Score     string     `json:"score,omitempty"` // of the content engine; empty when it was not asked
	Evidence  []Evidence `json:"evidence"`
	Charges   []Charge   `json:"charges"` // the first 100
	// Windows are those of the charges, as the message left them.
	Windows []Window `json:"windows,omitempty"`
	// Campaign is what its letter is counted under, so that the others of it can be found.
	Campaign *Campaign `json:"campaign,omitempty"`
	// Config are the keys that the rules which found something go by, as they then were,
	// those of the rule that decided first; Version is the whole configuration's.
	Config  []Line `json:"config,omitempty"`
	Version string `json:"version,omitempty"`
}

const (
	// A record keeps this much evidence and this many subjects, recipients, charges and
	// windows of a message: thousands of destinations must not make it too long to be
	// kept or read.
	mostRecorded = 100
	// mostTo bounds the recipients in all, in octets: 100 of usual length take 3,000.
	mostTo = 8 << 10
	// mostNamed is how many addresses of one kind of field are kept.
	mostNamed = 10
)

// recordSafely is record; after a panic the verdict stands, as it does after an error:
// what it says has been charged, and people are told of it.
func (e *Engine) recordSafely(ctx context.Context, f *facts, v *Verdict) (err error) {
	defer caught(&err)
	return e.record(ctx, f, v)
}

// record keeps a verdict.
func (e *Engine) record(ctx context.Context, f *facts, v *Verdict) error {
	d, detail := decisionOf(f, v), detailOf(f, v)
	var fault error
	if e.set.HideAddresses {
		var key *AddressKey
		key, fault = e.addressKey(ctx) // without it addresses are left out
		key.hide(&d, &detail, v.Account)
	}
	chaos.Point("record")
	text := details.Get().(*[]byte)
	*text = detail.appendJSON((*text)[:0])
	d.Detail, d.Plain = *text, true
	fault = errors.Join(fault, e.store.Record(ctx, d))
	if cap(*text) <= mostDetail {
		details.Put(text)
	}
	return fault
}

// details are there to be written to again: a store keeps a copy.
var details = sync.Pool{New: func() any { return new([]byte) }}

// mostDetail is how many octets one of them may have: those of nearly all mail.
const mostDetail = 16 << 10

// MessageIDOf is that of the message that was decided on; empty when it had none.
func MessageIDOf(d state.Decision) string {
	var detail struct {
		MessageID string `json:"message_id"`
	}
	if json.Unmarshal(d.Detail, &detail) != nil {
		return "" // Again tells of a record that cannot be read
	}
	return detail.MessageID
}

// decisionOf is the record of a verdict, without its detail.
func decisionOf(f *facts, v *Verdict) state.Decision {
	m := f.mail
	d := state.Decision{
		ID: v.ID, At: v.At.Truncate(time.Millisecond), Action: v.Action.String(), Rule: v.Rule,
		Account: v.Account, From: printable(m.Sender, mostName), Rcpts: len(m.Recipients),
		Subjects: v.Subjects[:min(len(v.Subjects), mostRecorded)], To: recipientsOf(f),
	}
	switch {
	case m.Client.Is4() && f.clientAs != "":
		d.Client = strings.TrimPrefix(f.clientAs, "ip:")
	case m.Client.IsValid():
		d.Client = m.Client.String()
	}
	return d
}

// detailOf is what the record of a verdict keeps beside its index.
func detailOf(f *facts, v *Verdict) Detail {
	m := f.mail
	authors := named(nil, f.msg.From, m.Sender)
	senders := named(authors, f.msg.Sender, m.Sender)
	detail := Detail{
		Reply: v.Reply(), QueueID: m.QueueID, ClientName: printable(m.ClientName, 255),
		Login: printable(m.Login, mostName), Host: printable(m.Host, 255),
		Authors: senders, Senders: len(senders) - len(authors), ReplyTo: named(nil, f.msg.ReplyTo, m.Sender), Script: f.msg.Script,
		Visible: f.counts().visible, Duplicates: f.counts().duplicates, EnvelopeDuplicates: f.counts().envelopeRepeated,
		MessageID: f.msg.MessageID, Subject: f.msg.Subject, Size: m.Size,
		Evidence: v.Evidence, Charges: v.Charges[:min(len(v.Charges), mostRecorded)],
		Windows: v.Windows[:min(len(v.Windows), mostRecorded)], Campaign: v.Campaign,
		Version: f.set.Version,
	}
	if len(v.Evidence) > 0 {
		detail.Config = f.linesOf(v)
	}
	if f.score != nil {
		detail.Score = f.score.String()
	}
	return detail
}

// recipientsOf are the recipients that a decision is found by, each once.
func recipientsOf(f *facts) []string {
	to := make([]string, 0, min(len(f.rcpts), mostRecorded))
	size := 0
	for i, a := range f.rcpts {
		form := a.FoldOf(f.mail.Recipients[i].Address)
		if size += len(form); len(to) == mostRecorded || size > mostTo {
			break
		}
		if form != "" && !slices.Contains(to, form) {
			to = append(to, form)
		}
	}
	return to
}

// named are list and the addresses in a kind of field, which mostly are the envelope sender's.
func named(list []string, fields []message.List, sender string) []string {
	for _, l := range fields {
		for _, a := range l.Addresses {
			if len(list) == mostNamed {
				return list
			}
			list = append(list, printable(a.StringOf(sender), mostName))
		}
	}
	return list
}
