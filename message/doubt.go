package message

import (
	"math"
	"slices"
	"strings"
)

// What is seen is asked of three readers. Text that one of them shows is the letter's;
// what all but the last show is surely seen, and only that can be a way out.
//
//   - usual knows what every mail program does: the old properties, and selectors of
//     one tag, class or id;
//   - full knows what browsers do beyond that. Where it cannot tell a value, that
//     hides for it and shows for usual;
//   - wide is full on screens for which a media query holds that does not for all.
const (
	usual = iota
	full
	wide
	readers
)

// pair is what a style says to usual and to the other two.
type pair struct {
	usual, full style
	opened      trait // of usual: what a value that is not known may show again, whoever knows the selector
}

func (p *pair) of(reader int) *style {
	if reader == usual {
		return &p.usual
	}
	return &p.full
}

// styles are what they say of an element, looks how its text comes out.
type (
	styles [readers]style
	looks  [readers]look
)

func (l looks) with(s *styles) looks {
	if *s == (styles{}) {
		return l
	}
	if !s[usual].size.relative && s[usual] == s[full] && s[full] == s[wide] && l[usual] == l[full] && l[full] == l[wide] {
		one := l[usual].with(s[usual]) // in usual nothing is to be revealed
		return looks{one, one, one}
	}
	l[usual], l[full] = l[usual].with(s[usual]), l[full].with(s[full])
	from := l[wide].size
	l[wide] = l[wide].with(s[wide].revealed())
	if s[wide].size.relative && from > 0 {
		l[wide].size = max(l[wide].size, leastRelative)
	}
	return l
}

// leastRelative is the least, in px, that Chromium makes of a share of a font size.
const leastRelative = 6

// revealed is the style without what may be undone: an animation shows in the end what
// was hidden at first, a transform brings back what was moved away.
func (s style) revealed() style {
	switch {
	case s.yes&animated != 0:
		s.yes &= displays &^ noBox
		s.no |= invisible
		s.size, s.color, s.opacity = length{set: true, n: 16}, strange, 1
	case s.yes&(onPath|transformed|translated) != 0:
		s.yes &^= far | indented | pulledOut | marginLeft | marginTop | paddingLeft | onPath | transformed | translated
	}
	return s
}

// ask says whether anybody sees it, and whether surely.
func (l *looks) ask(seen func(look) bool) (any, surely bool) {
	surely = seen(l[usual]) && seen(l[full])
	return surely || slices.ContainsFunc(l[:], seen), surely
}

// declare takes one declaration, in lower case.
func (p *pair) declare(name, value string) {
	value = computed(value)
	p.usual.declare(name, value)
	p.usual.show(name, value)
	if isOpen(value) {
		p.opened |= opens(name)
		p.full.flip(name)
		return
	}
	p.full.declare(name, value)
	p.full.more(name, value)
}

// isOpen says whether the value depends on what is not known here.
func isOpen(value string) bool {
	for _, open := range []string{"var(", "env(", "attr(", "calc(", "min(", "max(", "clamp(", "if("} {
		for rest := value; ; {
			i := strings.Index(rest, open)
			if i < 0 {
				break
			}
			if i == 0 || !isWord(rest[i-1]) {
				return true
			}
			rest = rest[i+len(open):]
		}
	}
	return false
}

// hiding are the traits that a property decides, several for a shorthand.
var hiding = map[string]trait{
	"display": noBox, "visibility": invisible, "opacity": faint, "position": lifted, "clip": cutOut, "text-indent": indented,
	"height": noHeight, "max-height": noMaxHeight, "width": noWidth, "max-width": noMaxWidth,
	"block-size": noHeight, "max-block-size": noMaxHeight, "inline-size": noWidth, "max-inline-size": noMaxWidth,
	"overflow": clippedX | clippedY, "overflow-x": clippedX, "overflow-y": clippedY, "contain": clippedX,
	"left": farLeft, "right": farRight, "top": farTop, "bottom": farBottom, "inset": farLeft | farRight | farTop | farBottom,
	"inset-inline": farLeft | farRight, "inset-inline-start": farLeft, "inset-inline-end": farRight,
	"inset-block": farTop | farBottom, "inset-block-start": farTop, "inset-block-end": farBottom,
	"margin": marginLeft | marginTop, "margin-left": marginLeft, "margin-inline": marginLeft, "margin-inline-start": marginLeft,
	"margin-top": marginTop, "margin-block": marginTop, "margin-block-start": marginTop,
	"padding": paddingLeft, "padding-left": paddingLeft, "padding-inline": paddingLeft, "padding-inline-start": paddingLeft,
	"clip-path": clipPath, "mask": mask, "mask-image": mask, "mask-box-image": mask, "mask-border": mask, "filter": filtered, "mix-blend-mode": blended,
	"content-visibility": skipped, "animation": animated, "animation-name": animated, "offset": onPath, "offset-path": onPath,
	"transform": transformed, "scale": scaled, "translate": translated, "rotate": rotated, "zoom": zoomed, "letter-spacing": spaced, "word-spacing": spaced,
}

