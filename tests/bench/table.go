package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// table is one in Markdown. The first column is text, the others are numbers.
type table struct {
	head []string
	rows [][]string
}

func newTable(head ...string) *table { return &table{head: head} }

func (t *table) row(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) String() string {
	var b strings.Builder
	write := func(cells []string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	write(t.head)
	b.WriteString("|---|" + strings.Repeat("--:|", len(t.head)-1) + "\n")
	for _, r := range t.rows {
		write(r)
	}
	return b.String()
}

// number has three figures, and all before the point: 0.0512, 5.12, 51.2, 51,234.
func number(f float64) string {
	switch a := math.Abs(f); {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return "?"
	case a >= 100:
		return thousands(int64(math.Round(f)))
	case a == 0:
		return "0"
	default:
		return strconv.FormatFloat(f, 'f', max(0, 2-int(math.Floor(math.Log10(a)))), 64)
	}
}

func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// octets is a size in words.
func octets(n int64) string {
	for _, u := range []struct {
		unit  string
		bytes int64
	}{{"GB", 1 << 30}, {"MB", 1 << 20}, {"KB", 1 << 10}} {
		switch {
		case n >= u.bytes && n%u.bytes == 0:
			return fmt.Sprintf("%d %s", n/u.bytes, u.unit)
		case n >= u.bytes:
			return number(float64(n)/float64(u.bytes)) + " " + u.unit
		}
	}
	return fmt.Sprintf("%d bytes", n)
}

// median is the middle one, or between the two in the middle; NaN of none.
func median(list []float64) float64 {
	if len(list) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(list))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}
