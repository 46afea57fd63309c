package rules

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"o2n-milter/accounts"
	"o2n-milter/state"
)

// Window is what a limit holds of a subject, as people are told.
type Window struct {
	Limit    string    `json:"limit"`
	Subject  string    `json:"subject,omitempty"` // empty where all are one subject's
	Unit     Unit      `json:"unit"`
	Window   string    `json:"window"` // its length, as in TOML
	Used     int64     `json:"used"`
	Max      int64     `json:"max"`
	NextFree time.Time `json:"next_free"` // when one more unit fits; the time of the look when it fits now
}

func windowOf(unit Unit, u state.Usage) Window {
	return Window{
		Limit: u.Limit, Subject: u.Subject, Unit: unit, Window: FormatDuration(u.Length),
		Used: u.Used, Max: u.Max, NextFree: milliseconds(u.NextFree),
	}
}

// milliseconds rounds up: at the time shown the place is free.
func milliseconds(t time.Time) time.Time {
	return t.UTC().Add(time.Millisecond - time.Nanosecond).Truncate(time.Millisecond)
}

// WindowsOf tells the windows of exactly this subject under every limit of its
// kind, in file order, empty ones too; none when nobody has heard of the subject.
// An account's max is that of its plan; of what several accounts share it is that
// of the plan of the account that sent last. That of bulk.pace is there while it holds
// anything.
func (e *Engine) WindowsOf(ctx context.Context, now time.Time, subject string) ([]Window, error) {
	known, acc, err := e.heardOf(ctx, subject)
	if err != nil {
		return nil, err
	}
	var asked []state.Window
	var units []Unit
	for _, l := range e.set.Limits {
		if l.Subject == windowKind(subject) && l.Action != Off {
			asked = append(asked, state.Window{Limit: l.Name, Subject: subject, Length: l.Window, Max: l.maxFor(acc)})
			units = append(units, l.Unit)
		}
	}
	if e.action(bulkPace) != Off {
		asked, units = append(asked, e.paceWindow(subject)), append(units, Messages)
	}
	usage, err := e.store.Usage(ctx, now, asked)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	windows := []Window{}
	for i, u := range usage {
		if u.Limit == bulkPace && u.Used == 0 {
			continue // it has no campaigns, as nearly all have none
		}
		known = known || u.Used > 0
		w := windowOf(units[i], u)
		w.Subject = ""
		windows = append(windows, w)
	}
	if !known {
		return []Window{}, nil
	}
	return windows, nil
}

// heardOf says whether a subject is an account of the source or has a decision or
// a block, and gives the account whose plan chooses the max of its windows, nil
// for none.
func (e *Engine) heardOf(ctx context.Context, subject string) (known bool, acc *accounts.Account, err error) {
	// A store that counts in memory for a while has no decisions at hand.
	last, err := e.store.Decisions(ctx, state.Query{Subject: subject, Limit: 1})
	if err != nil && !errors.Is(err, state.ErrUnavailable) {
		return false, nil, fmt.Errorf("store: %w", err)
	}
	blocks, err := e.store.BlocksOf(ctx, []string{subject})
	if err != nil {
		return false, nil, fmt.Errorf("store: %w", err)
	}
	known = len(last)+len(blocks) > 0
	kind, name, _ := strings.Cut(subject, ":")
	login, _, isPair := cutPair(name)
	switch {
	case kind != "account" && len(last) == 0:
		return known, nil, nil
	case kind != "account":
		login = last[0].Account // empty for none, and nobody's
	}
	if acc, err = e.accounts.ByLogin(ctx, login); err != nil {
		return false, nil, fmt.Errorf("accounts: %w", err)
	}
	return known || kind == "account" && !isPair && acc != nil, acc, nil
}

// windowKind is the kind of limit that counts a subject; empty for a script with
// its file's name, which no limit counts.
func windowKind(subject string) string {
	kind, name, _ := strings.Cut(subject, ":")
	_, _, isPair := cutPair(name)
	switch {
	case kind == "account" && isPair:
		return "account+domain"
	case kind == "script" && strings.Contains(name[strings.LastIndexByte(name, '@')+1:], "/"):
		return ""
	}
	return kind
}

// cutPair splits what stands behind "account:" of an account at a destination.
// Neither part can hold what stands between them.
func cutPair(name string) (login, destination string, ok bool) {
	return strings.Cut(name, "+domain:")
}
