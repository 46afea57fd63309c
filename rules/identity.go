package rules

import (
	"fmt"
	"slices"
	"strings"

	"o2n-milter/message"
)

// identity.*: From, Sender, Reply-To and the envelope sender belong to the
// account. RFC 5322 3.6.2 knows one From field; RFC 6409 8.1 lets a submission
// server enforce who may use which address.

// identityMalformed: no From, several From fields, or one that is not what it shows.
func identityMalformed(f *facts) []Evidence {
	if n := len(f.msg.From); n != 1 {
		return one("header From", plural(n, "From field"), "exactly one From field")
	}
	from := f.msg.From[0]
	switch {
	case from.Fault != "":
		return one("header From", from.Fault, "an address in plain view")
	case len(from.Addresses)+len(from.Named) == 0 && f.isLocalReport():
		return nil // "MAILER-DAEMON": nobody reads it as somebody else's address
	case len(from.Addresses) == 0:
		return one("header From", "no address", "an address of the account")
	}
	for _, a := range from.Addresses {
		if a.Fault != "" {
			return one("header From", show(a)+": "+a.Fault, "an address of the account")
		}
		if from.Lenient && !f.owns(a) {
			return one("header From", lenientMark+show(a), "an address of the account")
		}
	}
	return nil
}

// identityHeaderFrom: every mailbox of every From field is the account's.
func identityHeaderFrom(f *facts) []Evidence { return f.foreign("header From", f.msg.From) }

// identitySender: so is every mailbox of the Sender field (RFC 5322 3.6.2).
func identitySender(f *facts) []Evidence { return f.foreign("header Sender", f.msg.Sender) }

// foreign finds addresses that are not the submitter's. A field that names
// nobody claims nothing.
func (f *facts) foreign(fact string, lists []message.List) []Evidence {
	for _, l := range lists {
		if l.Fault != "" {
			return one(fact, l.Fault, "an address in plain view")
		}
		for _, a := range l.Addresses {
			if !f.owns(a) {
				return one(fact, show(a), f.ownText())
			}
		}
	}
	return nil
}

// identityEnvelopeFrom: MAIL FROM is the account's, or null: bounces and
// automatic replies are sent so (RFC 5321 4.5.5), and their From is judged all the same.
func identityEnvelopeFrom(f *facts) []Evidence {
	if f.mail.Sender == "" {
		return nil
	}
	if a := message.ParseAddress(f.mail.Sender); !f.who.mayBounceTo(a, f.set.Strict) {
		return one("envelope sender", show(a), f.ownText())
	}
	return nil
}

// identityReplyTo: answers go to the account or where its settings allow. A
// contact form that writes to its owner names its visitor here, and harms nobody
// as long as every recipient is the account's own.
func identityReplyTo(f *facts) []Evidence {
	for _, l := range f.msg.ReplyTo {
		if l.Fault != "" {
			return one("header Reply-To", l.Fault, "an address in plain view")
		}
		for _, a := range l.Addresses {
			if f.who.mayReplyTo(a, f.set.Strict) {
				continue
			}
			if f.onlyOwnRecipients() {
				return nil
			}
			return one("header Reply-To", show(a), f.ownText())
		}
	}
	return nil
}

func (f *facts) onlyOwnRecipients() bool {
	for _, a := range f.rcpts {
		if !f.owns(a) {
			return false
		}
	}
	return len(f.rcpts) > 0
}

// identityDisplayName: an address of another domain shown as the author's name,
// or in a field that steers answers and receipts. Lists and old mailers do that
// honestly, so it is shadow by default.
func identityDisplayName(f *facts) []Evidence {
	for _, lists := range [...][]message.List{f.msg.From, f.msg.Sender, f.msg.ReplyTo} {
		for _, l := range lists {
			for _, a := range l.Named {
				if !f.owns(a) {
					return one("display name in "+l.Field, show(a), f.ownText())
				}
			}
		}
	}
	for _, l := range f.msg.Steering {
		for _, a := range l.Addresses {
			if !f.owns(a) {
				return one("header "+l.Field, show(a), f.ownText())
			}
		}
	}
	return nil
}

func one(fact, got, want string) []Evidence { return []Evidence{{Fact: fact, Got: got, Want: want}} }

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// ownText says in evidence what would have been right, shortened.
func (f *facts) ownText() string {
	own := slices.Concat(f.who.domains.list, f.who.hosts, f.who.addresses)
	if f.who.self != "" {
		own = append(own, f.who.self)
	}
	if len(own) == 0 {
		return "nothing: no domain is this submitter's own"
	}
	if len(own) > 3 {
		own = append(own[:3], "...")
	}
	return strings.Join(own, ", ")
}

// show prints a foreign address for evidence: printable ASCII, bounded.
func show(a message.Address) string {
	if a == (message.Address{Fault: a.Fault}) {
		return "(empty)"
	}
	return printable(a.String(), 120)
}

// printable replaces what a terminal or log might act on, and bounds the length.
func printable(s string, most int) string {
	if len(s) <= most && isPrintable(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if b.Len() >= most {
			b.WriteString("...")
			break
		}
		if r < ' ' || r > '~' {
			r = '?'
		}
		b.WriteRune(r)
	}
	return b.String()
}

func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
