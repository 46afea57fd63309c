package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"o2n-milter/accounts"
	"o2n-milter/config"
	"o2n-milter/content"
	"o2n-milter/message"
	"o2n-milter/replay"
	"o2n-milter/rules"
	"o2n-milter/state/memory"
)

// mostMessage bounds a message that check reads, in octets.
const mostMessage = 256 << 20

// checkFlags is the envelope that check plays, and when.
type checkFlags struct {
	at       string
	state    string
	envelope replay.Envelope
}

func (a *app) checkCommand() *cobra.Command {
	var f checkFlags
	var envelope envelopeFlags
	c := &cobra.Command{
		Use:   "check FILE...",
		Short: "Show the verdict on a message without sending or charging it",
		Long: "Show the verdict on messages (- is standard input) under the configuration, with empty windows, no blocks and no\n" +
			"exemptions; with --state live, the verdict that the daemon would give now. Nothing is charged either way. Without\n" +
			"--login the Return-Path, else the From address, is taken for the login; without --rcpt the addresses of To, Cc and\n" +
			"Bcc. --login '' is mail without login. Exit code 1 unless all of it passes, 65 when some could not be judged.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			var err error
			if f.envelope, err = envelope.read(cmd); err != nil {
				return err
			}
			return a.check(cmd, files, f)
		},
	}
	envelope.add(c)
	c.Flags().StringVar(&f.state, "state", "empty", "windows and blocks: empty, or live, the daemon's")
	c.Flags().StringVar(&f.at, "at", "", "`TIME` of the check, RFC 3339 (default now)")
	return c
}

func (a *app) check(cmd *cobra.Command, files []string, f checkFlags) error {
	judge, err := a.checkJudge(cmd, f)
	if err != nil {
		return err
	}
	passed, unread := true, 0
	for _, file := range files {
		raw, err := a.readMessage(file)
		if err != nil {
			fmt.Fprintf(a.err, "o2n-milter: %s: %v\n", file, err)
			unread++
			continue
		}
		m, guess := f.envelope.Mail(raw)
		if guess != "" {
			fmt.Fprintf(a.err, "%s: no --login, taking %s\n", file, clean(guess))
		}
		v, err := judge(m)
		if err != nil {
			return err
		}
		if guess != "" && m.Login == "" && !v.judged { // "accept" would be about no mail of a customer's
			fmt.Fprintf(a.err, "o2n-milter: %s: nobody knows whose it is; want --login\n", clean(file))
			unread++
			continue
		}
		if v.fault != "" {
			fmt.Fprintf(a.err, "%s: %s\n", file, clean(v.fault)) // whatever it led to is part of the verdict
		}
		passed = passed && (v.Action == rules.Accept.String() || v.Action == rules.Tag.String())
		v.File = file
		if err := a.printVerdict(v); err != nil {
			return err
		}
	}
	switch {
	case unread > 0:
		return exit(exitInput, "%d of %d messages could not be judged", unread, len(files))
	case !passed:
		return &exitError{code: exitNo}
	}
	return nil
}

// checkJudge is who judges: the daemon, or the rules of the configuration, where each
// message meets empty windows.
func (a *app) checkJudge(cmd *cobra.Command, f checkFlags) (func(*rules.Mail) (checkView, error), error) {
	switch {
	case f.state == "live" && f.at != "":
		return nil, exit(exitUsage, "--at goes with empty windows; the daemon's are those of now")
	case f.state == "live":
		cl, err := a.client(cmd)
		return func(m *rules.Mail) (checkView, error) { return checkLive(cl, m) }, err
	case f.state != "empty":
		return nil, exit(exitUsage, "--state %q: want empty or live", f.state)
	}
	cfg, err := a.load(cmd)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if f.at != "" {
		if now, err = time.Parse(time.RFC3339, f.at); err != nil {
			return nil, exit(exitUsage, "--at %q: no time; want RFC 3339, 2026-11-23T10:00:00Z", f.at)
		}
	}
	source, err := accountsNow(cfg)
	if err != nil {
		return nil, &exitError{exitConfig, err}
	}
	if err := joinContent(cfg, slog.New(slog.DiscardHandler), func(time.Duration, *content.Fault) {}); err != nil {
		return nil, &exitError{exitConfig, err}
	}
	return func(m *rules.Mail) (checkView, error) {
		engine := rules.New(cfg.Rules, source, memory.New(), func() time.Time { return now })
		return checkViewOf(engine.Decide(context.Background(), m))
	}, nil
}

// checkViewOf is the view of a verdict with empty windows; only that of the content
// engine is a fault to go on with.
func checkViewOf(v rules.Verdict) (checkView, error) {
	view := checkView{Action: v.Action.String(), Rule: v.Rule, Reply: v.Reply(), Evidence: v.Evidence, Charges: v.Charges, judged: v.Judged}
	if fault := (*content.Fault)(nil); errors.As(v.Err, &fault) {
		view.fault = v.Err.Error()
	} else if v.Err != nil {
		return view, v.Err
	}
	if view.Evidence == nil {
		view.Evidence = []rules.Evidence{}
	}
	if view.Charges == nil {
		view.Charges = []rules.Charge{}
	}
	return view, nil
}

// accountsNow reads the accounts once.
func accountsNow(cfg *config.Config) (accounts.Source, error) {
	list, err := cfg.Accounts.Read()
	if err != nil {
		return nil, err
	}
	table, clashes := accounts.NewTable(list)
	if len(clashes) > 0 {
		return nil, clashes[0]
	}
	return table, nil
}

func (a *app) readMessage(file string) (message.Raw, error) {
	in := a.in
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return message.Raw{}, err
		}
		defer f.Close()
		in = f
	}
	raw, err := message.Split(in, mostMessage)
	if err == nil && raw.Size == 0 {
		err = errors.New("empty; want a message")
	}
	return raw, err
}

// checkView is a verdict in JSON.
type checkView struct {
	File     string           `json:"file"`
	Action   string           `json:"action"`
	Rule     string           `json:"rule"`
	Reply    string           `json:"reply"`
	Evidence []rules.Evidence `json:"evidence"`
	Charges  []rules.Charge   `json:"charges"`
	// Windows of the charges in order, as the daemon has them; none without it.
	Windows []rules.Window `json:"windows,omitempty"`
	judged  bool
	fault   string // what went wrong inside
}

func (a *app) printVerdict(v checkView) error {
	if a.json {
		return a.printJSON(v)
	}
	fmt.Fprintf(a.out, "%s: %s", clean(v.File), v.Action)
	switch {
	case !v.judged:
		fmt.Fprint(a.out, " (inbound mail without login: not judged)")
	case v.Rule != "none":
		fmt.Fprint(a.out, " by "+v.Rule)
	}
	fmt.Fprintln(a.out)
	if v.Reply != "" {
		fmt.Fprintln(a.out, "  reply:", v.Reply)
	}
	rows := evidenceTable(v.Evidence)
	for i, c := range v.Charges {
		rule := "limit." + c.Limit
		if strings.Contains(c.Limit, ".") { // bulk.pace, which is no [limit.NAME]
			rule = c.Limit
		}
		row := []string{"  " + rule, clean(c.Subject), fmt.Sprintf("would cost %d %s", c.Cost, c.Unit)}
		if i < len(v.Windows) {
			row = append(row, fmt.Sprintf("%d of %d used", v.Windows[i].Used, v.Windows[i].Max))
		}
		rows = append(rows, row)
	}
	return table(a.out, rows)
}
