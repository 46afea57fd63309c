package main

import (
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"o2n-milter/rules"
	"o2n-milter/web/desk"
)

const subjectExamples = "account:alice@client-a.example, customer:C-1001, script:www-data@web1.example, host:web1.example,\n" +
	"ip:192.0.2.7, domain:remote.example (a destination)"

func (a *app) usageCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "usage SUBJECT",
		Short: "Show how full a subject's windows are",
		Long: "Show how full the windows of one subject are under every limit that counts it, and when the next place is free.\n" +
			"Subjects: " + subjectExamples + ",\nor account:alice@client-a.example+domain:remote.example.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var u desk.Usage
			if err := a.ask(cmd, "/v1/usage?"+url.Values{"subject": {args[0]}}.Encode(), &u); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(u)
			}
			if len(u.Windows) == 0 {
				fmt.Fprintf(a.err, "%s: nothing is known of it, or no limit counts it\n", clean(u.Subject))
				return nil
			}
			return a.printWindows(u.Windows)
		},
	}
}

func (a *app) printWindows(windows []rules.Window) error {
	rows := [][]string{{"LIMIT", "USED", "MAX", "UNIT", "WINDOW", "NEXT FREE"}}
	for _, w := range windows {
		free := "now"
		if w.Used >= w.Max {
			free = w.NextFree.Format(time.RFC3339Nano)
		}
		name := w.Limit
		if w.Shadow {
			name += " (shadow)"
		}
		rows = append(rows, []string{name, fmt.Sprint(w.Used), fmt.Sprint(w.Max), string(w.Unit), w.Window, free})
	}
	return table(a.out, rows)
}

func (a *app) resetCommand() *cobra.Command {
	var in desk.Reset
	c := &cobra.Command{
		Use:   "reset SUBJECT [--reason TEXT]",
		Short: "Clear a subject's windows",
		Long: "Clear every window of one subject, so that nothing it has sent counts any more, and forget whom it has written to.\n" +
			"Its blocks stay, see block lift. Subjects as for usage.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in.Subject = args[0]
			var done desk.Resetted
			if err := a.tell(cmd, "/v1/reset", in, &done); err != nil {
				return err
			}
			return a.printReset(done, in.DryRun)
		},
	}
	c.Flags().StringVar(&in.Reason, "reason", "", "why, for the record")
	c.Flags().BoolVar(&in.DryRun, "dry-run", false, "only show what would be done")
	return c
}

func (a *app) printReset(done desk.Resetted, dryRun bool) error {
	if a.json {
		return a.printJSON(done)
	}
	did, forgot := "cleared", "forgot"
	if dryRun {
		did, forgot = "would clear", "would forget"
	}
	for _, w := range done.Windows {
		fmt.Fprintf(a.out, "%s limit.%s of %s: %d of %d %s used\n", did, w.Limit, clean(done.Subject), w.Used, w.Max, w.Unit)
	}
	if len(done.Windows) == 0 {
		fmt.Fprintf(a.out, "no window of %s holds anything\n", clean(done.Subject))
	}
	fmt.Fprintf(a.out, "%s whom %s has written to, and the campaigns of its letters\n", forgot, clean(done.Subject))
	return nil
}
