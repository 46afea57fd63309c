package desk

import (
	"context"
	"errors"
	"testing"
	"time"

	"o2n-milter/state"
	"o2n-milter/state/memory"
)

// lost is a store that is away and has never known its blocks.
type lost struct {
	state.Store
	degraded string
}

func (l lost) Status(context.Context, time.Time) (state.Status, error) {
	return state.Status{Backend: "redis", Degraded: l.degraded}, nil
}

func (l lost) Blocks(context.Context) ([]state.Block, error) { return nil, state.ErrUnavailable }

// That the store is away is what status is asked for: it says so and does not fail.
func TestStatusOfAStoreThatIsAway(t *testing.T) {
	f := newDesk(t)
	f.Store = lost{f.Store, "the server is away"}
	st, err := f.Status(context.Background())
	if err != nil || !st.Degraded || st.Reason != "the server is away" || st.Backend != "redis" || st.Blocks != 0 {
		t.Errorf("%+v, %v", st, err)
	}
	f.Store = lost{f.Store, ""}
	if st, err := f.Status(context.Background()); !errors.Is(err, state.ErrUnavailable) {
		t.Errorf("whole, and without its blocks: %+v, %v", st, err)
	}
}

// A part of the daemon that does not run degrades it as much as its store does.
func TestStatusOfAPartThatDoesNotRun(t *testing.T) {
	f := newDesk(t)
	for _, tt := range []struct{ store, part, want string }{
		{"", "", ""}, {"", "loop held is away", "loop held is away"}, {"disk full", "", "disk full"},
		{"disk full", "loop held is away", "disk full; loop held is away"},
	} {
		f.Trouble = func() string { return tt.part }
		if got := f.degraded(state.Status{Degraded: tt.store}); got != tt.want {
			t.Errorf("%+v: %q", tt, got)
		}
	}
	f.Store = memory.New()
	f.Trouble = func() string { return "loop held is away" }
	if st, err := f.Status(t.Context()); err != nil || !st.Degraded || st.Reason != "loop held is away" {
		t.Errorf("%+v, %v", st, err)
	}
}
