package message

import (
	"slices"

	"golang.org/x/net/html/atom"
)

// kind is what an element is to the HTML standard's tree construction (HTML
// 13.2.4.2), and to a page.
type kind uint16

const (
	void       kind = 1 << iota // has no content
	special                     // an end tag of an ordinary element does not reach over it
	scope                       // end tags of other elements do not reach over it
	formatting                  // goes on after the block that it was opened in (13.2.4.3)
	cell                        // formatting ends with it
	tabular                     // what stands directly in it but is no part of a table is shown before the table
	tablePart                   // is part of a table
	breaks                      // stands on lines of its own
	newBlock                    // and is read by itself
	closesP                     // ends an open paragraph
	silent                      // its content is not shown
	verbatim                    // keeps its line ends
	ignored                     // there is one of it whatever is written
)

const paragraph = special | breaks | newBlock | closesP

var kinds = map[atom.Atom]kind{
	atom.Area: void, atom.Base: void, atom.Col: void, atom.Embed: void, atom.Input: void, atom.Link: void,
	atom.Meta: void, atom.Param: void, atom.Source: void, atom.Track: void, atom.Wbr: void, atom.Img: void,
	atom.Image: void, atom.Basefont: void, atom.Bgsound: void, atom.Frame: void, atom.Keygen: void,
	atom.Br: void | breaks, atom.Hr: void | breaks | newBlock | closesP,

	atom.A: formatting, atom.B: formatting, atom.Big: formatting, atom.Code: formatting, atom.Em: formatting,
	atom.Font: formatting, atom.I: formatting, atom.Nobr: formatting, atom.S: formatting, atom.Small: formatting,
	atom.Strike: formatting, atom.Strong: formatting, atom.Tt: formatting, atom.U: formatting,

	atom.Address: paragraph, atom.Article: paragraph, atom.Aside: paragraph, atom.Blockquote: paragraph, atom.Center: paragraph,
	atom.Details: paragraph, atom.Dialog: paragraph, atom.Dir: paragraph, atom.Div: paragraph, atom.Dl: paragraph, atom.Fieldset: paragraph,
	atom.Figcaption: paragraph, atom.Figure: paragraph, atom.Footer: paragraph, atom.Form: paragraph,
	atom.H1: paragraph, atom.H2: paragraph, atom.H3: paragraph, atom.H4: paragraph, atom.H5: paragraph, atom.H6: paragraph,
	atom.Header: paragraph, atom.Hgroup: paragraph, atom.Li: paragraph, atom.Listing: paragraph | verbatim, atom.Main: paragraph,
	atom.Menu: paragraph, atom.Nav: paragraph, atom.Ol: paragraph, atom.P: paragraph, atom.Plaintext: paragraph | verbatim,
	atom.Pre: paragraph | verbatim, atom.Search: paragraph, atom.Section: paragraph, atom.Summary: paragraph, atom.Ul: paragraph,
	atom.Dd: paragraph, atom.Dt: paragraph, atom.Xmp: paragraph | verbatim,

	atom.Table: special | scope | tabular | breaks | newBlock, // in quirks mode, as mail is shown, it ends no paragraph
	atom.Tbody: special | tabular | tablePart, atom.Thead: special | tabular | tablePart, atom.Tfoot: special | tabular | tablePart,
	atom.Tr: special | tabular | tablePart | breaks | newBlock,
	atom.Td: special | scope | cell | tablePart | breaks, atom.Th: special | scope | cell | tablePart | breaks,
	atom.Caption: special | scope | cell | tablePart | breaks | newBlock, atom.Colgroup: special | tablePart | silent,

	atom.Button: special, atom.Select: special, atom.Option: breaks, atom.Textarea: special | breaks | verbatim,
	atom.Object: special | scope | cell, atom.Marquee: special | scope | cell, atom.Applet: special | scope | cell,
	atom.Template: special | scope | cell | silent, atom.Noscript: special,

	atom.Script: silent | special, atom.Style: silent | special, atom.Title: silent | special, atom.Iframe: silent | special,
	atom.Noembed: silent | special, atom.Noframes: silent | special, atom.Datalist: silent,

	atom.Html: ignored, atom.Head: ignored, atom.Body: ignored, atom.Frameset: ignored,
}

// element is one that is open.
type element struct {
	atom  atom.Atom // 0 for names that HTML does not know
	name  string    // where atom is 0
	kind  kind
	style style // its own
	look  look  // its text's
	outer look  // what it stands in
	link  int   // the anchor it is, counted from 1; 0 for none
}

func (e *element) is(a atom.Atom, name string) bool { return e.atom == a && e.name == name }

