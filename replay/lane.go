package replay

import (
	"context"
	"time"

	"o2n-milter/accounts"
	"o2n-milter/rules"
	"o2n-milter/state"
	"o2n-milter/state/memory"
)

// Lane is one set of rules with a store and a clock of its own. It is used by one
// goroutine.
type Lane struct {
	engine *rules.Engine
	store  state.Store
	now    time.Time
}

// NewLane begins with empty windows and no blocks. No content engine is asked, nothing
// is really held, no customer's link is made.
func NewLane(set rules.Settings, source accounts.Source) *Lane {
	set.Content.Ask, set.Hold, set.Link, set.Ours = nil, nil, nil, nil
	l := &Lane{store: memory.New()}
	l.engine = rules.New(set, source, l.store, func() time.Time { return l.now })
	return l
}

// Exempt puts exemptions in force.
func (l *Lane) Exempt(ctx context.Context, list []state.Exemption) error {
	for _, x := range list {
		if err := state.PutRecord(ctx, l.store, &x); err != nil {
			return err
		}
	}
	return nil
}

// Judge judges a message at a time that is not before the last one's.
func (l *Lane) Judge(ctx context.Context, at time.Time, m *rules.Mail) rules.Verdict {
	l.now = at
	return l.engine.Decide(ctx, m)
}

// Again judges a recorded decision, likewise.
func (l *Lane) Again(ctx context.Context, d state.Decision) (v rules.Verdict, unknown []string) {
	l.now = d.At
	return l.engine.Again(ctx, d)
}

// Blocks are those that were made, oldest first.
func (l *Lane) Blocks(ctx context.Context) ([]state.Block, error) {
	list, err := l.store.Blocks(ctx)
	for i, j := 0, len(list)-1; i < j; i, j = i+1, j-1 {
		list[i], list[j] = list[j], list[i]
	}
	return list, err
}
