// Package replay runs mail that was sent, and decisions that were recorded, through
// rules once more, in simulated time: what would have become of it, and what other
// rules would change for whom.
//
// Nothing is charged, blocked or held in reality: the rules meet a store of their own
// that begins empty. It is not for judging live mail, and knows no command line.
//
// Invariants: messages are judged in order of their time, whatever order they lie in;
// no more than a few of them are in memory at once, so that a source may be larger
// than that; what could not be read, dated or judged is counted and said.
package replay

import (
	"net/netip"
	"slices"
	"strings"

	"o2n-milter/message"
	"o2n-milter/rules"
)

// Envelope is who sends a message to whom, as far as somebody said it; the message
// itself is asked for the rest.
type Envelope struct {
	Login      *string // SASL login; "": mail without login; nil: to be guessed
	Sender     *string // MAIL FROM; nil: to be guessed
	Client     netip.Addr
	Recipients []string // RCPT TO; empty: the addresses of To, Cc and Bcc
}

// Mail is the message in its envelope. Guess says what was taken for a login that
// nobody named; it is empty when one was named.
func (e Envelope) Mail(raw message.Raw) (m *rules.Mail, guess string) {
	facts := message.Read(raw.Fields)
	m = &rules.Mail{
		Client: e.Client.Unmap(), Header: withoutReturnPath(raw.Fields), Size: raw.Size, CanHold: true,
		Body: raw.Body[:min(len(raw.Body), rules.MaxBody)],
	}
	own, where := senderOf(raw.Fields, facts)
	m.Login, m.Sender = own, own
	if e.Login == nil {
		if guess = where; own != "" {
			guess += ": " + own
		}
	} else if m.Login = *e.Login; strings.Contains(m.Login, "@") {
		m.Sender = m.Login
	}
	if e.Sender != nil {
		m.Sender = *e.Sender
	}
	for _, r := range e.Recipients {
		m.Recipients = append(m.Recipients, rules.Recipient{Address: r})
	}
	if len(e.Recipients) == 0 {
		m.Recipients = visibleRecipients(facts)
	}
	return m, guess
}

// withoutReturnPath drops the first Return-Path: who delivered the message wrote the
// envelope's sender there (RFC 5321 4.4), it was not there when the message was sent.
func withoutReturnPath(fields []message.Field) []message.Field {
	i := slices.IndexFunc(fields, isReturnPath)
	if i < 0 {
		return fields
	}
	return slices.Delete(slices.Clone(fields), i, i+1)
}

func isReturnPath(f message.Field) bool { return strings.EqualFold(f.Name, "Return-Path") }

// senderOf is the Return-Path's address, else the From address.
func senderOf(fields []message.Field, facts message.Facts) (address, where string) {
	for _, h := range fields {
		if isReturnPath(h) {
			if a := message.ParseAddress(strings.Trim(strings.TrimSpace(h.Value), "<>")); a.Domain != "" {
				return a.String(), "the Return-Path"
			}
		}
	}
	for _, l := range facts.From {
		for _, a := range l.Addresses {
			if a.Domain != "" {
				return a.String(), "the From address"
			}
		}
	}
	return "", "nothing, as neither Return-Path nor From holds an address"
}

func visibleRecipients(facts message.Facts) []rules.Recipient {
	var list []rules.Recipient
	seen := map[string]bool{}
	for _, lists := range [][]message.List{facts.To, facts.Cc, facts.Bcc} {
		for _, l := range lists {
			for _, a := range l.Addresses {
				if !seen[a.Fold()] {
					seen[a.Fold()] = true
					list = append(list, rules.Recipient{Address: a.String()})
				}
			}
		}
	}
	return list
}
