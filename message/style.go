package message

import "strings"

// trait is something that a style says yes or no to.
type trait uint16

const (
	noBox       trait = 1 << iota // display: none
	inline                        // display: inline
	block                         // display: block and what else stands on lines of its own
	faint                         // opacity so low that nothing is seen
	gone                          // clipped, scaled or indented away
	noHeight                      // height: 0
	noMaxHeight                   // max-height: 0
	noWidth                       // width: 0
	noMaxWidth                    // max-width: 0
	clipped                       // overflow: hidden
	lifted                        // position: absolute or fixed
	farAside                      // left or right so far that it is off the screen
	farUp                         // top or bottom so far
	invisible                     // visibility: hidden
	displays    = noBox | inline | block
)

// style is what the styles of an element say of whether it is seen. The zero
// value says nothing.
type style struct {
	yes, no trait
	size    length
	color   color
	back    color
}

// length is a font size: absolute in px, or relative to the parent's.
type length struct {
	set, relative bool
	n             float32
}

// over makes what the later style says count.
func (s *style) over(later style) {
	s.yes = s.yes&^later.no | later.yes
	s.no = s.no&^later.yes | later.no
	if later.size.set {
		s.size = later.size
	}
	if later.color != 0 {
		s.color = later.color
	}
	if later.back != 0 {
		s.back = later.back
	}
}

func (s *style) set(t trait, yes bool) {
	if yes {
		s.yes, s.no = s.yes|t, s.no&^t
	} else {
		s.yes, s.no = s.yes&^t, s.no|t
	}
}

// hides says whether the element and all in it is gone, whatever its children say.
func (s *style) hides() bool {
	flat := s.yes&(noHeight|noMaxHeight|noWidth|noMaxWidth) != 0
	away := s.yes&(farAside|farUp) != 0
	return s.yes&(noBox|faint|gone) != 0 || flat && s.yes&clipped != 0 || away && s.yes&lifted != 0
}

// look is how an element's text comes out, its parents' styles and its own together.
type look struct {
	hidden    bool // for good
	invisible bool // until a child says otherwise
	pre       bool // line ends are line ends
	size      float32
	color     color
	back      color
}

// plainLook is that of a mail without styles: black on white.
var plainLook = look{size: 16, color: known, back: known | 0xffffff}

// with is the look of a child that has this style.
func (l look) with(s style) look {
	l.hidden = l.hidden || s.hides()
	switch {
	case s.yes&invisible != 0:
		l.invisible = true
	case s.no&invisible != 0:
		l.invisible = false
	}
	switch {
	case s.size.relative:
		l.size *= s.size.n
	case s.size.set:
		l.size = s.size.n
	}
	if s.color != 0 && s.color != parents {
		l.color = s.color
	}
	if s.back != 0 && s.back != clear && s.back != parents {
		l.back = s.back
	}
	return l
}

// tiny is the size in px below which no letter can be told from another.
const tiny = 3

// boxSeen says whether pictures are seen, textSeen whether text is.
func (l look) boxSeen() bool { return !l.hidden && !l.invisible }
func (l look) textSeen() bool {
	return l.boxSeen() && l.size >= tiny && l.color != clear && !l.color.near(l.back)
}

// declare takes one declaration, in lower case.
func (s *style) declare(name, value string) {
	switch name {
	case "display":
		s.no |= displays
		s.yes &^= displays
		switch {
		case value == "none":
			s.set(noBox, true)
		case value == "contents":
		case strings.HasPrefix(value, "inline"):
			s.set(inline, true)
		default:
			s.set(block, true)
		}
	case "visibility":
		s.set(invisible, value == "hidden" || value == "collapse")
	case "opacity":
		s.set(faint, amount(value) < 0.05)
	case "font-size":
		s.fontSize(value)
	case "font":
		s.font(value)
	case "color":
		if c := readColor(value); c != 0 {
			s.color = c
		}
	case "background-color":
		if c := readColor(value); c != 0 {
			s.back = c
		}
	case "background", "background-image":
		s.background(value)
	case "height":
		s.set(noHeight, isZero(value))
	case "max-height":
		s.set(noMaxHeight, isZero(value))
	case "width":
		s.set(noWidth, isZero(value))
	case "max-width":
		s.set(noMaxWidth, isZero(value))
	case "overflow", "overflow-x", "overflow-y":
		s.set(clipped, strings.HasPrefix(value, "hidden") || strings.HasPrefix(value, "clip"))
	default:
		s.place(name, value)
	}
}

// place takes the declarations that move an element off the screen.
func (s *style) place(name, value string) {
	switch name {
	case "position":
		s.set(lifted, value == "absolute" || value == "fixed")
	case "left", "right":
		s.set(farAside, isFar(value))
	case "top", "bottom":
		s.set(farUp, isFar(value))
	case "text-indent", "margin-left", "margin-top":
		if isFar(value) {
			s.set(gone, true)
		}
	case "clip":
		if strings.HasPrefix(value, "rect(") && strings.Trim(value[5:], "01px, )") == "" {
			s.set(gone, true)
		}
	case "transform":
		if strings.HasPrefix(value, "scale(0)") || strings.HasPrefix(value, "scale(0,") {
			s.set(gone, true)
		}
	}
}

// isFar: beyond the edge of any window, to the left or above.
func isFar(value string) bool {
	n, _, ok := px(value)
	return ok && n <= -500
}

// isZero: so little that no letter has room.
func isZero(value string) bool {
	n, _, ok := px(value)
	return ok && n <= 1
}

// fontSize takes a font size: a length, a share of the parent's, or a word.
func (s *style) fontSize(value string) {
	n, unit, ok := px(value)
	switch {
	case !ok:
		if strings.HasSuffix(value, "small") || strings.HasSuffix(value, "large") || value == "medium" || strings.Contains(value, "(") {
			s.size = length{set: true, n: 16} // all of them can be read; nobody computes his way to nothing
		}
	case unit == "em" || unit == "ex" || unit == "ch":
		s.size = length{set: true, relative: true, n: float32(n / 16)}
	case unit == "%":
		s.size = length{set: true, relative: true, n: float32(n / 1600)}
	default:
		s.size = length{set: true, n: float32(n)}
	}
}

// font takes the size out of the shorthand: "bold 0/0 Arial".
func (s *style) font(value string) {
	for word := range strings.FieldsSeq(value) {
		word, _, _ = strings.Cut(word, "/")
		if n, unit, ok := px(word); ok && (unit != "" || n == 0) { // a lone number is a weight
			s.fontSize(word)
			return
		}
	}
}

// background takes the color out of the shorthand; with a picture nobody knows it.
func (s *style) background(value string) {
	if strings.Contains(value, "url(") || strings.Contains(value, "gradient(") {
		s.back = strange
		return
	}
	for rest := value; rest != ""; {
		var word string
		word, rest = cutOutside(rest, ' ')
		if c := readColor(word); c != 0 {
			s.back = c
			return
		}
	}
}
