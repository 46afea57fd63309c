package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"o2n-milter/state"
	"o2n-milter/web/desk"
)

func (a *app) requestCommand() *cobra.Command {
	return group("request", "List and answer unblock requests",
		a.requestListCommand(), a.requestApproveCommand(), a.requestDenyCommand())
}

func (a *app) requestListCommand() *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List the open requests, newest first",
		Long:  "List the open requests, newest first. block show prints all that one says.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var list desk.RequestList
			if err := a.ask(cmd, listPath("/v1/requests", all), &list); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(list)
			}
			return a.printRequests(list.Requests)
		},
	}
	c.Flags().BoolVar(&all, "all", false, "answered ones too")
	return c
}

func (a *app) printRequests(list []desk.RequestView) error {
	rows := [][]string{{"ID", "BLOCK", "SUBJECT", "ACCOUNT", "AT", "STATE", "TEXT"}}
	for _, r := range list {
		rows = append(rows, []string{r.ID, r.Block, clean(r.Subject), clean(r.Account), showTime(&r.At, ""), stateOf(r), shorten(r.Text)})
	}
	return table(a.out, rows)
}

// stateOf tells a request that the customer answered himself.
func stateOf(r desk.RequestView) string {
	if r.Self {
		return "self"
	}
	return string(r.State)
}

// shorten makes one line of a text, for a table.
func shorten(s string) string {
	const most = 60
	r := []rune(clean(strings.ReplaceAll(s, "\n", " ")))
	if len(r) <= most {
		return string(r)
	}
	return string(r[:most-3]) + "..."
}

func (a *app) requestApproveCommand() *cobra.Command {
	c := a.answerCommand("approve ID [--reason TEXT]", "Approve a request and lift the blocks of its subject", "/v1/requests/approve")
	c.Flags().Lookup("reason").Usage = "what the customer reads"
	return c
}

func (a *app) requestDenyCommand() *cobra.Command {
	c := a.answerCommand("deny ID --reason TEXT", "Deny a request; the block stays", "/v1/requests/deny")
	_ = c.MarkFlagRequired("reason")
	return c
}

func (a *app) answerCommand(use, short, path string) *cobra.Command {
	var in desk.AnswerRequest
	c := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in.Request = args[0]
			var r desk.RequestView
			if err := a.tell(cmd, path, in, &r); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(r)
			}
			a.printAnswer(r, in.DryRun)
			return nil
		},
	}
	c.Flags().StringVar(&in.Text, "reason", "", "why, which the customer reads")
	c.Flags().BoolVar(&in.DryRun, "dry-run", false, "only show what would be done")
	return c
}

func (a *app) printAnswer(r desk.RequestView, dryRun bool) {
	answered := map[state.RequestState][2]string{
		state.RequestApproved: {"approved", "would approve"}, state.RequestDenied: {"denied", "would deny"},
	}[r.State]
	lifted := [2]string{"lifted", "would lift"}
	n := 0
	if dryRun {
		n = 1
	}
	fmt.Fprintf(a.out, "%s %s of %s\n", answered[n], r.ID, clean(r.Account))
	for _, id := range r.Lifted {
		fmt.Fprintf(a.out, "%s %s of %s\n", lifted[n], id, clean(r.Subject))
	}
}
