package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"o2n-milter/web"
)

func (a *app) blockCommand() *cobra.Command {
	return group("block", "Block subjects, list and lift blocks",
		a.blockAddCommand(), a.blockListCommand(), a.blockLiftCommand())
}

func (a *app) blockAddCommand() *cobra.Command {
	var in web.AddBlock
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

func (a *app) blockAdd(cmd *cobra.Command, in web.AddBlock) error {
	cl, err := a.client(cmd)
	if err != nil {
		return err
	}
	var b web.BlockView
	if err := cl.call("/v1/blocks", in, &b); err != nil {
		return err
	}
	until := "until " + showTime(b.Until, "it is lifted")
	if in.DryRun {
		fmt.Fprintf(a.err, "would block %s %s\n", b.Subject, until)
		if a.json {
			b.ID = ""
			return a.printJSON(b)
		}
		return nil
	}
	if a.json {
		return a.printJSON(b)
	}
	fmt.Fprintf(a.err, "blocked %s %s\n", b.Subject, until)
	_, err = fmt.Fprintln(a.out, b.ID)
	return err
}

func (a *app) blockListCommand() *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List the blocks in force",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cl, err := a.client(cmd)
			if err != nil {
				return err
			}
			path := "/v1/blocks"
			if all {
				path += "?all=1"
			}
			var list web.BlockList
			if err := cl.call(path, nil, &list); err != nil {
				return err
			}
			return a.printBlocks(list)
		},
	}
	c.Flags().BoolVar(&all, "all", false, "expired and lifted blocks too")
	return c
}

func (a *app) printBlocks(list web.BlockList) error {
	if a.json {
		return a.printJSON(list)
	}
	rows := [][]string{{"ID", "SUBJECT", "STATE", "SINCE", "UNTIL", "RULE", "BY", "REASON"}}
	for _, b := range list.Blocks {
		rows = append(rows, []string{b.ID, clean(b.Subject), string(b.State), showTime(&b.Since, ""),
			showTime(b.Until, "manual"), b.Rule, clean(b.By), clean(b.Reason)})
	}
	return table(a.out, rows)
}

func (a *app) blockLiftCommand() *cobra.Command {
	var in web.LiftBlock
	c := &cobra.Command{
		Use:   "lift ID|SUBJECT [--reason TEXT]",
		Short: "End a block, or all active blocks of a subject",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in.Block = args[0]
			cl, err := a.client(cmd)
			if err != nil {
				return err
			}
			var list web.LiftedList
			if err := cl.call("/v1/blocks/lift", in, &list); err != nil {
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

func (a *app) printLifted(list web.LiftedList, dryRun bool) {
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
