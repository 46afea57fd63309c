package message

import "strings"

// Nearly all address fields are in one plain form: ASCII, names of words or one quoted
// string, addresses of ordinary characters, no comments, groups, routes or escapes.
// That form is read here in one go, and says what the standard grammar says of it.
// Anything else is left to that.

// What a character may be part of.
const (
	inLocal byte = 1 << iota // a local part in which nothing looks like another address
	inName                   // a display name without quotes
	inQuotes
)

var plainChars = func() (table [256]byte) {
	for c := ' '; c <= '~'; c++ {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.ContainsRune("!#$&'*+-/=^_`{|}~.", c):
			table[c] = inLocal | inName | inQuotes
		case c == ' ', c == '%':
			table[c] = inName | inQuotes
		case strings.ContainsRune("(),:;<>[]@", c):
			table[c] = inQuotes
		}
		// Not the question mark: an encoded word has it.
	}
	table['\t'] = inName | inQuotes
	return table
}()

// allIn says whether every character of s may stand there.
func allIn(s string, where byte) bool {
	for i := range len(s) {
		if plainChars[s[i]]&where == 0 {
			return false
		}
	}
	return true
}

// plainAddress reads local@domain of ordinary characters; ok says that it is such a
// one, and sound.
func plainAddress(s string) (a Address, ok bool) {
	at := strings.IndexByte(s, '@')
	if at <= 0 || !allIn(s[:at], inLocal) || !isHostName(s[at+1:]) || strings.Contains(s[at+1:], "xn--") {
		return Address{}, false
	}
	return Address{Local: s[:at], Domain: s[at+1:]}, true
}

// plainList reads an unfolded value of the plain form; ok is false for any other.
func plainList(s string) (list []Address, ok bool) {
	for {
		text, rest, ok := plainMailbox(s)
		if !ok {
			return nil, false
		}
		a, ok := plainAddress(text)
		if !ok || a.Local[0] == '.' || a.Local[len(a.Local)-1] == '.' || strings.Contains(a.Local, "..") {
			return nil, false // no dot-atom (RFC 5322 3.2.3)
		}
		if list == nil {
			list = make([]Address, 0, strings.Count(s, "@"))
		}
		if list = append(list, a); rest == "" {
			return list, true
		}
		s = rest[1:] // behind the comma
	}
}

// plainMailbox takes one mailbox off the front: its address, with or without a name
// before it, up to the comma or the end.
func plainMailbox(s string) (address, rest string, ok bool) {
	s = strings.TrimLeft(s, " \t")
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case plainChars[c]&inName != 0:
		case c == '"':
			n := strings.IndexByte(s[i+1:], '"')
			if n < 0 || !allIn(s[i+1:i+1+n], inQuotes) {
				return "", "", false
			}
			i += 1 + n
		case c == '<':
			n := strings.IndexByte(s[i:], '>')
			if n < 0 {
				return "", "", false
			}
			rest = strings.TrimLeft(s[i+n+1:], " \t")
			return s[i+1 : i+n], rest, rest == "" || rest[0] == ','
		case c == '@': // no name; an address of other characters is refused as such
			n := strings.IndexByte(s[i:], ',')
			if n < 0 {
				n = len(s) - i
			}
			return strings.TrimRight(s[:i+n], " \t"), s[i+n:], true
		default:
			return "", "", false
		}
	}
	return "", "", false
}
