package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"o2n-milter/rules"
	"o2n-milter/web/desk"
)

func (a *app) explainCommand() *cobra.Command {
	var follow bool
	var f historyFlags
	c := &cobra.Command{
		Use:   "explain ID",
		Short: "Show why a message was refused, held or let through",
		Long: "Show a decision, by the id at the end of the reply, in the log or in history: what happened, what the message\n" +
			"was, what was found and wanted, its windows, the lines of the configuration that decided, all as they were then,\n" +
			"and what would have made it pass. With --follow and no ID show decisions as they come, until Ctrl-C.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 == follow || len(args) > 1 {
				return fmt.Errorf("want one ID, or --follow")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if follow {
				return a.follow(cmd, f)
			}
			if f != (historyFlags{}) {
				return exit(exitUsage, "flags that choose decisions are for --follow; explain ID shows the one")
			}
			var e desk.Explained
			if err := a.ask(cmd, "/v1/explain?"+url.Values{"id": {args[0]}}.Encode(), &e); err != nil {
				if ee := (*exitError)(nil); errors.As(err, &ee) && ee.code == exitNo {
					return exit(exitNo, "%w; inbound mail leaves none, others are kept for state.retention", err)
				}
				return err
			}
			if a.json {
				return a.printJSON(e)
			}
			return a.printExplained(e)
		},
	}
	c.Flags().BoolVar(&follow, "follow", false, "show decisions as they come, a line each; with --json one object a line")
	f.register(c, "--follow: only of this `SUBJECT`")
	return c
}

const (
	// followEvery is how often the daemon is asked for what is new.
	followEvery = 500 * time.Millisecond
	// followBack is how far back it is asked each time: decisions have the time at which
	// judging began (a content engine may take 6 s), on the clock of their host, and are
	// visible within a second.
	followBack = 15 * time.Second
)

