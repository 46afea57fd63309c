package main

import (
	"cmp"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"o2n-milter/rules"
	"o2n-milter/web/desk"
)

// historyFlags say which decisions are wanted.
type historyFlags struct {
	subject, rcpt, rule, found, action string
}

// register adds the flags; about is for --subject, empty: the command takes it as
// an argument.
func (f *historyFlags) register(c *cobra.Command, about string) {
	if about != "" {
		c.Flags().StringVar(&f.subject, "subject", "", about)
	}
	c.Flags().StringVar(&f.rcpt, "rcpt", "", "only to this `ADDRESS`")
	c.Flags().StringVar(&f.rule, "rule", "", "only those that this `RULE` decided; none: that passed")
	c.Flags().StringVar(&f.found, "found", "", "only those in which this `RULE` found something, in shadow too")
	c.Flags().StringVar(&f.action, "action", "", "only with this `ACTION`: accept, tag, quarantine, tempfail, reject")
}

// query is what the daemon is asked; a zero since: from the first one on.
func (f *historyFlags) query(since time.Time) url.Values {
	q := url.Values{}
	if !since.IsZero() {
		q.Set("since", since.UTC().Format(time.RFC3339Nano))
	}
	for name, value := range map[string]string{"subject": f.subject, "rcpt": f.rcpt, "rule": f.rule, "found": f.found, "action": f.action} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q
}

func (a *app) historyCommand() *cobra.Command {
	var f historyFlags
	var limit int
	var since, until, before string
	c := &cobra.Command{
		Use:   "history [SUBJECT]",
		Short: "Show what was decided on mail, newest first",
		Long: "Show what was decided on mail, newest first, mail that passed too: on that of one subject, or on what the flags say,\n" +
			"which all must be true. A TIME is RFC 3339, or how long ago: 7d, 4h. When there is more, the last line on standard\n" +
			"error says how to go on.\n" +
			"Subjects: " + subjectExamples + ".",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				f.subject = args[0]
			}
			now := time.Now()
			from, err := timeFlag("since", since, now)
			if err != nil {
				return err
			}
			to, err := timeFlag("until", until, now)
			if err != nil {
				return err
			}
			q := f.query(from)
			if !to.IsZero() {
				if !to.After(from) {
					return exit(exitUsage, "--until %q: not after --since; want a later time", until)
				}
				q.Set("until", to.UTC().Format(time.RFC3339Nano))
			}
			if before != "" {
				q.Set("before", before)
			}
			return a.history(cmd, q, limit)
		},
	}
	f.register(c, "")
	c.Flags().StringVar(&since, "since", "", "only from this `TIME` on")
	c.Flags().StringVar(&until, "until", "", "only before this `TIME`")
	c.Flags().IntVar(&limit, "limit", 100, "at most `N` decisions")
	c.Flags().StringVar(&before, "before", "", "go on at this `CURSOR`, which the page before named; or only before a time")
	return c
}

// timeFlag reads a time, or how long before now.
func timeFlag(name, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	if ago, err := rules.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	return time.Time{}, exit(exitUsage, "--%s %q: no time; want RFC 3339, 2026-11-23T10:00:00Z, or how long ago, 7d", name, text)
}

// history asks until limit are there or there are no more: what is rare the daemon
// looks for a bit at a time.
func (a *app) history(cmd *cobra.Command, q url.Values, limit int) error {
	if limit < 1 || limit > desk.MostShown {
		return exit(exitUsage, "limit \"%d\": no number of decisions; want 1 to %d", limit, desk.MostShown)
	}
	all := desk.History{Decisions: []desk.DecisionLine{}}
	for {
		q.Set("limit", strconv.Itoa(limit-len(all.Decisions)))
		var page desk.History
		if err := a.ask(cmd, "/v1/history?"+q.Encode(), &page); err != nil {
			return err
		}
		all.Subject, all.Next = page.Subject, page.Next
		all.Decisions = append(all.Decisions, page.Decisions...)
		if page.Next == "" || len(all.Decisions) >= limit {
			return a.printHistory(all)
		}
		q.Set("before", page.Next)
	}
}

func (a *app) printHistory(h desk.History) error {
	if a.json {
		return a.printJSON(h)
	}
	if len(h.Decisions) == 0 {
		fmt.Fprintf(a.err, "%s: no decision is kept\n", clean(cmp.Or(h.Subject, "what was asked for")))
		return nil
	}
	rows := [][]string{{"AT", "ID", "ACTION", "RULE", "ACCOUNT", "CLIENT", "FROM", "RCPTS"}}
	for _, d := range h.Decisions {
		rows = append(rows, []string{d.At.Format(time.RFC3339Nano), d.ID, d.Action, d.Rule, clean(cmp.Or(d.Account, "-")),
			cmp.Or(d.Client, "-"), clean(cmp.Or(d.From, "<>")), fmt.Sprint(d.Rcpts)})
	}
	if err := table(a.out, rows); err != nil {
		return err
	}
	if h.Next != "" {
		fmt.Fprintf(a.err, "there is more: --before %s\n", clean(h.Next))
	}
	return nil
}
