package message

import (
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Reasons an address is not what it shows to a reader.
const (
	faultEmpty      = "empty address"
	faultNoLocal    = "no local part"
	faultNoDomain   = "no domain"
	faultLiteral    = "address literal in place of a domain"
	faultHost       = "domain is no host name"
	faultHidden     = "invisible character in the domain"
	faultHiddenUser = "invisible character in the local part"
	faultRoute      = "source route"
)

// Fold is the address for comparison: RFC 5321 2.4 leaves the case of local
// parts to the receiver, and no receiver of note tells them apart by it.
func (a Address) Fold() string {
	a.Local = strings.ToLower(a.Local)
	return a.String()
}

// Is says whether a text is what Fold gives, mostly without making that.
func (a Address) Is(folded string) bool {
	if !isLower(a.Local) {
		return a.Fold() == folded
	}
	return a.isWritten(folded)
}

// FoldOf is Fold for the address of a text, which it mostly is.
func (a Address) FoldOf(text string) string {
	if a.Is(text) {
		return text
	}
	return a.Fold()
}

// isLower says that s is ASCII without capitals.
func isLower(s string) bool {
	for i := range len(s) {
		if c := s[i]; c >= utf8.RuneSelf || 'A' <= c && c <= 'Z' {
			return false
		}
	}
	return true
}

// WithoutExt is the address without its "+ext" (RFC 5233): mail to both ends up
// in one mailbox.
func (a Address) WithoutExt() Address {
	if i := strings.IndexByte(a.Local, '+'); i > 0 && a.Domain != "" {
		a.Local = a.Local[:i]
	}
	return a
}

// Mailbox is where mail to the address ends up, as far as one can tell from
// outside: case folded, "+ext" dropped, gmail's dots dropped.
func (a Address) Mailbox() string {
	if a.Domain == "" {
		at := strings.LastIndexFunc(a.Local, isAt)
		if d := Destination(a.Local); at >= 0 && isHostName(d) {
			return Address{Local: a.Local[:at], Domain: d}.Mailbox()
		}
		return a.Fold()
	}
	local := strings.ToLower(a.WithoutExt().Local)
	domain := a.Domain
	if domain == "gmail.com" || domain == "googlemail.com" {
		domain = "gmail.com"
		local = strings.ReplaceAll(local, ".", "")
	}
	return local + "@" + domain
}

// ParseAddress reads an envelope address as an MTA gives it, without its <>.
// The protocol library's trimming leaves "Some Name <x@y" and "@relay:x@y"
// behind; both mean x@y to the MTAs.
func ParseAddress(s string) Address {
	if a, ok := plainAddress(s); ok {
		return a
	}
	return parseAddress(s)
}

// parseAddress is ParseAddress for whatever is written there.
func parseAddress(s string) Address {
	s = strings.TrimFunc(toUTF8(s), isBlank)
	if i := indexUnquoted(s, '<'); i >= 0 {
		s = strings.TrimSuffix(s[i+1:], ">")
	}
	// RFC 5321 4.1.1.3 has receivers ignore a source route. Nobody honest writes
	// one any more, so the address is read but not called sound.
	routed := false
	if strings.HasPrefix(s, "@") {
		if i := strings.IndexByte(s, ':'); i >= 0 {
			s, routed = s[i+1:], true
		}
	}
	var a Address
	if at := strings.LastIndexByte(s, '@'); at >= 0 {
		// Sendmail shows and keeps quotes that an SMTP client put into the domain.
		a = newAddress(unquote(s[:at]), unquote(s[at+1:]))
	} else {
		a = newAddress(unquote(s), "")
	}
	if routed && a.Fault == "" {
		a.Fault = faultRoute
	}
	return a
}

// Destination is where an envelope address sends its mail, for counting: the
// domain, or what stands in its place, in one spelling. It is empty when the mail
// stays on this host.
func Destination(address string) string {
	if a := ParseAddress(address); a.Domain != "" {
		return a.Domain
	}
	s := strings.Map(visible, toUTF8(address))
	if i := indexUnquoted(s, '<'); i >= 0 {
		s = strings.TrimSuffix(s[i+1:], ">")
	}
	if i := strings.LastIndexFunc(s, isAt); i >= 0 {
		_, n := utf8.DecodeRuneInString(s[i:])
		s = s[i+n:]
	} else if i := strings.LastIndexByte(s, '%'); i >= 0 { // user%host, read so by many an MTA
		s = s[i+1:]
	} else if host, _, ok := strings.Cut(s, "!"); ok { // host!user
		s = host
	} else {
		return ""
	}
	s = strings.TrimSuffix(strings.ToLower(strings.TrimFunc(unquote(s), isBlank)), ".")
	inner := strings.TrimFunc(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"), isBlank)
	if ip, err := netip.ParseAddr(strings.TrimPrefix(inner, "ipv6:")); err == nil {
		return "[" + ip.Unmap().String() + "]"
	}
	if host, fault := hostName(s); fault == "" {
		return host
	}
	return cut(s, 255)
}

// visible drops what shows as nothing.
func visible(r rune) rune {
	if r >= utf8.RuneSelf && isInvisible(r) {
		return -1
	}
	return r
}

func isVisible(r rune) bool { return visible(r) >= 0 }

// newAddress judges an unquoted local part and the text that stands for the
// domain. Text without a usable domain is kept whole in Local, so that two
// different ones stay different.
func newAddress(local, domain string) Address {
	if local == "" && domain == "" {
		return Address{Fault: faultEmpty}
	}
	host, fault := hostName(domain)
	if fault != "" {
		if domain != "" {
			local += "@" + domain
		}
		return Address{Local: local, Fault: fault}
	}
	return Address{Local: local, Domain: host, Fault: localFault(local)}
}

// hostName is the domain as lower-case IDNA ASCII, or why there is none.
func hostName(s string) (host, fault string) {
	switch {
	case s == "":
		return "", faultNoDomain
	case s[0] == '[':
		return "", faultLiteral
	// RFC 1035 2.3.4: 255 octets on the wire. UTF-8 may take more for the same
	// name, and IDNA is not linear in a label's length.
	case len(s) > 1000:
		return "", faultHost
	}
	host = strings.ToLower(strings.TrimSuffix(s, "."))
	if !isASCII(host) || strings.Contains(host, "xn--") {
		// IDNA maps invisible characters away: a reader's client may not.
		if strings.IndexFunc(s, isInvisible) >= 0 {
			return "", faultHidden
		}
		ascii, err := idna.Lookup.ToASCII(strings.TrimSuffix(s, "."))
		if err != nil {
			return "", faultHost
		}
		host = strings.TrimSuffix(ascii, ".")
	}
	if !isHostName(host) {
		return "", faultHost
	}
	return host, ""
}

// isHostName checks letters, digits and hyphens, labels up to 63 and names up
// to 253 octets (RFC 1123 2.1, RFC 1035 2.3.4).
func isHostName(s string) bool {
	if len(s) > 253 {
		return false
	}
	begin := 0 // of the label
	for i := 0; i <= len(s); i++ {
		if i < len(s) && s[i] != '.' {
			if !hostChars[s[i]] {
				return false
			}
			continue
		}
		if i == begin || i-begin > 63 || s[begin] == '-' || s[i-1] == '-' {
			return false
		}
		begin = i + 1
	}
	return true
}

var hostChars = func() (table [256]bool) {
	for c := range table {
		table[c] = c == '-' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z'
	}
	return table
}()

// localFault finds what makes an unquoted local part look like another address.
func localFault(local string) string {
	if local == "" {
		return faultNoLocal
	}
	for _, r := range local {
		switch {
		case isAt(r):
			return "@ in the local part"
		case r == '<' || r == '>' || r == '\uff1c' || r == '\uff1e':
			return "angle bracket in the local part"
		case r == '%' || r == '\uff05':
			return "% in the local part"
		case isBlank(r):
			return "blank in the local part"
		case unicode.IsControl(r):
			return "control character in the local part"
		case r >= utf8.RuneSelf && isInvisible(r):
			return faultHiddenUser
		}
	}
	if strings.Contains(local, "=?") {
		return "encoded word in the local part"
	}
	return ""
}

// unquote undoes RFC 5321 quoted strings and quoted pairs.
func unquote(s string) string {
	if strings.IndexByte(s, '"') < 0 && strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			continue
		case '\\':
			i++
			if i == len(s) {
				return b.String()
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// indexUnquoted finds c outside quoted strings.
func indexUnquoted(s string, c byte) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == c && !quoted:
			return i
		}
	}
	return -1
}

// isAt knows the signs that a reader takes for an @: the ASCII one, the full
// width and the small form.
func isAt(r rune) bool { return r == '@' || r == '\uff20' || r == '\ufe6b' }

// isBlank: every character that shows as white space.
func isBlank(r rune) bool { return unicode.IsSpace(r) }

// isInvisible: characters that show as nothing, or turn the text around them.
func isInvisible(r rune) bool {
	return unicode.In(r, unicode.Cf, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point)
}

func isASCII[T string | []byte](s T) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
