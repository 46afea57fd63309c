package main

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"os/exec"
	"slices"
	"strings"

	"golang.org/x/perf/benchfmt"
)

// benchmarks are those of the packages that a message passes. The others' are for
// whoever changes them.
var benchmarks = []struct{ pkg, pattern string }{
	{"./message", "."},
	{"./rules", "Decide|Phrases"},
	{"./milter", "Message"},
	{"./state/memory", "Take"},
	{"./state/badgerdb", "Take|Letters"},
	{"./state/badgerdb", "Decisions/record"},
	{"./state/redisdb", "Take"},
	{"./state/redisdb", "Decisions/record"},
}

// benchTime is long enough for the median of some runs.
const benchTime = "0.2s"

// packages runs Go's benchmarks.
func (p *part) packages() {
	t := newTable("benchmark", "µs", "CPU µs", "B", "allocations")
	runs := max(1, (p.rounds+1)/2)
	for _, b := range benchmarks {
		p.say("%s, benchmarks %s", b.pkg, b.pattern)
		var talk bytes.Buffer
		cmd := exec.Command("go", "test", "-run", "^$", "-bench", b.pattern, "-benchmem", "-benchtime", benchTime, "-count", fmt.Sprint(runs), b.pkg)
		cmd.Stderr = &talk
		out, err := cmd.Output()
		if err != nil {
			p.Fatalf("%s: %v\n%s%s", cmd, err, out, talk.String())
		}
		found, err := readBenchmarks(bytes.NewReader(out))
		p.must(b.pkg, err)
		if len(found) == 0 { // as Redis' without a server
			p.say("SKIPPED: the benchmarks of %s did not run: %s", b.pkg, strings.TrimSpace(string(out)))
		}
		for _, f := range found {
			t.row(strings.TrimPrefix(b.pkg, "./")+" "+f.name, f.cell("sec/op", micros), f.cell("cpu-sec/op", micros), f.cell("B/op", whole), f.cell("allocs/op", whole))
		}
	}
	fmt.Fprintf(&p.out, "For one operation, the median of %d runs; \"CPU\" where a benchmark tells the processor time of the whole process.\n\n%s", runs, t)
}

// benchmark is one with the values of all its runs.
type benchmark struct {
	name   string
	values map[string][]float64 // by unit
}

// cell is the median; empty where there is none.
func (b *benchmark) cell(unit string, show func(float64) string) string {
	if len(b.values[unit]) == 0 {
		return ""
	}
	return show(median(b.values[unit]))
}

func micros(seconds float64) string { return number(seconds * 1e6) }
func whole(n float64) string        { return thousands(int64(math.Round(n))) }

// readBenchmarks reads what go test -bench prints, in its order.
func readBenchmarks(out io.Reader) (list []*benchmark, err error) {
	r := benchfmt.NewReader(out, "go test")
	for r.Scan() {
		switch record := r.Result().(type) {
		case *benchfmt.SyntaxError:
			return nil, record
		case *benchfmt.Result:
			name := nameOf(record.Name)
			i := slices.IndexFunc(list, func(b *benchmark) bool { return b.name == name })
			if i < 0 {
				i = len(list)
				list = append(list, &benchmark{name: name, values: map[string][]float64{}})
			}
			for _, v := range record.Values {
				list[i].values[v.Unit] = append(list[i].values[v.Unit], v.Value)
			}
		}
	}
	return list, r.Err()
}

// nameOf leaves out how many cores there were, which goes for all.
func nameOf(n benchfmt.Name) string {
	base, parts := n.Parts()
	for _, part := range parts {
		if part[0] != '-' {
			base = append(slices.Clone(base), part...)
		}
	}
	return string(base)
}
