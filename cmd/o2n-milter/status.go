package main

import (
	"cmp"
	"fmt"

	"github.com/spf13/cobra"

	"o2n-milter/web/desk"
)

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show the daemon's health",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
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
	return table(a.out, [][]string{
		{"version", s.Version},
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
	})
}
