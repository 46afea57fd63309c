package message

import (
	"mime"
	"net/mail"
	"slices"
	"strings"
)

const (
	// maxGrammar is how long a value, in octets, the standard grammar is tried
	// on. Postfix hands over 60,000 and Sendmail 32,768; anything longer is only
	// scanned, which is linear and misses nothing.
	maxGrammar = 65536
	// maxView is how long From, Sender and Reply-To may be, in octets. RFC 5322
	// 2.1.1 ends a line at 998; beyond two such lines no reader shows the
	// address any more, and the MTA may have cut the value.
	maxView = 2000
)

// standard is the grammar of RFC 5322 3.4 with the charsets of real mail.
var standard = mail.AddressParser{WordDecoder: &mime.WordDecoder{CharsetReader: charsetReader}}

// readPlain reads an address field of the plain form, unfolded; ok is false for any other.
func readPlain(field, value string) (list List, ok bool) {
	list = List{Field: field}
	if strings.TrimSpace(value) == "" {
		return list, true // the field names nobody; that is no fault of grammar
	}
	if len(value) > maxGrammar {
		return list, false
	}
	own, ok := plainList(value)
	if ok {
		list.Addresses = own
		if strings.Count(value, "@") > len(own) {
			list.Named = named(value, own)
		}
	}
	return list, ok
}

// readGrammar reads a value by the standard grammar, else as it comes: then found are its
// tokens.
func readGrammar(list List, value string) (_ List, found []token) {
	text := toUTF8(value)
	parsed, err := parse(value)
	if err != nil {
		found = scan(text)
		list.Lenient = true
		list.Addresses = lenient(text, found)
		return list, found
	}
	list.Addresses = make([]Address, 0, len(parsed))
	for _, p := range parsed {
		at := strings.LastIndexByte(p.Address, '@')
		list.Addresses = append(list.Addresses, newAddress(p.Address[:at], p.Address[at+1:]))
	}
	if !plain(text, len(parsed)) {
		list.Named = named(text, list.Addresses)
	}
	return list, nil
}

// parse applies the standard grammar to a value that is not too long for it.
func parse(value string) ([]*mail.Address, error) {
	switch {
	case len(value) > maxGrammar:
		return nil, errTooLong
	case isRefused(value):
		return nil, errLooseAt
	}
	return standard.ParseList(value)
}

// judge looks for what keeps a reader from seeing the author as we do. What was found
// in a lenient list is given.
func (l *List) judge(value string, found []token) {
	if l.Lenient && endsWhole(value) {
		l.nameUndotted()
	}
	l.promote(value, found)
	switch {
	case len(value) > maxView:
		l.Fault = "longer than 2,000 octets, address not in view"
	case strings.ContainsAny(value, "\v\f"), !isASCII(value) && strings.ContainsAny(value, "\u2028\u2029"):
		l.Fault = "line break in the value"
	}
}

// promote takes addresses in names for the field's own where some reader does.
func (l *List) promote(value string, found []token) {
	if broken := brokenNames(value); broken != "" {
		l.take(scan(toUTF8(unfold(broken))))
	}
	if l.Lenient {
		text := toUTF8(unfold(value))
		for _, form := range decodings(text) {
			l.take(dropping(form, scan(form)))
		}
		l.take(dropping(text, found))
	}
	// An encoded word without an end takes what follows into the name, the address too.
	if len(l.Named) > 0 && hasOpenWord(value) {
		l.Addresses, l.Named = append(l.Addresses, l.Named...), nil
	}
}

// take appends the addresses that are not there yet.
func (l *List) take(found []token) {
	if len(found) == 0 {
		return
	}
	known := make(map[Address]bool, len(l.Addresses)+len(found))
	for _, a := range l.Addresses {
		known[a] = true
	}
	for _, t := range found {
		if !known[t.Address] {
			known[t.Address] = true
			l.Addresses = append(l.Addresses, t.Address)
		}
	}
}

// brokenNames is what of quoted names Python's email takes for the field's address,
// since a name ends with its line there: what stands behind the line's end, and the
// line's last word.
func brokenNames(value string) string {
	if strings.IndexByte(value, '"') < 0 || !strings.ContainsAny(value, "\r\n") {
		return ""
	}
	var b strings.Builder
	open := -1 // behind the quote that began a name
	for i := 0; i < len(value); i++ {
		switch {
		case value[i] == '\\':
			i++
		case value[i] != '"':
		case open < 0:
			open = i + 1
		default:
			name := value[open:i]
			if end := strings.IndexAny(name, "\r\n"); end >= 0 {
				b.WriteString(name[end:] + " ")
				last := strings.LastIndexAny(name[:end], " \t") + 1
				b.WriteString(name[last:end] + " ")
			}
			open = -1
		}
	}
	return b.String()
}