// opens are the traits of usual that a value of the property decides.
func opens(name string) trait {
	switch name {
	case "color", "-webkit-text-fill-color", "background", "background-color":
		return shadowed
	case "font-size", "font":
		return sized
	case "all":
		return gone | flatness | far | invisible | shadowed | sized
	}
	return withOld(hiding[strings.TrimPrefix(name, "-webkit-")])
}

// withOld adds to traits that browsers know those of old properties which they take back.
func withOld(t trait) trait {
	for _, two := range [...][2]trait{{clippedX | clippedY, clipped}, {farLeft | farRight, farAside}, {farTop | farBottom, farUp}, {marginLeft, pulledOut}, {transformed | scaled, shrunk}} {
		if t&two[0] != 0 {
			t |= two[1]
		}
	}
	return t
}

// reveal shows what a value that is not known may show.
func (s *style) reveal(opened trait) {
	if opened == 0 {
		return
	}
	s.set(opened&^(shadowed|sized), false)
	s.yes |= opened & shadowed
	if opened&sized != 0 {
		s.size = length{set: true, n: 16}
	}
}

// flip takes a value that nobody here knows for one that hides, so that full and usual, to
// whom it shows, disagree.
func (s *style) flip(name string) {
	switch name {
	case "color":
		s.color = clear
	case "-webkit-text-fill-color":
		s.fill = clear
	case "background", "background-color":
		s.back = texts
	case "font-size", "font": // usual has taken it for one that can be read
		s.size = length{set: true}
	default:
		s.set(hiding[strings.TrimPrefix(name, "-webkit-")], true)
	}
}

// more takes what browsers know beyond mail programs.
func (s *style) more(name, value string) {
	name = strings.TrimPrefix(name, "-webkit-")
	t := hiding[name]
	switch name {
	case "text-fill-color":
		if c := readColor(value); c != 0 {
			s.fill = c
		}
	case "color":
		if c := functionColor(value); c != 0 {
			s.color = c
		}
	case "background", "background-image":
		if c := gradientColor(value); c != 0 {
			s.back = c
			s.set(pictured, false)
		}
	case "opacity":
		if n := amount(value); n >= faintest {
			s.opacity = float32(min(n, 1))
		}
	case "clip-path", "mask", "mask-image", "mask-box-image", "mask-border", "filter", "animation", "animation-name", "offset", "offset-path":
		s.set(t, !oneOf(value, "none initial unset revert auto"))
	case "mix-blend-mode":
		s.set(t, value != "normal")
	case "content-visibility":
		s.set(t, value == "hidden")
	case "transform", "scale", "translate", "rotate":
		s.set(t, movesAway(name, value))
	case "zoom":
		n := amount(value)
		s.set(t, n > 0 && n < 0.3)
	case "letter-spacing", "word-spacing":
		n, _, ok := px(value)
		s.set(t, ok && (n <= -4 || n >= 500))
	case "clip":
		s.set(t, cutsAll(value))
	default:
		s.morePlaces(name, value, t)
	}
}

// morePlaces takes lengths as browsers know them.
func (s *style) morePlaces(name, value string, t trait) {
	switch {
	case t&flatness != 0:
		if n, _, ok := px(value); ok {
			s.set(t, n <= 5) // that shows the edge of a letter
		}
	case name == "contain":
		s.set(t, value != "none")
	case name == "position":
		s.set(t, oneOf(value, "absolute fixed relative sticky"))
	case t&(clippedX|clippedY) != 0:
		s.set(t, strings.Contains(value, "hidden") || strings.Contains(value, "clip") || strings.Contains(value, "auto") || strings.Contains(value, "scroll"))
	case t&far != 0:
		s.moved(t, value, 1000)
	case t == marginTop:
		s.moved(t, value, math.Inf(1)) // one can scroll there
	case t&(indented|marginLeft|paddingLeft) != 0:
		s.moved(t, value, 2000)
	}
}

