package desk

import (
	"testing"
	"time"

	"o2n-milter/state"
)

// Blocks go 400 days after their end; those that have none stay.
func TestEndedBlocksGo(t *testing.T) {
	f := newDesk(t)
	add := func(b state.Block) {
		t.Helper()
		b.Subject, b.Since = "account:"+b.ID, f.now.Add(-500*24*time.Hour)
		if err := f.Store.AddBlock(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	add(state.Block{ID: "manual"})
	add(state.Block{ID: "expired", Until: f.now.Add(-endedKept - time.Second)})
	add(state.Block{ID: "edge", Until: f.now.Add(-endedKept)})
	add(state.Block{ID: "lifted", Until: f.now.Add(time.Hour), LiftedAt: f.now.Add(-endedKept - time.Second)})
	add(state.Block{ID: "lately", LiftedAt: f.now.Add(-time.Hour)})
	if err := f.tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	left := map[string]bool{}
	all, err := f.Store.Blocks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range all {
		left[b.ID] = true
	}
	for id, want := range map[string]bool{"manual": true, "expired": false, "edge": true, "lifted": false, "lately": true} {
		if left[id] != want {
			t.Errorf("block %s: kept %v; want %v", id, left[id], want)
		}
	}
	f.judge.set.Blocking.Remember = 500 * 24 * time.Hour
	add(state.Block{ID: "remembered", Until: f.now.Add(-endedKept - time.Second)})
	if err := f.tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if found, err := f.Store.BlocksOf(t.Context(), []string{"account:remembered"}); err != nil || len(found) != 1 {
		t.Errorf("a block that block.remember still counts: %d, %v", len(found), err)
	}
}
