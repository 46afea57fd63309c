package message

import "strings"

// selector is one of a rule's (Selectors 4): the element it selects, and what that
// stands in, as far as it says.
type selector struct {
	parts  []compound // the last one first
	rule   int        // which it is for
	reader int        // usual, full or wide: who knows it first
	simple bool       // isPlain
	unsure bool       // it asks for what is not known here, and may hold
	odd    bool       // a browser may know of no such selector: then it takes none of the list
	weight int        // a later rule goes over one of the same weight, and any over a lighter one
}

// compound is what must hold of one element.
type compound struct {
	tag            string // empty for any
	names, classes []string
	tests          []test
	never          bool // it selects what nobody points at, or no element
	link           bool
	child          bool // it is the parent of the part before it, and not any element around
	others         []selector
	not            bool // none of others, instead of one of them
	unsure, odd    bool // as in selector
}

// test asks for an attribute.
type test struct {
	name, value string
	operator    byte // 0: it is there
}

// attribute is one of a tag's, the value in lower case.
type attribute struct{ name, value string }

// isPlain: a tag, a class or an id, and with those a tag.
func (s *selector) isPlain() bool {
	p := &s.parts[0]
	return !s.unsure && !s.odd && len(s.parts) == 1 && len(p.names)+len(p.classes) <= 1 && len(p.tests)+len(p.others) == 0 && !p.link && !p.never &&
		(p.tag != "" || len(p.names)+len(p.classes) > 0)
}

const (
	// maxCompounds of a selector, and how deep it may have others in brackets; real ones
	// have half a dozen and two.
	maxCompounds = 20
	maxBrackets  = 5
	// maxSelectors are the compounds of a mail in all: ten for each rule.
	maxSelectors = 10 * maxRules
)

// room is how many compounds more may be read; below zero when a bound was passed, so
// that what the sheet says is not known.
type room int

// parse reads one selector, in lower case, in so many others' brackets; false where it
// is none.
func (left *room) parse(text string, depth int) (s selector, ok bool) {
	child := false
	for {
		if *left--; *left < 0 || depth >= maxBrackets || len(s.parts) >= maxCompounds {
			*left = -1
			return s, false
		}
		end := compoundEnd(text)
		p, weight, ok := left.compound(text[:end], depth)
		if !ok {
			return s, false
		}
		p.child = false
		s.unsure, s.odd = s.unsure || p.unsure, s.odd || p.odd
		if len(s.parts) > 0 {
			s.parts[0].child = child
		}
		s.parts = append([]compound{p}, s.parts...)
		s.weight += weight
		rest := strings.TrimLeft(text[end:], " \t\r\n")
		if rest == "" {
			return s, true
		}
		child = false
		switch rest[0] {
		case '>':
			child = true
			rest = rest[1:]
		case '+', '~': // whom it stands beside is not known: it may be there
			s.parts, s.unsure = s.parts[1:], true
			rest = rest[1:]
		}
		text = strings.TrimLeft(rest, " \t\r\n")
	}
}

// compoundEnd is where the first compound ends: at a blank or a combinator outside of
// brackets.
func compoundEnd(text string) int {
	depth := 0
	for i := range len(text) {
		switch c := text[i]; c {
		case '(', '[':
			depth++
		case ')', ']':
			depth--
		case ' ', '\t', '\r', '\n', '>', '+', '~':
			if depth == 0 {
				return i
			}
		}
	}
	return len(text)
}

// compound reads one compound, and says what it weighs; false where it is none.
func (left *room) compound(text string, depth int) (p compound, weight int, ok bool) {
	name, rest := cutName(strings.TrimPrefix(text, "*"))
	if p.tag = name; name != "" {
		weight++
		p.odd = !isIdentifier(name) || text[0] == '*'
	}
	for rest != "" {
		mark, behind := rest[0], rest[1:]
		name, rest = cutName(behind)
		switch mark {
		case '.':
			p.classes = append(p.classes, name)
			p.odd = p.odd || !isIdentifier(name)
			weight += 100
		case '#':
			p.names = append(p.names, name)
			p.odd = p.odd || !isIdentifier(name)
			weight += 10_000
		case '[':
			var inside string
			inside, rest, ok = strings.Cut(behind, "]")
			if !ok {
				return p, 0, false
			}
			p.tests = append(p.tests, parseTest(inside))
			p.odd = p.odd || !isTest(inside)
			weight += 100
		case ':':
			if rest, ok = left.pseudo(&p, name, rest, depth); !ok {
				return p, 0, false
			}
			weight += 100
		default:
			return p, 0, false
		}
	}
	return p, weight, text != ""
}

// cutName takes an identifier off the front.
func cutName(s string) (name, rest string) {
	i := 0
	for i < len(s) && (isWord(s[i]) || s[i] == '-' || s[i] == '_') {
		i++
	}
	return s[:i], s[i:]
}

