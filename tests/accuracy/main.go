// Command accuracy measures how well bulk mail is recognised, and how seldom honest
// mail is taken for it: whole messages go through the Engine under the default
// rules. It prints tables in Markdown; with -write FILE it puts them there too,
// between the marks. The seeds are fixed, so the same code gives the same tables.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"o2n-milter/rules"
	"o2n-milter/tests/marks"
)

func main() {
	write := flag.String("write", "", "put the tables into this `FILE` too, between its marks")
	flag.Parse()
	if err := run(*write); err != nil {
		fmt.Fprintln(os.Stderr, "accuracy:", err)
		os.Exit(1)
	}
}

func run(file string) error {
	set, err := defaults()
	if err != nil {
		return err
	}
	var out bytes.Buffer
	bulkTable(&out, set)
	honestTable(&out, set)
	if err := hamTable(&out, set); err != nil {
		return err
	}
	if file != "" {
		err = marks.Replace(file, "make accuracy writes", out.String())
	}
	_, errPrint := out.WriteTo(os.Stdout)
	return errors.Join(err, errPrint)
}

const (
	runs     = 10  // of each letter and kind of change
	messages = 60  // of each of them
	days     = 20  // of honest mail of each sort
	day      = 100 // letters
)

func bulkTable(out io.Writer, set rules.Settings) {
	known, unknown := slices.Concat(french, english), later
	fmt.Fprintf(out, "\n| what is changed for each recipient | recognised by the %dth | of letters written later | let out before, median | 95 %% | refused of %d |\n|---|---|---|---|---|---|\n", by, messages)
	row := func(m mutation) {
		f, g := bulk(set, known, m, runs, messages), bulk(set, unknown, m, runs, messages)
		fmt.Fprintf(out, "| %s | %.1f %% | %.1f %% | %d | %d | %.1f %% |\n", m.name, f.share(), g.share(), f.quantile(0.5), f.quantile(0.95), 100-100*float64(f.out)/float64(f.sent))
	}
	for _, m := range mutations {
		row(m)
	}
	for _, m := range extras {
		m.name = "*" + m.name + "*"
		row(m)
	}
}

func honestTable(out io.Writer, set rules.Settings) {
	fmt.Fprintf(out, "\n| %d letters of one account in a day | refused | pairs taken for one | without a sketch |\n|---|---|---|---|\n", day)
	for _, h := range slices.Concat(honestSets, laterSets) {
		f := judgeHonest(set, h, days, day)
		fmt.Fprintf(out, "| %s | %.1f %% | %.2f %% | %.1f %% |\n", h.name, f.percent(f.total()), 100*float64(f.pairs)/float64(max(1, f.all)), f.percent(f.mute))
	}
}

func hamTable(out io.Writer, set rules.Settings) error {
	sets, err := readHam(corpus)
	if err != nil {
		fmt.Fprintf(os.Stderr, "== SKIPPED: no corpus, so real honest mail is not judged: %v\n", err)
		return nil
	}
	fmt.Fprintf(out, "\n| real mail | mails | refused by bulk rules, each as its author's | all as one account's | by other rules | pairs taken for one |\n|---|---|---|---|---|---|\n")
	for _, h := range sets {
		all, each, one := h.judge(set, author), h.judge(bulkOnly(set), author), h.judge(bulkOnly(set), oneAccount)
		fmt.Fprintf(out, "| %s | %d | %s | %s | %s | %d of %d |\n", h.name, all.sent, each.list(true), one.list(true), all.list(false), all.pairs, all.all)
	}
	return nil
}

func (f *refused) percent(n int) float64 { return 100 * float64(n) / float64(f.sent) }

func (f *refused) total() int {
	n := 0
	for _, k := range f.byRule {
		n += k
	}
	return n
}

// list names the bulk rules that refused, or the others.
func (f *refused) list(bulk bool) string {
	var parts []string
	for id, n := range f.byRule {
		if strings.HasPrefix(id, "bulk.") == bulk {
			parts = append(parts, fmt.Sprintf("%s %d", id, n))
		}
	}
	if len(parts) == 0 {
		return "0"
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}
