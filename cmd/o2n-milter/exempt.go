package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"o2n-milter/web/desk"
)

func (a *app) exemptCommand() *cobra.Command {
	return group("exempt", "Allow a subject what a rule forbids, until an end date",
		a.exemptAddCommand(), a.exemptListCommand(), a.exemptRemoveCommand())
}

func (a *app) exemptAddCommand() *cobra.Command {
	var in desk.AddExemption
	c := &cobra.Command{
		Use:   "add SUBJECT --rule RULE [--factor N] [--to-domain DOMAIN] --for DURATION [--owner WHO] --reason TEXT",
		Short: "Exempt a subject from a rule, and print the new exemption's id",
		Long: "Exempt a subject from a rule: a rule's id, limit.NAME, or block for automatic blocks. With --factor a limit holds, at\n" +
			"so many times its max. Mail is judged and counted all the same.",
		Example: "  o2n-milter exempt add account:alice@client-a.example --rule recipients.visible --for 30d --owner support --reason 'club, ticket 4711'\n" +
			"  o2n-milter exempt add customer:C-1001 --rule limit.daily --factor 3 --to-domain client-a.example --for 90d --owner sales --reason 'migration'",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("factor") && in.Factor == 0 { // which is how no factor is said
				return exit(exitUsage, "--factor 0: want 2 to 1000, or no --factor for no limit at all")
			}
			in.Subject = args[0]
			var e desk.ExemptionView
			if err := a.tell(cmd, "/v1/exemptions", in, &e); err != nil {
				return err
			}
			return a.printExempted(e, in.DryRun)
		},
	}
	c.Flags().StringVar(&in.Rule, "rule", "", "the rule's id, limit.NAME, or block")
	c.Flags().Int64Var(&in.Factor, "factor", 0, "let the limit hold at `N` times its max")
	c.Flags().StringVar(&in.Domain, "to-domain", "", "only for mail that goes to this `DOMAIN` alone")
	c.Flags().StringVar(&in.For, "for", "", "how long: 12h, 30d")
	c.Flags().StringVar(&in.Owner, "owner", "", "who answers for it; who adds it unless given")
	c.Flags().StringVar(&in.Reason, "reason", "", "why, for the record")
	c.Flags().BoolVar(&in.DryRun, "dry-run", false, "only show what would be done")
	for _, name := range []string{"rule", "for", "reason"} {
		_ = c.MarkFlagRequired(name)
	}
	return c
}

func (a *app) printExempted(e desk.ExemptionView, dryRun bool) error {
	if a.json {
		return a.printJSON(e)
	}
	did := "exempted"
	if dryRun {
		did = "would exempt"
	}
	fmt.Fprintf(a.err, "%s %s from %s (%s) until %s\n", did, clean(e.Subject), e.Rule, e.Scope, showTime(&e.Until, ""))
	if dryRun {
		return nil
	}
	_, err := fmt.Fprintln(a.out, e.ID)
	return err
}

func (a *app) exemptListCommand() *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List the exemptions in force",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var list desk.ExemptionList
			if err := a.ask(cmd, listPath("/v1/exemptions", all), &list); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(list)
			}
			rows := [][]string{{"ID", "SCOPE", "RULE", "SUBJECT", "STATE", "UNTIL", "OWNER", "REASON"}}
			for _, e := range list.Exemptions {
				rows = append(rows, []string{e.ID, e.Scope, e.Rule, clean(e.Subject), string(e.State), showTime(&e.Until, ""),
					clean(e.Owner), shorten(e.Reason)})
			}
			return table(a.out, rows)
		},
	}
	c.Flags().BoolVar(&all, "all", false, "expired and removed ones too")
	return c
}

func (a *app) exemptRemoveCommand() *cobra.Command {
	var in desk.RemoveExemption
	c := &cobra.Command{
		Use:   "remove ID [--reason TEXT]",
		Short: "End an exemption before its time",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in.ID = args[0]
			var e desk.ExemptionView
			if err := a.tell(cmd, "/v1/exemptions/remove", in, &e); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(e)
			}
			did := "removed %s of %s\n"
			switch {
			case !e.Changed:
				did = "%s of %s has ended already\n"
			case in.DryRun:
				did = "would remove %s of %s\n"
			}
			_, err := fmt.Fprintf(a.out, did, e.ID, clean(e.Subject))
			return err
		},
	}
	c.Flags().StringVar(&in.Reason, "reason", "", "why, for the record")
	c.Flags().BoolVar(&in.DryRun, "dry-run", false, "only show what would be done")
	return c
}