// Bounds of what is open at once. Browsers stop at 512 too; nobody writes mail by
// hand or by program with a tenth of it.
const (
	maxOpen       = 512
	maxFormatting = 48
	maxRevived    = 100_000
)

// breaksLine says whether the element stands on lines of its own.
func (e *element) breaksLine() bool {
	return !e.look.hidden && (e.style.yes&block != 0 || e.kind&breaks != 0 && e.style.yes&inline == 0)
}

// tree is the elements that are open: the standard's tree construction as far as
// it decides in which element a text ends up.
type tree struct {
	open       []element // the first stands for the whole
	formatting int       // how many of them are
	parked     []parked
	revived    int           // how often formatting went on after what it was opened in
	inForm     bool          // a form has begun; there is none in another
	tangled    bool          // bounds were passed: what is shown is not sure
	ended      func(element) // is told of each that is not shown any more, inner ones first
	closed     func(link int)
}

// parked is formatting whose element was closed by another one's end. It goes on
// with the next text (HTML 13.2.4.3), but not in a cell that was opened since nor
// after the one that it was opened in, which is open[at], or 0.
type parked struct {
	element
	at int
}

// parent is the look that a child of this kind has from where it stands. What is
// no part of a table and stands in one outside its cells is shown before the
// table (HTML 13.2.6.1, foster parenting).
func (t *tree) parent(k kind) look {
	top := len(t.open) - 1
	if t.open[top].kind&tabular == 0 || k&tablePart != 0 {
		return t.open[top].look
	}
	return t.open[t.table()].outer
}

// table is where the innermost open table is; 0 where none is.
func (t *tree) table() int {
	i := len(t.open) - 1
	for i > 0 && t.open[i].atom != atom.Table {
		i--
	}
	return i
}

// dress works out how the element's text comes out.
func (t *tree) dress(e *element) {
	e.outer = t.parent(e.kind)
	e.look = e.outer.with(e.style)
	e.look.hidden = e.look.hidden || e.kind&silent != 0
	e.look.pre = e.look.pre || e.kind&verbatim != 0
}

// push opens an element and gives the look it has.
func (t *tree) push(e element) look {
	if e.kind&formatting != 0 {
		t.thin(&e)
	}
	t.dress(&e)
	if len(t.open) >= maxOpen || e.kind&formatting != 0 && t.formatting >= maxFormatting {
		t.tangled = true
		t.drop(e)
		return e.look
	}
	if e.kind&formatting != 0 {
		t.formatting++
	}
	t.open = append(t.open, e)
	return e.look
}

// thin closes the first of three that are alike (HTML 13.2.4.3): those that are
// never closed would pile up.
func (t *tree) thin(e *element) {
	if t.formatting < 3 {
		return
	}
	alike, first := 0, 0
	for i := len(t.open) - 1; i > 0 && t.open[i].kind&cell == 0; i-- {
		if o := &t.open[i]; o.is(e.atom, e.name) && o.style == e.style && o.link == e.link {
			alike++
			first = i
		}
	}
	if alike >= 3 {
		t.remove(first)
	}
}

// remove takes one element out; those in it stay open without it.
func (t *tree) remove(i int) {
	t.forget(i)
	t.restyle(i)
}

// forget takes open[i] off the open elements.
func (t *tree) forget(i int) {
	gone := t.open[i]
	t.open = slices.Delete(t.open, i, i+1)
	for k := range t.parked {
		if t.parked[k].at > i {
			t.parked[k].at--
		}
	}
	if gone.kind&formatting != 0 {
		t.formatting--
	}
	t.ended(gone)
	t.drop(gone)
}

// restyle works out anew how the elements from open[i] on look.
func (t *tree) restyle(i int) {
	open := t.open
	for ; i < len(open); i++ {
		t.open = open[:i]
		t.dress(&open[i])
	}
	t.open = open
}

// drop forgets an element that does not go on anywhere.
func (t *tree) drop(e element) {
	if e.link > 0 {
		t.closed(e.link)
	}
}

// truncate closes all from open[i] on. Formatting in them is parked, but not what
// was opened in a cell.
func (t *tree) truncate(i int) {
	ended := t.open[i:]
	for k := len(ended) - 1; k >= 0; k-- {
		t.ended(ended[k])
	}
	for n := len(t.parked); n > 0 && t.parked[n-1].at >= i; n-- {
		t.drop(t.parked[n-1].element)
		t.parked = t.parked[:n-1]
	}
	t.open = t.open[:i]
	inCell := false
	for _, e := range ended {
		inCell = inCell || e.kind&cell != 0
		if e.kind&formatting != 0 {
			t.formatting--
		}
		if e.kind&formatting == 0 || inCell || len(t.parked) >= maxFormatting {
			t.drop(e)
			continue
		}
		t.parked = append(t.parked, parked{e, t.cell()})
	}
}