// parseTest reads what stands in the brackets of [name operator value].
func parseTest(inside string) test {
	name, rest := cutName(strings.TrimSpace(inside))
	rest = strings.TrimSpace(rest)
	if rest == "" {
		return test{name: name}
	}
	op := rest[0]
	_, value, _ := strings.Cut(rest, "=")
	value = strings.TrimSpace(value)
	for _, flag := range []string{" i", " s"} {
		value = strings.TrimSuffix(value, flag)
	}
	return test{name: name, operator: op, value: strings.Trim(strings.TrimSpace(value), `"'`)}
}

// pseudo takes a pseudo-class, and its argument off the front of rest. One that asks
// where among others the element stands may hold.
func (left *room) pseudo(p *compound, name, rest string, depth int) (string, bool) {
	var args string
	if strings.HasPrefix(rest, "(") {
		args, rest = cutBracket(rest[1:])
	}
	hasArgs := args != ""
	switch name {
	case "hover", "active", "focus", "visited", "focus-within", "focus-visible", "target", "checked", "disabled", "empty", "fullscreen",
		"before", "after", "selection", "placeholder", "marker", "first-letter", "first-line", "backdrop", "", "-moz-any-link", "host", "host-context":
		p.never, p.odd = true, p.odd || hasArgs // "" is the second colon of "::before"
	case "link", "any-link":
		p.link, p.odd = true, p.odd || hasArgs
	case "is", "where", "not", "matches", "-webkit-any":
		p.not, p.odd = name == "not", p.odd || !hasArgs
		for args != "" {
			var one string
			one, args = cutOutside(args, ',')
			other, ok := left.parse(strings.TrimSpace(one), depth+1)
			if !ok {
				p.odd = true
				return rest, p.not
			}
			p.unsure, p.odd = p.unsure || other.unsure, p.odd || other.odd
			p.others = append(p.others, other)
		}
	default:
		p.unsure, p.odd = true, p.odd || !isPlace(name)
	}
	return rest, true
}

// cutBracket cuts the text behind an opening bracket at the closing one.
func cutBracket(s string) (inside, rest string) {
	depth := 1
	for i := range len(s) {
		switch s[i] {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return s[:i], s[i+1:]
			}
		}
	}
	return s, ""
}

// tag is the element's name.
func (e *element) tag() string {
	if e.atom != 0 {
		return e.atom.String()
	}
	return e.name
}

// value is an attribute of the element's; found is false where it has none.
func (e *element) value(name string) (value string, found bool) {
	for _, a := range e.attrs {
		if a.name == name {
			return a.value, true
		}
	}
	return "", false
}

// selects says whether the selector holds for the element, which stands in others, of
// which the first stands for the whole.
func (s *sheet) selects(sel *selector, e *element, in []element) bool {
	if sel.simple { // the sheet has found it by its class or id
		return sel.parts[0].tag == "" || sel.parts[0].tag == e.tag()
	}
	if !s.fits(&sel.parts[0], e, in) {
		return false
	}
	return len(sel.parts) == 1 || s.around(sel.parts[1:], in)
}

// around says whether the rest of a selector holds for what an element stands in.
func (s *sheet) around(parts []compound, in []element) bool {
	for top := len(in) - 1; top >= 0; top-- {
		if s.applied++; s.applied > maxApplied {
			return false
		}
		if s.fits(&parts[0], &in[top], in[:top]) && (len(parts) == 1 || s.around(parts[1:], in[:top])) {
			return true
		}
		if parts[0].child {
			return false
		}
	}
	return len(parts) == 1 && parts[0].isWhole()
}

// isWhole: html and body stand as one at the beginning.
func (p *compound) isWhole() bool { return p.tag == "html" || p.tag == "body" }

// fits says whether the compound holds for one element.
func (s *sheet) fits(p *compound, e *element, in []element) bool {
	isWhole := len(in) == 0
	switch {
	case p.never || p.link && (e.tag() != "a" || !e.has("href")):
		return false
	case p.tag != "" && p.tag != e.tag() && !(isWhole && p.isWhole()):
		return false
	}
	if len(p.classes)+len(p.names)+len(p.tests) > 0 {
		s.applied += e.octets / stepOctets
	}
	class, _ := e.value("class")
	for _, want := range p.classes {
		if !oneOf(want, class) {
			return false
		}
	}
	for _, want := range p.names {
		if id, _ := e.value("id"); id != want {
			return false
		}
	}
	for _, t := range p.tests {
		if value, found := e.value(t.name); !found || !t.holds(value) {
			return false
		}
	}
	if len(p.others) == 0 {
		return true
	}
	for i := range p.others {
		if s.applied++; s.applied > maxApplied {
			return false
		}
		if s.selects(&p.others[i], e, in) {
			return !p.not
		}
	}
	return p.not
}

func (e *element) has(name string) bool {
	_, found := e.value(name)
	return found
}

func (t *test) holds(value string) bool {
	switch t.operator {
	case '=':
		return value == t.value
	case '~':
		return oneOf(t.value, value)
	case '|':
		return value == t.value || strings.HasPrefix(value, t.value+"-")
	case '^':
		return strings.HasPrefix(value, t.value)
	case '$':
		return strings.HasSuffix(value, t.value)
	case '*':
		return strings.Contains(value, t.value)
	}
	return true
}
