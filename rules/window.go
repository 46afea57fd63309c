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
	// Shadow: nobody is stopped when it is full. It holds what would have passed.
	Shadow bool `json:"shadow,omitempty"`
}

func (e *Engine) windowOf(unit Unit, u state.Usage) Window {
	length, known := e.lengths[u.Length]
	if !known {
		length = FormatDuration(u.Length)
	}
	return Window{
		Limit: u.Limit, Subject: u.Subject, Unit: unit, Window: length,
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
// of the plan of the account that sent last. That of bulk.pace, and of a limit that the
// subject is exempt from, are there while they hold anything.
func (e *Engine) WindowsOf(ctx context.Context, now time.Time, subject string) ([]Window, error) {
	known, acc, err := e.heardOf(ctx, subject)
	if err != nil {
		return nil, err
	}
	asked, units := e.windowsAt(subject, acc)
	usage, err := e.store.Usage(ctx, now, asked)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	windows := []Window{}
	for i, u := range usage {
		name, inShadow := strings.CutPrefix(u.Limit, shadowPrefix)
		if u.Used == 0 && (name == bulkPace || inShadow && !e.isInShadow(name)) {
			continue // it has no campaigns, or no exemption, as nearly all have none
		}
		known = known || u.Used > 0
		w := e.windowOf(units[i], u)
		w.Subject, w.Limit, w.Shadow = "", name, inShadow
		windows = append(windows, w)
	}
	if !known {
		return []Window{}, nil
	}
	return windows, nil
}

// windowsAt are the windows that a subject may have, with their units: of a limit in
// shadow that of its own, of another one also that of who is exempt from it.
func (e *Engine) windowsAt(subject string, acc *accounts.Account) (list []state.Window, units []Unit) {
	add := func(action Action, w state.Window, unit Unit) {
		if action > Shadow {
			list, units = append(list, w), append(units, unit)
		}
		if action != Off {
			w.Limit = shadowPrefix + w.Limit
			list, units = append(list, w), append(units, unit)
		}
	}
	for _, l := range e.set.Limits {
		if l.Subject == windowKind(subject) {
			add(l.Action, state.Window{Limit: l.Name, Subject: subject, Length: l.Window, Max: l.maxFor(acc)}, l.Unit)
		}
	}
	add(e.action(bulkPace), e.paceWindow(subject), Messages)
	return list, units
}

// isInShadow says that the limit of this name stops nobody.
func (e *Engine) isInShadow(name string) bool {
	l := e.limitNamed(name)
	return l != nil && l.Action == Shadow
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
