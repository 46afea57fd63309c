package message

import (
	"math"
	"strings"
)

// trait is something that a style says yes or no to.
type trait uint64

const (
	noBox       trait = 1 << iota // display: none
	inline                        // display: inline
	block                         // display: block and what else stands on lines of its own
	faint                         // opacity so low that nothing is seen
	indented                      // text-indent that moves it off the screen
	pulledOut                     // margin that does
	cutOut                        // clip: nothing of it is left
	shrunk                        // transform: scaled to nothing
	noHeight                      // height: 0
	noMaxHeight                   // max-height: 0
	noWidth                       // width: 0
	noMaxWidth                    // max-width: 0
	clipped                       // overflow: hidden
	lifted                        // position: absolute or fixed
	farAside                      // left or right so far that it is off the screen
	farUp                         // top or bottom so far
	invisible                     // visibility: hidden
	pictured                      // a picture is behind it

	// What only browsers know, a trait for each property so that none takes another's back.
	clippedX
	clippedY
	farLeft
	farRight
	farTop
	farBottom
	marginLeft
	marginTop
	paddingLeft
	clipPath
	mask
	filtered
	blended
	skipped
	animated
	onPath
	transformed
	scaled
	translated
	rotated
	zoomed
	spaced

	// What keeps text in view that other styles seem to hide; usual alone goes by it.
	padded   // padding, or a least height or width: there is room for text
	shadowed // a shadow or an outline shows letters of any color
	sized    // the size of the letters is not known

	displays = noBox | inline | block
	gone     = noBox | faint | indented | pulledOut | cutOut | shrunk | marginLeft | marginTop | paddingLeft | clipPath | mask | filtered |
		blended | skipped | animated | onPath | transformed | scaled | translated | rotated | zoomed | spaced
	flatness = noHeight | noMaxHeight | noWidth | noMaxWidth
	far      = farAside | farUp | farLeft | farRight | farTop | farBottom
)

// style is what the styles of an element say of whether it is seen. The zero
// value says nothing.
type style struct {
	yes, no trait
	size    length
	color   color
	back    color
	fill    color   // of the letters, whatever color says
	opacity float32 // in full's eyes; 0 for none said, as faint stands for less
}

// length is a font size: absolute in px, or relative to the parent's.
type length struct {
	set, relative bool
	n             float32
}

