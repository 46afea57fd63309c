package desk

import (
	"context"
	"testing"

	"o2n-milter/state"
)

// costly counts the calls whose cost grows with what all accounts have done.
type costly struct {
	state.Store
	calls []string
}

func (s *costly) Blocks(ctx context.Context) ([]state.Block, error) {
	s.calls = append(s.calls, "blocks")
	return s.Store.Blocks(ctx)
}

func (s *costly) Docs(ctx context.Context, kind string) ([]state.Doc, error) {
	s.calls = append(s.calls, "docs "+kind)
	return s.Store.Docs(ctx, kind)
}

// A customer opens his page as often as he likes, and so do a hundred hostile ones:
// it reads what is theirs.
func TestCustomerPageReadsNotEverything(t *testing.T) {
	f := newDesk(t)
	const login = "bob@client-a.example"
	b := f.automatic(t, "BBOB", "account:"+login)
	f.automatic(t, "BCUST", "customer:C-1")
	f.ask(t, login, b.ID)
	store := &costly{Store: f.Store}
	f.Store = store
	v, err := f.Customer(t.Context(), login)
	if err != nil || len(v.Blocks) != 2 {
		t.Errorf("%d blocks, %v; want two", len(v.Blocks), err)
	}
	if _, err := f.Answered(t.Context(), login); err != nil {
		t.Error(err)
	}
	if len(store.calls) > 0 {
		t.Errorf("read all of %q", store.calls)
	}
}
