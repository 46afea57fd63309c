package main

import (
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"o2n-milter/rules"
	"o2n-milter/state"
	"o2n-milter/web/desk"
)

// heldWait is for how many seconds a command waits for the host that holds the mail.
const heldWait = 5

func (a *app) heldCommand() *cobra.Command {
	return group("held", "List mail on hold in the MTA, release, delete or send it back",
		a.heldListCommand(), a.heldShowCommand(), a.heldReleaseCommand(), a.heldDeleteCommand())
}

// heldFlags say which held mail is listed.
type heldFlags struct {
	subject, rule, host, olderThan string
	all                            bool
}

func (a *app) heldListCommand() *cobra.Command {
	var f heldFlags
	c := &cobra.Command{
		Use:   "list [--subject SUBJECT] [--rule RULE] [--older-than DURATION] [--host HOST]",
		Short: "List the mail that is on hold, oldest first",
		Long: "List the mail that is on hold, oldest first. SUBJECT is whose mail it waits behind, or the account or customer that sent\n" +
			"it. Mail on hold that was not put there by o2n-milter is listed apart; it is never touched.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := f.query(time.Now())
			if err != nil {
				return err
			}
			var list desk.HeldList
			if err := a.ask(cmd, "/v1/held?"+q.Encode(), &list); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(list)
			}
			return a.printHeld(list)
		},
	}
	c.Flags().StringVar(&f.subject, "subject", "", "only mail of this `SUBJECT`")
	c.Flags().StringVar(&f.rule, "rule", "", "only mail that this `RULE` holds: its id, or limit.NAME")
	c.Flags().StringVar(&f.olderThan, "older-than", "", "only mail that is held for at least this `DURATION`: 30m, 4h, 2d")
	c.Flags().StringVar(&f.host, "host", "", "only mail that this `HOST` holds")
	c.Flags().BoolVar(&f.all, "all", false, "what has left or was deleted lately too")
	return c
}

// query is what the admin API is asked for at now.
func (f heldFlags) query(now time.Time) (url.Values, error) {
	q := url.Values{"subject": {f.subject}, "rule": {f.rule}, "host": {f.host}}
	if f.all {
		q.Set("all", "1")
	}
	if f.olderThan != "" {
		d, err := rules.ParseDuration(f.olderThan)
		if err != nil || d < 0 {
			return nil, exit(exitUsage, "--older-than %q: no duration; want 30m, 4h or 2d", f.olderThan)
		}
		q.Set("until", now.Add(-d).Format(time.RFC3339Nano))
	}
	return q, nil
}

func (a *app) printHeld(list desk.HeldList) error {
	rows := [][]string{{"ID", "STATE", "SUBJECT", "RULE", "SINCE", "DUE", "HOST", "QUEUE ID", "RCPTS", "ABOUT"}}
	for _, h := range list.Held {
		rows = append(rows, []string{h.ID, heldState(h), clean(h.Subject), h.Rule, showTime(&h.Since, ""), showTime(h.Due, "-"),
			clean(h.Host), clean(h.QueueID), fmt.Sprint(h.Recipients), shorten(h.About)})
	}
	if err := table(a.out, rows); err != nil {
		return err
	}
	if list.More > 0 {
		fmt.Fprintf(a.err, "and %d more: name a subject, a rule or a host\n", list.More)
	}
	if len(list.Unknown) == 0 {
		return nil
	}
	fmt.Fprintln(a.out, "\non hold, and not by o2n-milter")
	rows = [][]string{{"HOST", "QUEUE ID", "SINCE", "FROM", "RCPTS", "REASON"}}
	for _, u := range list.Unknown {
		rows = append(rows, []string{clean(u.Host), clean(u.QueueID), showTime(&u.Since, ""), clean(u.From), fmt.Sprint(u.Recipients), shorten(u.Reason)})
	}
	return table(a.out, rows)
}

// heldState is a message's state, with what somebody wants.
func heldState(h desk.HeldView) string {
	if h.Wish == state.WishNone || h.Ended != nil {
		return string(h.State)
	}
	return fmt.Sprintf("%s, to %s", h.State, h.Wish)
}

func (a *app) heldShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show a held message, by its decision's id or its queue id",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var h desk.HeldDetail
			if err := a.ask(cmd, "/v1/held/show?"+url.Values{"id": {args[0]}}.Encode(), &h); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(h)
			}
			return a.printHeldMail(h)
		},
	}
}

