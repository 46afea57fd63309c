package desk

import (
	"context"

	"o2n-milter/rules"
)

// CheckMail is a message that somebody asks about.
type CheckMail struct {
	Client     string        `json:"client"` // empty: none
	Login      string        `json:"login"`
	Sender     string        `json:"sender"`
	Recipients []string      `json:"recipients"`
	Header     []HeaderField `json:"header"`
	Body       []byte        `json:"body"` // its first rules.MaxBody octets
	Size       int64         `json:"size"` // octets of header and body
}

// HeaderField may hold any octets.
type HeaderField struct {
	Name  []byte `json:"name"`
	Value []byte `json:"value"`
}

// Checked is the verdict that the message would get now.
type Checked struct {
	Action   string           `json:"action"`
	Rule     string           `json:"rule"`
	Reply    string           `json:"reply"`
	Judged   bool             `json:"judged"` // false for inbound mail
	Evidence []rules.Evidence `json:"evidence"`
	Charges  []rules.Charge   `json:"charges"` // that it would cost
	// Windows are those of the charges in order, as they are; none where a rule or a
	// block stops the mail first.
	Windows []rules.Window `json:"windows"`
	Error   string         `json:"error"` // what went wrong inside; empty: nothing
}

// Check asks the rules, with the windows and blocks as they are. Nothing is charged,
// recorded, held or struck.
func (d *Desk) Check(ctx context.Context, in CheckMail) (Checked, error) {
	if d.Try == nil {
		return Checked{}, notFound("nobody here judges mail")
	}
	v, err := d.Try(ctx, in)
	if err != nil {
		return Checked{}, bad("check: %v", err)
	}
	c := Checked{
		Action: v.Action.String(), Rule: v.Rule, Reply: v.Reply(), Judged: v.Judged,
		Evidence: orEmpty(v.Evidence), Charges: orEmpty(v.Charges), Windows: orEmpty(v.Windows),
	}
	if v.Err != nil {
		c.Error = v.Err.Error()
	}
	return c, nil
}
