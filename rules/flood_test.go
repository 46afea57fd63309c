package rules

import (
	"context"
	"fmt"
	"testing"
	"time"

	"o2n-milter/accounts"
	"o2n-milter/state"
	"o2n-milter/state/memory"
)

// costly counts the calls whose cost grows with the store.
type costly struct {
	state.Store
	calls int
}

func (s *costly) Blocks(ctx context.Context) ([]state.Block, error) {
	s.calls++
	return s.Store.Blocks(ctx)
}

func (s *costly) Decisions(ctx context.Context, q state.Query) ([]state.Decision, error) {
	s.calls++
	return s.Store.Decisions(ctx, q)
}

// flooded is an Engine that goes on refusing mail of a sender that it does not block,
// in a store that has so many blocks.
func flooded(t testing.TB, mode string, blocks int) (*Engine, *costly) {
	t.Helper()
	set := defaults()
	blocking(&set)
	store := &costly{Store: memory.New()}
	switch mode {
	case "below the threshold":
		set.Blocking.Strikes = countless
	case "shadow":
		set.Blocking.Automatic = Shadow
	case "ceiling":
		full := state.Ask{Charges: []state.Charge{{Window: BlocksWindow(leastCeiling), Cost: leastCeiling}}}
		if _, err := store.Take(t.Context(), start, full); err != nil {
			t.Fatal(err)
		}
	}
	for i := range blocks {
		b := state.Block{ID: fmt.Sprint("B", i), Subject: fmt.Sprintf("account:u%d@x.example", i%5000), Since: start, Until: start, By: Automatic}
		if err := store.AddBlock(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	table, _ := accounts.NewTable(testAccounts)
	return New(set, table, store, func() time.Time { return start }), store
}

// A year's blocks are not read for each message of a flood.
func TestFloodReadsNotAllBlocks(t *testing.T) {
	for mode, most := range map[string]int{"below the threshold": 0, "shadow": 2, "ceiling": 0} {
		e, store := flooded(t, mode, 0)
		for n := range 50 {
			if v := e.Decide(t.Context(), forged(n)); v.Err != nil {
				t.Fatal(v.Err)
			}
		}
		if store.calls > most {
			t.Errorf("%s: %d costly calls for 50 messages; want %d at most", mode, store.calls, most)
		}
	}
}

func BenchmarkFlood(b *testing.B) {
	for _, mode := range []string{"below the threshold", "shadow", "ceiling"} {
		b.Run(mode, func(b *testing.B) {
			e, _ := flooded(b, mode, 20_000)
			n := 0
			for b.Loop() {
				e.Decide(b.Context(), forged(n))
				n++
			}
		})
	}
}
