package rules

import (
	"fmt"

	"o2n-milter/message"
)

// recipients.*: a message to everybody at once looks like spam and is often one.

// recipientsVisible: distinct addresses over all To, Cc and Bcc fields. A list
// that cannot be parsed counts by its @-tokens and never as nobody.
func recipientsVisible(f *facts) []Evidence {
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
	if n := len(distinct) + unnamed; n > f.set.MaxVisible {
		return one("recipients in To, Cc and Bcc", fmt.Sprint(n), fmt.Sprintf("at most %d", f.set.MaxVisible))
	}
	return nil
}

// recipientsEnvelope counts every RCPT of the message, so hidden copies count.
func recipientsEnvelope(f *facts) []Evidence {
	if n := len(f.rcpts); n > f.set.MaxEnvelope {
		return one("recipients of the envelope", fmt.Sprint(n), fmt.Sprintf("at most %d", f.set.MaxEnvelope))
	}
	return nil
}

// recipientsDuplicate: one mailbox named more than once, however it is spelled;
// in the fields, and apart from them in the envelope.
func recipientsDuplicate(f *facts) []Evidence {
	var fields []message.Address
	for l := range f.destinations {
		fields = append(fields, l.Addresses...)
	}
	want := fmt.Sprintf("at most %d", f.set.MaxDuplicates)
	var found []Evidence
	if n := duplicates(fields); n > f.set.MaxDuplicates {
		found = append(found, Evidence{Fact: "duplicates in To, Cc and Bcc", Got: fmt.Sprint(n), Want: want})
	}
	if n := duplicates(f.rcpts); n > f.set.MaxDuplicates {
		found = append(found, Evidence{Fact: "duplicates in the envelope", Got: fmt.Sprint(n), Want: want})
	}
	return found
}

// duplicates is mentions minus distinct mailboxes.
func duplicates(list []message.Address) int {
	distinct := make(map[string]bool, len(list))
	for _, a := range list {
		distinct[a.Mailbox()] = true
	}
	return len(list) - len(distinct)
}
