package message

import (
	"bytes"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/html/atom"
)

// html adds what a reader sees of an HTML text. It says false where there is so
// much of elements or styles, or such, that what is shown is not sure: then the
// reading ends, and all text there is follows.
func (p *page) html(text []byte) bool {
	p.text = slices.Grow(p.text, min(len(text)/4, MaxText-len(p.text))) // most of it is tags
	from := len(p.text)
	p.block()
	r := htmlReader{page: p, sheet: readSheet(text), styles: map[string]*bothStyles{}, met: map[string]bool{}}
	r.tree = tree{open: []element{{look: looks{plainLook, plainLook, plainLook}}}, ended: r.ended, closed: r.closed}
	if !r.sheet.unknown() {
		r.madeText()
		r.read(text)
	}
	p.block()
	p.find(from)
	if r.tree.tangled || r.sheet.unknown() {
		p.tangled = true
		p.stripped(text)
		return false
	}
	return true
}

// stripped adds all that stands between tags, seen or not, but scripts and styles.
// Its links do not count: nobody knows whether they are seen.
func (p *page) stripped(text []byte) {
	m := markup{html: text}
	silence := false
	for !p.cut {
		kind := m.next()
		switch kind {
		case noPiece:
			p.block()
			return
		case textPiece:
			if !silence {
				p.write(m.shown())
			}
			continue
		}
		a := atom.Lookup(m.name)
		k := kindOf(a)
		m.tagged = m.tagged || isForeign(a)
		silence = k&silent != 0 && kind == startPiece && !m.tagged
		if k&breaks != 0 {
			p.line()
		}
	}
}

// isForeign says of an element that in it, by the standard, no content is raw (HTML 13.2.6.4.16
// and 13.2.6.5). Where it ends is for a browser's tree to tell.
func isForeign(a atom.Atom) bool { return a == atom.Svg || a == atom.Math || a == atom.Select }

// htmlReader follows the tags.
type htmlReader struct {
	page     *page
	tree     tree
	sheet    *sheet
	styles   map[string]*bothStyles // of style attributes; most come many times
	met      map[string]bool        // text that styles make
	links    []opened               // the anchors that have begun
	pictures int                    // seen so far
	form     string                 // the target of the form that is open
	base     *url.URL               // that relative links are relative to; nil for none
	anchor   color                  // of links
	body     bool                   // <body> has come
	foreign  bool                   // a foreign element has come
	math     bool                   // and this one, in which styles and scripts are shown, too
}

// opened is an anchor that has begun.
type opened struct {
	anchor
	pictures int // seen before it
}

// bothStyles are an element's own ones, and of them those marked important.
type bothStyles struct{ normal, important pair }

// linkColor is a link's without styles, as in HTML 15.3.
const linkColor = known | 0x0000ee

func (r *htmlReader) read(text []byte) {
	r.anchor = linkColor
	m := markup{html: text}
pieces:
	for !r.page.cut && !r.tree.tangled {
		switch m.next() {
		case noPiece:
			r.tree.truncate(1)
			break pieces
		case textPiece:
			r.text(m.shown())
		case startPiece:
			r.start(&m)
		case endPiece:
			r.end(m.name)
		}
	}
	for i := range r.links {
		r.closed(i + 1)
	}
}

// text shows text where it is seen.
func (r *htmlReader) text(text []byte) {
	if len(bytes.TrimSpace(text)) > 0 {
		r.tree.revive()
	}
	looks := r.tree.parent(0)
	if !r.page.shows(&looks, look.textSeen) {
		r.page.hides(&looks, text)
		return
	}
	if !looks[usual].pre {
		r.page.write(text)
		return
	}
	for {
		line, rest, more := bytes.Cut(text, []byte("\n"))
		r.page.write(line)
		if !more {
			return
		}
		r.page.line()
		text = rest
	}
}

// elementName is the element's atom, or its name where HTML does not know it.
func elementName(name []byte) (atom.Atom, string) {
	if a := atom.Lookup(name); a != 0 {
		return a, ""
	}
	return 0, string(name)
}

func (r *htmlReader) start(m *markup) {
	e := element{}
	e.atom, e.name = elementName(m.name)
	e.kind = kindOf(e.atom)
	if e.atom == atom.Noscript {
		m.notRaw() // mail readers run no scripts
	}
	if r.meetForeign(m, e.atom); r.tree.tangled {
		return
	}
	var attr attributes
	for _, a := range m.attrs {
		attr.take(m, a)
	}
	r.madeOf(m, &attr)
	if r.sheet.isDeep() {
		e.attrs, e.octets = allAttributes(m)
	}
	switch e.atom {
	case atom.Body:
		r.openBody(&e, &attr)
		return
	case atom.Base:
		r.setBase(&attr)
	}
	if e.kind&ignored != 0 || !r.tree.begin(e.atom, e.kind) {
		return
	}
	e.style = r.style(&e, &attr)
	if e.kind&void != 0 {
		r.void(&e, &attr)
		return
	}
	r.opens(&e, &attr)
	r.tree.push(&e)
	r.breakLine(&e)
}

