package message

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"golang.org/x/net/html/atom"
)

// sheet is what the <style> elements of an HTML text say, by the selector's last id, class
// or tag.
type sheet struct {
	rules                []bothStyles
	tags, classes, names map[string][]selector
	all                  []selector // of any element
	deep                 bool       // a selector asks for more than a tag, a class or an id
	applied              int        // how many rules were, to all elements; a step of work each
	nested               int        // octets of selectors of rules in rules
	left                 room       // for selectors
	made                 made
	lost                 bool // there is more than is read, so that what it says is not known

	spelt   map[string]string // names in selectors by lower case; empty for one with several spellings
	matched []*selector       // of the last element
	room    []byte
}

// unknown says that nobody knows what is seen of the mail.
func (s *sheet) unknown() bool { return s != nil && (s.lost || s.left < 0 || s.applied > maxApplied) }

// isDeep says whether the elements' attributes must be kept.
func (s *sheet) isDeep() bool { return s != nil && s.deep }

// maxRules is how many rules of a mail are looked at; newsletters have up to a hundred
// that hide or color something.
const maxRules = 1000

// maxApplied is how many rules may be applied in one mail: fifty to each element of
// a newsletter of 10,000.
const maxApplied = 500_000

// stepOctets of attributes are looked at in the time in which a rule is applied.
const stepOctets = 64

// readSheet reads the style elements; nil where there is none.
func readSheet(text []byte) *sheet {
	last := lastStyle(text)
	if last < 0 {
		return nil
	}
	s := &sheet{tags: map[string][]selector{}, classes: map[string][]selector{}, names: map[string][]selector{}, spelt: map[string]string{}, left: maxSelectors}
	m := markup{html: text}
	inStyle, reader, of := false, usual, usual // who knows all styles first, and this one
	for m.at <= last || inStyle {
		switch m.next() {
		case noPiece:
			return s
		case startPiece:
			a := atom.Lookup(m.name)
			if a == atom.Template || isForeign(a) {
				reader = full // what stands in these may be no style
			}
			if a == atom.Noscript {
				m.notRaw()
			}
			inStyle = a == atom.Style
			of = reader
			if inStyle {
				of, inStyle = styleReader(&m, reader)
			}
		case textPiece:
			if inStyle {
				s.read(m.text, of)
			}
		default:
			inStyle = false
		}
	}
	return s
}

// lastStyle is where the last "<style" stands; -1 for none.
func lastStyle(text []byte) int {
	last := -1
	for _, begin := range []string{"<st", "<ST", "<St", "<sT"} {
		for from := 0; ; {
			i := bytes.Index(text[from:], []byte(begin))
			if i < 0 {
				break
			}
			if from += i + 1; len(text) >= from+5 && bytes.EqualFold(text[from:from+5], []byte("style")) {
				last = max(last, from-1)
			}
		}
	}
	return last
}

// read takes the rules of one style element, for the readers from this one on. All are
// made lower case: class names have no case in quirks mode.
func (s *sheet) read(text []byte, reader int) {
	if !isSound(text, true) {
		reader = max(reader, full)
	}
	tidy := tidyCSS(text)
	s.spell(tidy)
	css := string(bytes.ToLower(tidy))
	s.made.read(css)
	s.block(strings.NewReplacer("<!--", "", "-->", "").Replace(css), "", reader, 0)
}

const (
	maxNested = 10       // how deep rules may stand in each other
	maxNest   = 16 << 10 // octets of a rule's selectors, with what they stand in
	mostNest  = 1 << 20  // and of all such rules
)

