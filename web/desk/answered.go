package desk

import (
	"context"
	"slices"

	"o2n-milter/state"
)

// Answered are the account's own requests that were answered these 30 days, newest
// first: what became of them once the block is gone.
func (d *Desk) Answered(ctx context.Context, account string) ([]RequestView, error) {
	h, err := d.holderOf(ctx, account)
	if err != nil {
		return nil, err
	}
	all, err := d.requestsOf(ctx, h)
	if err != nil {
		return nil, err
	}
	since := d.Now().Add(-selfWithin)
	slices.SortStableFunc(all, func(a, b state.Request) int { return b.AnsweredAt.Compare(a.AnsweredAt) })
	list := []RequestView{}
	for _, r := range all {
		if r.State != state.RequestOpen && r.AnsweredAt.After(since) {
			v := requestView(r)
			v.AnsweredBy = ""
			list = append(list, v)
		}
	}
	return list, nil
}