// over makes what the later style says count.
func (s *style) over(later *style) {
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
	if later.fill != 0 {
		s.fill = later.fill
	}
	if later.opacity != 0 {
		s.opacity = later.opacity
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
	return s.yes&gone != 0 || s.yes&flatness != 0 && s.yes&(clipped|clippedX|clippedY) != 0 || s.yes&far != 0 && s.yes&lifted != 0
}

// look is how an element's text comes out, its parents' styles and its own together.
type look struct {
	hidden    bool // for good
	silent    bool // and not by a style: it is no text of the letter
	boxless   bool // display: none
	invisible bool // until a child says otherwise
	pre       bool // line ends are line ends
	shadowed  bool // letters are seen whatever color they have
	size      float32
	fade      float32 // the opacities of all it stands in, multiplied
	color     color
	fill      color // of the letters where it is not color; 0 where it is
	back      color
}

// plainLook is that of a mail without styles: black on white.
var plainLook = look{size: 16, fade: 1, color: known, back: known | 0xffffff}

// with is the look of a child that has this style.
func (l look) with(s style) look {
	l.hidden = l.hidden || s.hides()
	l.boxless = l.boxless || s.yes&noBox != 0
	switch {
	case s.yes&invisible != 0:
		l.invisible = true
	case s.no&invisible != 0:
		l.invisible = false
	}
	switch {
	case s.yes&shadowed != 0:
		l.shadowed = true
	case s.no&shadowed != 0:
		l.shadowed = false
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
	if s.fill != 0 && s.fill != parents {
		l.fill = s.fill
	}
	switch s.back {
	case 0, clear, parents:
	case texts:
		l.back = l.color
	default:
		l.back = s.back
	}
	if s.opacity != 0 {
		l.fade *= s.opacity
	}
	if s.yes&pictured != 0 {
		l.back = strange
	}
	return l
}

// tiny is the size in px below which no letter can be told from another.
const tiny = 3

// boxSeen says whether pictures are seen, textSeen whether text is.
func (l look) boxSeen() bool { return !l.hidden && !l.invisible }
func (l look) textSeen() bool {
	ink := l.color
	if l.fill != 0 {
		ink = l.fill
	}
	return l.boxSeen() && l.size >= tiny && l.fade >= faintest && (l.shadowed || ink != clear && !ink.near(l.back))
}

// declare takes one declaration, in lower case. A value that is none leaves what
// was said before it.
func (s *style) declare(name, value string) {
	switch name {
	case "display":
		s.display(value)
	case "visibility":
		s.say(invisible, value, "hidden collapse", "visible initial revert")
	case "opacity":
		if n := amount(value); !math.IsNaN(n) {
			s.set(faint, n < faintest)
		}
	case "font-size":
		s.fontSize(value)
	case "font":
		s.font(value)
	case "color":
		if c := readColor(value); c != 0 {
			s.color = c
		}
	case "background-color":
		if c := readBack(value); c != 0 {
			s.back = c
		}
	case "all":
		s.reset(value)
	case "background", "background-image":
		s.background(value)
	case "height":
		s.flat(noHeight, value)
	case "max-height":
		s.flat(noMaxHeight, value)
	case "width":
		s.flat(noWidth, value)
	case "max-width":
		s.flat(noMaxWidth, value)
	case "overflow", "overflow-x", "overflow-y":
		first, second, _ := strings.Cut(value, " ")
		if second == "" || oneOf(strings.TrimSpace(second), "hidden clip visible auto scroll") {
			s.say(clipped, first, "hidden clip", "visible auto scroll initial unset revert")
		}
	default:
		s.place(name, value)
	}
}

// display takes what kind of box the element makes.
func (s *style) display(value string) {
	var is trait
	switch {
	case value == "none":
		is = noBox
	case strings.HasPrefix(value, "inline"), value == "initial", value == "unset":
		is = inline
	case strings.HasPrefix(value, "table"), strings.HasPrefix(value, "-"), strings.HasPrefix(value, "block "),
		oneOf(value, "block flex grid list-item flow-root grid-lanes math"):
		is = block
	case strings.HasPrefix(value, "ruby"), value == "run-in", value == "flow":
		is = inline
	case value != "contents" && value != "revert" && value != "revert-layer":
		return
	}
	s.no |= displays
	s.yes &^= displays
	s.yes |= is
	s.no &^= is
}

// say takes a value that is one of the words for yes, or of those for no.
func (s *style) say(t trait, value, yes, no string) {
	if isYes := oneOf(value, yes); isYes || oneOf(value, no) {
		s.set(t, isYes)
	}
}

func oneOf(value, words string) bool {
	for word := range strings.FieldsSeq(words) {
		if word == value {
			return true
		}
	}
	return false
}

// flat takes a length: so little that no letter has room, or more.
func (s *style) flat(t trait, value string) {
	n, unit, ok := px(value)
	if ok && (n < 0 || n != 0 && unit == "") { // is no length, the latter in a text with a doctype
		return
	}
	if ok || strings.Contains(value, "(") || oneOf(value, "auto none initial unset revert max-content min-content fit-content") {
		s.set(t, ok && n <= 1)
	}
}

// far takes a distance: beyond the edge of any window, to the left or above, or not.
func (s *style) far(t trait, value string) {
	n, unit, ok := px(value)
	if ok && n != 0 && unit == "" { // is none in a text with a doctype
		return
	}
	if ok || oneOf(value, "auto initial unset revert") {
		s.set(t, ok && n <= -500)
	}
}

// place takes the declarations that move an element off the screen.
func (s *style) place(name, value string) {
	switch name {
	case "position":
		s.say(lifted, value, "absolute fixed", "static relative sticky initial unset revert")
	case "left", "right":
		s.far(farAside, value)
	case "top", "bottom":
		s.far(farUp, value)
	case "text-indent":
		s.far(indented, value)
	case "margin-left", "margin-top":
		s.far(pulledOut, value)
	case "clip":
		s.set(cutOut, strings.HasPrefix(value, "rect(") && strings.Trim(value[5:], "01px, )") == "")
	case "transform":
		s.set(shrunk, strings.HasPrefix(value, "scale(0)") || strings.HasPrefix(value, "scale(0,"))
	}
}

// fontSize takes a font size: a length, a share of the parent's, or a word.
func (s *style) fontSize(value string) {
	n, unit, ok := px(value)
	switch {
	case !ok:
		words := oneOf(value, "xx-small x-small small medium large x-large xx-large xxx-large initial revert")
		if words || strings.Contains(value, "(") {
			s.size = length{set: true, n: 16} // all of them can be read; nobody computes his way to nothing
		}
	case n < 0: // is no size
	case unit == "em" || unit == "ex" || unit == "ch":
		s.size = length{set: true, relative: true, n: float32(n / 16)}
	case unit == "%":
		s.size = length{set: true, relative: true, n: float32(n / 1600)}
	default:
		s.size = length{set: true, n: float32(n)}
	}
}

// font takes the size out of the shorthand: "bold 0/0 Arial". Without a family it is none.
func (s *style) font(value string) {
	words := strings.Fields(value)
	for _, word := range words[:max(0, len(words)-1)] {
		word, _, _ = strings.Cut(word, "/")
		if n, unit, ok := px(word); ok && (unit != "" || n == 0) { // a lone number is a weight
			s.fontSize(word)
			return
		}
	}
}

// background takes the color out of the shorthand. Where a picture is, nobody knows
// the color behind the text.
func (s *style) background(value string) {
	picture := strings.Contains(value, "url(") || strings.Contains(value, "gradient(")
	s.set(pictured, picture)
	for rest := value; rest != ""; {
		var word string
		word, rest = cutOutside(rest, ' ')
		if c := readBack(word); c != 0 {
			s.back = c
			return
		}
	}
}

// reset takes the shorthand of all there is.
func (s *style) reset(value string) {
	if oneOf(value, "initial unset revert revert-layer") {
		*s = style{no: ^trait(0), size: length{set: true, relative: true, n: 1}, color: parents, back: clear, opacity: 1}
	}
}