func (a *app) printHeldMail(h desk.HeldDetail) error {
	rows := [][]string{
		{"held", h.ID}, {"state", string(h.State)}, {"subject", clean(h.Subject)}, {"rule", h.Rule}, {"reason", indented(h.Reason)},
		{"since", showTime(&h.Since, "")}, {"due", showTime(h.Due, "not known")}, {"host", clean(h.Host)}, {"queue id", clean(h.QueueID)},
	}
	for _, more := range [][]string{{"account", h.Account}, {"customer", h.Customer}, {"about", h.About}} {
		if more[1] != "" {
			rows = append(rows, []string{more[0], clean(more[1])})
		}
	}
	if h.Wish != state.WishNone {
		rows = append(rows, []string{"wanted", fmt.Sprintf("%s, by %s", h.Wish, clean(h.WishBy))})
	}
	if h.Ended != nil {
		rows = append(rows, []string{"ended", showTime(h.Ended, "")})
	}
	rows = append(rows, []string{"size", showSize(h.Size)}, []string{"from", "<" + clean(h.From) + ">"})
	for _, to := range h.To {
		rows = append(rows, []string{"to", "<" + clean(to) + ">"})
	}
	return table(a.out, rows)
}

func (a *app) heldReleaseCommand() *cobra.Command {
	c, in := a.wishCommand("release", "Let held mail leave at once, charged to no limit")
	c.RunE = func(cmd *cobra.Command, ids []string) error {
		in.Wish = state.WishRelease
		return a.wishHeld(cmd, *in, ids)
	}
	return c
}

func (a *app) heldDeleteCommand() *cobra.Command {
	var bounce bool
	c, in := a.wishCommand("delete", "Delete held mail, or send it back to its sender")
	c.Flags().BoolVar(&bounce, "bounce", false, "send it back to its sender, with the reason")
	c.RunE = func(cmd *cobra.Command, ids []string) error {
		if in.Wish = state.WishDelete; bounce {
			in.Wish = state.WishBounce
		}
		return a.wishHeld(cmd, *in, ids)
	}
	return c
}

// wishCommand is a command that says what is to become of held mail, without its RunE.
func (a *app) wishCommand(verb, short string) (*cobra.Command, *desk.WishHeld) {
	var in desk.WishHeld
	c := &cobra.Command{
		Use:   verb + " ID... | --subject SUBJECT [--rule RULE]",
		Short: short,
		Long: short + ": the messages named by their decisions' ids\nor queue ids, or all of a subject. The host that holds it does it; " +
			"where that is away, as soon as it is back.\nExit code 1 when some of it had left already.",
		Example: "  o2n-milter held " + verb + " 7K3QF2M9\n" +
			"  o2n-milter held " + verb + " --subject account:alice@client-a.example --rule limit.minute --reason 'ticket 4711'",
	}
	c.Flags().StringVar(&in.Subject, "subject", "", "all held mail of this `SUBJECT`")
	c.Flags().StringVar(&in.Rule, "rule", "", "of the subject's mail only what this `RULE` holds")
	c.Flags().StringVar(&in.Reason, "reason", "", "why, for the record")
	c.Flags().BoolVar(&in.DryRun, "dry-run", false, "only show what would be done")
	return c, &in
}

func (a *app) wishHeld(cmd *cobra.Command, in desk.WishHeld, ids []string) error {
	in.IDs, in.Wait = ids, heldWait
	var list desk.WishedList
	if err := a.tell(cmd, "/v1/held/wish", in, &list); err != nil {
		return err
	}
	if a.json {
		if err := a.printJSON(list); err != nil {
			return err
		}
	} else {
		for _, h := range list.Held {
			fmt.Fprintln(a.out, wishedLine(h, in.Wish))
		}
	}
	for _, h := range list.Held {
		if h.Outcome == desk.HeldLate || h.Outcome == desk.HeldUndone {
			return &exitError{code: exitNo}
		}
	}
	return nil
}

// wishVerbs are what somebody wants, and what was done then.
var wishVerbs = map[state.Wish]struct{ want, did string }{
	state.WishRelease: {"release", "released"},
	state.WishDelete:  {"delete", "deleted"},
	state.WishBounce:  {"send back", "sent back"},
}

// heldEnds are the states of a message that is leaving or gone, for a sentence.
var heldEnds = map[state.HeldState]string{
	state.HeldLeaving: "is leaving already", state.HeldReleased: "was released already", state.HeldDeleted: "was deleted already",
	state.HeldBounced: "was sent back already", state.HeldGone: "was released or deleted in the MTA already",
}

// wishedLine says what became of a message.
func wishedLine(h desk.WishedHeld, wish state.Wish) string {
	verb := wishVerbs[wish]
	mail := h.ID + " of " + clean(h.Subject)
	switch h.Outcome {
	case desk.HeldWould:
		return "would " + verb.want + " " + mail
	case desk.HeldDone:
		if h.Changed {
			return verb.did + " " + mail
		}
		return mail + " " + heldEnds[h.State]
	case desk.HeldAsked:
		if h.State == state.HeldLeaving {
			return mail + " is leaving"
		}
		return fmt.Sprintf("%s is to be %s: %s has not done it yet", mail, verb.did, clean(h.Host))
	case desk.HeldLate:
		return mail + " " + heldEnds[h.State] + ": nothing was changed"
	}
	if wish == state.WishBounce {
		return fmt.Sprintf("%s is still held: its sender <%s> is not known to be who sent it, and gets nothing back", mail, clean(h.From))
	}
	return mail + " is still held: somebody wants something else done with it"
}
