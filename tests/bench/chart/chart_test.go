package chart

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestSVG: what is drawn is XML, says what it should, and nothing is off the paper.
func TestSVG(t *testing.T) {
	c := Chart{
		Title: "Cost & <growth>", X: Axis{Label: "sessions", Log: true, Ticks: []float64{1, 4, 16}}, Y: Axis{Label: "ms", Log: true},
		Lines: []Line{
			{Name: "a & b", Points: []Point{{1, 0.4}, {4, 3}, {16, 700}}},
			{Name: "c", Colour: 1, Dashed: true, Points: []Point{{1, 1}}},
		},
	}
	text := string(c.SVG())
	for _, want := range []string{"Cost &amp; &lt;growth&gt;", "a &amp; b: 700", ">sessions<", ">ms<", ">16<", ">1k<", "prefers-color-scheme"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in it", want)
		}
	}
	if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
		t.Errorf("no numbers: %s", text)
	}
	d := xml.NewDecoder(strings.NewReader(text))
	circles := 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, is := token.(xml.StartElement); is {
			switch e.Name.Local {
			case "circle":
				circles++
			case "line":
				hasLength(t, e)
			}
		}
	}
	if circles != 4 {
		t.Errorf("%d points; want 4", circles)
	}
}

// hasLength wants a line of the grid to go from one side to the other.
func hasLength(t *testing.T, line xml.StartElement) {
	t.Helper()
	at := map[string]string{}
	for _, a := range line.Attr {
		at[a.Name.Local] = a.Value
	}
	if (at["x1"] == at["x2"]) == (at["y1"] == at["y2"]) {
		t.Errorf("a line of the grid: %v", at)
	}
}

func TestScale(t *testing.T) {
	s := newScale(Axis{Log: true, Ticks: []float64{1, 100}}, []float64{10}, 0, 200)
	for v, want := range map[float64]float64{1: 0, 10: 100, 100: 200} {
		if got := s.at(v); math.Abs(got-want) > 1e-9 {
			t.Errorf("%v is at %v; want %v", v, got, want)
		}
	}
	s = newScale(Axis{}, []float64{30, 80}, 400, 0)
	if got := s.at(0); got != 400 {
		t.Errorf("0 is at %v; want 400", got)
	}
	if s = newScale(Axis{Log: true, Ticks: []float64{5}}, []float64{5}, 0, 100); s.at(5) != 50 {
		t.Errorf("the only value is at %v; want 50", s.at(5))
	}
}

func TestTicks(t *testing.T) {
	for _, tt := range []struct {
		low, high float64
		log       bool
		want      []float64
	}{
		{30, 80, false, []float64{0, 20, 40, 60, 80}},
		{1, 395, false, []float64{0, 100, 200, 300, 400}},
		{0.3, 0.9, false, []float64{0, 0.2, 0.4, 0.6, 0.8, 1}},
		{3, 70, true, []float64{2, 5, 10, 20, 50, 100}},
		{1, 100, true, []float64{1, 2, 5, 10, 20, 50, 100}},
		{0.5, 40_000, true, []float64{0.1, 1, 10, 100, 1000, 10_000, 100_000}},
	} {
		got := ticks(tt.low, tt.high, tt.log)
		if diff := cmp.Diff(tt.want, got, cmpopts.EquateApprox(1e-9, 0)); diff != "" {
			t.Errorf("%v to %v, log %v: %s", tt.low, tt.high, tt.log, diff)
		}
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.05: "0.05", 16: "16", 256: "256", 1000: "1k", 1500: "1.5k", 1e6: "1M"} {
		if got := Number(v); got != want {
			t.Errorf("%v: %s; want %s", v, got, want)
		}
	}
}
