package desk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"o2n-milter/state"
)

// tidyEvery is how often Run looks for what has ended long ago.
const tidyEvery = time.Hour

// Run deletes what has ended long ago until ctx ends: docs are in every host's
// memory, and a year of abuse makes many.
func (d *Desk) Run(ctx context.Context) {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := d.tidy(ctx); err != nil && ctx.Err() == nil {
				d.Log.Warn("what has ended long ago could not be deleted", "error", err)
			}
		}
	}
}

func (d *Desk) tidy(ctx context.Context) error {
	return errors.Join(d.pruneBlocks(ctx), d.pruneRequests(ctx), d.pruneExemptions(ctx))
}

// pruneBlocks deletes blocks that ended long ago. Who was blocked so long ago is
// blocked as if for the first time: block.remember is shorter, or nobody remembers.
func (d *Desk) pruneBlocks(ctx context.Context) error {
	docs, err := d.Store.Docs(ctx, state.BlockKind)
	if err != nil {
		return err
	}
	last := d.Now().Add(-max(endedKept, d.Judge.Settings().Blocking.Remember))
	for _, doc := range docs {
		var b state.Block
		if err := json.Unmarshal(doc.Data, &b); err != nil {
			return fmt.Errorf("block %s: %w", doc.ID, err)
		}
		if ended := b.Ended(); ended.IsZero() || !ended.Before(last) {
			continue
		}
		if _, err := d.Store.PutDoc(ctx, state.Doc{Kind: doc.Kind, ID: doc.ID, Rev: doc.Rev}); err != nil && !isGone(err) {
			return err
		}
	}
	return nil
}