// block takes the rules in a block, which stand in rules of the parent's selectors, for
// the readers from this one on.
func (s *sheet) block(css, parent string, reader, depth int) {
	for css != "" {
		selectors, rest, ok := strings.Cut(css, "{")
		if !ok {
			return
		}
		if len(s.rules) >= maxRules || depth >= maxNested {
			s.lost = true
		}
		if s.unknown() {
			return
		}
		if parent != "" || strings.HasPrefix(strings.TrimSpace(selectors), "@") {
			if i := strings.LastIndexByte(selectors, ';'); i >= 0 { // declarations, or @import "x"; .a
				selectors = selectors[i+1:]
			}
		}
		selectors = strings.Trim(selectors, " \t\r\n")
		var inside string
		inside, css = cutBlock(rest)
		if strings.HasPrefix(selectors, "@") {
			s.at(selectors, inside, parent, reader, depth)
			continue
		}
		if parent != "" {
			if selectors, ok = s.nest(parent, selectors); !ok {
				return
			}
			reader = max(reader, full)
		}
		if strings.IndexByte(inside, '{') >= 0 {
			s.block(inside, selectors, max(reader, full), depth+1)
			inside = withoutBlocks(inside)
		}
		if rule := parseStyle([]byte(inside)); rule != (bothStyles{}) {
			s.add(selectors, rule, reader)
		}
	}
}

// withoutBlocks is what a block says itself, before and behind those that stand in it.
func withoutBlocks(css string) string {
	var b strings.Builder
	for {
		before, rest, nested := strings.Cut(css, "{")
		if !nested {
			b.WriteString(css)
			return b.String()
		}
		b.WriteString(before[:strings.LastIndexByte(before, ';')+1])
		_, css = cutBlock(rest)
	}
}

// at takes a rule that begins with an @.
func (s *sheet) at(prelude, inside, parent string, reader, depth int) {
	name := prelude[1:]
	if end := strings.IndexFunc(name, func(r rune) bool { return r != '-' && (r < 'a' || r > 'z') }); end >= 0 {
		name = name[:end]
	}
	switch name {
	case "media":
		switch screensOf(strings.TrimPrefix(prelude, "@media")) {
		case noScreen:
			return
		case someScreens:
			reader = wide
		}
	case "layer", "supports", "container", "scope", "starting-style":
		reader = max(reader, full)
	default:
		return
	}
	if parent != "" && !strings.Contains(inside, "{") {
		inside = "&{" + inside + "}"
	}
	s.block(inside, parent, reader, depth+1)
}

// nest puts the parent's selectors in the place of "&", or before (CSS Nesting 1). What
// stands in others ten deep may be that to the tenth power.
func (s *sheet) nest(parent, selectors string) (nested string, ok bool) {
	if strings.Contains(parent, ",") {
		parent = ":is(" + parent + ")"
	}
	places := strings.Count(selectors, "&") + strings.Count(selectors, ",") + 1
	size := len(selectors) + places*(len(parent)+1)
	if s.nested += size; size > maxNest || s.nested > mostNest {
		s.lost = true
		return "", false
	}
	list := strings.Split(selectors, ",")
	for i, one := range list {
		if list[i] = strings.ReplaceAll(one, "&", parent); list[i] == one {
			list[i] = parent + " " + one
		}
	}
	return strings.Join(list, ","), true
}

