package redisdb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"o2n-milter/state"
	"o2n-milter/state/internal/ledger"
)

// pageDecisions are looked up by one call.
const pageDecisions = 200

// record is a decision ready to be written.
type record struct {
	id    string // escaped
	value []byte
	at    time.Time
	names []string // of its histories
}

func newRecord(d state.Decision) (record, error) {
	value, err := ledger.EncodeDecision(d)
	if err != nil {
		return record{}, err
	}
	return record{id: escape(d.ID), value: value, at: d.At, names: ledger.Histories(d)}, nil
}

func (r record) score() float64 { return float64(r.at.UnixMilli()) }

// Record implements state.Store. It waits only while too many decisions do.
func (s *Store) Record(ctx context.Context, d state.Decision) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	r, err := newRecord(d)
	if err != nil {
		return err
	}
	return s.writer.put(ctx, r)
}

// Decision implements state.Store.
func (s *Store) Decision(ctx context.Context, id string) (state.Decision, error) {
	if err := s.enter(ctx); err != nil {
		return state.Decision{}, err
	}
	defer s.leave()
	var found []state.Decision
	err := s.link.do(ctx, func(ctx context.Context, c redis.UniversalClient) (err error) {
		found, err = read(ctx, c, []string{escape(id)})
		return err
	})
	if err == nil && len(found) == 0 {
		err = state.ErrNotFound
	}
	if err != nil {
		return state.Decision{}, fmt.Errorf("decision %.100q: %w", id, err)
	}
	return found[0], nil
}

// read reads the decisions of these ids (escaped); one that has aged out is left out.
func read(ctx context.Context, c redis.UniversalClient, ids []string) ([]state.Decision, error) {
	pipe := c.Pipeline()
	values := make([]*redis.StringCmd, len(ids))
	for i, id := range ids {
		values[i] = pipe.Get(ctx, decisionKey(id))
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return nil, err
	}
	found := make([]state.Decision, 0, len(ids))
	for i, v := range values {
		value, err := v.Result()
		if errors.Is(err, redis.Nil) {
			continue
		}
		if err != nil {
			return nil, err
		}
		d, err := ledger.DecodeDecision([]byte(value))
		if err != nil {
			return nil, refusal{fmt.Errorf("%s: %w", decisionKey(ids[i]), err)}
		}
		found = append(found, d)
	}
	return found, nil
}

// Decisions implements state.Store.
func (s *Store) Decisions(ctx context.Context, q state.Query) ([]state.Decision, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	found := make([]state.Decision, 0)
	if q.Limit <= 0 {
		return found, nil
	}
	p := pager{q: q, key: decisionsKey, below: "+inf"}
	if name := ledger.HistoryFor(q); name != "" {
		p.key = byKey(name)
	}
	for !p.done {
		// Each page has a budget of its own: an admin may ask for many.
		if err := s.link.do(ctx, p.page); err != nil {
			return nil, fmt.Errorf("decisions: %w", err)
		}
	}
	return append(found, p.found[:min(len(p.found), q.Limit)]...), nil
}

// pager reads an index from its newest end.
type pager struct {
	q     state.Query
	key   string
	below string          // a score, as Redis takes it: what lies below is still to be read
	seen  map[string]bool // ids of the score below, read already
	found []state.Decision
	done  bool
}

// page reads on. The index knows ms: of one ms all must be read before they can be
// told apart.
func (p *pager) page(ctx context.Context, c redis.UniversalClient) error {
	entries, err := c.ZRevRangeByScoreWithScores(ctx, p.key, &redis.ZRangeBy{
		Max: p.highest(), Min: p.lowest(), Count: int64(pageDecisions + len(p.seen)),
	}).Result()
	if err != nil {
		return err
	}
	full := len(entries) == pageDecisions+len(p.seen)
	var ids []string
	for _, e := range entries {
		if id, _ := e.Member.(string); !p.seen[id] {
			ids = append(ids, id)
		}
	}
	decisions, err := read(ctx, c, ids)
	if err != nil {
		return err
	}
	for _, d := range decisions {
		if p.q.Wants(d) {
			p.found = append(p.found, d)
		}
	}
	slices.SortFunc(p.found, func(a, b state.Decision) int {
		return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.ID, b.ID))
	})
	p.done = !full
	if full {
		p.turn(entries)
	}
	return nil
}

// turn notes where the next page begins, and whether it is needed.
func (p *pager) turn(entries []redis.Z) {
	last := entries[len(entries)-1].Score
	p.below = strconv.FormatInt(int64(last), 10)
	p.seen = make(map[string]bool)
	for _, e := range entries {
		if id, ok := e.Member.(string); ok && e.Score == last {
			p.seen[id] = true
		}
	}
	if n := len(p.found); n >= p.q.Limit && float64(p.found[p.q.Limit-1].At.UnixMilli()) > last {
		p.done = true // all that follow are older than the last one wanted
	}
}

func (p *pager) highest() string {
	if p.below != "+inf" || p.q.Before.IsZero() {
		return p.below
	}
	return strconv.FormatInt(p.q.Before.UnixMilli(), 10)
}

func (p *pager) lowest() string {
	if p.q.Since.IsZero() {
		return "-inf"
	}
	return strconv.FormatInt(p.q.Since.UnixMilli(), 10)
}