// cell is where the innermost open cell is; 0 for none.
func (t *tree) cell() int {
	i := len(t.open) - 1
	for i > 0 && t.open[i].kind&cell == 0 {
		i--
	}
	return i
}

// revive lets parked formatting go on.
func (t *tree) revive() {
	if len(t.parked) == 0 || t.tangled {
		return
	}
	n, at := len(t.parked), t.cell()
	for n > 0 && t.parked[n-1].at == at {
		n--
	}
	again := slices.Clone(t.parked[n:])
	t.parked = t.parked[:n]
	for _, p := range again {
		t.push(p.element)
	}
	if t.revived += len(again); t.revived > maxRevived {
		t.tangled = true
	}
}

// endParked ends formatting that is parked, if there is any that could go on here.
func (t *tree) endParked(a atom.Atom) bool {
	if len(t.parked) == 0 {
		return false
	}
	at := t.cell()
	for i := len(t.parked) - 1; i >= 0 && t.parked[i].at == at; i-- {
		if t.parked[i].atom == a {
			t.drop(t.parked[i].element)
			t.parked = slices.Delete(t.parked, i, i+1)
			return true
		}
	}
	return false
}

// find is where the innermost open element of the name is, or 0; nothing is found
// beyond an element of the stopping kind.
func (t *tree) find(a atom.Atom, name string, stop kind) int {
	for i := len(t.open) - 1; i > 0; i-- {
		if t.open[i].is(a, name) {
			return i
		}
		if t.open[i].kind&stop != 0 {
			return 0
		}
	}
	return 0
}

// end takes an end tag; it says whether there was something to end.
func (t *tree) end(a atom.Atom, name string) bool {
	k := kinds[a]
	switch {
	case k&formatting != 0:
		return t.endFormatting(a)
	case a == atom.Form:
		return t.endForm()
	case a == atom.P:
		return t.endOpen(a)
	}
	i := 0
	switch {
	case k&tablePart != 0 || a == atom.Table:
		i = t.find(a, name, 0)
		if i < t.table() {
			i = 0
		}
	case isHeading(a):
		i = t.heading()
	case a == atom.Li:
		i = t.item()
	case k&special != 0:
		i = t.find(a, name, scope)
	default:
		i = t.find(a, name, special)
	}
	if i > 0 {
		t.truncate(i)
	}
	return i > 0
}

// endFormatting ends formatting for what follows. Blocks that are open in it stay
// open without it, and other elements around those end with it (HTML 13.2.6.4.7,
// the adoption agency).
func (t *tree) endFormatting(a atom.Atom) bool {
	if t.endParked(a) {
		return true
	}
	for range 8 { // that often and no more, whatever is left
		i := t.find(a, "", scope)
		if i == 0 {
			return false
		}
		block := t.blockIn(i)
		if block == 0 {
			t.truncate(i + 1) // other formatting in it goes on
			t.forget(i)
			return true
		}
		t.adopt(i, block)
	}
	return true
}

// adopt puts the formatting open[i] into the block that is open in it. Of what is
// between them, only the nearest three that are formatting stay.
func (t *tree) adopt(i, block int) {
	kept := 0
	for k := block - 1; k > i; k-- {
		if t.open[k].kind&formatting != 0 && kept < 3 {
			kept++
			continue
		}
		t.tangled = t.tangled || t.open[k].look.hidden // what came in it is shown after all
		t.forget(k)
		block--
	}
	moved := t.open[i]
	copy(t.open[i:block], t.open[i+1:block+1])
	t.open[block] = moved
	t.restyle(i)
}

// blockIn is the first block that is open within open[i]; 0 for none.
func (t *tree) blockIn(i int) int {
	for k := i + 1; k < len(t.open); k++ {
		if t.open[k].kind&special != 0 {
			return k
		}
	}
	return 0
}

func isHeading(a atom.Atom) bool {
	switch a {
	case atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6:
		return true
	}
	return false
}

// heading is where the innermost open heading is, of whatever rank; 0 for none.
func (t *tree) heading() int {
	for i := len(t.open) - 1; i > 0 && t.open[i].kind&scope == 0; i-- {
		if isHeading(t.open[i].atom) {
			return i
		}
	}
	return 0
}

// item is where the innermost open item of the innermost list is; 0 for none.
func (t *tree) item() int {
	for i := len(t.open) - 1; i > 0 && t.open[i].kind&scope == 0; i-- {
		switch t.open[i].atom {
		case atom.Li:
			return i
		case atom.Ul, atom.Ol:
			return 0
		}
	}
	return 0
}

