package main

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// count is a line of the tally: how many attacks of a kind were tried.
type count struct {
	area, what    string
	tried, failed int
}

// readTally adds up what the tests have counted, in the order of areas.
func readTally(file string) ([]count, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var list []count
	for line := range strings.Lines(string(text)) {
		c, err := parseCount(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(list, func(o count) bool { return o.area == c.area && o.what == c.what })
		if i < 0 {
			list = append(list, c)
			continue
		}
		list[i].tried += c.tried
		list[i].failed += c.failed
	}
	slices.SortStableFunc(list, func(a, b count) int { return strings.Compare(a.area, b.area) })
	return list, nil
}

func parseCount(line string) (count, error) {
	f := strings.Split(line, "\t")
	if len(f) != 4 {
		return count{}, fmt.Errorf("tally: %q: want area, what, tried and failed between tabs", line)
	}
	tried, err1 := strconv.Atoi(f[2])
	failed, err2 := strconv.Atoi(f[3])
	return count{f[0], f[1], tried, failed}, errors.Join(err1, err2)
}

// tell makes the tables, and names the parts that are not as they should be.
func (r results) tell(took time.Duration) (text string, bad []string) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %v.\n\n| area | what | tried | held | failed |\n|---|---|--:|--:|--:|\n", time.Now().UTC().Format("2 January 2006"), took.Round(time.Second))
	for _, c := range r.tally {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", c.area, c.what, thousands(c.tried), thousands(c.tried-c.failed), thousands(c.failed))
		if c.failed > 0 {
			bad = append(bad, c.area)
		}
	}
	b.WriteString("\n| part | took | tests that passed | skipped | outcome |\n|---|--:|--:|--:|---|\n")
	for _, p := range r.parts {
		outcome := "held"
		if p.fault != "" {
			outcome = "**failed**: " + p.fault
			bad = append(bad, p.name)
		}
		if !p.fuzz {
			fmt.Fprintf(&b, "| %s | %v | %d | %s | %s |\n", p.name, p.took.Round(time.Second), p.passed, strings.Join(p.skipped, "; "), outcome)
		}
	}
	r.tellFuzz(&b)
	if err := tellCover(&b, profile); err != nil && !errors.Is(err, os.ErrNotExist) {
		bad = append(bad, err.Error())
	}
	return b.String(), slices.Compact(bad)
}

// tellFuzz is a table by package: inputs tried, entries of the corpus, and those of
// them that are new as they reached code that no other did.
func (r results) tellFuzz(b *strings.Builder) {
	b.WriteString("\n| fuzzed | targets | took | inputs | entries of the corpus | new | failed |\n|---|--:|--:|--:|--:|--:|---|\n")
	type row struct {
		fuzzed
		targets int
		took    time.Duration
		failed  []string
	}
	rows := map[string]row{}
	var order []string
	for _, p := range r.parts {
		if !p.fuzz {
			continue
		}
		if _, is := rows[p.folder]; !is {
			order = append(order, p.folder)
		}
		w := rows[p.folder]
		w.targets, w.took = w.targets+1, w.took+p.took
		w.inputs, w.found, w.corpus = w.inputs+p.fuzzed.inputs, w.found+p.fuzzed.found, w.corpus+p.fuzzed.corpus
		if p.fault != "" {
			w.failed = append(w.failed, p.name+": "+p.fault)
		}
		rows[p.folder] = w
	}
	slices.Sort(order)
	for _, dir := range order {
		w := rows[dir]
		fmt.Fprintf(b, "| %s | %d | %v | %s | %s | %s | %s |\n", dir, w.targets, w.took.Round(time.Second), thousands(w.inputs), thousands(w.corpus), thousands(w.found), strings.Join(w.failed, "; "))
	}
}

// tellCover is a table of the packages of a profile of Go's: the same statement is
// there once for each test that knows of it.
func tellCover(b *strings.Builder, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	type statements struct{ all, run int }
	blocks := map[string]bool{} // "file:from,to statements" and whether it was run
	for line := range strings.Lines(string(text)) {
		block, times, ok := strings.Cut(strings.TrimSpace(line), " ")
		n, count, ok2 := strings.Cut(times, " ")
		if !ok || !ok2 { // "mode: set"
			continue
		}
		blocks[block+" "+n] = blocks[block+" "+n] || count != "0"
	}
	by := map[string]statements{}
	for block, run := range blocks {
		place, n, _ := strings.Cut(block, " ")
		s, k := by[path.Dir(place)], number([]byte(n))
		s.all += k
		if run {
			s.run += k
		}
		by[path.Dir(place)] = s
	}
	b.WriteString("\n| package | statements | run by the ordinary tests of these packages |\n|---|--:|--:|\n")
	var order []string
	for dir := range by {
		order = append(order, dir)
	}
	slices.Sort(order)
	for _, dir := range order {
		s := by[dir]
		fmt.Fprintf(b, "| %s | %s | %.1f %% |\n", strings.TrimPrefix(dir, "o2n-milter/"), thousands(s.all), 100*float64(s.run)/float64(s.all))
	}
	return nil
}

// thousands writes 1,234,567.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
