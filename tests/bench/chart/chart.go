// Package chart draws lines as SVG that can be read on white and on black paper: the
// colours follow the reader's (prefers-color-scheme).
package chart

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Chart is a drawing of series.
type Chart struct {
	Title string
	X, Y  Axis
	Lines []Line // four at most: the legend has two rows
}

// Axis is one of the two.
type Axis struct {
	Label string // with the unit
	Log   bool
	Ticks []float64 // empty: chosen
}

// Line is one series. Lines of one kind have the same colour.
type Line struct {
	Name   string
	Colour int // 0 to 2
	Dashed bool
	Points []Point
}

// Point is one of a line; both above 0 where the axis is logarithmic.
type Point struct{ X, Y float64 }

// Sizes in pixels.
const (
	width, height            = 760, 420
	left, right, top, bottom = 74, 20, 78, 56
	perRow, column           = 2, 230 // of the legend
)

// style has the colours for light and dark, which who sees no red or green tells apart, too.
const style = `text{font:13px system-ui,sans-serif;fill:var(--ink)}.t{font-weight:600;font-size:15px}.g{stroke:var(--grid)}.a{stroke:var(--ink)}` +
	`.l{fill:none;stroke-width:2.2}.p{stroke:none}.d{stroke-dasharray:7 5}` +
	`svg{--ink:#24292f;--grid:#d8dee4;--c0:#0b62c4;--c1:#c2410c;--c2:#0f766e;background:#fff}` +
	`@media(prefers-color-scheme:dark){svg{--ink:#e6edf3;--grid:#3d444d;--c0:#6cb6ff;--c1:#ff9a5c;--c2:#5eead4;background:#0d1117}}` +
	`.c0{stroke:var(--c0)}.c1{stroke:var(--c1)}.c2{stroke:var(--c2)}.p.c0{fill:var(--c0)}.p.c1{fill:var(--c1)}.p.c2{fill:var(--c2)}`

// SVG is the drawing.
func (c Chart) SVG() []byte {
	var b bytes.Buffer
	x := newScale(c.X, c.values(func(p Point) float64 { return p.X }), left, width-right)
	y := newScale(c.Y, c.values(func(p Point) float64 { return p.Y }), height-bottom, top)
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="%s"><style>%s</style>`+"\n", width, height, escape(c.Title), style)
	text(&b, left, 22, `class="t"`, c.Title)
	for _, t := range x.ticks {
		at := x.at(t)
		fmt.Fprintf(&b, `<line class="g" x1="%.1f" y1="%d" x2="%.1[1]f" y2="%[3]d"/>`+"\n", at, top, height-bottom)
		text(&b, at, height-bottom+20, `text-anchor="middle"`, Number(t))
	}
	for _, t := range y.ticks {
		at := y.at(t)
		fmt.Fprintf(&b, `<line class="g" x1="%d" y1="%.1f" x2="%d" y2="%.1[2]f"/>`+"\n", left, at, width-right)
		text(&b, left-8, at+4, `text-anchor="end"`, Number(t))
	}
	fmt.Fprintf(&b, `<path class="a" fill="none" d="M%d %dV%dH%d"/>`+"\n", left, top, height-bottom, width-right)
	text(&b, (left+width-right)/2, height-12, `text-anchor="middle"`, c.X.Label)
	text(&b, 0, 0, fmt.Sprintf(`text-anchor="middle" transform="translate(18 %d) rotate(-90)"`, (top+height-bottom)/2), c.Y.Label)
	for i, l := range c.Lines {
		l.draw(&b, x, y)
		l.name(&b, i)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func (c Chart) values(of func(Point) float64) (list []float64) {
	for _, l := range c.Lines {
		for _, p := range l.Points {
			list = append(list, of(p))
		}
	}
	return list
}

func (l Line) class() string {
	if l.Dashed {
		return fmt.Sprintf("l c%d d", l.Colour)
	}
	return fmt.Sprintf("l c%d", l.Colour)
}

func (l Line) draw(b *bytes.Buffer, x, y scale) {
	var path []string
	for _, p := range l.Points {
		path = append(path, fmt.Sprintf("%.1f,%.1f", x.at(p.X), y.at(p.Y)))
	}
	fmt.Fprintf(b, `<polyline class="%s" points="%s"/>`+"\n", l.class(), strings.Join(path, " "))
	for _, p := range l.Points {
		fmt.Fprintf(b, `<circle class="p c%d" cx="%.1f" cy="%.1f" r="3.5"><title>%s: %s</title></circle>`+"\n", l.Colour, x.at(p.X), y.at(p.Y), escape(l.Name), Number(p.Y))
	}
}

// name is the line's place in the legend.
func (l Line) name(b *bytes.Buffer, i int) {
	x, y := left+i%perRow*column, 42+i/perRow*18
	fmt.Fprintf(b, `<path class="%s" d="M%d %dh26"/>`+"\n", l.class(), x, y-4)
	text(b, float64(x+32), float64(y), "", l.Name)
}

func text(b *bytes.Buffer, x, y float64, attributes, s string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" %s>%s</text>`+"\n", x, y, attributes, escape(s))
}