// begin closes what a start tag ends without saying so, and says whether the
// element may stand here at all.
func (t *tree) begin(a atom.Atom, k kind) bool {
	if a == atom.Form {
		if t.inForm {
			return false
		}
		t.inForm = true
		if t.inTable() { // HTML 13.2.6.4.9: there it has no content
			return false
		}
	}
	if k&closesP != 0 {
		t.endOpen(atom.P)
	}
	top := len(t.open) - 1
	switch a {
	case atom.A:
		if i := t.find(a, "", cell); !t.end(a, "") && i > 0 {
			t.detach(i)
		}
	case atom.Li, atom.Dd, atom.Dt:
		t.endItem(a)
	case atom.Option:
		if t.open[top].atom == a {
			t.truncate(top)
		}
	case atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6:
		if isHeading(t.open[top].atom) {
			t.truncate(top)
		}
	case atom.Button:
		t.endOpen(a)
	case atom.Table:
		if t.inTable() {
			t.truncate(t.table())
		}
	}
	if k&tablePart != 0 {
		return t.backTo(a)
	}
	if k&special == 0 || a == atom.Button || a == atom.Select || a == atom.Xmp || a == atom.Object || a == atom.Marquee || a == atom.Applet {
		t.revive()
	}
	return true
}

// inTable says whether the innermost open table has no open cell.
func (t *tree) inTable() bool {
	for i := len(t.open) - 1; i > 0; i-- {
		switch {
		case t.open[i].atom == atom.Table:
			return true
		case t.open[i].kind&cell != 0 && t.open[i].kind&tablePart != 0:
			return false
		}
	}
	return false
}

// endsByItself: HTML 13.2.6.3, implied end tags.
func endsByItself(a atom.Atom) bool {
	switch a {
	case atom.Dd, atom.Dt, atom.Li, atom.Option, atom.P:
		return true
	}
	return false
}

// endForm closes the form alone: what else is open in it stays open.
func (t *tree) endForm() bool {
	t.inForm = false
	i := t.find(atom.Form, "", scope)
	if i == 0 {
		return false
	}
	for top := len(t.open) - 1; top > i && endsByItself(t.open[top].atom); top = len(t.open) - 1 {
		t.truncate(top)
	}
	t.detach(i)
	return true
}

// detach takes an element off the open ones; those in it stay within it all the same.
func (t *tree) detach(i int) {
	gone := t.open[i]
	t.forget(i)
	if i < len(t.open) && gone.look.hidden {
		t.open[i].style.set(noBox, true)
	}
}

// endOpen closes an open paragraph or button, and says whether there was one.
func (t *tree) endOpen(a atom.Atom) bool {
	for i := len(t.open) - 1; i > 0 && t.open[i].kind&scope == 0; i-- {
		if t.open[i].atom == a {
			t.truncate(i)
			return true
		}
		if t.open[i].atom == atom.Button {
			return false
		}
	}
	return false
}

// endItem closes the open item of a list that another one follows.
func (t *tree) endItem(a atom.Atom) {
	for i := len(t.open) - 1; i > 0; i-- {
		switch open := &t.open[i]; {
		case open.atom == a || a != atom.Li && (open.atom == atom.Dd || open.atom == atom.Dt):
			t.truncate(i)
			return
		case open.kind&special != 0 && open.atom != atom.Address && open.atom != atom.Div && open.atom != atom.P:
			return
		}
	}
}

// backTo closes all that is open in a table down to where this part of it
// belongs. Outside of tables there are no parts.
func (t *tree) backTo(a atom.Atom) bool {
	for i := len(t.open) - 1; i > 0; i-- {
		fits := false
		switch t.open[i].atom {
		case atom.Table:
			fits = true
		case atom.Tbody, atom.Thead, atom.Tfoot:
			fits = a == atom.Tr || a == atom.Td || a == atom.Th
		case atom.Tr:
			fits = a == atom.Td || a == atom.Th
		}
		if fits {
			if i+1 < len(t.open) {
				t.truncate(i + 1)
			}
			t.imply(t.open[i].atom, a)
			return true
		}
	}
	return false
}

// imply opens the parts of a table that nobody writes: a body around rows, a row
// around cells.
func (t *tree) imply(in, a atom.Atom) {
	inCell := a == atom.Td || a == atom.Th
	if in == atom.Table && (inCell || a == atom.Tr) {
		t.push(element{atom: atom.Tbody, kind: kinds[atom.Tbody]})
	}
	if in != atom.Tr && inCell {
		t.push(element{atom: atom.Tr, kind: kinds[atom.Tr]})
	}
}