// follow prints decisions as they come, in the order of their times, as far as they
// come so.
func (a *app) follow(cmd *cobra.Command, f historyFlags) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	cl, err := a.client(cmd)
	if err != nil {
		return err
	}
	seen := map[string]time.Time{}
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for first := true; ; first = false {
		now := time.Now()
		fresh, err := cl.fresh(f.query(now.Add(-followBack)), seen)
		if err != nil {
			return err
		}
		if first { // those were there before
			fresh = nil
			fmt.Fprintln(a.err, "following; Ctrl-C ends it")
		}
		for _, e := range fresh {
			if err := a.printFollowed(e); err != nil {
				return err
			}
		}
		for id, at := range seen {
			if at.Before(now.Add(-2 * followBack)) {
				delete(seen, id)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// fresh are the decisions that are not in seen yet, the oldest first; it puts them
// there. It reads on as long as a page brings any.
func (c *client) fresh(q url.Values, seen map[string]time.Time) ([]desk.Explained, error) {
	var fresh []desk.Explained
	for {
		var list desk.ExplainedList
		if err := c.call("/v1/decisions?"+q.Encode(), nil, &list); err != nil {
			return nil, err
		}
		before := len(fresh)
		for _, e := range list.Decisions {
			if _, known := seen[e.ID]; !known {
				seen[e.ID] = e.At
				fresh = append(fresh, e)
			}
		}
		if list.Next == "" || len(fresh) == before && len(list.Decisions) > 0 {
			slices.Reverse(fresh)
			return fresh, nil
		}
		q.Set("before", list.Next)
	}
}

func (a *app) printFollowed(e desk.Explained) error {
	if a.json {
		return a.printJSON(e)
	}
	why := ""
	if len(e.Evidence) > 0 {
		ev := e.Evidence[0]
		why = fmt.Sprintf(" %s is %s, want %s", ev.Fact, ev.Got, ev.Want)
	}
	_, err := fmt.Fprintf(a.out, "%s %s %s %s %s from %s to %d%s\n", e.At.Format(time.RFC3339), e.ID, e.Action, e.Rule,
		clean(cmp.Or(e.Facts.Account, e.Facts.Client, "-")), clean(cmp.Or(e.Facts.From, "<>")), e.Facts.Rcpts, clean(why))
	return err
}

func (a *app) printExplained(e desk.Explained) error {
	fmt.Fprintf(a.out, "%s %s\n", clean(e.ID), clean(e.Outcome))
	if e.Action == rules.Quarantine.String() {
		fmt.Fprintf(a.out, "What became of it since: o2n-milter held show %s\n", clean(e.ID))
	}
	rows := [][]string{{"at", e.At.Format(time.RFC3339Nano)}, {"action", e.Action}, {"rule", clean(e.Rule)}}
	if e.Reply != "" {
		rows = append(rows, []string{"reply", clean(e.Reply)})
	}
	if e.Version != "" {
		rows = append(rows, []string{"configuration", e.Version})
	}
	if err := table(a.out, append(rows, factRows(e.Facts)...)); err != nil {
		return err
	}
	for _, part := range []struct {
		title, none string
		rows        [][]string
	}{
		{"what was found", "nothing that any rule forbids", evidenceTable(e.Evidence)},
		{"windows, as the message left them", noWindows(e), windowTable(e.Windows)},
		{"what it would have cost", "", chargeTable(e)},
		{"the configuration that decided", noLines(e), lineTable(e.Config)},
		{remedyTitle(e), "", remedyTable(e.Remedies)},
	} {
		if len(part.rows) == 0 && part.none == "" {
			continue
		}
		fmt.Fprintf(a.out, "\n%s\n", part.title)
		if len(part.rows) == 0 {
			part.rows = [][]string{{"  " + part.none}}
		}
		if err := table(a.out, part.rows); err != nil {
			return err
		}
	}
	return nil
}

func noWindows(e desk.Explained) string {
	switch {
	case len(e.Charges) == 0:
		return "no limit counts it"
	case e.Action == rules.Accept.String():
		return ""
	}
	return "none was asked: it was stopped before"
}

func noLines(e desk.Explained) string {
	if len(e.Evidence) == 0 {
		return "no rule found anything; o2n-milter usage shows the limits now"
	}
	return "not kept"
}

// factRows are what the message was, without what is not known of it.
func factRows(f desk.Facts) [][]string {
	rcpts := strings.Join(f.Recipients, " ")
	if f.Rcpts > len(f.Recipients) {
		rcpts = strings.TrimSpace(fmt.Sprintf("%s (%d in all)", rcpts, f.Rcpts))
	}
	client := f.Client
	if f.ClientName != "" {
		client += " (" + f.ClientName + ")"
	}
	campaign := ""
	if f.Campaign != nil {
		campaign = fmt.Sprintf("%s of %s, %d different recipients", f.Campaign.ID, f.Campaign.Subject, f.Campaign.Recipients)
	}
	var rows [][]string
	for _, fact := range [][2]string{
		{"account", f.Account}, {"login", f.Login}, {"client", client}, {"host", f.Host}, {"sender", cmp.Or(f.From, "<>")},
		{"recipients", rcpts}, {"authors", strings.Join(f.Authors, " ")}, {"reply-to", strings.Join(f.ReplyTo, " ")},
		{"subject line", f.Subject}, {"message-id", f.MessageID}, {"size", fmt.Sprint(f.Size)}, {"queue id", f.QueueID},
		{"content score", f.Score}, {"campaign", campaign}, {"subjects", strings.Join(f.Subjects, " ")},
	} {
		if fact[1] != "" {
			rows = append(rows, []string{fact[0], clean(fact[1])})
		}
	}
	return rows
}

func evidenceTable(list []rules.Evidence) [][]string {
	var rows [][]string
	for _, ev := range list {
		rows = append(rows, append([]string{"  " + ev.Rule, clean(ev.Fact), "got " + clean(ev.Got), "want " + clean(ev.Want)}, remarks(ev)...))
	}
	return rows
}

// remarks say what is special about evidence, in a cell where there is anything.
func remarks(ev rules.Evidence) []string {
	switch {
	case ev.Exempt != "" && ev.Shadow:
		return []string{"(exempt by " + ev.Exempt + ": it stops nothing)"}
	case ev.Exempt != "":
		return []string{"(max raised by exemption " + ev.Exempt + ")"}
	case ev.Shadow:
		return []string{"(shadow: it stops nothing)"}
	}
	return nil
}

func windowTable(list []rules.Window) [][]string {
	var rows [][]string
	for _, w := range list {
		free := "free"
		if w.Used >= w.Max {
			free = "next free " + w.NextFree.Format(time.RFC3339Nano)
		}
		row := []string{"  " + limitRule(w.Limit), clean(w.Subject), fmt.Sprintf("%d of %d %s in %s", w.Used, w.Max, w.Unit, w.Window), free}
		if w.Shadow {
			row = append(row, "(shadow)")
		}
		rows = append(rows, row)
	}
	return rows
}

// chargeTable is what each limit counts of the message where the windows do not say it.
func chargeTable(e desk.Explained) [][]string {
	if len(e.Windows) > 0 {
		return nil
	}
	var rows [][]string
	for _, c := range e.Charges {
		rows = append(rows, []string{"  " + limitRule(c.Limit), clean(c.Subject), fmt.Sprintf("%d %s", c.Cost, c.Unit)})
	}
	return rows
}

// limitRule is the rule of a limit's name; bulk.pace is no [limit.NAME].
func limitRule(name string) string {
	if strings.Contains(name, ".") {
		return name
	}
	return "limit." + name
}

func lineTable(lines []rules.Line) [][]string {
	var rows [][]string
	for _, l := range lines {
		at := "default"
		if l.Line > 0 {
			at = fmt.Sprintf("%s:%d", clean(l.File), l.Line)
		}
		rows = append(rows, []string{"  " + at, clean(l.Key) + " = " + clean(l.Value)})
	}
	return rows
}

func remedyTitle(e desk.Explained) string {
	if e.Action == rules.Accept.String() {
		return "what would make it pass if that was enforced"
	}
	return "what would have made it pass"
}

func remedyTable(list []rules.Remedy) [][]string {
	var rows [][]string
	for _, r := range list {
		rows = append(rows, []string{"  " + r.Rule, clean(r.Text)})
	}
	return rows
}
