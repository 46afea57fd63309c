package message

import (
	"net/url"
	"slices"
	"strings"
)

// Lists is what the header says of bulk mail, of threads and of automatic mail.
// All of it is the sender's to write.
type Lists struct {
	// Declared names the fields by which a mail says of itself that it goes to
	// many: "List-Id", "Precedence: bulk", "Feedback-ID". Each is there once.
	Declared []string
	// Unsubscribe are the targets of List-Unsubscribe that count: https, and mailto
	// with a sound address. Readers that see several such fields each take another
	// one (RFC 2369 3 allows one): then these are all fields' where each field
	// would do alone, and none otherwise.
	Unsubscribe []string
	// Refused says why a List-Unsubscribe is there and holds nothing that counts,
	// in a few plain ASCII words: "http without TLS". Empty where Unsubscribe is
	// not, and without such a field.
	Refused string
	// OneClick: RFC 8058 3.1 is met, but for the signature: an https target in
	// List-Unsubscribe and one List-Unsubscribe-Post with the one value it may have.
	OneClick bool
	// Signatures is how many DKIM-Signature fields there are, and Covered says that
	// one of them at least covers List-Unsubscribe and List-Unsubscribe-Post both
	// (RFC 8058 4). Most mail is signed only after us and has none.
	Signatures int
	Covered    bool
	// InReplyTo and References are the message identifiers in these fields, without
	// brackets, in order; the last 100 of each.
	InReplyTo, References []string
	// AutoSubmitted is the keyword of RFC 3834 5 in lower case: "no",
	// "auto-generated", "auto-replied"; empty when the field is not there.
	AutoSubmitted string
	// Precedence is the first word of that field in lower case.
	Precedence string
}

// listFields collects what takes more than one field to judge.
type listFields struct {
	unsubscribe []string // values, unfolded
	post        []string
	signatures  []string
}

// read takes a field in, if it is one of these.
func (l *Lists) read(name, value string, fields *listFields) {
	var room [len("list-unsubscribe-post")]byte
	if len(name) > len(room) {
		return
	}
	lower := room[:len(name)]
	for i := range len(name) {
		lower[i] = name[i] | 0x20 // letters; the hyphen has that bit anyway
	}
	switch string(lower) {
	case "list-unsubscribe":
		fields.unsubscribe = append(fields.unsubscribe, unfold(value))
		l.declare("List-Unsubscribe")
	case "list-unsubscribe-post":
		fields.post = append(fields.post, unfold(value))
		l.declare("List-Unsubscribe-Post")
	case "dkim-signature":
		fields.signatures = append(fields.signatures, value)
	case "feedback-id":
		l.declare("Feedback-ID")
	case "list-id":
		l.declare("List-Id")
	case "list-post", "list-help", "list-subscribe", "list-owner", "list-archive":
		l.declare("List-" + string(lower[5]&^0x20) + string(lower[6:]))
	case "precedence":
		l.precedence(value)
	case "auto-submitted":
		if l.AutoSubmitted == "" {
			l.AutoSubmitted = keyword(value)
		}
	case "in-reply-to":
		l.InReplyTo = messageIDs(l.InReplyTo, value)
	case "references":
		l.References = messageIDs(l.References, value)
	}
}

func (l *Lists) declare(name string) {
	if !slices.Contains(l.Declared, name) {
		l.Declared = append(l.Declared, name)
	}
}

func (l *Lists) precedence(value string) {
	word := keyword(value)
	if l.Precedence == "" {
		l.Precedence = word
	}
	switch word {
	case "bulk", "list", "junk":
		l.declare("Precedence: " + word)
	}
}

// conclude judges what the fields say together.
func (l *Lists) conclude(fields listFields) {
	secure := len(fields.unsubscribe) > 0 // each field has an https target
	for _, value := range fields.unsubscribe {
		targets, refused := unsubscribeTargets(value)
		if refused != "" {
			l.Refused, l.Unsubscribe, secure = refused, nil, false
			break
		}
		l.Unsubscribe = append(l.Unsubscribe, targets...)
		secure = secure && slices.ContainsFunc(targets, isHTTPS)
	}
	l.OneClick = secure && len(fields.post) == 1 &&
		strings.Trim(fields.post[0], " \t") == "List-Unsubscribe=One-Click"
	l.Signatures = len(fields.signatures)
	l.Covered = slices.ContainsFunc(fields.signatures, coversUnsubscribe)
}

