// Package milter turns the milter protocol into rules.Mail and a rules.Verdict
// into the MTA's answer. It is the only package that knows go-milter.
//
// It collects facts and asks; an "if" about policy belongs in rules.
package milter

import (
	"context"
	"time"

	"o2n-milter/rules"
)

// Judge decides over one message; *rules.Engine is one.
type Judge interface {
	Decide(ctx context.Context, m *rules.Mail) rules.Verdict
}

// Recorder is told of every verdict after it was given: log line and counters.
type Recorder interface {
	Record(m *rules.Mail, v rules.Verdict, took time.Duration)
	// Sessions is told how many sessions are open.
	Sessions(open int)
}
