package message

import (
	"bytes"
	"math"
	"strconv"
	"strings"
)

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
	if s.color != 0 {
		l.color = s.color
	}
	if s.back != 0 && s.back != clear {
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

// color is RGB with a flag; 0 is not set.
type color uint32

const (
	known   color = 1 << 24
	strange color = 1 << 25 // set, but not to be compared: a picture, an unknown name
	clear   color = 1 << 26 // transparent
)

// near says whether nobody can tell the colors apart: each channel differs by a
// sixteenth of its range at most.
func (c color) near(d color) bool {
	if c&known == 0 || d&known == 0 {
		return false
	}
	for shift := 0; shift < 24; shift += 8 {
		if a, b := int(c>>shift&255), int(d>>shift&255); max(a-b, b-a) > 16 {
			return false
		}
	}
	return true
}

var colorNames = map[string]color{
	"white": 0xffffff, "black": 0, "red": 0xff0000, "lime": 0xff00, "green": 0x8000, "blue": 0xff, "yellow": 0xffff00,
	"gray": 0x808080, "grey": 0x808080, "silver": 0xc0c0c0, "maroon": 0x800000, "navy": 0x80, "purple": 0x800080, "teal": 0x8080,
	"olive": 0x808000, "aqua": 0xffff, "cyan": 0xffff, "fuchsia": 0xff00ff, "magenta": 0xff00ff, "orange": 0xffa500,
	"snow": 0xfffafa, "ivory": 0xfffff0, "ghostwhite": 0xf8f8ff, "whitesmoke": 0xf5f5f5, "floralwhite": 0xfffaf0,
	"azure": 0xf0ffff, "mintcream": 0xf5fffa, "aliceblue": 0xf0f8ff, "honeydew": 0xf0fff0, "seashell": 0xfff5ee,
	"gainsboro": 0xdcdcdc, "lightgray": 0xd3d3d3, "lightgrey": 0xd3d3d3, "darkgray": 0xa9a9a9, "darkgrey": 0xa9a9a9,
	"dimgray": 0x696969, "darkblue": 0x8b, "darkred": 0x8b0000, "beige": 0xf5f5dc, "linen": 0xfaf0e6, "lavender": 0xe6e6fa,
}

// readColor reads a color of CSS (in lower case) or of an old attribute.
func readColor(s string) color {
	s = strings.Trim(s, " \t\r\n")
	if s == "" {
		return 0
	}
	if rgb, ok := colorNames[s]; ok {
		return known | rgb
	}
	switch s {
	case "transparent":
		return clear
	case "inherit", "initial", "unset", "currentcolor", "none":
		return 0
	}
	if c := hexColor(strings.TrimPrefix(s, "#")); c != 0 {
		return c
	}
	if name, args, ok := strings.Cut(s, "("); ok {
		return colorFunction(name, strings.FieldsFunc(strings.TrimSuffix(args, ")"), func(r rune) bool { return r == ',' || r == ' ' || r == '/' }))
	}
	return strange
}

// hexColor reads the digits of #rgb, #rgba, #rrggbb and #rrggbbaa.
func hexColor(s string) color {
	if len(s) == 3 || len(s) == 4 {
		var wide [8]byte
		for i := range len(s) {
			wide[2*i], wide[2*i+1] = s[i], s[i]
		}
		s = string(wide[:2*len(s)])
	}
	if len(s) != 6 && len(s) != 8 {
		return 0
	}
	n, err := strconv.ParseUint(s, 16, 32)
	switch {
	case err != nil:
		return 0
	case len(s) == 6:
		return known | color(n)
	case n&255 < 13: // a twentieth
		return clear
	}
	return known | color(n>>8)
}

// colorFunction reads rgb() and rgba(), and of hsl() what is nearly white or black.
func colorFunction(name string, args []string) color {
	if len(args) < 3 {
		return strange
	}
	if len(args) > 3 && amount(args[3]) < 0.05 {
		return clear
	}
	switch name {
	case "rgb", "rgba":
		c := known
		for i, arg := range args[:3] {
			n := amount(arg)
			if strings.HasSuffix(arg, "%") {
				n *= 255
			}
			c |= color(min(max(n, 0), 255)) << (16 - 8*i)
		}
		return c
	case "hsl", "hsla":
		switch light := amount(args[2]); {
		case light > 0.97:
			return known | 0xffffff
		case light < 0.03:
			return known
		}
	}
	return strange
}

// amount is a number, or a percentage as a share of 1; NaN when it is none.
func amount(s string) float64 {
	number, percent := strings.CutSuffix(strings.Trim(s, " \t\r\n"), "%")
	n, err := strconv.ParseFloat(number, 64)
	switch {
	case err != nil:
		return math.NaN()
	case percent:
		return n / 100
	}
	return n
}

// parseStyle reads the declarations of a style attribute or rule; important has
// those that are marked so.
func parseStyle(css []byte) (normal, important style) {
	text := string(bytes.ToLower(tidyCSS(css)))
	for text != "" {
		var one string
		one, text = cutOutside(text, ';')
		name, value, ok := strings.Cut(one, ":")
		if !ok {
			continue
		}
		name = strings.Trim(name, " \t\r\n")
		value, marked := strings.CutSuffix(strings.Trim(value, " \t\r\n"), "important")
		if value = strings.TrimRight(value, " \t\r\n"); marked && strings.HasSuffix(value, "!") {
			important.declare(name, strings.TrimRight(value[:len(value)-1], " \t\r\n"))
		} else if !marked {
			normal.declare(name, value)
		}
	}
	return normal, important
}

// cutOutside cuts s around the first sep that is in neither brackets nor quotes.
func cutOutside(s string, sep byte) (before, after string) {
	var quote byte
	depth := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case c == sep && depth == 0:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
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
		s.color = readColor(value)
	case "background-color":
		s.back = readColor(value)
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

// px is a CSS length in px; relative ones as if of 16 px, and percentages of 1,600.
func px(value string) (n float64, unit string, ok bool) {
	i := 0
	for i < len(value) && strings.IndexByte("+-.0123456789", value[i]) >= 0 {
		i++
	}
	n, err := strconv.ParseFloat(value[:i], 64)
	if err != nil {
		return 0, "", false
	}
	unit = value[i:]
	switch unit {
	case "pt":
		n *= 4.0 / 3
	case "em", "rem", "ex", "ch", "%", "vw", "vh":
		n *= 16
	case "in", "cm", "pc", "mm":
		n *= 4 // the least of them
	}
	return n, unit, true
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
		if c := readColor(word); c != 0 && c != strange {
			s.back = c
			return
		}
	}
}

// tidyCSS drops comments and undoes escapes (CSS Syntax 3, 4.3.7).
func tidyCSS(css []byte) []byte {
	if bytes.IndexByte(css, '\\') < 0 && !bytes.Contains(css, []byte("/*")) {
		return css
	}
	out := make([]byte, 0, len(css))
	for i := 0; i < len(css); i++ {
		switch {
		case bytes.HasPrefix(css[i:], []byte("/*")):
			end := bytes.Index(css[i+2:], []byte("*/"))
			if end < 0 {
				return out
			}
			i += end + 3
		case css[i] == '\\' && i+1 < len(css):
			n := i + 1
			code := 0
			for n < len(css) && n < i+7 && unhex(css[n]) < 16 {
				code = code<<4 | int(unhex(css[n]))
				n++
			}
			if n == i+1 { // any other character stands for itself
				continue
			}
			out = append(out, string(rune(code))...)
			if n < len(css) && css[n] == ' ' {
				n++
			}
			i = n - 1
		default:
			out = append(out, css[i])
		}
	}
	return out
}
