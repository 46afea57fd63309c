package message

import (
	"strings"

	"golang.org/x/net/html/atom"
)

// show takes what may keep in view what other styles seem to hide.
func (s *style) show(name, value string) {
	switch {
	case strings.HasPrefix(name, "padding"), strings.HasPrefix(name, "min-"):
		if strings.Trim(value, "0pxemt% ") != "" {
			s.set(padded, true)
		}
	case name == "text-shadow", strings.HasPrefix(name, "-webkit-text-stroke"):
		s.set(shadowed, !oneOf(value, "none 0 0px initial unset revert"))
	case name == "box-shadow":
		if strings.Contains(value, "inset") { // covers what is behind the text
			s.set(shadowed, true)
		}
	}
}

// appliedTo is the style without what hides nothing of such an element: a height that text
// in a line does not have, and that a cell has at least (CSS 2.2, 10.5 and 17.5.3); an indent,
// which moves one line only; a clip of what is not lifted (11.1.2).
func (s style) appliedTo(k kind) style {
	hides := s.yes &^ indented
	if s.yes&lifted == 0 {
		hides &^= cutOut
	}
	inLine := k&(breaks|void) == 0 && s.yes&(block|lifted) == 0 || s.yes&inline != 0
	switch {
	case inLine:
		hides &^= flatness | shrunk
	case k&(tabular|tablePart) != 0:
		hides &^= flatness
	}
	if s.yes&padded != 0 {
		hides &^= flatness | pulledOut | far
	}
	s.yes = hides
	return s
}

// hints takes what the attributes from before style sheets say of an element's look
// (HTML 15, "presentational hints").
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

// maxStyles is how many different style attributes are remembered.
const maxStyles = 500

// styleAttribute reads a style attribute. Where it is not sound, so that readers may take it
// in different ways, it hides nothing for sure.
func (r *htmlReader) styleAttribute(css []byte) *bothStyles {
	if known := r.styles[string(css)]; known != nil {
		return known
	}
	r.madeIn(css)
	both := new(bothStyles)
	*both = parseStyle(css)
	if !isSound(css, false) {
		both.normal.usual, both.important.usual = style{}, style{}
	}
	if len(r.styles) < maxStyles {
		r.styles[string(css)] = both
	}
	return both
}
