package rules

import (
	"encoding/json"
	"time"

	"o2n-milter/state"
)

// Detail is what a decision record keeps beside its index: enough to explain it.
type Detail struct {
	Reply      string `json:"reply,omitempty"`
	QueueID    string `json:"queue_id,omitempty"`
	ClientName string `json:"client_name,omitempty"`
	// MessageID and Subject help an operator to find the mail at hand.
	MessageID string     `json:"message_id,omitempty"`
	Subject   string     `json:"mail_subject,omitempty"`
	Size      int64      `json:"size"` // octets
	Evidence  []Evidence `json:"evidence"`
	Charges   []Charge   `json:"charges"` // the first 100
	// Windows are those of the charges, as the message left them.
	Windows []Window `json:"windows,omitempty"`
	// Campaign is what its letter is counted under, so that the others of it can be found.
	Campaign *Campaign `json:"campaign,omitempty"`
}

// A record keeps this much evidence and this many subjects, charges and windows of a
// message: thousands of destinations must not make it too long to be kept or read.
const mostRecorded = 100

// decisionOf is the record of a verdict.
func decisionOf(f *facts, v *Verdict) state.Decision {
	m := f.mail
	detail, err := json.Marshal(Detail{
		Reply: v.Reply(), QueueID: m.QueueID, ClientName: printable(m.ClientName, 255), MessageID: f.msg.MessageID, Subject: f.msg.Subject, Size: m.Size,
		Evidence: v.Evidence, Charges: v.Charges[:min(len(v.Charges), mostRecorded)],
		Windows: v.Windows[:min(len(v.Windows), mostRecorded)], Campaign: v.Campaign,
	})
	if err != nil {
		// Plain structs of strings and numbers always marshal.
		panic(err)
	}
	d := state.Decision{
		ID: v.ID, At: v.At.Truncate(time.Millisecond), Action: v.Action.String(), Rule: v.Rule,
		Account: v.Account, From: printable(m.Sender, 320), Rcpts: len(m.Recipients),
		Subjects: v.Subjects[:min(len(v.Subjects), mostRecorded)], Detail: detail,
	}
	if m.Client.IsValid() {
		d.Client = m.Client.String()
	}
	return d
}
