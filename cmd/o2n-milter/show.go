package main

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"o2n-milter/rules"
	"o2n-milter/web/desk"
)

func (a *app) blockShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show a block with its evidence, decisions and requests",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var b desk.BlockDetail
			if err := a.ask(cmd, "/v1/blocks/show?"+url.Values{"id": {args[0]}}.Encode(), &b); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(b)
			}
			return a.printBlock(b)
		},
	}
}

func (a *app) printBlock(b desk.BlockDetail) error {
	rows := [][]string{
		{"block", b.ID}, {"subject", clean(b.Subject)}, {"state", string(b.State)}, {"rule", b.Rule},
		{"since", showTime(&b.Since, "")}, {"until", showTime(b.Until, "it is lifted")}, {"by", clean(b.By)}, {"reason", indented(b.Reason)},
	}
	if b.LiftedAt != nil {
		rows = append(rows, []string{"lifted", showTime(b.LiftedAt, "") + " by " + clean(b.LiftedBy)}, []string{"note", indented(b.Note)})
	}
	for _, more := range [][]string{{"account", b.Account}, {"customer", b.Customer}} {
		if more[1] != "" {
			rows = append(rows, []string{more[0], clean(more[1])})
		}
	}
	if err := table(a.out, append(rows, evidenceRows(b.Evidence)...)); err != nil {
		return err
	}
	for _, r := range b.Requests {
		if err := a.printRequest(r); err != nil {
			return err
		}
	}
	if err := a.printDecisions("decisions that struck", b.Decisions); err != nil {
		return err
	}
	if len(b.Earlier) == 0 {
		return nil
	}
	fmt.Fprintln(a.out, "\nearlier blocks of the subject")
	return a.printBlockTable(b.Earlier)
}

func evidenceRows(list []rules.Evidence) [][]string {
	var rows [][]string
	for _, ev := range list {
		rows = append(rows, []string{"evidence", clean(fmt.Sprintf("%s: %s is %s; want %s", ev.Rule, ev.Fact, ev.Got, ev.Want))})
	}
	return rows
}

// indented cleans a text of several lines for the second column of a table.
func indented(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = clean(lines[i])
	}
	return strings.Join(lines, "\n\t")
}

func (a *app) printRequest(r desk.RequestView) error {
	password := "not changed"
	if r.Password {
		password = "changed"
	}
	rows := [][]string{
		{"request", r.ID}, {"state", stateOf(r)}, {"asked", showTime(&r.At, "") + " by " + clean(r.Account) + ", " + clean(r.From)},
		{"happened", indented(r.Happened)}, {"done", indented(r.Done)}, {"password", password},
	}
	if r.AnsweredAt != nil {
		rows = append(rows, []string{"answered", showTime(r.AnsweredAt, "") + " by " + clean(r.AnsweredBy)}, []string{"answer", indented(r.Answer)})
	}
	fmt.Fprintln(a.out)
	return table(a.out, rows)
}

func (a *app) printDecisions(title string, list []desk.DecisionView) error {
	if len(list) == 0 {
		return nil
	}
	fmt.Fprintln(a.out, "\n"+title)
	rows := [][]string{{"AT", "ID", "ACTION", "RULE", "RCPTS", "SUBJECT"}}
	for _, d := range list {
		rows = append(rows, []string{d.At.Format(time.RFC3339Nano), d.ID, d.Action, d.Rule, fmt.Sprint(d.Rcpts), shorten(d.Detail.Subject)})
	}
	return table(a.out, rows)
}

func (a *app) blockExtendCommand() *cobra.Command {
	var in desk.ExtendBlock
	c := &cobra.Command{
		Use:   "extend ID --for DURATION [--reason TEXT]",
		Short: "Give a block in force another end, counted from now, and print the new block's id",
		Long: "Give a block in force another end, counted from now. Blocks are never edited: this one is lifted, and a new one with\n" +
			"its cause takes its place, with open requests about it.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in.Block = args[0]
			var b desk.BlockView
			if err := a.tell(cmd, "/v1/blocks/extend", in, &b); err != nil {
				return err
			}
			return a.printBlocked(b, in.DryRun)
		},
	}
	c.Flags().StringVar(&in.For, "for", "", "how long from now on: 30m, 4h, 7d, or manual for until it is lifted")
	c.Flags().StringVar(&in.Reason, "reason", "", "why, for the record (default: as it was)")
	c.Flags().BoolVar(&in.DryRun, "dry-run", false, "only show what would be done")
	_ = c.MarkFlagRequired("for")
	return c
}
