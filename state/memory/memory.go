// Package memory is the store that forgets: the twin against which the durable
// ones are tested, and what check runs on. It survives nothing.
//
// Memory is bounded by traffic: windows that have emptied are swept as calls come
// in, the newest decisions are kept, older ones dropped. Blocks stay.
package memory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"o2n-milter/state"
	"o2n-milter/state/internal/ledger"
)

// kept is how many decisions are remembered; about 1 KB each.
const kept = 10_000

// Store implements state.Store.
type Store struct {
	ledger.DocCalls
	windows *ledger.Windows
	docs    *ledger.Docs

	mu        sync.RWMutex
	decisions map[string]state.Decision
	order     []string // ids as they came, a ring once it is full
	next      int      // place in order of the next id
}

var _ state.Store = (*Store)(nil)

// New returns an empty store.
func New() *Store {
	s := &Store{
		windows:   ledger.NewWindows(ledger.Options{Key: state.NewMemberKey()}),
		docs:      ledger.NewDocs(),
		decisions: make(map[string]state.Decision),
	}
	s.DocCalls = ledger.DocCalls{All: s.docs, Ready: func(ctx context.Context) error { return ctx.Err() }, Put: s.PutDoc}
	return s
}

// PutDoc implements state.Store.
func (s *Store) PutDoc(ctx context.Context, doc state.Doc) (state.Doc, error) {
	if err := ctx.Err(); err != nil {
		return state.Doc{}, err
	}
	return s.docs.Put(doc, func(ledger.DocChange) {})
}

// Take implements state.Store.
func (s *Store) Take(ctx context.Context, now time.Time, ask state.Ask) (state.Answer, error) {
	if err := ctx.Err(); err != nil {
		return state.Answer{}, err
	}
	if found := s.docs.Active(now, ask.Subjects); len(found) > 0 {
		return state.Answer{Blocks: found}, nil
	}
	return s.windows.Take(now, ask, nil)
}

// Usage implements state.Store.
func (s *Store) Usage(ctx context.Context, now time.Time, windows []state.Window) ([]state.Usage, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return s.windows.Usage(now, windows)
}

// Reset implements state.Store.
func (s *Store) Reset(ctx context.Context, subject string) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	return s.windows.Reset(subject, nil)
}

// Record implements state.Store.
func (s *Store) Record(ctx context.Context, d state.Decision) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if d.ID == "" {
		return errors.New("decision without id")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.decisions[d.ID]; !ok {
		s.remember(d.ID)
	}
	d.Plain = false // as where it is written down
	s.decisions[d.ID] = copied(d)
	return nil
}

// remember gives a new id its place; the oldest makes room.
func (s *Store) remember(id string) {
	if len(s.order) < kept {
		s.order = append(s.order, id)
		return
	}
	delete(s.decisions, s.order[s.next])
	s.order[s.next] = id
	s.next = (s.next + 1) % kept
}

// copied shares nothing with the caller's, who may reuse his slices.
func copied(d state.Decision) state.Decision {
	d.At = d.At.UTC()
	d.Subjects, d.To = slices.Clone(d.Subjects), slices.Clone(d.To)
	d.Detail = slices.Clone(d.Detail)
	return d
}

// Decision implements state.Store.
func (s *Store) Decision(ctx context.Context, id string) (state.Decision, error) {
	if err := ctx.Err(); err != nil {
		return state.Decision{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	d, ok := s.decisions[id]
	if !ok {
		return state.Decision{}, fmt.Errorf("decision %.100q: %w", id, state.ErrNotFound)
	}
	return copied(d), nil
}

// Decisions implements state.Store. It looks at every decision: an admin's
// question, not a message's.
func (s *Store) Decisions(ctx context.Context, q state.Query) ([]state.Decision, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	found := make([]state.Decision, 0)
	for _, d := range s.decisions {
		if q.Wants(d) {
			found = append(found, copied(d))
		}
	}
	slices.SortFunc(found, func(a, b state.Decision) int {
		return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.ID, b.ID))
	})
	return found[:min(len(found), max(0, q.Limit))], nil
}

// Status implements state.Store.
func (s *Store) Status(ctx context.Context, _ time.Time) (state.Status, error) {
	if err := ctx.Err(); err != nil {
		return state.Status{}, err
	}
	held := s.windows.Held()
	return state.Status{
		Backend:    "memory",
		LastCommit: s.windows.Latest().UTC(),
		Windows:    held.Windows,
		Memory:     held.Bytes,
	}, nil
}

// Close implements state.Store; there is nothing to let go of.
func (s *Store) Close() error { return nil }
