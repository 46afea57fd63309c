package main

import (
	"cmp"
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"o2n-milter/web/desk"
)

func (a *app) historyCommand() *cobra.Command {
	var limit, before string
	c := &cobra.Command{
		Use:   "history SUBJECT",
		Short: "Show what was decided on a subject's mail, newest first",
		Long: "Show what was decided on the mail of one subject, newest first, mail that passed too.\n" +
			"Subjects: " + subjectExamples + ".",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			query := url.Values{"subject": {args[0]}, "limit": {limit}, "before": {before}}
			var h desk.History
			if err := a.ask(cmd, "/v1/history?"+query.Encode(), &h); err != nil {
				return err
			}
			return a.printHistory(h)
		},
	}
	c.Flags().StringVar(&limit, "limit", "", "at most `N` decisions (default 100)")
	c.Flags().StringVar(&before, "before", "", "only those before this `TIME`, RFC 3339, such as the last line's")
	return c
}

func (a *app) printHistory(h desk.History) error {
	if a.json {
		return a.printJSON(h)
	}
	if len(h.Decisions) == 0 {
		fmt.Fprintf(a.err, "%s: no decision is kept\n", clean(h.Subject))
		return nil
	}
	rows := [][]string{{"AT", "ID", "ACTION", "RULE", "ACCOUNT", "CLIENT", "FROM", "RCPTS"}}
	for _, d := range h.Decisions {
		rows = append(rows, []string{d.At.Format(time.RFC3339Nano), d.ID, d.Action, d.Rule, clean(cmp.Or(d.Account, "-")),
			cmp.Or(d.Client, "-"), clean(cmp.Or(d.From, "<>")), fmt.Sprint(d.Rcpts)})
	}
	return table(a.out, rows)
}
