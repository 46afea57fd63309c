package main

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"strconv"
	"time"

	"o2n-milter/replay"
)

// mostRows bounds each table for people; JSON and CSV have all.
const mostRows = 50

// print tells what became of all messages, and gives the exit code.
func (r *replayed) print(asCSV bool) error {
	res, err := r.run.Result(r.cmd.Context())
	if err != nil {
		return err
	}
	res.Notes = append(r.notes, res.Notes...)
	lost := 0
	if x := r.index; x != nil {
		lost = x.Lost
		res.Undated, res.Failed = x.Undated, x.Failed
		res.Unreadable = append(res.Unreadable, x.Unreadable...)
		res.Notes = append(res.Notes, notesOf(x)...)
	}
	each := r.run.Each != nil
	switch {
	case each: // they are printed
	case r.json:
		err = r.printJSON(res)
	case asCSV:
		err = r.printReplayCSV(res)
	default:
		err = r.printReplay(res)
	}
	if err == nil && (each || !r.json) {
		r.talk(res)
	}
	switch {
	case err != nil:
		return err
	case res.Partial:
		return exit(exitInterrupted, "interrupted: this is what became of the first %d messages", res.Messages)
	case lost > 0:
		return exit(exitInput, "%d of the sources could not be read", lost)
	}
	return nil
}

// notesOf is what the sources' messages lacked.
func notesOf(x *replay.Index) []string {
	var notes []string
	if x.Undated > 0 {
		notes = append(notes, fmt.Sprintf("%d messages have neither a Received nor a Date that tells the time: they come after the one before them in their source", x.Undated))
	}
	if x.LeftOut > 0 {
		notes = append(notes, fmt.Sprintf("%d files in folders are left out; want .eml, .mbox or a Maildir, or name them", x.LeftOut))
	}
	return notes
}

// talk tells beside the tables what was not as in life.
func (r *replayed) talk(res replay.Result) {
	for _, note := range res.Notes {
		fmt.Fprintln(r.err, "note:", clean(note))
	}
	for _, u := range res.Unreadable {
		fmt.Fprintf(r.err, "o2n-milter: %s: %s\n", clean(u.File), clean(u.Problem))
	}
	if more := res.Failed - len(res.Unreadable); more > 0 {
		fmt.Fprintf(r.err, "o2n-milter: %d more could not be read\n", more)
	}
}

// section is a table of the result.
type section struct {
	head []string
	rows [][]string
}

// printReplay is for people. What passed is in the first table alone.
func (r *replayed) printReplay(res replay.Result) error {
	fmt.Fprintf(r.out, "%d messages", res.Messages)
	if res.First != nil {
		fmt.Fprintf(r.out, " from %s to %s", stamp(*res.First), stamp(*res.Last))
	}
	fmt.Fprintln(r.out)
	byRule := ruleSection(res)
	if len(r.lanes) > 1 {
		byRule = bothSection(res)
	}
	for _, s := range append([]section{byRule}, sections(res)...) {
		if err := r.section(s); err != nil {
			return err
		}
	}
	return nil
}

// section prints a table that holds anything.
func (r *replayed) section(s section) error {
	if len(s.rows) == 0 {
		return nil
	}
	fmt.Fprintln(r.out)
	if err := table(r.out, append([][]string{s.head}, s.rows[:min(len(s.rows), mostRows)]...)); err != nil {
		return err
	}
	if more := len(s.rows) - mostRows; more > 0 {
		fmt.Fprintf(r.out, "and %d more, see --json or --csv\n", more)
	}
	return nil
}

func ruleSection(res replay.Result) section {
	s := section{head: []string{"RULE", "ACTION", "MESSAGES", "FIRST", "LAST"}}
	for _, c := range res.Rules {
		s.rows = append(s.rows, append([]string{c.Rule, c.Action}, cells(c.Span)...))
	}
	return s
}

// bothSection has the present rules and the new ones side by side.
func bothSection(res replay.Result) section {
	s := section{head: []string{"RULE", "ACTION", "NOW", "NEW"}}
	at := map[string]int{}
	add := func(list []replay.RuleCount, column int) {
		for _, c := range list {
			key := c.Rule + " " + c.Action
			if _, known := at[key]; !known {
				at[key] = len(s.rows)
				s.rows = append(s.rows, []string{c.Rule, c.Action, "0", "0"})
			}
			s.rows[at[key]][column] = strconv.Itoa(c.Count)
		}
	}
	add(res.Rules, 2)
	add(res.NewRules, 3)
	return s
}

func sections(res replay.Result) []section {
	shadow := section{head: []string{"IN SHADOW", "MESSAGES", "FIRST", "LAST"}}
	for _, c := range res.Shadow {
		shadow.rows = append(shadow.rows, append([]string{c.Rule}, cells(c.Span)...))
	}
	subjects := section{head: []string{"SUBJECT", "RULE", "ACTION", "MESSAGES", "FIRST", "LAST"}}
	for _, c := range res.Subjects {
		if c.Rule != "none" {
			subjects.rows = append(subjects.rows, append([]string{clean(c.Subject), c.Rule, c.Action}, cells(c.Span)...))
		}
	}
	changed := section{head: []string{"CHANGED FOR", "FROM", "TO", "MESSAGES", "FIRST", "LAST"}}
	for _, c := range res.Changed {
		changed.rows = append(changed.rows, append([]string{clean(cmp.Or(c.Subject, "(inbound)")),
			c.FromAction + " " + c.From, c.ToAction + " " + c.To}, cells(c.Span)...))
	}
	return []section{shadow, subjects, changed, blockSection("BLOCKED", res.Blocks), blockSection("BLOCKED BY NEW RULES", res.NewBlocks)}
}

func blockSection(head string, list []replay.BlockLine) section {
	s := section{head: []string{head, "RULE", "SINCE", "UNTIL"}}
	for _, b := range list {
		s.rows = append(s.rows, []string{clean(b.Subject), b.Rule, stamp(b.Since), showTime(b.Until, "lifted")})
	}
	return s
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func cells(s replay.Span) []string {
	return []string{strconv.Itoa(s.Count), stamp(s.First), stamp(s.Last)}
}

// printReplayCSV prints all of it as one table; the first column says what a line is
// about. No cell begins with what a spreadsheet takes for a formula.
func (r *replayed) printReplayCSV(res replay.Result) error {
	w := csv.NewWriter(r.out)
	rows := [][]string{{"table", "subject", "rule", "action", "new_rule", "new_action", "count", "first", "last"}}
	add := func(of replay.Span, what ...string) { rows = append(rows, append(what, cells(of)...)) }
	for _, c := range res.Rules {
		add(c.Span, "rules", "", c.Rule, c.Action, "", "")
	}
	for _, c := range res.NewRules {
		add(c.Span, "new_rules", "", "", "", c.Rule, c.Action)
	}
	for _, c := range res.Shadow {
		add(c.Span, "shadow", "", c.Rule, "shadow", "", "")
	}
	for _, c := range res.Subjects {
		add(c.Span, "subjects", c.Subject, c.Rule, c.Action, "", "")
	}
	for _, c := range res.Changed {
		add(c.Span, "changed", c.Subject, c.From, c.FromAction, c.To, c.ToAction)
	}
	return w.WriteAll(rows)
}