// meetForeign gives up where it hangs on a foreign element what is a tag and what is none.
func (r *htmlReader) meetForeign(m *markup, a atom.Atom) {
	if isForeign(a) && !r.foreign {
		r.foreign = true
		r.tree.tangled = r.tree.tangled || bytes.Contains(m.html[m.at:], []byte(markedText))
	}
	r.math = r.math || a == atom.Math
	r.tree.tangled = r.tree.tangled || m.raw != "" && (r.math || r.foreign && !m.isSameTagged())
}

// opens notes what begins with the element beside its text: a link, a form.
func (r *htmlReader) opens(e *element, attr *attributes) {
	switch e.atom {
	case atom.A:
		r.open(e, r.target(attr.href))
	case atom.Form:
		r.form = r.target(attr.action)
	case atom.Button:
		if kind := string(attr.kind); !strings.EqualFold(kind, "button") && !strings.EqualFold(kind, "reset") {
			r.open(e, r.formTarget(attr))
		}
	}
}

// open begins a link, if it leads somewhere.
func (r *htmlReader) open(e *element, target string) {
	if target == "" || len(r.links) >= 4*MaxLinks { // those that are not seen count here too
		return
	}
	r.links = append(r.links, opened{anchor{url: target, start: len(r.page.text)}, r.pictures})
	e.link = len(r.links)
}

// closed ends a link; it counts if something of it was seen.
func (r *htmlReader) closed(link int) {
	a := &r.links[link-1]
	if a.url == "" {
		return
	}
	text := r.page.text
	for a.end = len(text); a.start < a.end && text[a.start] <= ' '; {
		a.start++
	}
	if a.start < a.end || r.pictures > a.pictures {
		r.page.link(a.anchor)
	}
	a.url = ""
}

func (r *htmlReader) end(tag []byte) {
	a, name := elementName(tag)
	switch a {
	case atom.Br:
		r.page.line()
		return
	case atom.Form:
		r.form = ""
	}
	if kindOf(a)&(ignored|void) == 0 && !r.tree.end(a, name) && a == atom.P {
		r.page.block()
	}
}

// ended ends the lines of an element.
func (r *htmlReader) ended(e *element) { r.breakLine(e) }

func (r *htmlReader) breakLine(e *element) {
	switch {
	case !e.breaksLine(r.page.of):
	case e.kind&newBlock != 0 && e.style[usual].yes&inline == 0:
		r.page.block()
	default:
		r.page.line()
	}
}

// void shows an element that has no content.
func (r *htmlReader) void(e *element, attr *attributes) {
	r.tree.dress(e)
	r.breakLine(e)
	if !r.page.shows(&e.look, look.boxSeen) {
		return
	}
	switch e.atom {
	case atom.Img, atom.Image:
		if len(attr.src) > 0 && !isFlat(attr.width) && !isFlat(attr.height) && e.style[usual].yes&(noWidth|noHeight) == 0 {
			r.pictures++
			r.page.shown = true
			r.text(attr.alt)
		}
	case atom.Area:
		if target := r.target(attr.href); target != "" {
			at := len(r.page.text)
			r.page.link(anchor{url: target, start: at, end: at, apart: true, instead: shortText(attr.alt)})
		}
	case atom.Input:
		r.input(attr)
	}
}

// input shows the text of a form's buttons and fields.
func (r *htmlReader) input(attr *attributes) {
	kind := strings.ToLower(string(attr.kind))
	if kind == "hidden" || kind == "checkbox" || kind == "radio" {
		return
	}
	var e element
	if kind == "submit" || kind == "image" {
		r.open(&e, r.formTarget(attr))
	}
	if kind == "image" {
		r.pictures++
		r.text(attr.alt)
	} else {
		r.text(attr.value)
	}
	r.tree.drop(&e)
}

// isFlat: a picture of no height or width, or of the one pixel that counts who reads.
func isFlat(value []byte) bool {
	n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(string(value)), "px"))
	return err == nil && n <= 1
}

// openBody takes the colors of the whole. There is one body, whatever is written,
// and nobody sends one that is not seen.
func (r *htmlReader) openBody(e *element, attr *attributes) {
	if r.body {
		return
	}
	r.body = true
	whole := &r.tree.open[0]
	whole.attrs, whole.octets = e.attrs, e.octets
	s := r.style(e, attr)
	for i := range s {
		s[i].yes = 0
		if c := oldColor(attr.text); c != 0 && s[i].color == 0 {
			s[i].color = c
		}
	}
	if c := oldColor(attr.link); c != 0 {
		r.anchor = c
	}
	whole.look = whole.look.with(&s)
}
