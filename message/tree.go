package message

import (
	"slices"

	"golang.org/x/net/html/atom"
)

// Bounds of what is open at once. Browsers stop at 512 too; nobody writes mail by
// hand or by program with a tenth of it.
const (
	maxOpen       = 512
	maxFormatting = 48
	maxRevived    = 10_000 // two hundred times what any of thousands of real mails has
)

// tree is the elements that are open: the standard's tree construction as far as
// it decides in which element a text ends up.
type tree struct {
	open       []element // the first stands for the whole
	formatting int       // how many of them are
	parked     []parked
	again      []parked       // what revive is about
	revived    int            // how often formatting went on after what it was opened in
	inForm     bool           // a form has begun; there is none in another
	tangled    bool           // bounds were passed: what is shown is not sure
	ended      func(*element) // is told of each that is not shown any more, inner ones first
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
func (t *tree) parent(k kind) looks {
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
	if s := &e.style[usual]; s.yes&(flatness|indented|shrunk|cutOut|pulledOut|far) != 0 {
		applied := e.style
		applied[usual] = s.appliedTo(e.kind)
		e.look = e.outer.with(&applied)
	} else {
		e.look = e.outer.with(&e.style)
	}
	if e.kind&(silent|verbatim|doubtful) != 0 {
		isText := e.kind&silent == 0 || e.isMadeText()
		for i := range e.look {
			l := &e.look[i]
			l.silent = l.silent || !isText || e.kind&silent != 0 && i == usual
			l.hidden = l.hidden || l.silent || e.kind&doubtful != 0 && i == full
			l.pre = l.pre || e.kind&verbatim != 0
		}
	}
}

// push opens an element, which has its look then.
func (t *tree) push(e *element) {
	if e.kind&formatting != 0 {
		t.thin(e)
	}
	t.dress(e)
	if len(t.open) >= maxOpen || e.kind&formatting != 0 && t.formatting >= maxFormatting {
		t.tangled = true
		t.drop(e)
		return
	}
	if e.kind&formatting != 0 {
		t.formatting++
	}
	t.open = append(t.open, *e)
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
	gone := &t.open[i]
	t.ended(gone)
	t.drop(gone)
	if gone.kind&formatting != 0 {
		t.formatting--
	}
	t.open = append(t.open[:i], t.open[i+1:]...)
	for k := range t.parked {
		if t.parked[k].at > i {
			t.parked[k].at--
		}
	}
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
func (t *tree) drop(e *element) {
	if e.link > 0 {
		t.closed(e.link)
	}
}

// truncate closes all from open[i] on. Formatting in them is parked, but not what
// was opened in a cell.
func (t *tree) truncate(i int) {
	ended := t.open[i:]
	for k := len(ended) - 1; k >= 0; k-- {
		t.ended(&ended[k])
	}
	for n := len(t.parked); n > 0 && t.parked[n-1].at >= i; n-- {
		t.drop(&t.parked[n-1].element)
		t.parked = t.parked[:n-1]
	}
	t.open = t.open[:i]
	inCell := false
	for k := range ended {
		e := &ended[k]
		inCell = inCell || e.kind&cell != 0
		if e.kind&formatting != 0 {
			t.formatting--
		}
		if e.kind&formatting == 0 || inCell || len(t.parked) >= maxFormatting {
			t.drop(e)
			continue
		}
		t.parked = append(t.parked, parked{*e, t.cell()})
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
	again := append(t.again[:0], t.parked[n:]...)
	t.parked, t.again = t.parked[:n], again
	for i := range again {
		t.push(&again[i].element)
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
			t.drop(&t.parked[i].element)
			t.parked = slices.Delete(t.parked, i, i+1)
			return true
		}
	}
	return false
}
