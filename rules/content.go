package rules

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Score is what a content engine says of a message.
type Score struct {
	Score    float64  // finite; the higher, the more it looks like spam
	Required float64  // the score at which the engine itself would refuse it
	Action   string   // what the engine would do: "no action", "reject"
	Symbols  []string // names of what it found, the heaviest first, a few
}

// Content is [content]: whom to ask for a score, and what is done at which.
type Content struct {
	// Ask asks the engine and must come back within its own time limit. Nil: there
	// is no engine.
	Ask   func(ctx context.Context, m *Mail) (Score, error)
	At    float64            // from here on content.score's own action
	Steps map[Action]float64 // weaker actions from lower scores on
}

// reached is the action for a score and from which score on it is taken; Off below
// all of them. While the rule itself is in shadow, so are its steps.
func (c *Content) reached(score float64, rule Action) (action Action, from float64) {
	if score >= c.At {
		return rule, c.At
	}
	for step := Reject; step >= Tag; step-- {
		at, has := c.Steps[step]
		switch {
		case !has || score < at:
		case rule == Shadow:
			return Shadow, at
		default:
			return step, at
		}
	}
	return Off, 0
}

// content is content.score and content.unavailable: what a content engine says of
// mail that nothing has stopped yet. Nobody waits for a score that changes nothing.
func (e *Engine) content(ctx context.Context, r *ruling) {
	if e.set.Content.Ask == nil || r.action >= Quarantine {
		return
	}
	action := r.allowed("content.score", e.action("content.score"), "")
	if action == Off {
		return
	}
	score, err := e.set.Content.Ask(ctx, r.mail)
	if err != nil {
		r.err = errors.Join(r.err, fmt.Errorf("content: %w", err))
		if action := e.action("content.unavailable"); action != Off {
			r.find("content.unavailable", action, one("content engine", "no score", "a score"))
		}
		return
	}
	r.score = &score
	if action, from := e.set.Content.reached(score.Score, action); action != Off {
		r.find("content.score", action, one("content score", score.String(), "below "+number(from)))
	}
}

// String is for evidence: "17.2 of 15 (reject) by BAYES_SPAM, SHORT_URL".
func (s Score) String() string {
	text := fmt.Sprintf("%s of %s (%s)", number(s.Score), number(s.Required), printable(s.Action, 32))
	if len(s.Symbols) > 0 {
		text += " by " + printable(strings.Join(s.Symbols, ", "), 500)
	}
	return text
}

// number is without zeros at its end, at most two digits behind the point.
func number(f float64) string {
	s := strings.TrimRight(strconv.FormatFloat(f, 'f', 2, 64), "0")
	return strings.TrimSuffix(s, ".")
}
