// Package doctor looks for what is wrong with an installation: how Postfix or Sendmail
// is wired to the filter, whether they can reach it, what the host gives it, and what
// the traffic so far says of all that.
//
// It reads and tells. It changes nothing, judges no mail, and needs neither root nor a
// running daemon: what it may not look at is a finding too.
package doctor

import (
	"fmt"
	"slices"
)

// Level says how bad a finding is.
type Level int

// The levels, from good to bad. A warning is mail that may be lost, late or unjudged
// some day; a fault is that now.
const (
	OK Level = iota
	Note
	Warning
	Fault
)

var levelNames = [...]string{"ok", "note", "warning", "fault"}

func (l Level) String() string { return levelNames[l] }

// MarshalText writes the level's name into JSON.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads what MarshalText has written.
func (l *Level) UnmarshalText(text []byte) error {
	i := slices.Index(levelNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("level %q; want ok, note, warning or fault", text)
	}
	*l = Level(i)
	return nil
}

// Finding is one thing that was looked at.
type Finding struct {
	Level Level  `json:"level"`
	Area  string `json:"area"` // config, files, daemon, sockets, store, clock, rules, postfix, sendmail, traffic
	What  string `json:"what"` // what is so, and where
	Why   string `json:"why"`  // why it matters; empty when all is well
	Do    string `json:"do"`   // the line to add or the command to run; empty when there is nothing to do
}

// Worst is the worst level of a list; OK of none.
func Worst(list []Finding) Level {
	worst := OK
	for _, f := range list {
		worst = max(worst, f.Level)
	}
	return worst
}

// report collects the findings of one area.
type report struct {
	area string
	list []Finding
}

func (r *report) add(level Level, what, why, do string) {
	r.list = append(r.list, Finding{Level: level, Area: r.area, What: what, Why: why, Do: do})
}

func (r *report) ok(format string, args ...any) { r.add(OK, fmt.Sprintf(format, args...), "", "") }
