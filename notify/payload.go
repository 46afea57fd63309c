package notify

import (
	"encoding/json"
	"time"
)

// payload is what programs read: the webhook's body and a hook's standard input.
// Fields are only ever added.
type payload struct {
	ID       string          `json:"id"` // the same in every try
	Event    string          `json:"event"`
	At       time.Time       `json:"at"`
	Host     string          `json:"host"`
	Subject  string          `json:"subject"`
	Account  string          `json:"account"`
	Customer string          `json:"customer"`
	Text     string          `json:"text"`
	Block    *payloadBlock   `json:"block,omitempty"`
	Request  *payloadRequest `json:"request,omitempty"`
}

type payloadBlock struct {
	ID        string          `json:"id"`
	Subject   string          `json:"subject"`
	Rule      string          `json:"rule"`
	Reason    string          `json:"reason"`
	Since     time.Time       `json:"since"`
	Until     *time.Time      `json:"until"` // null: until it is lifted
	By        string          `json:"by"`
	Before    int             `json:"before"`
	Evidence  json.RawMessage `json:"evidence"`
	Decisions []string        `json:"decisions"`
	LiftedAt  *time.Time      `json:"lifted_at"` // null: not lifted
	LiftedBy  string          `json:"lifted_by"`
	Note      string          `json:"note"`
}

type payloadRequest struct {
	ID         string    `json:"id"`
	Block      string    `json:"block"`
	Subject    string    `json:"subject"`
	Account    string    `json:"account"`
	At         time.Time `json:"at"`
	State      string    `json:"state"`
	Self       bool      `json:"self"`
	Happened   string    `json:"happened"`
	Done       string    `json:"done"`
	Password   bool      `json:"password"`
	AnsweredBy string    `json:"answered_by"`
	Answer     string    `json:"answer"`
}

func payloadOf(v notice) payload {
	e := v.Event
	p := payload{
		ID: v.id, Event: e.What, At: e.At, Host: v.Host, Subject: e.subject(),
		Account: e.account(), Customer: e.Block.Customer, Text: e.Text,
	}
	if b := e.Block; b.ID != "" {
		if len(b.Evidence) == 0 {
			b.Evidence = json.RawMessage("[]")
		}
		if b.Decisions == nil {
			b.Decisions = []string{}
		}
		p.Block = &payloadBlock{
			ID: b.ID, Subject: b.Subject, Rule: b.Rule, Reason: b.Reason, Since: b.Since, Until: orNull(b.Until), By: b.By,
			Before: b.Before, Evidence: b.Evidence, Decisions: b.Decisions, LiftedAt: orNull(b.LiftedAt), LiftedBy: b.LiftedBy, Note: b.Note,
		}
	}
	if r := e.Request; r.ID != "" {
		p.Request = &payloadRequest{
			ID: r.ID, Block: r.Block, Subject: r.Subject, Account: r.Account, At: r.At, State: string(r.State), Self: r.Self,
			Happened: r.Happened, Done: r.Done, Password: r.Password, AnsweredBy: r.AnsweredBy, Answer: r.Answer,
		}
	}
	return p
}

func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
