package badgerdb

import (
	"context"
	"fmt"
	"strings"
	"time"

	"o2n-milter/internal/chaos"
	"o2n-milter/state"
	"o2n-milter/state/internal/ledger"
)

// Take implements state.Store. When ctx ends while the commit is under way, the
// charge may stand.
func (s *Store) Take(ctx context.Context, now time.Time, ask state.Ask) (state.Answer, error) {
	if err := s.enter(ctx); err != nil {
		return state.Answer{}, err
	}
	defer s.leave()
	if found := s.docs.Active(now, ask.Subjects); len(found) > 0 {
		return state.Answer{Blocks: found}, nil
	}
	var done chan error
	answer, err := s.windows.Take(now, ask, func(c *ledger.Change) {
		chaos.Point("window")
		done = make(chan error, 1)
		s.writer.put(op{windows: c, at: now, done: done})
	})
	if err != nil {
		return state.Answer{}, err
	}
	if err := wait(ctx, done); err != nil {
		return state.Answer{}, fmt.Errorf("charge: %w", err)
	}
	return answer, nil
}

// wait for the commit behind done; nil where there is none.
func wait(ctx context.Context, done chan error) error {
	if done == nil {
		return nil
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("commit under way: %w", ctx.Err())
	}
}

// Usage implements state.Store.
func (s *Store) Usage(ctx context.Context, now time.Time, windows []state.Window) ([]state.Usage, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	return s.windows.Usage(now, windows)
}

// Reset implements state.Store. It also clears windows that cannot be read.
func (s *Store) Reset(ctx context.Context, subject string) (int, error) {
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.leave()
	var done chan error
	n, err := s.windows.Reset(subject, func(c *ledger.Change) {
		done = make(chan error, 1)
		s.writer.put(op{windows: c, done: done})
	})
	if err == nil {
		err = wait(ctx, done)
	}
	if err != nil {
		return 0, fmt.Errorf("reset: %w", err)
	}
	return n, nil
}

// PutDoc implements state.Store. The doc is in force while its commit is still
// under way.
func (s *Store) PutDoc(ctx context.Context, doc state.Doc) (state.Doc, error) {
	if err := s.enter(ctx); err != nil {
		return state.Doc{}, err
	}
	defer s.leave()
	if doc.Kind == keyKind {
		return state.Doc{}, fmt.Errorf("%s %.100q: the store keeps this kind for itself", doc.Kind, doc.ID)
	}
	done := make(chan error, 1)
	doc, err := s.docs.Put(doc, func(c ledger.DocChange) {
		s.writer.put(op{doc: &c, at: s.windows.Latest(), done: done})
	})
	if err != nil {
		return state.Doc{}, err
	}
	if err := wait(ctx, done); err != nil {
		return state.Doc{}, fmt.Errorf("%s %s: %w", doc.Kind, doc.ID, err)
	}
	return doc, nil
}

// ready says why a call about docs cannot be served.
func (s *Store) ready(ctx context.Context) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	s.leave()
	return nil
}

// Status implements state.Store.
func (s *Store) Status(ctx context.Context, _ time.Time) (state.Status, error) {
	if err := ctx.Err(); err != nil {
		return state.Status{}, err
	}
	last, fault := s.writer.health()
	st := state.Status{Backend: "badger", LastCommit: last.UTC(), Degraded: s.degraded(fault), Away: fault != nil || s.awayWhy() != "",
		Dead: s.writer.broken() != nil}
	held := s.windows.Held()
	st.Windows, st.Memory = held.Windows, held.Bytes
	var err error
	if st.Size, err = s.folder.size(); err != nil {
		return state.Status{}, fmt.Errorf("store %s: %w", s.options.Path, err)
	}
	return st, nil
}

// degraded are all reasons why the store is not whole.
func (s *Store) degraded(fault error) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var why []string
	if fault != nil {
		why = append(why, fault.Error())
	}
	if s.why != "" {
		why = append(why, s.why)
	}
	if s.damage != "" && s.host().wall.Sub(s.since) < tellDamage {
		why = append(why, s.damage)
	}
	return strings.Join(why, "; ")
}
