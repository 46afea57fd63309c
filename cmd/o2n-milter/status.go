package main

import (
	"cmp"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"o2n-milter/web/desk"
)

func (a *app) statusCommand() *cobra.Command {
	var shadow bool
	c := &cobra.Command{
		Use:   "status [--shadow]",
		Short: "Show the daemon's health, or whom rules in shadow would have hit",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if shadow {
				return a.shadow(cmd)
			}
			var s desk.Status
			if err := a.ask(cmd, "/v1/status", &s); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(s)
			}
			return a.printStatus(s)
		},
	}
	c.Flags().BoolVar(&shadow, "shadow", false, "by rule and subject, the messages that would have been hit in the last 30 days")
	return c
}

// shadow shows whom rules in shadow would have hit, most first.
func (a *app) shadow(cmd *cobra.Command) error {
	var s desk.Shadow
	if err := a.ask(cmd, "/v1/shadow", &s); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(s)
	}
	if len(s.Shadow) == 0 {
		fmt.Fprintln(a.err, "no rule in shadow has found anything")
		return nil
	}
	rows := [][]string{{"RULE", "SUBJECT", "MESSAGES", "FIRST", "LAST"}}
	for _, c := range s.Shadow {
		rows = append(rows, []string{
			c.Rule, cmp.Or(clean(c.Subject), "(others)"), fmt.Sprint(c.Count), c.First.Format(time.RFC3339), c.Last.Format(time.RFC3339),
		})
	}
	return table(a.out, rows)
}

func (a *app) printStatus(s desk.Status) error {
	degraded := "no"
	if s.Degraded {
		degraded = "yes: " + clean(s.Reason)
	}
	size := "not known"
	if s.Size > 0 {
		size = showSize(s.Size)
	}
	rows := [][]string{
		{"version", s.Version},
		{"configuration", s.Configuration},
		{"store", s.Backend},
		{"degraded", degraded},
		{"size", size},
		{"last commit", showTime(s.LastCommit, "none yet")},
		{"windows", fmt.Sprintf("%d, %s of memory", s.Windows, showSize(s.Memory))},
		{"sessions", fmt.Sprint(s.Sessions)},
		{"blocks", fmt.Sprint(s.Blocks)},
		{"held", fmt.Sprint(s.Held)},
		{"release", cmp.Or(clean(s.Hold), "ok")},
		{"clock", cmp.Or(clean(s.Clock), "ok")},
	}
	if s.AllShadow {
		rows = append(rows, []string{"shadow", "everything ([shadow] all): no mail is refused, but by blocks that an operator made"})
	}
	for _, x := range s.Expiring {
		rows = append(rows, []string{"exemption ends", fmt.Sprintf("%s %s of %s from %s (%s), owner %s", x.Until.Format(time.RFC3339), x.ID, clean(x.Subject), x.Rule, x.Scope, clean(x.Owner))})
	}
	return table(a.out, rows)
}
