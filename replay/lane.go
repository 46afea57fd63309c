package replay

import (
	"cmp"
	"context"
	"errors"
	"slices"
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
	held   held
}

// NewLane begins with empty windows, no blocks and nothing held. No content engine is
// asked, no customer's link is made, and what is held is so in simulated time alone.
func NewLane(set rules.Settings, source accounts.Source) *Lane {
	set.Content.Ask, set.Link, set.Ours = nil, nil, nil
	l := &Lane{store: memory.New(), held: held{of: map[string]*waiting{}}}
	set.Hold = l.held.put
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
	err := l.advance(ctx, at)
	in := *m // another lane has it too
	in.QueueID = cmp.Or(in.QueueID, noQueueID)
	v := l.engine.Decide(ctx, &in)
	v.Err = errors.Join(err, v.Err)
	return v
}

// noQueueID stands for that of mail of which none is known; without one nothing can be
// held.
const noQueueID = "replay"

// advance lets go what is held as it would have left until then.
func (l *Lane) advance(ctx context.Context, at time.Time) error {
	l.now = at
	return l.held.leave(ctx, at, l.engine)
}

// Again judges a recorded decision, likewise.
func (l *Lane) Again(ctx context.Context, d state.Decision) (v rules.Verdict, unknown []string) {
	err := l.advance(ctx, d.At)
	v, unknown = l.engine.Again(ctx, d)
	v.Err = errors.Join(err, v.Err)
	return v, unknown
}

// Blocks are those that were made, oldest first.
func (l *Lane) Blocks(ctx context.Context) ([]state.Block, error) {
	list, err := l.store.Blocks(ctx)
	slices.Reverse(list)
	return list, err
}
