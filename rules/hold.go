package rules

import (
	"context"
	"time"
)

// hold writes down what is to be held, so that it leaves again. What cannot be
// written down is not held: the verdict changes.
func (e *Engine) hold(ctx context.Context, now time.Time, r *ruling, v *Verdict) {}