// endsWhole says whether the value is text and then one whole address in <>.
func endsWhole(value string) bool {
	_, behind, ok := strings.Cut(value, "<")
	if !ok || strings.ContainsAny(value, ",;") || strings.Contains(behind, "<") {
		return false
	}
	if a, ok := plainAddress(strings.TrimSuffix(behind, ">")); ok && !isOuter(rune(a.Local[0])) { // what scan makes of it
		return strings.Contains(a.Domain, ".")
	}
	found := scan(toUTF8(unfold(behind)))
	return len(found) == 1 && found[0].Fault == "" && strings.Contains(found[0].Domain, ".")
}

// nameUndotted takes tokens such as "Boutique@Home" for part of the name, where
// a whole address follows: no mail goes to a domain without a dot.
func (l *List) nameUndotted() {
	undotted := func(a Address) bool {
		return a.Fault == "" && !strings.Contains(a.Domain, ".") && !strings.HasPrefix(a.Domain, "xn--")
	}
	for _, a := range l.Addresses {
		if undotted(a) {
			l.Named = append(l.Named, a)
		}
	}
	l.Addresses = slices.DeleteFunc(l.Addresses, undotted)
}

// isRefused says in one look that the standard grammar refuses the value: a second @ may
// stand in a list, a quoted string, a comment, a literal or a group, and none begins here.
func isRefused(value string) bool {
	return strings.Count(value, "@") > 1 && !strings.ContainsAny(value, `,"([:`)
}

// plain says that the addresses are all the value holds: no further @ and no
// encoded word, so there is nothing to look for in names and comments.
func plain(text string, addresses int) bool {
	return strings.Count(text, "@") == addresses && !strings.Contains(text, "=?") &&
		(isASCII(text) || !strings.ContainsAny(text, "\uff20\ufe6b"))
}

// lenient takes every token, of the value as written and with encoded words
// decoded. An address given as the name of itself (a@b <a@b>) counts once.
func lenient(text string, found []token) []Address {
	if len(found) == 0 && !strings.Contains(text, "=?") {
		return nil
	}
	list := make([]Address, 0, len(found))
	for i, t := range found {
		if i > 0 && t.Domain == found[i-1].Domain && strings.EqualFold(t.Local, found[i-1].Local) &&
			!strings.ContainsAny(text[min(found[i-1].end, t.start):t.start], ",;") {
			continue
		}
		list = append(list, t.Address)
	}
	encoded := decodings(text)
	if len(encoded) == 0 {
		return list
	}
	seen := make(map[Address]bool, len(list))
	for _, a := range list {
		seen[folded(a)] = true
	}
	for _, decoded := range encoded {
		list = appendNew(list, seen, scan(decoded))
	}
	return list
}

// named takes the tokens that are not the field's addresses themselves: those
// in display names, group names and comments.
func named(text string, addresses []Address) []Address {
	var list []Address
	seen := map[Address]bool{}
	list = appendNew(list, seen, others(scan(text), addresses))
	for _, decoded := range decodings(text) {
		list = appendNew(list, seen, others(scan(decoded), addresses))
	}
	return list
}

// others leaves out each of addresses once, and half addresses: "me@ home" is
// no address to a reader.
func others(found []token, addresses []Address) []token {
	own := make(map[Address]int, len(addresses))
	for _, a := range addresses {
		own[folded(a)]++
	}
	var rest []token
	for _, t := range found {
		key := folded(t.Address)
		switch {
		case own[key] > 0:
			own[key]--
		case t.Fault != faultNoDomain:
			rest = append(rest, t)
		}
	}
	return rest
}

// appendNew appends the tokens that were not seen yet.
func appendNew(list []Address, seen map[Address]bool, found []token) []Address {
	for _, t := range found {
		if key := folded(t.Address); !seen[key] {
			seen[key] = true
			list = append(list, t.Address)
		}
	}
	return list
}

// folded is the address as a key: by what it names, not by why it is faulty.
func folded(a Address) Address {
	return Address{Local: strings.ToLower(a.Local), Domain: a.Domain}
}
