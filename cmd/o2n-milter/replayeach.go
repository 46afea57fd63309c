package main

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"strings"

	"o2n-milter/replay"
)

// eachPrinter prints each message as it is judged: a mailbox may have more of them than
// memory has room for.
func (r *replayed) eachPrinter(asCSV bool) (func(replay.Judged) error, error) {
	switch {
	case r.json:
		return func(j replay.Judged) error { return r.printJSON(j) }, nil
	case !asCSV:
		return r.printJudged, nil
	}
	w := csv.NewWriter(r.out)
	line := func(cells ...string) error {
		err := w.Write(cells)
		w.Flush()
		return cmp.Or(err, w.Error())
	}
	return func(j replay.Judged) error {
		return line(stamp(j.At), j.ID, plainCell(j.File), plainCell(j.MessageID), j.Subject, j.Action, j.Rule, j.NewAction, j.NewRule)
	}, line("at", "id", "file", "message_id", "subject", "action", "rule", "new_action", "new_rule")
}

// plainCell is text that somebody else wrote, so that no spreadsheet takes it for a
// formula.
func plainCell(text string) string {
	if strings.IndexAny(text, "=+-@\t\r") == 0 {
		return "'" + text
	}
	return text
}

// printJudged is for people.
func (r *replayed) printJudged(j replay.Judged) error {
	becomes := ""
	if len(r.lanes) > 1 {
		becomes = fmt.Sprintf(" -> %s %s", j.NewAction, j.NewRule)
	}
	_, err := fmt.Fprintf(r.out, "%s %s %s %s %s%s\n", stamp(j.At), clean(cmp.Or(j.ID, j.File)), clean(cmp.Or(j.MessageID, "-")),
		clean(cmp.Or(j.Subject, "(inbound)")), j.Action+" "+j.Rule, becomes)
	return err
}
