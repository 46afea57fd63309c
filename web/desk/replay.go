package desk

import (
	"context"
	"time"

	"o2n-milter/state"
)

// RecordQuery asks for a page of what was decided on everybody's mail. The next page
// begins with the time of the last one's last decision, and Past its id.
type RecordQuery struct {
	Since, Before time.Time // zero: from the first; up to the last
	Past          string
	Limit         int // 0: 100
}

// Records are whole records of decisions, newest first, to be judged anew.
type Records struct {
	Decisions []state.Decision `json:"decisions"`
}

// Records lists everybody's decisions.
func (d *Desk) Records(ctx context.Context, q RecordQuery) (Records, error) {
	list, err := d.Store.Decisions(ctx, state.Query{Since: q.Since, Before: q.Before, Past: q.Past, Limit: limitOf(q.Limit)})
	if err != nil {
		return Records{}, err
	}
	return Records{Decisions: list}, nil
}
