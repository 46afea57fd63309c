package badgerdb

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/dgraph-io/badger/v4"

	"o2n-milter/state"
	"o2n-milter/state/internal/ledger"
)

// record is one key to write, or to delete.
type record struct {
	key, value []byte
	gone       bool // delete it
	history    int  // bytes of decisions that come with it; below 0: that go
}

// pageRecords are a page of these, which are in its order, and its filter.
func pageRecords(entries []*entry) []record {
	// Two pages may end at the same time: chance gives them different keys.
	place := fmt.Sprintf("%s/%016x", timeText(time.Unix(0, entries[0].at)), rand.Uint64())
	page := record{key: decisionsKey(place), value: encodePage(entries)}
	page.history = len(page.key) + len(page.value)
	filter := record{key: filterKey(place), value: encodeFilter(entries, page.history)}
	filter.history = len(filter.key) + len(filter.value)
	return []record{page, filter}
}

// Record implements state.Store. It waits only while too many decisions do. While the
// database is away decisions are counted and not kept.
func (s *Store) Record(ctx context.Context, d state.Decision) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	value, err := ledger.EncodeDecision(d)
	if err != nil {
		return err
	}
	return s.history.add(ctx, newEntry(d, value))
}

// search calls f with what answers q. What is in memory is looked at before what is in the
// database: so what moves there meanwhile is seen twice, rather than not at all.
func (s *Store) search(ctx context.Context, q state.Query, f func(*search) error) error {
	found := search{ctx: ctx, base: s.base, query: q, signs: ledger.Signs(q), open: sorted(s.history.inMemory())}
	for _, name := range ledger.HistoriesFor(q) {
		found.hashes = append(found.hashes, nameHash("", name))
	}
	return s.base.use(func(db *badger.DB) error {
		return db.View(func(txn *badger.Txn) error {
			found.txn = txn
			return f(&found)
		})
	})
}

// Decision implements state.Store.
func (s *Store) Decision(ctx context.Context, id string) (d state.Decision, err error) {
	if err := s.enter(ctx); err != nil {
		return state.Decision{}, err
	}
	defer s.leave()
	err = s.search(ctx, state.Query{}, func(found *search) error {
		e, err := found.newest(id)
		if err == nil && (e == nil || e.at < s.history.horizon.Load()) {
			err = state.ErrNotFound
		}
		if err == nil {
			d, err = ledger.DecodeDecision(e.value)
		}
		return err
	})
	if err != nil {
		return state.Decision{}, fmt.Errorf("decision %.100q: %w", id, err)
	}
	return d, nil
}

// Decisions implements state.Store.
func (s *Store) Decisions(ctx context.Context, q state.Query) ([]state.Decision, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	list := make([]state.Decision, 0)
	if q.Limit <= 0 {
		return list, nil
	}
	err := s.search(ctx, s.history.within(q), func(found *search) error {
		err := found.run()
		for _, h := range found.found[:min(len(found.found), q.Limit)] {
			list = append(list, h.Decision)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("decisions: %w", err)
	}
	return list, nil
}
