package rules

import (
	"fmt"

	"o2n-milter/message"
)

// recipients.*: a message to everybody at once looks like spam and is often one.

// recipientsVisible: distinct addresses over all To, Cc and Bcc fields. A list
// that cannot be parsed counts by its @-tokens and never as nobody.
func recipientsVisible(f *facts) []Evidence {
	return over(visibleFact, f.visible(), f.set.MaxVisible)
}

// What recipientsVisible and recipientsDuplicate look at.
const (
	visibleFact            = "recipients in To, Cc and Bcc"
	duplicatesFact         = "duplicates in To, Cc and Bcc"
	envelopeDuplicatesFact = "duplicates in the envelope"
)

// over is the evidence of a number that is over what may be most.
func over(fact string, n, most int) []Evidence {
	if n <= most {
		return nil
	}
	return one(fact, fmt.Sprint(n), fmt.Sprintf("at most %d", most))
}

// visible is how many recipients the fields name.
func (f *facts) visible() int {
	distinct := map[string]bool{}
	unnamed := 0
	for l := range f.destinations {
		if l.Lenient && len(l.Addresses) == 0 {
			unnamed++
		}
		for _, a := range l.Addresses {
			distinct[a.Fold()] = true
		}
	}
	return len(distinct) + unnamed
}

// recipientsEnvelope counts every RCPT of the message, so hidden copies count.
func recipientsEnvelope(f *facts) []Evidence {
	return over("recipients of the envelope", len(f.rcpts), f.set.MaxEnvelope)
}

// recipientsDuplicate: one mailbox named more than once, however it is spelled;
// in the fields, and apart from them in the envelope.
func recipientsDuplicate(f *facts) []Evidence {
	most := f.set.MaxDuplicates
	return append(over(duplicatesFact, f.fieldDuplicates(), most), over(envelopeDuplicatesFact, duplicates(f.rcpts), most)...)
}

// fieldDuplicates is how many mentions in the fields are of who is named already.
func (f *facts) fieldDuplicates() int {
	var fields []message.Address
	for l := range f.destinations {
		fields = append(fields, l.Addresses...)
	}
	return duplicates(fields)
}

// duplicates is mentions minus distinct mailboxes.
func duplicates(list []message.Address) int {
	distinct := make(map[string]bool, len(list))
	for _, a := range list {
		distinct[a.Mailbox()] = true
	}
	return len(list) - len(distinct)
}
