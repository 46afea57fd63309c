package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"o2n-milter/web/desk"
)

func (a *app) blockCommand() *cobra.Command {
	return group("block", "Block subjects, list, extend and lift blocks",
		a.blockAddCommand(), a.blockListCommand(), a.blockShowCommand(), a.blockExtendCommand(), a.blockLiftCommand())
}

func (a *app) blockAddCommand() *cobra.Command {
	var in desk.AddBlock
	c := &cobra.Command{
		Use:   "add SUBJECT --for DURATION [--reason TEXT]",
		Short: "Block a subject, and print the new block's id",
		Example: "  o2n-milter block add account:alice@client-a.example --for 4h --reason 'phishing, ticket 4711'\n" +
			"  o2n-milter block add ip:192.0.2.7 --for manual",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in.Subject = args[0]
			return a.blockAdd(cmd, in)
		},
	}
	c.Flags().StringVar(&in.For, "for", "", "how long: 30m, 4h, 7d, or manual for until it is lifted")
	c.Flags().StringVar(&in.Reason, "reason", "", "why, for the record")
	c.Flags().BoolVar(&in.DryRun, "dry-run", false, "only show what would be done")
	_ = c.MarkFlagRequired("for")
	return c
}

func (a *app) blockAdd(cmd *cobra.Command, in desk.AddBlock) error {
	var b desk.BlockView
	if err := a.tell(cmd, "/v1/blocks", in, &b); err != nil {
		return err
	}
	return a.printBlocked(b, in.DryRun)
}

// printBlocked puts nothing but the new block's id on stdout.
func (a *app) printBlocked(b desk.BlockView, dryRun bool) error {
	if a.json {
		return a.printJSON(b)
	}
	did := "blocked"
	if dryRun {
		did = "would block"
	}
	fmt.Fprintf(a.err, "%s %s until %s\n", did, clean(b.Subject), showTime(b.Until, "it is lifted"))
	if dryRun {
		return nil
	}
	_, err := fmt.Fprintln(a.out, b.ID)
	return err
}

func (a *app) blockListCommand() *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List the blocks in force",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var list desk.BlockList
			if err := a.ask(cmd, listPath("/v1/blocks", all), &list); err != nil {
				return err
			}
			return a.printBlocks(list)
		},
	}
	c.Flags().BoolVar(&all, "all", false, "expired and lifted blocks too")
	return c
}

func (a *app) printBlocks(list desk.BlockList) error {
	if a.json {
		return a.printJSON(list)
	}
	return a.printBlockTable(list.Blocks)
}

func (a *app) printBlockTable(blocks []desk.BlockView) error {
	rows := [][]string{{"ID", "SUBJECT", "STATE", "SINCE", "UNTIL", "RULE", "BY", "REASON"}}
	for _, b := range blocks {
		rows = append(rows, []string{b.ID, clean(b.Subject), string(b.State), showTime(&b.Since, ""),
			showTime(b.Until, "manual"), b.Rule, clean(b.By), shorten(b.Reason)})
	}
	return table(a.out, rows)
}

func (a *app) blockLiftCommand() *cobra.Command {
	var in desk.LiftBlock
	c := &cobra.Command{
		Use:   "lift ID|SUBJECT [--reason TEXT]",
		Short: "End a block, or all active blocks of a subject",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in.Block = args[0]
			var list desk.LiftedList
			if err := a.tell(cmd, "/v1/blocks/lift", in, &list); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(list)
			}
			a.printLifted(list, in.DryRun)
			return nil
		},
	}
	c.Flags().StringVar(&in.Reason, "reason", "", "why, for the record")
	c.Flags().BoolVar(&in.DryRun, "dry-run", false, "only show what would be done")
	return c
}

func (a *app) printLifted(list desk.LiftedList, dryRun bool) {
	for _, b := range list.Blocks {
		switch {
		case !b.Changed:
			fmt.Fprintf(a.out, "%s of %s is %s already\n", b.ID, clean(b.Subject), b.State)
		case dryRun:
			fmt.Fprintf(a.out, "would lift %s of %s\n", b.ID, clean(b.Subject))
		default:
			fmt.Fprintf(a.out, "lifted %s of %s\n", b.ID, clean(b.Subject))
		}
	}
}
