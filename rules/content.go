package rules

import "context"

// content is content.score and content.unavailable: what a content engine says of
// mail that nothing has stopped yet.
func (e *Engine) content(ctx context.Context, r *ruling) {}
