package message

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// token is an address-like piece of text around an @, at s[start:end].
type token struct {
	Address
	start, end int
}

// scanner finds every @ in a value and what stands on either side of it,
// whatever the grammar says about the place: quotes, comments, names, routes.
// A mail reader may show or use any of it.
type scanner struct {
	s     string
	pair  []int32 // for each bracket of a comment the index after the other one, 0 when it has none; nil without "("
	found []token
}

// scan returns the tokens of a valid UTF-8 value in order. The cost is linear.
func scan(value string) []token {
	n := strings.Count(value, "@")
	if n == 0 && isASCII(value) {
		return nil
	}
	sc := scanner{s: value, found: make([]token, 0, n)}
	sc.matchComments()
	floor := 0 // where the text that belongs to the last @ ends
	for {
		at, after := nextAt(value, floor)
		if at < 0 {
			return sc.found
		}
		sc.around(floor, at, after)
		floor = after
	}
}

// nextAt finds the next @ from i on: where it begins and ends.
func nextAt(s string, i int) (at, after int) {
	for ; i < len(s); i++ {
		switch s[i] {
		case '@':
			return i, i + 1
		case 0xef: // the first byte of U+FF20 and U+FE6B in UTF-8
			if r, n := utf8.DecodeRuneInString(s[i:]); isAt(r) {
				return i, i + n
			}
		}
	}
	return -1, -1
}

// around judges the @ at s[at:after].
//
//   - text right after it is a domain; without text right before it only a
//     dotted one counts: "@home" is a nickname, "@bank.fr" an address to a reader;
//   - after blanks or comments only a dotted domain counts, and the dot may have
//     blanks around it too (RFC 5322 4.4): "Alice @ Client" is a name, "ceo @
//     bank . fr" an address;
//   - "ceo@" with nothing to follow is half an address and has a fault.
func (sc *scanner) around(floor, at, after int) {
	start, local, touches := sc.localBefore(floor, at)
	next, end := after, sc.domainEnd(after)
	if !strings.ContainsFunc(sc.s[after:end], isVisible) {
		next, _ = sc.skip(end)
		end = sc.domainEnd(next)
	}
	if end > next {
		found, short := len(sc.found), sc.s[next:end]
		whole := touches && next == after || dotted(short)
		if whole {
			sc.add(start, end, local, short)
		}
		if dotted(sc.joined(start, next, end, local)) || whole {
			return
		}
		sc.found = sc.found[:found] // "Alice @ Client"
	}
	if touches {
		sc.found = append(sc.found, token{newAddress(local, ""), start, after})
	}
}

// joined adds the address that a reader sees who drops comments, quotes and
// blanks within a domain, "client.fr(x).bank.fr": beside the short one, because
// another reader stops there. It returns the domain that it saw.
func (sc *scanner) joined(start, from, end int, local string) string {
	domain := sc.s[from:end]
	for {
		more, next, blanks := sc.more(end)
		if apart := blanks && !beginsWithDot(more) && !endsWithDot(domain); more == "" || apart {
			break
		}
		domain += more
		end = next
		if len(domain) > 1000 { // no host name any more; keeps the joining linear
			break
		}
	}
	if domain != sc.s[from:end] {
		sc.add(start, end, local, domain)
	}
	return domain
}

// dropping lists the addresses of readers that drop every blank: "client.fr x-bank.fr"
// is one domain to Python's email. Words without a dot are a name. The tokens are the text's.
func dropping(text string, tokens []token) []token {
	sc := scanner{s: text}
	sc.matchComments()
	for _, t := range tokens {
		words, end := t.Domain, t.end
		if words != "" && text[end-1] == '.' {
			words += "."
		}
		for 0 < len(words) && len(words) <= 1000 {
			more, next, _ := sc.more(end)
			if more == "" {
				break
			}
			words += more
			end = next
		}
		rest := text[end:min(len(text), end+utf8.UTFMax)]
		if at, _ := nextAt(rest, 0); at != 0 && dotted(words[len(t.Domain):]) {
			sc.add(t.start, end, t.Local, words)
		}
	}
	return sc.found
}

// more is the text behind blanks, quotes and comments that may belong to the domain that
// ends at s[end], where it ends, and whether there were blanks; empty for none.
func (sc *scanner) more(end int) (text string, next int, blanks bool) {
	begin, blanks := sc.skip(end)
	// Where no domain can begin, a reader drops what is quoted as a whole.
	for from := end; begin < len(sc.s) && noDomain(sc.s[begin]) && strings.Count(sc.s[from:begin], `"`)%2 == 1; {
		n := strings.IndexByte(sc.s[begin:], '"')
		if n < 0 {
			break
		}
		from = begin + n + 1
		var more bool
		begin, more = sc.skip(from)
		blanks = blanks || more
	}
	if begin == end || begin == len(sc.s) {
		return "", end, false
	}
	next = sc.domainEnd(begin)
	return sc.s[begin:next], next, blanks
}

// noDomain says that c is a delimiter with which no domain begins.
func noDomain(c byte) bool { return c != '[' && c < utf8.RuneSelf && asciiDelimiter[c] }

// add appends a token. Quotes and brackets of any script around the text are
// not part of it: 'a@b', a@b., «a@b».
func (sc *scanner) add(start, end int, local, domain string) {
	if !strings.HasPrefix(domain, "[") {
		domain = strings.TrimRightFunc(domain, isOuter)
	}
	sc.found = append(sc.found, token{newAddress(local, domain), start, end})
}