// maxTargets is how many targets of a List-Unsubscribe are looked at; real ones
// have two.
const maxTargets = 20

// unsubscribeTargets reads RFC 2369 3.2: URIs in angle brackets between commas.
// What follows anything else is ignored (RFC 2369 2), as are blanks within the
// brackets and comments around them.
func unsubscribeTargets(value string) (targets []string, refused string) {
	refused = "no <URI>"
	for range maxTargets {
		value = skipComments(value)
		if !strings.HasPrefix(value, "<") {
			break
		}
		inside, rest, closed := strings.Cut(value[1:], ">")
		if !closed {
			break
		}
		target := strings.NewReplacer(" ", "", "\t", "").Replace(inside)
		if fault := targetFault(target); fault == "" {
			targets = append(targets, target)
		} else {
			refused = fault
		}
		if rest = skipComments(rest); !strings.HasPrefix(rest, ",") {
			break
		}
		value = rest[1:]
	}
	if len(targets) > 0 {
		refused = ""
	}
	return targets, refused
}

// targetFault says why nobody can unsubscribe there; empty for a good target.
func targetFault(target string) string {
	u, err := url.Parse(target)
	switch {
	case err != nil || strings.ContainsFunc(target, isNoURI):
		return "URI that cannot be parsed"
	case u.Scheme == "https" && (u.Opaque != "" || !strings.Contains(u.Hostname(), ".") || !isHost(u.Hostname())):
		return "https without a host"
	case u.Scheme == "https":
		return ""
	case u.Scheme == "http":
		return "http without TLS"
	case u.Scheme != "mailto":
		return "neither https nor mailto"
	case !hasAddress(u.Opaque):
		return "mailto without an address"
	}
	return ""
}

// isNoURI: RFC 3986 2 has no place for it; a template's leftover has braces.
func isNoURI(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("\"<>\\^`{|}", r) }

func isHTTPS(target string) bool { return strings.EqualFold(target[:min(len(target), 6)], "https:") }

func isHost(s string) bool {
	_, fault := hostName(s)
	return fault == ""
}

// hasAddress says whether a mailto's path (RFC 6068 2) has addresses, all of them sound.
func hasAddress(path string) bool {
	for one := range strings.SplitSeq(path, ",") {
		text, err := url.PathUnescape(one)
		at := strings.LastIndexByte(text, '@')
		if err != nil || at < 0 {
			return false
		}
		if a := newAddress(text[:at], text[at+1:]); a.Fault != "" || !strings.Contains(a.Domain, ".") {
			return false
		}
	}
	return true
}

// coversUnsubscribe says whether the h= of a DKIM-Signature (RFC 6376 3.5) names
// both fields.
func coversUnsubscribe(signature string) bool {
	for tag := range strings.SplitSeq(signature, ";") {
		name, value, _ := strings.Cut(tag, "=")
		if strings.Trim(name, " \t\r\n") != "h" {
			continue
		}
		var list, post bool
		for field := range strings.SplitSeq(value, ":") {
			field = strings.Trim(field, " \t\r\n")
			list = list || strings.EqualFold(field, "List-Unsubscribe")
			post = post || strings.EqualFold(field, "List-Unsubscribe-Post")
		}
		return list && post // RFC 6376 3.2: a tag that is there twice makes it void
	}
	return false
}

// maxIDs is how many message identifiers of a field are kept, the last ones: a
// thread's nearest. RFC 5322 3.6.4 sets no limit; real ones stay below.
const maxIDs = 100

// messageIDs adds the identifiers in angle brackets.
func messageIDs(list []string, value string) []string {
	for {
		_, after, opened := strings.Cut(value, "<")
		id, rest, closed := strings.Cut(after, ">")
		if !opened || !closed {
			return list
		}
		value = rest
		if id = strings.Trim(id, " \t\r\n"); id == "" || len(id) > 998 { // RFC 5322 2.1.1
			continue
		}
		if len(list) == maxIDs {
			list = append(list[:0], list[1:]...)
		}
		list = append(list, id)
	}
}

// keyword is a field's first word in lower case, comments before it left out.
func keyword(value string) string {
	return firstToken(skipComments(unfold(cut(value, 1000))))
}

// skipComments takes blanks and comments (RFC 5322 3.2.2) off the front.
func skipComments(s string) string {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '(':
			depth++
		case depth > 0 && c == ')':
			depth--
		case depth > 0 && c == '\\':
			i++
		case depth == 0 && c != ' ' && c != '\t':
			return s[i:]
		}
	}
	return ""
}
