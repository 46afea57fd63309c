package page

import (
	"fmt"
	"html/template"
	"slices"
	"strconv"
	"strings"
)

// Chart is a bar chart with a table of the same numbers. It is told apart by the
// order of the bars and by that table, not by colour alone.
type Chart struct {
	ID     string // unique on the page, letters only
	Title  string
	Desc   string   // one sentence for those who do not see it
	Series []string // names, the lowest of each bar first; eight have colours of their own
	Bars   []Bar    // oldest first
}

// Bar is one bar: a value for each series.
type Bar struct {
	Label  string
	Values []int64
}

// The drawing's own units: bars of 8 every 10, as high as 100.
const (
	barEvery, barWidth = 10, 8
	chartHeight        = 100
	leastHeight        = 2 // of what is not nothing
)

// drawing is a Chart with its geometry.
type drawing struct {
	Chart
	Top    int64 // the highest bar
	Width  int
	Height int
	Drawn  []drawnBar
}

type drawnBar struct {
	Bar
	Hint  string
	Parts []part
}

// part is a rectangle.
type part struct {
	Class     string
	X, W      int
	Y, Height string
}

// Chart draws c.
func (v *View) Chart(c Chart) (template.HTML, error) {
	d := drawing{Chart: c, Width: barEvery * max(1, len(c.Bars)), Height: chartHeight}
	for _, b := range c.Bars {
		d.Top = max(d.Top, sum(b.Values))
	}
	for i, b := range c.Bars {
		d.Drawn = append(d.Drawn, drawnBar{b, v.hint(c, b), parts(i, b, d.Top)})
	}
	var out strings.Builder
	err := chart.Execute(&out, v.With(d))
	return template.HTML(out.String()), err
}

func (v *View) hint(c Chart, b Bar) string {
	said := make([]string, len(b.Values))
	for i, n := range b.Values {
		said[i] = fmt.Sprintf("%s %s", c.Series[i], v.Number(n))
	}
	return b.Label + ": " + strings.Join(said, ", ")
}

// parts stacks the values of the i-th bar.
func parts(i int, b Bar, top int64) []part {
	var list []part
	y := float64(chartHeight)
	for s, n := range b.Values {
		if n <= 0 {
			continue
		}
		h := max(leastHeight, float64(n)/float64(top)*chartHeight)
		y = max(0, y-h)
		list = append(list, part{
			Class: "s" + strconv.Itoa(s%8), X: i*barEvery + (barEvery-barWidth)/2, W: barWidth,
			Y: decimal(y), Height: decimal(h),
		})
	}
	return list
}

func decimal(f float64) string { return strconv.FormatFloat(f, 'f', 2, 64) }

// Empty says that there is nothing to draw.
func (c Chart) Empty() bool {
	return !slices.ContainsFunc(c.Bars, func(b Bar) bool { return sum(b.Values) > 0 })
}

// Last is the place of the last bar.
func (c Chart) Last() int { return len(c.Bars) - 1 }

func sum(values []int64) (n int64) {
	for _, v := range values {
		n += v
	}
	return n
}

// Gauge draws how much of max is used; the numbers belong beside it.
func (v *View) Gauge(used, most int64) template.HTML {
	share := 100.0
	if most > 0 {
		share = min(100, max(0, float64(used)/float64(most)*100))
	}
	class := "part"
	switch {
	case share >= 100:
		class = "full"
	case share >= 80:
		class = "near"
	}
	return template.HTML(fmt.Sprintf(`<svg class="gauge" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true" focusable="false">`+
		`<rect class="track" width="100" height="4"/><rect class="%s" width="%s" height="4"/></svg>`, class, decimal(share)))
}