// localBefore is the local part that ends at s[at], not reaching back over
// floor: a quoted string, the word right before, or the word before blanks and
// comments. It touches the @ when nothing is between.
func (sc *scanner) localBefore(floor, at int) (start int, local string, touches bool) {
	before := sc.s[floor:at]
	if strings.HasSuffix(before, `"`) {
		if open := strings.LastIndexByte(before[:len(before)-1], '"'); open >= 0 {
			return floor + open, unquote(before[open+1 : len(before)-1]), true
		}
		return at, "", false
	}
	text := sc.trimComments(floor, before)
	start = floor + lastDelimiter(text)
	end := floor + len(text)
	text = sc.s[start:end]
	// In "=?utf-8?Q?alice@b?=" the local part follows the last question mark.
	if i := strings.LastIndexByte(text, '?'); i >= 0 && !strings.HasSuffix(text, "?=") {
		text = text[i+1:]
	}
	return start, unquote(strings.TrimLeftFunc(text, isOuter)), start < end && end == at
}

// trimComments takes blanks and whole comments off the end of the text that
// begins at s[floor].
func (sc *scanner) trimComments(floor int, text string) string {
	for {
		text = strings.TrimRightFunc(text, isBlank)
		last := floor + len(text) - 1
		if !strings.HasSuffix(text, ")") || sc.pair == nil || int(sc.pair[last]) <= floor {
			return text
		}
		text = text[:int(sc.pair[last])-1-floor]
	}
}

// domainEnd is where the domain that begins at s[i] ends; an address literal
// ends with its bracket.
func (sc *scanner) domainEnd(i int) int {
	rest := sc.s[i:]
	if strings.HasPrefix(rest, "[") {
		// None is longer than a domain may be (RFC 5321 4.5.3.1.2): whoever opens many and
		// closes none has few octets looked at for each.
		if n := strings.IndexAny(rest[:min(len(rest), 255)], "]@"); n >= 0 && rest[n] == ']' {
			return i + n + 1
		}
		return i + 1
	}
	for n, r := range rest {
		if r == '?' || isDelimiter(r) {
			return i + n
		}
	}
	return len(sc.s)
}

// skip passes blanks, quotes and comments from i on, and says whether there were blanks.
func (sc *scanner) skip(i int) (next int, blanks bool) {
	for i < len(sc.s) {
		r, n := utf8.DecodeRuneInString(sc.s[i:])
		switch {
		case isBlank(r):
			blanks = true
			i += n
		case r == '"':
			i++
		case r == '(':
			if sc.pair[i] == 0 {
				return len(sc.s), blanks
			}
			i = int(sc.pair[i])
		default:
			return i, blanks
		}
	}
	return i, blanks
}

// matchComments pairs the brackets once, so that skipping nested comments from
// many places stays linear.
func (sc *scanner) matchComments() {
	if strings.IndexByte(sc.s, '(') < 0 {
		return
	}
	sc.pair = make([]int32, len(sc.s))
	var open []int32
	for i := 0; i < len(sc.s); i++ {
		switch sc.s[i] {
		case '\\':
			i++
		case '(':
			open = append(open, int32(i))
		case ')':
			if n := len(open); n > 0 {
				sc.pair[open[n-1]], sc.pair[i] = int32(i)+1, open[n-1]+1
				open = open[:n-1]
			}
		}
	}
}

// isDelimiter ends a local part or a domain. Control characters and backslashes
// do not: what holds one is no host name and gets a fault.
func isDelimiter(r rune) bool {
	if r < utf8.RuneSelf {
		return asciiDelimiter[r]
	}
	return isAt(r) || isBlank(r)
}

var asciiDelimiter = [utf8.RuneSelf]bool{
	'<': true, '>': true, '(': true, ')': true, '[': true, ']': true, ',': true, ';': true, ':': true, '"': true,
	'@': true, ' ': true, '\t': true, '\n': true, '\v': true, '\f': true, '\r': true,
}

// lastDelimiter is the index after the last delimiter of s, 0 when there is none.
func lastDelimiter(s string) int {
	for i := len(s); i > 0; {
		r, n := utf8.DecodeLastRuneInString(s[:i])
		if isDelimiter(r) {
			return i
		}
		i -= n
	}
	return 0
}

// isOuter: punctuation that people put around an address.
func isOuter(r rune) bool {
	switch r {
	case '\'', '`', '.', '*', '!', '(', ')', '[', ']', '{', '}':
		return true
	}
	return r >= utf8.RuneSelf && unicode.In(r, unicode.Ps, unicode.Pe, unicode.Pi, unicode.Pf)
}

// dots: IDNA takes the ideographic and wide full stops for dots (UTS 46 2.3).
const dots = ".\u3002\uff0e\uff61"

func dotted(s string) bool {
	s = strings.TrimRightFunc(s, isOuter)
	return strings.IndexByte(s, '.') >= 0 || !isASCII(s) && strings.ContainsAny(s, dots)
}

func beginsWithDot(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return s != "" && strings.ContainsRune(dots, r)
}

func endsWithDot(s string) bool {
	r, _ := utf8.DecodeLastRuneInString(s)
	return s != "" && strings.ContainsRune(dots, r)
}