// cutBlock cuts the text behind an opening brace at the closing one.
func cutBlock(css string) (inside, rest string) {
	depth := 1
	var quote byte
	for i := range len(css) {
		switch c := css[i]; {
		case quote != 0:
			if c == quote || c == '\n' {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '{':
			depth++
		case c == '}':
			if depth--; depth == 0 {
				return css[:i], css[i+1:]
			}
		}
	}
	return css, ""
}

// add files a rule under each of its selectors.
func (s *sheet) add(selectors string, rule bothStyles, reader int) {
	s.rules = append(s.rules, rule)
	var list []selector
	if strings.HasSuffix(selectors, ",") {
		reader = max(reader, full)
	}
	for selectors != "" {
		var one string
		one, selectors = cutOutside(selectors, ',')
		one = strings.TrimSpace(one)
		for _, whole := range []string{"html ", "body ", "* "} {
			rest, ok := strings.CutPrefix(one, whole)
			if rest = strings.TrimLeft(rest, " "); ok && rest != "" && strings.IndexByte(">+~", rest[0]) < 0 {
				one = rest
			}
		}
		sel, ok := s.left.parse(one, 0)
		if !ok || sel.odd {
			reader = max(reader, full)
		}
		if ok {
			list = append(list, sel)
		}
	}
	for _, sel := range list {
		sel.rule, sel.reader = len(s.rules)-1, reader
		s.file(sel)
	}
}

// file puts a selector where it is looked for.
func (s *sheet) file(sel selector) {
	if sel.simple = sel.isPlain(); !sel.simple {
		s.deep = true
		sel.reader = max(sel.reader, full)
	}
	switch last := &sel.parts[0]; {
	case len(last.names) > 0:
		s.names[last.names[0]] = append(s.names[last.names[0]], sel)
	case len(last.classes) > 0:
		s.classes[last.classes[0]] = append(s.classes[last.classes[0]], sel)
	case last.tag != "":
		s.tags[last.tag] = append(s.tags[last.tag], sel)
	default:
		s.all = append(s.all, sel)
	}
}

// of are the selectors that select an element that stands in others, the one that
// counts most last, until the next one is asked for.
func (s *sheet) of(e *element, attr *attributes, in []element) []*selector {
	if s == nil || len(s.rules) == 0 || s.applied > maxApplied {
		return nil
	}
	matched := s.matching(s.matched[:0], s.all, e, in)
	matched = s.matching(matched, s.tags[e.tag()], e, in)
	if len(attr.class) > 0 && len(s.classes) > 0 {
		for class := range bytes.FieldsSeq(attr.class) {
			low, from := s.lower(class), len(matched)
			matched = s.matching(matched, s.classes[string(low)], e, in)
			s.doubt(matched[from:], low, class)
		}
	}
	if len(attr.id) > 0 && len(s.names) > 0 {
		low, from := s.lower(attr.id), len(matched)
		matched = s.matching(matched, s.names[string(low)], e, in)
		s.doubt(matched[from:], low, attr.id)
	}
	slices.SortStableFunc(matched, func(a, b *selector) int {
		return cmp.Or(a.weight-b.weight, a.rule-b.rule)
	})
	s.matched = matched
	return matched
}

// lower is the value in lower case, until the next one.
func (s *sheet) lower(value []byte) []byte {
	if asciiRun(value) < len(value) {
		return bytes.ToLower(value)
	}
	return lowered(&s.room, value)
}

// matching adds the selectors that select the element.
func (s *sheet) matching(matched []*selector, list []selector, e *element, in []element) []*selector {
	for i := range list {
		if s.applied++; s.applied > maxApplied {
			return matched
		}
		if s.selects(&list[i], e, in) {
			matched = append(matched, &list[i])
		}
	}
	return matched
}

// style is what an element's attributes and the sheet say of how it is seen.
func (r *htmlReader) style(e *element, attr *attributes) (all styles) {
	var hints style
	r.hints(&hints, e, attr)
	for i := range all {
		all[i] = hints
	}
	rules := r.sheet.of(e, attr, r.tree.open)
	if len(attr.style) == 0 && len(rules) == 0 {
		return all
	}
	own := &bothStyles{}
	if len(attr.style) > 0 {
		own = r.styleAttribute(attr.style)
	}
	for i := range all {
		for _, rule := range rules {
			if i >= rule.reader {
				all[i].over(r.sheet.rules[rule.rule].normal.of(i))
			}
		}
		all[i].over(own.normal.of(i))
		for _, rule := range rules {
			if i >= rule.reader {
				all[i].over(r.sheet.rules[rule.rule].important.of(i))
			}
		}
		all[i].over(own.important.of(i))
	}
	opened := own.normal.opened | own.important.opened
	for _, rule := range rules {
		opened |= r.sheet.rules[rule.rule].normal.opened | r.sheet.rules[rule.rule].important.opened
	}
	all[usual].reveal(opened)
	return all
}

// hints are the old attributes, which any style goes over.