func escape(s string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(s)) // to memory: no error
	return b.String()
}

// scale is where on the paper a value is.
type scale struct {
	low, high float64 // as they are, or their logarithms
	log       bool
	from, to  float64 // pixels
	ticks     []float64
}

func newScale(a Axis, values []float64, from, to float64) scale {
	s := scale{log: a.Log, from: from, to: to, ticks: a.Ticks, low: math.Inf(1), high: math.Inf(-1)}
	for _, v := range append(values, a.Ticks...) {
		s.low, s.high = min(s.low, v), max(s.high, v)
	}
	if len(s.ticks) == 0 {
		s.ticks = ticks(s.low, s.high, a.Log)
		s.low, s.high = min(s.low, s.ticks[0]), max(s.high, s.ticks[len(s.ticks)-1])
	}
	if a.Log {
		s.low, s.high = math.Log10(s.low), math.Log10(s.high)
	}
	if s.low == s.high { // one value: in the middle
		s.low, s.high = s.low-1, s.high+1
	}
	return s
}

func (s scale) at(v float64) float64 {
	if s.log {
		v = math.Log10(v)
	}
	return s.from + (v-s.low)/(s.high-s.low)*(s.to-s.from)
}

// ticks are round numbers from one at most low to one at least high.
func ticks(low, high float64, log bool) []float64 {
	if log {
		return decades(low, high)
	}
	step := math.Pow(10, math.Floor(math.Log10(max(high, 1e-9)/4)))
	for _, factor := range []float64{1, 2, 5, 10} {
		if high/(step*factor) <= 6 {
			step *= factor
			break
		}
	}
	list := []float64{0} // a line that is not on a logarithmic scale begins at nothing
	for list[len(list)-1] < high {
		list = append(list, step*float64(len(list)))
	}
	return list
}

// decades are powers of ten; with twice and five times of each where there are few.
func decades(low, high float64) (list []float64) {
	factors := []float64{1}
	if high/low < 1000 {
		factors = []float64{1, 2, 5}
	}
	var all []float64
	for e := math.Floor(math.Log10(low)); len(all) == 0 || all[len(all)-1] < high; e++ {
		for _, f := range factors {
			all = append(all, f*math.Pow(10, e))
		}
	}
	for i, t := range all {
		if (i+1 < len(all) && all[i+1] <= low) || (i > 0 && all[i-1] >= high) {
			continue
		}
		list = append(list, t)
	}
	return list
}

// Number is short: 0.05, 1.5, 20, 3k, 1M.
func Number(v float64) string {
	for _, u := range []struct {
		from float64
		name string
	}{{1e6, "M"}, {1e3, "k"}} {
		if v >= u.from {
			return strconv.FormatFloat(v/u.from, 'g', 3, 64) + u.name
		}
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}
