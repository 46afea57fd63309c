package message

import (
	"bytes"
	"slices"
	"strings"
)

// Browsers, and mail programs that are built on one, show text that stands in a style:
// p::before{content:"..."}, or what an attribute says of which the style names the name.
// Nobody unsubscribes there, and no person writes so; a letter may be written so that we
// find nothing in it. So it is taken for text that a style hides.

// made is the text that styles may show.
type made struct {
	strings []string
	attrs   []string // names of attributes whose values are shown
}

// makesText says of a property whether its strings may be text.
func makesText(property string) bool {
	return strings.HasPrefix(property, "--") || strings.HasPrefix(property, "list-style") ||
		oneOf(property, "content quotes symbols additive-symbols prefix suffix")
}

// makesNone says at once of most styles that they have no text in them.
func makesNone(css string) bool {
	return strings.IndexByte(css, '"') < 0 && strings.IndexByte(css, '\'') < 0 && !strings.Contains(css, "attr(")
}

// read takes what text there is in a style element or attribute, without comments and
// escapes, in lower case.
func (m *made) read(css string) {
	if makesNone(css) {
		return
	}
	d := declaration{css: css}
	for i := 0; i < len(css); i++ {
		switch c := css[i]; c {
		case ';', '{', '}':
			if c != ';' || d.depth == 0 {
				d = declaration{css: css[i+1:], at: i + 1}
			}
		case ')':
			d.depth = max(0, d.depth-1)
		case '(':
			d.depth++
			if strings.HasSuffix(css[d.at:i], "attr") && d.makesText() {
				m.attr(css[i+1:])
			}
		case '"', '\'':
			end := i + 1 + quoteEnd(css[i+1:], c)
			if d.depth == 0 && d.makesText() {
				m.strings = append(m.strings, css[i+1:end])
			}
			i = end
		}
	}
}

// declaration is one that is read.
type declaration struct {
	css         string // from its beginning on
	at          int    // where that is
	depth       int    // brackets that are open
	asked, text bool   // whether its property may make text, once it was asked
}

func (d *declaration) makesText() bool {
	if !d.asked {
		name, _, _ := strings.Cut(d.css[:min(len(d.css), maxProperty)], ":")
		d.asked, d.text = true, makesText(strings.Trim(name, " \t\r\n"))
	}
	return d.text
}

// maxProperty is how long the name of a property or an attribute may be, with blanks
// around it.
const maxProperty = 200

// quoteEnd is where a quotation ends: at its mark, or with the line.
func quoteEnd(s string, mark byte) int {
	for i := range len(s) {
		if s[i] == mark || s[i] == '\n' {
			return i
		}
	}
	return len(s)
}

// maxMadeOf is how many attributes may be asked for.
const maxMadeOf = 20

// attr takes the name that an attr() begins with.
func (m *made) attr(args string) {
	args = strings.TrimLeft(args[:min(len(args), maxProperty)], " \t\r\n")
	if end := strings.IndexAny(args, " \t\r\n,)"); end > 0 && len(m.attrs) < maxMadeOf && !slices.Contains(m.attrs, args[:end]) {
		m.attrs = append(m.attrs, args[:end])
	}
}

// takeMade takes text that a style may show, each once: the heads of a table's columns
// stand beside each of its cells on a narrow screen.
func (r *htmlReader) takeMade(text []byte) {
	if r.met[string(text)] {
		return
	}
	if len(r.met) < maxStyles {
		r.met[string(text)] = true
	}
	if r.page.of != allText {
		r.page.hidden += letters(text)
		return
	}
	r.page.write(text)
	r.page.blank = true
}

// isAddress says of a value that is shown that it is where a link leads, as on paper.
func isAddress(value []byte) bool {
	return bytes.IndexByte(value, ' ') < 0 && (bytes.Contains(value, []byte("://")) || bytes.HasPrefix(value, []byte("mailto:")))
}

// madeText takes what the style elements have.
func (r *htmlReader) madeText() {
	if r.sheet == nil {
		return
	}
	for _, text := range r.sheet.made.strings {
		r.takeMade([]byte(text))
	}
}

// madeOf takes the attributes of a tag that a style, or a browser by itself, shows.
func (r *htmlReader) madeOf(m *markup, attr *attributes) {
	if len(attr.label) > 0 {
		r.takeMade(attr.label)
	}
	if r.sheet == nil || len(r.sheet.made.attrs) == 0 {
		return
	}
	for _, a := range m.attrs {
		if slices.Contains(r.sheet.made.attrs, string(m.key(a))) && !isAddress(m.value(a)) {
			r.takeMade(m.value(a))
		}
	}
}

// madeIn takes what a style attribute has.
func (r *htmlReader) madeIn(css []byte) {
	if makesNone(string(css)) {
		return
	}
	var m made
	m.read(strings.ToLower(string(tidyCSS(css))))
	for _, text := range m.strings {
		r.takeMade([]byte(text))
	}
}
