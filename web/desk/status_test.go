package desk

import (
	"context"
	"errors"
	"testing"
	"time"

	"o2n-milter/state"
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
