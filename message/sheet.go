package message

import (
	"bytes"
	"slices"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// sheet is what the <style> elements of an HTML text say of single tags, classes
// and ids. Rules within media queries with conditions hold for some screens only
// and do not count, nor do selectors that are more than a tag, a class or an id.
type sheet struct {
	rules                []bothStyles
	tags, classes, names map[string][]selector
	applied              int // how many rules were, to all elements
}

// selector says which of the rules it selects, and for which tag alone.
type selector struct {
	tag  string // empty for all
	rule int
}

// maxRules is how many rules of a mail are looked at; newsletters have up to a hundred
// that hide or color something.
const maxRules = 1000

// maxApplied is how many rules may be applied in one mail: fifty to each element of
// a newsletter of 10,000.
const maxApplied = 500_000

// readSheet reads the style elements; nil where there is none.
func readSheet(text []byte) *sheet {
	last := lastStyle(text)
	if last < 0 {
		return nil
	}
	s := &sheet{tags: map[string][]selector{}, classes: map[string][]selector{}, names: map[string][]selector{}}
	z := html.NewTokenizer(bytes.NewReader(text))
	inStyle := false
	for at := 0; at <= last || inStyle; at += len(z.Raw()) {
		switch z.Next() {
		case html.ErrorToken:
			return s
		case html.StartTagToken, html.SelfClosingTagToken:
			name, _ := z.TagName()
			a := atom.Lookup(name)
			inStyle = a == atom.Style
			if a == atom.Noscript {
				z.NextIsNotRawText()
			}
		case html.TextToken:
			if inStyle {
				s.read(string(bytes.ToLower(tidyCSS(z.Raw()))))
			}
		default:
			inStyle = false
		}
	}
	return s
}

// lastStyle is where the last "<style" stands; -1 for none.
func lastStyle(text []byte) int {
	for end := len(text); ; {
		i := bytes.LastIndexByte(text[:end], '<')
		if i < 0 {
			return -1
		}
		if len(text) >= i+6 && bytes.EqualFold(text[i:i+6], []byte("<style")) {
			return i
		}
		end = i
	}
}

// read takes the rules of one style element, in lower case: class names have no
// case in quirks mode.
func (s *sheet) read(css string) {
	css = strings.NewReplacer("<!--", "", "-->", "").Replace(css)
	for css != "" && len(s.rules) < maxRules {
		selectors, rest, ok := strings.Cut(css, "{")
		if !ok {
			return
		}
		selectors = strings.Trim(selectors, " \t\r\n}") // of a media rule that was entered
		switch {
		case isForAll(selectors):
			css = rest
			continue
		case strings.HasPrefix(selectors, "@"):
			css = s.skip(selectors, rest)
			continue
		}
		var declared string
		declared, css = cutOutside(rest, '}')
		var rule bothStyles
		rule.normal, rule.important = parseStyle([]byte(declared))
		if rule != (bothStyles{}) {
			s.add(selectors, rule)
		}
	}
}

// isForAll says whether a media query holds for every screen.
func isForAll(prelude string) bool {
	queries, ok := strings.CutPrefix(prelude, "@media")
	for one := range strings.SplitSeq(queries, ",") {
		switch strings.Join(strings.Fields(one), " ") {
		case "", "all", "screen", "only screen", "only all":
			return ok
		}
	}
	return false
}

// skip passes over an at-rule: to its semicolon, or over its block.
func (s *sheet) skip(prelude, block string) string {
	if _, after, ok := strings.Cut(prelude, ";"); ok { // @import "x"; .a
		return after + "{" + block
	}
	depth := 1
	for i := range len(block) {
		switch block[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return block[i+1:]
			}
		}
	}
	return ""
}

// add files a rule under each of its selectors.
func (s *sheet) add(selectors string, rule bothStyles) {
	s.rules = append(s.rules, rule)
	n := len(s.rules) - 1
	for one := range strings.SplitSeq(selectors, ",") {
		one = strings.TrimSpace(one)
		for _, whole := range []string{"html ", "body ", "* "} {
			one = strings.TrimLeft(strings.TrimPrefix(one, whole), " ")
		}
		if one == "" || strings.ContainsAny(one, " \t\r\n>+~:[*") {
			continue
		}
		i := strings.IndexAny(one, ".#")
		if i < 0 {
			s.tags[one] = append(s.tags[one], selector{rule: n})
			continue
		}
		tag, name := one[:i], one[i+1:]
		if strings.ContainsAny(name, ".#") {
			continue
		}
		if one[i] == '.' {
			s.classes[name] = append(s.classes[name], selector{tag, n})
		} else {
			s.names[name] = append(s.names[name], selector{tag, n})
		}
	}
}

// of is what the sheet says of an element.
func (s *sheet) of(tag string, attr *attributes) (found bothStyles) {
	if s == nil || len(s.rules) == 0 || s.applied > maxApplied {
		return found
	}
	s.apply(&found, tag, s.tags[tag])
	if len(attr.class) > 0 {
		var matched []selector
		for class := range strings.FieldsSeq(strings.ToLower(string(attr.class))) {
			if matched = append(matched, s.classes[class]...); s.applied+len(matched) > maxApplied {
				break
			}
		}
		slices.SortFunc(matched, func(a, b selector) int { return a.rule - b.rule })
		s.apply(&found, tag, matched)
	}
	if len(attr.id) > 0 {
		s.apply(&found, tag, s.names[strings.ToLower(string(attr.id))])
	}
	return found
}

func (s *sheet) apply(found *bothStyles, tag string, matched []selector) {
	s.applied += len(matched)
	if s.applied > maxApplied {
		return
	}
	for _, m := range matched {
		if m.tag == "" || m.tag == tag {
			found.normal.over(s.rules[m.rule].normal)
			found.important.over(s.rules[m.rule].important)
		}
	}
}

// maxStyles is how many different style attributes are remembered.
const maxStyles = 500

// style is what an element's attributes and the sheet say of how it is seen.
func (r *htmlReader) style(e *element, attr *attributes) style {
	var s style
	r.hints(&s, e, attr)
	tag := e.name
	if e.atom != 0 && r.sheet != nil {
		tag = e.atom.String()
	}
	rules := r.sheet.of(tag, attr)
	s.over(rules.normal)
	var own bothStyles
	if len(attr.style) > 0 {
		own = r.styleAttribute(attr.style)
	}
	s.over(own.normal)
	s.over(rules.important)
	s.over(own.important)
	return s
}

// hints are the old attributes, which any style goes over.
func (r *htmlReader) hints(s *style, e *element, attr *attributes) {
	if attr.hidden {
		s.set(noBox, true)
	}
	if e.atom == atom.A && len(attr.href) > 0 {
		s.color = r.anchor
	}
	if e.atom == atom.Font {
		s.color = oldColor(attr.color)
	}
	if len(attr.bgcolor) > 0 {
		s.back = oldColor(attr.bgcolor)
	}
	if len(attr.background) > 0 {
		s.set(pictured, true)
	}
}

func (r *htmlReader) styleAttribute(css []byte) bothStyles {
	if known, ok := r.styles[string(css)]; ok {
		return known
	}
	var both bothStyles
	both.normal, both.important = parseStyle(css)
	if len(r.styles) < maxStyles {
		r.styles[string(css)] = both
	}
	return both
}
