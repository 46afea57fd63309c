package rules

import (
	"strings"
	"testing"
)

func TestRecipients(t *testing.T) {
	list := func(n int) string { return strings.Join(many(n, "x.example"), ", ") }
	env := func(m *Mail, addresses ...string) *Mail { m.Recipients = rcpts(addresses...); return m }
	from := "From: alice@client-a.example"
	for name, c := range map[string]struct {
		mail   *Mail
		action Action
		rule   string
	}{
		"9 in To":                      {with(from, "To: "+list(9)), Accept, "none"},
		"10 in To":                     {with(from, "To: "+list(10)), Accept, "none"},
		"11 in To":                     {with(from, "To: "+list(11)), Reject, "recipients.visible"},
		"11 in Cc":                     {with(from, "Cc: "+list(11)), Reject, "recipients.visible"},
		"11 in Bcc":                    {with(from, "Bcc: "+list(11)), Reject, "recipients.visible"},
		"5 in To, 6 in Cc":             {with(from, "To: "+list(5), "Cc: "+strings.Join(many(6, "y.example"), ",")), Reject, "recipients.visible"},
		"5 in To, 5 in Cc":             {with(from, "To: "+list(5), "Cc: "+strings.Join(many(5, "y.example"), ",")), Accept, "none"},
		"11 over two To fields":        {with(from, "To: "+list(6), "To: "+strings.Join(many(5, "y.example"), ",")), Reject, "recipients.visible"},
		"11 in a group":                {with(from, "To: all: "+list(11)+";"), Reject, "recipients.visible"},
		"11 in a list none can parse":  {with(from, "To: ((, "+list(11)), Reject, "recipients.visible"},
		"10 in a list none can parse":  {with(from, "To: ((, "+list(10)), Accept, "none"},
		"10 and a list without an @":   {with(from, "To: "+list(10), "Cc: bob, carol"), Reject, "recipients.visible"},
		"9 and a list without an @":    {with(from, "To: "+list(9), "Cc: bob, carol"), Accept, "none"},
		"11 in the obsolete form":      {with(from, "To: "+strings.ReplaceAll(strings.ReplaceAll(list(11), "@", " @ "), ".", " . ")), Reject, "recipients.visible"},
		"undisclosed":                  {with(from, "To: undisclosed-recipients:;"), Accept, "none"},
		"no To":                        {with(from), Accept, "none"},
		"9 RCPT":                       {env(mail(), many(9, "x.example")...), Accept, "none"},
		"10 RCPT":                      {env(mail(), many(10, "x.example")...), Accept, "none"},
		"11 RCPT":                      {env(mail(), many(11, "x.example")...), Reject, "recipients.envelope"},
		"one duplicate":                {with(from, "To: a@x.example, a@x.example"), Accept, "none"},
		"two duplicates":               {with(from, "To: a@x.example, a@x.example", "Cc: a@x.example"), Reject, "recipients.duplicate"},
		"duplicates by case":           {with(from, "To: a@x.example, A@X.example, a@x.EXAMPLE"), Reject, "recipients.duplicate"},
		"duplicates by +ext":           {with(from, "To: a+1@x.example, a+2@x.example, a@x.example"), Reject, "recipients.duplicate"},
		"duplicates by gmail dots":     {with(from, "To: a.b@gmail.com, ab@gmail.com, a.b.@googlemail.com"), Reject, "recipients.duplicate"},
		"dots elsewhere are different": {with(from, "To: a.b@x.example, ab@x.example, a.bc@x.example"), Accept, "none"},
		"one duplicate RCPT":           {env(mail(), "a@x.example", "a@x.example"), Accept, "none"},
		"two duplicate RCPTs":          {env(mail(), "a@x.example", "A+9@x.example", "a@X.example"), Reject, "recipients.duplicate"},
		"in To and RCPT is none":       {env(with(from, "To: a@x.example, b@x.example"), "a@x.example", "b@x.example"), Accept, "none"},
	} {
		t.Run(name, func(t *testing.T) {
			check(t, newBench(t, nil).decide(t, c.mail), c.action, c.rule)
		})
	}
}

func TestRecipientEvidenceIsWhole(t *testing.T) {
	m := with("From: boss@bank.example", "To: "+strings.Join(many(11, "x.example"), ", "))
	m.Recipients = rcpts(append(many(10, "x.example"), "aaa@x.example", "AAA@x.example", "aaa@X.example")...)
	check(t, newBench(t, nil).decide(t, m), Reject, "identity.header_from",
		"identity.header_from: boss@bank.example", "recipients.visible: 11", "recipients.envelope: 13", "recipients.duplicate: 3")
}
