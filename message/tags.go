package message

import "golang.org/x/net/html/atom"

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
	k := kindOf(a)
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
		t.tangled = t.tangled || t.open[k].look[usual].hidden // what came in it is shown after all
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
	for reader := range gone.look {
		if i < len(t.open) && gone.look[reader].hidden {
			t.open[i].style[reader].set(noBox, true)
		}
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
		t.push(&element{atom: atom.Tbody, kind: kindOf(atom.Tbody)})
	}
	if in != atom.Tr && inCell {
		t.push(&element{atom: atom.Tr, kind: kindOf(atom.Tr)})
	}
}
