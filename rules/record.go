package rules

import (
	"encoding/json"
	"time"

	"o2n-milter/state"
)

// Detail is what a decision record keeps beside its index: enough to explain it.
type Detail struct {
	Reply    string     `json:"reply,omitempty"`
	QueueID  string     `json:"queue_id,omitempty"`
	Evidence []Evidence `json:"evidence"`
	Charges  []Charge   `json:"charges"`
}

// decisionOf is the record of a verdict.
func decisionOf(m *Mail, v *Verdict) state.Decision {
	detail, err := json.Marshal(Detail{Reply: v.Reply(), QueueID: m.QueueID, Evidence: v.Evidence, Charges: v.Charges})
	if err != nil {
		// Plain structs of strings and numbers always marshal.
		panic(err)
	}
	d := state.Decision{
		ID: v.ID, At: v.At.Truncate(time.Millisecond), Action: v.Action.String(), Rule: v.Rule,
		Account: v.Account, From: printable(m.Sender, 320), Rcpts: len(m.Recipients),
		Subjects: v.Subjects, Detail: detail,
	}
	if m.Client.IsValid() {
		d.Client = m.Client.String()
	}
	return d
}
