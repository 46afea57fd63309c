package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"o2n-milter/accounts"
	"o2n-milter/config"
	"o2n-milter/replay"
	"o2n-milter/rules"
	"o2n-milter/state"
	"o2n-milter/web/desk"
)

// exitInterrupted is a shell's code for who was ended by SIGINT: 128 and its number.
const exitInterrupted = 130

// replayFlags say what is replayed, by which rules.
type replayFlags struct {
	envelope            envelopeFlags
	rules, since, until string
	csv, each           bool
}

func (a *app) replayCommand() *cobra.Command {
	var f replayFlags
	c := &cobra.Command{
		Use:   "replay [SOURCE...]",
		Short: "Run mail of the past through the rules, in simulated time",
		Long: "Run mailbox files, Maildirs, folders of .eml and .mbox files, single messages or - (standard input) through\n" +
			"the rules, or with --since the daemon's recorded decisions, in simulated time: the newest Received, else Date.\n" +
			"Nothing is charged or blocked in reality. Without --login each message's Return-Path, else its From address, is\n" +
			"taken for the login. --rules shows what another configuration would change for whom.\n" +
			"Exit code 0 whatever the mail got, 65 when a source cannot be read, 130 after Ctrl-C, with what was counted by then.",
		RunE: func(cmd *cobra.Command, sources []string) error {
			if err := f.check(cmd, sources, a.json); err != nil {
				return err
			}
			return a.replay(cmd, sources, f)
		},
	}
	f.envelope.add(c)
	c.Flags().StringVar(&f.rules, "rules", "", "another configuration `FILE` to compare with")
	c.Flags().StringVar(&f.since, "since", "", "replay recorded decisions of this `TIME` on: 7d, or RFC 3339")
	c.Flags().StringVar(&f.until, "until", "", "only those before this `TIME`")
	c.Flags().BoolVar(&f.csv, "csv", false, "print comma-separated values")
	c.Flags().BoolVar(&f.each, "each", false, "print each message and what became of it, no tables; with --json one object a line")
	return c
}

// check refuses what does not go together.
func (f *replayFlags) check(cmd *cobra.Command, sources []string, json bool) error {
	for _, name := range []string{"login", "client", "from", "rcpt"} {
		if f.since != "" && cmd.Flags().Changed(name) {
			return exit(exitUsage, "replay: --%s is for mail in files; a recorded decision has it", name)
		}
	}
	switch {
	case len(sources) == 0 && f.since == "":
		return exit(exitUsage, "replay: want sources, or --since for recorded decisions")
	case len(sources) > 0 && f.since+f.until != "":
		return exit(exitUsage, "replay: --since and --until are for recorded decisions; want them or sources, not both")
	case f.csv && json:
		return exit(exitUsage, "replay: want --csv or --json, not both")
	}
	return nil
}

// replayed is one replay under way.
type replayed struct {
	*app
	cmd   *cobra.Command
	run   *replay.Run
	lanes []*replay.Lane
	notes []string
	index *replay.Index // nil while there is none
}

