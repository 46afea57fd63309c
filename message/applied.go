package message

import "strings"

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
