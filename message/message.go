// Package message turns a mail into facts: of the header addresses, recipients,
// the script that sent it, what it says of lists; of the body what a reader
// sees. It is pure: it decides nothing and does no I/O, and the same mail always
// gives the same facts.
//
// Every byte it reads was chosen by the sender. Nothing here may panic, loop
// quadratically, or answer "nothing found" where the field holds something that
// a mail reader would show.
package message

// Field is one header field as the MTA handed it over: the name without the
// colon, the value with its folds ("\n " or "\r\n\t") still in it.
type Field struct {
	Name  string
	Value string
}

// Address is one addr-spec (RFC 5322 3.4.1), split at its last @.
type Address struct {
	// Local is the local part with quoting undone, in the case it was written in.
	// Where Domain is empty it holds the whole text, so that two addresses
	// without a usable domain stay different.
	Local string
	// Domain is lower-case IDNA ASCII without a trailing dot. It is empty when
	// there is none, or when IDNA refuses what is written there.
	Domain string
	// Fault says in a few plain ASCII words why this address is not what it
	// shows to a reader: "no domain", "domain is no host name", "@ in the
	// local part". Empty for a sound address. It never quotes the sender's text.
	Fault string
}

// String is local@domain as text for evidence and comparison; it is not quoted
// for use in a header.
func (a Address) String() string {
	if a.Domain == "" {
		return a.Local
	}
	return a.Local + "@" + a.Domain
}

// StringOf is String for the address of a text, which it mostly is.
func (a Address) StringOf(text string) string {
	if a.isWritten(text) {
		return text
	}
	return a.String()
}

// isWritten says whether a text is what String gives.
func (a Address) isWritten(text string) bool {
	if a.Domain == "" {
		return a.Local == text
	}
	n := len(a.Local)
	return len(text) == n+1+len(a.Domain) && text[n] == '@' && text[:n] == a.Local && text[n+1:] == a.Domain
}

// List is what one address field (From, To, Reply-To ...) says.
type List struct {
	// Field is the canonical field name: "From", "Reply-To".
	Field string
	// Addresses are the mailboxes, groups flattened, in order. When Lenient is
	// set, every token with an @ in it, wherever it stands, encoded words decoded;
	// an address that stands as the name of itself (a@b <a@b>) is there once.
	Addresses []Address
	// Named are the addresses that stand in display names, group names and
	// comments, decoded: what a mail reader shows in place of the address. Each
	// is there once. Nil when Lenient is set.
	Named []Address
	// Lenient is set when the standard grammar refused the field.
	Lenient bool
	// Fault says why the field as a whole is not what it shows: a From, Sender or
	// Reply-To so long that the address is out of view. Empty for a sound field.
	Fault string
}

// Facts is what the header of one message says. All slices are in header order.
type Facts struct {
	From    []List // one entry for each From field
	Sender  []List
	ReplyTo []List
	To      []List
	Cc      []List
	Bcc     []List
	// Steering are fields that also name people a reader may answer or see:
	// Mail-Reply-To, Mail-Followup-To, Return-Path, Errors-To,
	// Disposition-Notification-To, Resent-From, Resent-Sender, Resent-Reply-To,
	// Author.
	Steering []List
	// Subject is decoded, control characters replaced by blanks, at most 250 runes.
	Subject string
	// MessageID is the raw Message-ID without folds, at most 1,000 bytes.
	MessageID string
	// Script is the file name of X-PHP-Originating-Script ("33:mail.php" gives
	// "mail.php"); forgeable, so it narrows and never widens.
	Script string
	// Lists is what the header says of bulk, threads and automatic mail.
	Lists Lists
	// Faults say why the header cannot be read at all: an empty field name, a
	// name with a character that none may have, a NUL. Empty for any mail that an
	// MTA hands over whole. No field at all is no fault: it is a missing From.
	Faults []string
	// Excess says that the fields that name people hold more than is read of what is not
	// plainly written. What was not read has a fault. Empty when all was.
	Excess string
}
