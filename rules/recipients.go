package rules

import (
	"fmt"
	"slices"

	"o2n-milter/message"
)

// recipients.*: a message to everybody at once looks like spam and is often one.

// recipientsVisible: distinct addresses over all To, Cc and Bcc fields. A list
// that cannot be parsed counts by its @-tokens and never as nobody.
func recipientsVisible(f *facts) []Evidence {
	return over(visibleFact, f.counts().visible, f.set.MaxVisible)
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

// namedCounts is how many recipients the fields and the envelope name.
type namedCounts struct {
	done                         bool
	visible                      int // in the fields, each once
	duplicates, envelopeRepeated int // mentions of who is named already, in the fields and in the envelope
}

// counts counts once.
func (f *facts) counts() *namedCounts {
	if f.named.done {
		return &f.named
	}
	var fields []message.Address
	unnamed := 0
	for l := range f.destinations {
		if l.Lenient && len(l.Addresses) == 0 {
			unnamed++
		}
		if len(fields) == 0 {
			fields = slices.Clip(l.Addresses) // nearly always all of them
		} else {
			fields = append(fields, l.Addresses...)
		}
	}
	f.named = namedCounts{true, distinct(fields, message.Address.Fold) + unnamed, duplicates(fields), duplicates(f.rcpts)}
	return &f.named
}

// distinct is how many there are, told apart by name.
func distinct(list []message.Address, name func(message.Address) string) int {
	if len(list) < 2 {
		return len(list)
	}
	seen := make(map[string]bool, len(list))
	for _, a := range list {
		seen[name(a)] = true
	}
	return len(seen)
}

// recipientsEnvelope counts every RCPT of the message, so hidden copies count.
func recipientsEnvelope(f *facts) []Evidence {
	return over("recipients of the envelope", len(f.rcpts), f.set.MaxEnvelope)
}

// recipientsDuplicate: one mailbox named more than once, however it is spelled;
// in the fields, and apart from them in the envelope.
func recipientsDuplicate(f *facts) []Evidence {
	most := f.set.MaxDuplicates
	n := f.counts()
	return append(over(duplicatesFact, n.duplicates, most), over(envelopeDuplicatesFact, n.envelopeRepeated, most)...)
}

// duplicates is mentions minus distinct mailboxes.
func duplicates(list []message.Address) int {
	return len(list) - distinct(list, message.Address.Mailbox)
}