func (a *app) replay(cmd *cobra.Command, sources []string, f replayFlags) error {
	envelope, err := f.envelope.read(cmd)
	if err != nil {
		return err
	}
	r := &replayed{app: a, cmd: cmd, notes: []string{}}
	if err := r.open(f.rules, f.since == ""); err != nil {
		return err
	}
	if f.each {
		if r.run.Each, err = r.eachPrinter(f.csv); err != nil {
			return err
		}
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if f.since != "" {
		err = r.decisions(ctx, f)
	} else {
		err = r.mail(ctx, sources, envelope)
	}
	if err != nil && !(ctx.Err() != nil && errors.Is(err, ctx.Err())) {
		return err
	}
	if err != nil {
		r.run.Stop()
	}
	stop() // the second Ctrl-C ends it at once
	return r.print(f.csv)
}

// open reads the configurations.
func (r *replayed) open(newRules string, mail bool) error {
	cfg, err := r.load(r.cmd)
	if err != nil {
		return err
	}
	source, err := accountsNow(cfg)
	if err != nil {
		return &exitError{exitConfig, err}
	}
	asksContent := cfg.Content.URL != ""
	lane := replay.NewLane(cfg.Rules, source)
	r.lanes = []*replay.Lane{lane}
	var next *replay.Lane
	if newRules != "" {
		other, faults := config.Load(newRules, true)
		if len(faults) > 0 {
			return r.faulty(faults)
		}
		if source, err = r.accountsOf(other, source); err != nil {
			return &exitError{exitConfig, err}
		}
		asksContent = asksContent || other.Content.URL != ""
		next = replay.NewLane(other.Rules, source)
		r.lanes = append(r.lanes, next)
	}
	if asksContent && mail {
		r.notes = append(r.notes, "the content engine is not asked: content.score finds nothing")
	}
	r.run = replay.NewRun(lane, next)
	return nil
}

// accountsOf are the accounts of another configuration; where it names none, the
// present ones, as it is about rules.
func (r *replayed) accountsOf(other *config.Config, present accounts.Source) (accounts.Source, error) {
	list, err := other.Accounts.Read()
	if err == nil && len(list) == 0 {
		r.notes = append(r.notes, other.File+" names no accounts: those of the present configuration are taken")
		return present, nil
	}
	if err != nil {
		return nil, err
	}
	return accountsNow(other)
}

// mail replays files.
func (r *replayed) mail(ctx context.Context, sources []string, e replay.Envelope) error {
	if e.Login == nil {
		r.notes = append(r.notes, "no --login: each message's Return-Path, else its From address, is taken for the login")
	}
	seen, done := r.progress(-1, "looking for messages")
	x, err := replay.New(ctx, sources, r.in, time.Now(), seen)
	done()
	if err != nil {
		return err
	}
	defer x.Close()
	r.index = x
	seen, done = r.progress(x.Len(), "judging")
	defer done()
	return r.run.Mail(ctx, x, e, seen)
}

// decisions replays what the daemon has recorded.
func (r *replayed) decisions(ctx context.Context, f replayFlags) error {
	now := time.Now()
	since, err := pointInTime("--since", f.since, now)
	if err != nil {
		return err
	}
	until := now
	if f.until != "" {
		if until, err = pointInTime("--until", f.until, now); err != nil {
			return err
		}
		if !until.After(since) {
			return exit(exitUsage, "--until %q: not after --since; want a later time", f.until)
		}
	}
	cl, err := r.client(r.cmd)
	if err != nil {
		return err
	}
	if err := r.exempt(ctx, cl); err != nil {
		return err
	}
	seen, done := r.progress(-1, "asking for decisions")
	tape, err := replay.Record(ctx, cl.records, since, until, seen)
	done()
	if err != nil {
		return err
	}
	defer tape.Close()
	r.notes = append(r.notes, "a record has what rules found in the text, not the mail: what a rule that was off had not looked for is not there; "+
		"windows, campaigns and blocks begin empty and are made anew")
	seen, done = r.progress(tape.Len(), "judging")
	defer done()
	return r.run.Decisions(ctx, tape, seen)
}

// records gets a page of decisions.
func (c *client) records(ctx context.Context, q state.Query) ([]state.Decision, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	query := url.Values{
		"since": {q.Since.Format(time.RFC3339Nano)}, "before": {q.Before.Format(time.RFC3339Nano)},
		"past": {q.Past}, "limit": {strconv.Itoa(q.Limit)},
	}
	var list desk.Records
	err := c.call("/v1/records?"+query.Encode(), nil, &list)
	return list.Decisions, err
}

// exempt puts the daemon's exemptions in force: for the present rules as they were at each
// time, for the new ones, which are to come, those of now all the time.
func (r *replayed) exempt(ctx context.Context, cl *client) error {
	var list desk.ExemptionList
	if err := cl.call(listPath("/v1/exemptions", true), nil, &list); err != nil {
		return err
	}
	var all []state.Exemption
	for _, v := range list.Exemptions {
		x := state.Exemption{
			ID: v.ID, Subject: v.Subject, Rule: v.Rule, Factor: v.Factor, Domain: v.Domain,
			Owner: v.Owner, Reason: v.Reason, Since: v.Since, Until: v.Until, By: v.By,
		}
		if v.RemovedAt != nil && v.RemovedAt.Before(x.Until) {
			x.Until = *v.RemovedAt
		}
		all = append(all, x)
	}
	for i, lane := range r.lanes {
		list := all
		if i > 0 {
			list = always(all, time.Now())
		}
		if err := lane.Exempt(ctx, list); err != nil {
			return fmt.Errorf("exemptions: %w", err)
		}
	}
	return nil
}

// always are the exemptions that are in force now, as from the beginning.
func always(list []state.Exemption, now time.Time) []state.Exemption {
	var inForce []state.Exemption
	for _, x := range list {
		if x.Active(now) {
			x.Since = time.Time{}
			inForce = append(inForce, x)
		}
	}
	return inForce
}

// pointInTime is a time, or how long before now it was.
func pointInTime(flag, text string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	ago, err := rules.ParseDuration(text)
	if err != nil || ago == 0 {
		return now, exit(exitUsage, "%s %q: no time; want how long ago, 7d or 12h, or RFC 3339, 2026-11-23T10:00:00Z", flag, text)
	}
	return now.Add(-ago), nil
}

// progress shows how far it is, when somebody is watching; total -1: nobody knows how
// much there is. done wipes it away.
func (a *app) progress(total int, what string) (seen func(int), done func()) {
	f, ok := a.err.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return func(int) {}, func() {}
	}
	bar := progressbar.NewOptions(total, progressbar.OptionSetWriter(f), progressbar.OptionSetDescription(what),
		progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("messages"),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	// What cannot be drawn is not worth an error.
	return func(n int) { _ = bar.Set(n) }, func() { _ = bar.Clear() }
}
