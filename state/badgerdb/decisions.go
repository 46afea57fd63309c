package badgerdb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"o2n-milter/state"
	"o2n-milter/state/internal/ledger"
	"o2n-milter/state/internal/text"
)

// maxKeys bounds a decision's keys, in bytes. Badger takes 15 % of memTableSize,
// 1.2 MB, in one transaction.
const maxKeys = 256 << 10

// record is one key to write, or to delete.
type record struct {
	key, value []byte
	gone       bool // delete it
}

// decisionRecords are the record, where it is found by its id, and its place in each
// history.
func decisionRecords(d state.Decision) ([]record, error) {
	value, err := ledger.EncodeDecision(d)
	if err != nil {
		return nil, err
	}
	records := append(decisionKeys(d), record{key: []byte(decisionPrefix + place(d.At, d.ID)), value: value})
	if n := size(records) - len(value); n > maxKeys {
		return nil, fmt.Errorf("decision %.100q: keys of %d bytes; want at most %d", d.ID, n, maxKeys)
	}
	return records, nil
}

// decisionKeys are what leads to a decision.
func decisionKeys(d state.Decision) []record {
	at := place(d.At, d.ID)
	records := []record{{key: idKey(d.ID), value: []byte(timeText(d.At))}}
	for _, name := range ledger.Histories(d) {
		records = append(records, record{key: []byte(byName(name) + at)})
	}
	return records
}

// size is what records take, in bytes, about: how much a key costs beside itself
// depends on its neighbours.
func size(records []record) (n int) {
	for _, r := range records {
		n += len(r.key) + len(r.value)
	}
	return n
}

// Record implements state.Store. It waits only while too many decisions do. While the
// database is away decisions are counted and not kept.
func (s *Store) Record(ctx context.Context, d state.Decision) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	records, err := decisionRecords(d)
	if err != nil {
		return err
	}
	return s.writer.putDecision(ctx, op{decision: records, at: d.At})
}

// Decision implements state.Store.
func (s *Store) Decision(ctx context.Context, id string) (d state.Decision, err error) {
	if err := s.enter(ctx); err != nil {
		return state.Decision{}, err
	}
	defer s.leave()
	err = s.base.use(func(db *badger.DB) error {
		at, found, err := get(db, idKey(id))
		if err == nil && found {
			d, found, err = readDecision(db, []byte(decisionPrefix+string(at)+"/"+text.Escape(id)))
		}
		if err == nil && !found {
			err = fmt.Errorf("decision %.100q: %w", id, state.ErrNotFound)
		}
		return err
	})
	return d, err
}

func readDecision(db *badger.DB, key []byte) (d state.Decision, found bool, err error) {
	value, found, err := get(db, key)
	if err != nil || !found {
		return d, false, err
	}
	if d, err = ledger.DecodeDecision(value); err != nil {
		return d, false, fmt.Errorf("%s: %w", key, err)
	}
	return d, true, nil
}

// Decisions implements state.Store.
func (s *Store) Decisions(ctx context.Context, q state.Query) ([]state.Decision, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	p := page{query: q, found: make([]state.Decision, 0)}
	if q.Limit <= 0 {
		return p.found, nil
	}
	err := s.base.use(func(db *badger.DB) error { return p.read(ctx, s.base, db) })
	if err != nil {
		return nil, fmt.Errorf("decisions: %w", err)
	}
	return p.done(), nil
}

// page is a query being answered.
type page struct {
	query state.Query
	found []state.Decision
}

// read goes through one history, or all decisions, from the newest on.
func (p *page) read(ctx context.Context, base *base, db *badger.DB) error {
	prefix := decisionPrefix
	if name := ledger.HistoryFor(p.query); name != "" {
		prefix = byName(name)
	}
	from := prefix + "\xff"
	if !p.query.Before.IsZero() {
		from = prefix + timeText(p.query.Before) // a key of that time is longer, so behind it
	}
	if p.query.Past != "" {
		from += "\xff"
	}
	return backwards(db, prefix, from, func(item *badger.Item) (more bool, err error) {
		if err := errors.Join(ctx.Err(), base.leaving()); err != nil {
			return false, err
		}
		return p.add(db, string(item.Key()[len(prefix):]))
	})
}

// add takes the decision at this place, if it is wanted.
func (p *page) add(db *badger.DB, at string) (more bool, err error) {
	when, id, err := parsePlace(at)
	if err != nil {
		return false, err
	}
	if when.Before(p.query.Since) || p.full(when) {
		return false, nil
	}
	// Ids are random: one that came up again stands for the newer decision.
	newest, ok, err := get(db, idKey(id))
	if err != nil || !ok || string(newest) != timeText(when) {
		return true, err
	}
	d, ok, err := readDecision(db, []byte(decisionPrefix+at))
	if err == nil && ok && p.query.Wants(d) {
		p.found = append(p.found, d)
	}
	return true, err
}

// full says that enough was found, and all of the last one's time: only then it is
// known which of them come first.
func (p *page) full(when time.Time) bool {
	n := len(p.found)
	return n >= p.query.Limit && !when.Equal(p.found[n-1].At)
}

// done puts decisions of one time in the order of their ids.
func (p *page) done() []state.Decision {
	slices.SortStableFunc(p.found, func(a, b state.Decision) int {
		return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.ID, b.ID))
	})
	return p.found[:min(len(p.found), p.query.Limit)]
}
