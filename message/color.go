package message

import (
	"math"
	"strconv"
	"strings"
)

// color is RGB with a flag; 0 is not set.
type color uint32

const (
	known   color = 1 << 24
	strange color = 1 << 25 // set, but not to be compared: a picture, a function
	clear   color = 1 << 26 // transparent
	parents color = 1 << 27 // the parent's, said in so many words
	texts   color = 1 << 28 // of a background: the text's own
)

// step is what nobody sees of a channel's 255: #eee on #fff is the palest gray that
// three digits write, a contrast of 1.16 where WCAG 2.1 (1.4.3) wants 4.5. Faintest is the
// share of it, for what lets the background through.
const (
	step     = 0x11
	faintest = (step + 1) / 255.0
)

// near says whether nobody can tell the colors apart: each channel differs by one
// step at most.
func (c color) near(d color) bool {
	if c&known == 0 || d&known == 0 {
		return false
	}
	for shift := 0; shift < 24; shift += 8 {
		if a, b := int(c>>shift&255), int(d>>shift&255); max(a-b, b-a) > step {
			return false
		}
	}
	return true
}

// colorNames are those of CSS Color 4, 6.1.
var colorNames = func() map[string]color {
	const table = `aliceblue f0f8ff antiquewhite faebd7 aqua 00ffff aquamarine 7fffd4 azure f0ffff beige f5f5dc bisque ffe4c4
		black 000000 blanchedalmond ffebcd blue 0000ff blueviolet 8a2be2 brown a52a2a burlywood deb887 cadetblue 5f9ea0
		chartreuse 7fff00 chocolate d2691e coral ff7f50 cornflowerblue 6495ed cornsilk fff8dc crimson dc143c cyan 00ffff
		darkblue 00008b darkcyan 008b8b darkgoldenrod b8860b darkgray a9a9a9 darkgreen 006400 darkgrey a9a9a9 darkkhaki bdb76b
		darkmagenta 8b008b darkolivegreen 556b2f darkorange ff8c00 darkorchid 9932cc darkred 8b0000 darksalmon e9967a
		darkseagreen 8fbc8f darkslateblue 483d8b darkslategray 2f4f4f darkslategrey 2f4f4f darkturquoise 00ced1 darkviolet 9400d3
		deeppink ff1493 deepskyblue 00bfff dimgray 696969 dimgrey 696969 dodgerblue 1e90ff firebrick b22222 floralwhite fffaf0
		forestgreen 228b22 fuchsia ff00ff gainsboro dcdcdc ghostwhite f8f8ff gold ffd700 goldenrod daa520 gray 808080
		green 008000 greenyellow adff2f grey 808080 honeydew f0fff0 hotpink ff69b4 indianred cd5c5c indigo 4b0082 ivory fffff0
		khaki f0e68c lavender e6e6fa lavenderblush fff0f5 lawngreen 7cfc00 lemonchiffon fffacd lightblue add8e6 lightcoral f08080
		lightcyan e0ffff lightgoldenrodyellow fafad2 lightgray d3d3d3 lightgreen 90ee90 lightgrey d3d3d3 lightpink ffb6c1
		lightsalmon ffa07a lightseagreen 20b2aa lightskyblue 87cefa lightslategray 778899 lightslategrey 778899
		lightsteelblue b0c4de lightyellow ffffe0 lime 00ff00 limegreen 32cd32 linen faf0e6 magenta ff00ff maroon 800000
		mediumaquamarine 66cdaa mediumblue 0000cd mediumorchid ba55d3 mediumpurple 9370db mediumseagreen 3cb371
		mediumslateblue 7b68ee mediumspringgreen 00fa9a mediumturquoise 48d1cc mediumvioletred c71585 midnightblue 191970
		mintcream f5fffa mistyrose ffe4e1 moccasin ffe4b5 navajowhite ffdead navy 000080 oldlace fdf5e6 olive 808000
		olivedrab 6b8e23 orange ffa500 orangered ff4500 orchid da70d6 palegoldenrod eee8aa palegreen 98fb98 paleturquoise afeeee
		palevioletred db7093 papayawhip ffefd5 peachpuff ffdab9 peru cd853f pink ffc0cb plum dda0dd powderblue b0e0e6
		purple 800080 rebeccapurple 663399 red ff0000 rosybrown bc8f8f royalblue 4169e1 saddlebrown 8b4513 salmon fa8072
		sandybrown f4a460 seagreen 2e8b57 seashell fff5ee sienna a0522d silver c0c0c0 skyblue 87ceeb slateblue 6a5acd
		slategray 708090 slategrey 708090 snow fffafa springgreen 00ff7f steelblue 4682b4 tan d2b48c teal 008080 thistle d8bfd8
		tomato ff6347 turquoise 40e0d0 violet ee82ee wheat f5deb3 white ffffff whitesmoke f5f5f5 yellow ffff00 yellowgreen 9acd32`
	names := map[string]color{}
	words := strings.Fields(table)
	for i := 0; i < len(words); i += 2 {
		names[words[i]] = hexColor(words[i+1])
	}
	return names
}()

// readColor reads a color of CSS (in lower case) or of an old attribute.
func readColor(s string) color {
	s = strings.Trim(s, " \t\r\n")
	if s == "" {
		return 0
	}
	if c, ok := colorNames[s]; ok {
		return c
	}
	switch s {
	case "transparent":
		return clear
	case "inherit", "unset", "currentcolor":
		return parents
	case "initial", "canvastext", "windowtext", "fieldtext", "buttontext", "-webkit-text":
		return known
	case "canvas", "window", "field":
		return known | 0xffffff
	}
	if c := hexColor(strings.TrimPrefix(s, "#")); c != 0 {
		return c
	}
	if name, args, ok := strings.Cut(s, "("); ok {
		return colorFunction(name, strings.FieldsFunc(strings.TrimSuffix(args, ")"), func(r rune) bool { return r == ',' || r == ' ' || r == '/' }))
	}
	return 0 // browsers pass over it
}

// readBack reads a color of a background.
func readBack(s string) color {
	switch s {
	case "currentcolor":
		return texts
	case "initial", "unset", "revert", "revert-layer":
		return clear
	}
	return readColor(s)
}

// oldColor reads the color of an attribute. Browsers make some color of any text
// there (HTML 2.4.6).
func oldColor(value []byte) color {
	c := readColor(strings.ToLower(string(value)))
	if c == 0 && len(value) > 0 {
		return strange
	}
	return c
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
	case n&255 <= step:
		return clear
	}
	return known | color(n>>8)
}

// colorFunction reads rgb() and rgba(), and of hsl() what is nearly white or black.
func colorFunction(name string, args []string) color {
	if len(args) < 3 {
		return strange
	}
	if len(args) > 3 && amount(args[3]) < faintest {
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