// moved takes one or more distances, of which one leads out of view.
func (s *style) moved(t trait, value string, most float64) {
	known, away := false, false
	for word := range strings.FieldsSeq(value) {
		n, _, ok := px(word)
		known = known || ok || oneOf(word, "auto initial unset revert")
		away = away || ok && (n <= -500 || n >= most)
	}
	switch {
	case away:
		s.set(t, true)
	case known:
		s.set(withOld(t), false)
	}
}

// cutsAll: rect() whose sides leave no room between them.
func cutsAll(value string) bool {
	inside, ok := strings.CutPrefix(value, "rect(")
	if !ok {
		return false
	}
	var sides []float64
	for word := range strings.FieldsFuncSeq(strings.TrimSuffix(inside, ")"), func(r rune) bool { return r == ',' || r == ' ' }) {
		n, _, ok := px(word)
		if !ok {
			n = math.NaN() // auto
		}
		sides = append(sides, n)
	}
	return len(sides) == 4 && (sides[2]-sides[0] <= 5 || sides[1]-sides[3] <= 5)
}

// movesAway says whether a transform may leave nothing in view: it scales to less than a
// third, moves far, or turns otherwise than in the plane.
func movesAway(property, value string) bool {
	if oneOf(value, "none initial unset revert") {
		return false
	}
	if property != "transform" {
		value = property + "(" + value + ")"
	}
	for value != "" {
		name, args, ok := strings.Cut(value, "(")
		if !ok {
			return false
		}
		args, value, _ = strings.Cut(args, ")")
		numbers := strings.FieldsFunc(args, func(r rune) bool { return r == ',' || r == ' ' })
		if !isGentle(strings.TrimSpace(name), numbers) {
			return true
		}
	}
	return false
}

func isGentle(name string, args []string) bool {
	within := func(from, to float64) bool {
		return !slices.ContainsFunc(args, func(arg string) bool {
			n, unit, ok := px(arg)
			if unit == "%" && strings.HasPrefix(name, "scale") {
				n /= 1600
			}
			return !ok || n < from || n > to
		})
	}
	switch {
	case strings.HasPrefix(name, "translate"):
		return within(-1600, 1600)
	case strings.HasPrefix(name, "scale"):
		return within(1.0/3, 10)
	}
	return (name == "rotate" || name == "rotatez") && len(args) == 1
}

// functionColor is a color by the functions that mail programs do not know: nearly white,
// nearly black, another one, or none that can be told. 0 for what is no such function.
func functionColor(value string) color {
	name, inside, ok := strings.Cut(value, "(")
	if !ok {
		return 0
	}
	args := strings.FieldsFunc(strings.TrimSuffix(inside, ")"), func(r rune) bool { return r == ',' || r == ' ' || r == '/' })
	if len(args) < 3 || args[0] == "from" {
		return clear
	}
	if len(args) > 3 && name != "color" && amount(args[3]) < faintest {
		return clear
	}
	light := amount(args[0])
	switch name {
	case "rgb", "rgba", "hsl", "hsla":
		return 0
	case "lab", "lch":
		if !strings.HasSuffix(args[0], "%") {
			light /= 100
		}
		return grayOf(light)
	case "oklab", "oklch":
		return grayOf(light)
	case "hwb":
		if white := amount(args[1]); white > 0.93 || amount(args[2]) > 0.97 {
			return grayOf(white)
		}
		return strange
	case "color":
		if len(args) < 4 {
			return clear
		}
		return grayOf((amount(args[1]) + amount(args[2]) + amount(args[3])) / 3)
	}
	return clear
}

// grayOf is white or black where the lightness leaves no other, and else something.
func grayOf(light float64) color {
	switch {
	case light > 0.97:
		return known | 0xffffff
	case light < 0.03:
		return known
	}
	return strange
}

// gradientColor is the color of a gradient whose colors nobody tells apart; 0 for others,
// and where there is a picture.
func gradientColor(value string) color {
	if !strings.Contains(value, "gradient(") || strings.Contains(value, "url(") {
		return 0
	}
	_, inside, _ := strings.Cut(value, "gradient(")
	var first color
	for word := range strings.FieldsFuncSeq(inside, func(r rune) bool { return r == ',' || r == ' ' || r == ')' || r == '(' }) {
		switch c := readColor(word); {
		case c&known == 0:
		case first == 0:
			first = c
		case !first.near(c):
			return 0
		}
	}
	return first
}
