package badgerdb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dgraph-io/badger/v4"

	"o2n-milter/state"
	"o2n-milter/state/internal/ledger"
	"o2n-milter/state/internal/text"
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
	if err != nil {
		return 0, fmt.Errorf("reset: %w", err)
	}
	if err := wait(ctx, done); err != nil {
		return 0, fmt.Errorf("reset: %w", err)
	}
	return n, nil
}

// limitsOf finds the limits under which the store holds a window of subject. It
// looks at one key for each limit and jumps to the next.
func (s *Store) limitsOf(subject string) ([]string, error) {
	var limits []string
	err := s.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte(limitPrefix)})
		defer it.Close()
		for it.Seek([]byte(limitPrefix)); it.Valid(); {
			name, _, _ := strings.Cut(string(it.Item().Key()[len(limitPrefix):]), "/")
			limit, err := text.Unescape(name)
			if err != nil {
				return err
			}
			_, err = txn.Get(limitKey(limit, subject))
			switch {
			case err == nil:
				limits = append(limits, limit)
			case !errors.Is(err, badger.ErrKeyNotFound):
				return err
			}
			it.Seek([]byte(limitPrefix + name + "0")) // '0' follows '/'
		}
		return nil
	})
	return limits, err
}

// source is where the ledger reads what is not in memory. Sets are not kept yet.
type source struct{ *Store }

func (source) Set(string, string) (state.Members, error) { return state.Members{}, nil }

func (s source) Names(subject string) (limits, sets []string, err error) {
	limits, err = s.limitsOf(subject)
	return limits, nil, err
}

// Window reads a window that is not in memory.
func (s source) Window(limit, subject string) (state.Slots, error) {
	key := limitKey(limit, subject)
	value, found, err := s.get(key)
	if err != nil || !found {
		return state.Slots{}, err
	}
	slots, err := state.DecodeSlots(value)
	if err != nil {
		return state.Slots{}, fmt.Errorf("%s: %w", key, err)
	}
	return slots, nil
}

func (s *Store) get(key []byte) (value []byte, found bool, err error) {
	err = s.db.View(func(txn *badger.Txn) error {
		item, err := txn.Get(key)
		if err != nil {
			return err
		}
		value, err = item.ValueCopy(nil)
		return err
	})
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("%s: %w", key, err)
	}
	return value, true, nil
}

// scan calls f with each key of this prefix, in order, until it returns false.
func (s *Store) scan(prefix string, values bool, f func(*badger.Item) bool) error {
	return s.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte(prefix), PrefetchValues: values, PrefetchSize: 100})
		defer it.Close()
		for it.Rewind(); it.Valid() && f(it.Item()); it.Next() {
		}
		return nil
	})
}

// PutDoc implements state.Store. The doc is in force while its commit is still
// under way.
func (s *Store) PutDoc(ctx context.Context, doc state.Doc) (state.Doc, error) {
	if err := s.enter(ctx); err != nil {
		return state.Doc{}, err
	}
	defer s.leave()
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

// Record implements state.Store. It waits only while too many decisions do.
func (s *Store) Record(ctx context.Context, d state.Decision) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	records, err := decisionRecords(d, s.retention)
	if err != nil {
		return err
	}
	return s.writer.putDecision(ctx, op{decision: records, at: d.At})
}

// Decision implements state.Store.
func (s *Store) Decision(ctx context.Context, id string) (state.Decision, error) {
	if err := s.enter(ctx); err != nil {
		return state.Decision{}, err
	}
	defer s.leave()
	return s.decision(id)
}

func (s *Store) decision(id string) (state.Decision, error) {
	value, found, err := s.get(decisionKey(id))
	if err != nil {
		return state.Decision{}, err
	}
	if !found {
		return state.Decision{}, fmt.Errorf("decision %.100q: %w", id, state.ErrNotFound)
	}
	d, err := decodeDecision(value)
	if err != nil {
		return state.Decision{}, fmt.Errorf("%s: %w", decisionKey(id), err)
	}
	return d, nil
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
	var bad error
	prefix := bySubject(q.Subject)
	err := s.scan(prefix, false, func(item *badger.Item) bool {
		var d state.Decision
		d, bad = s.indexed(string(item.Key()[len(prefix):]))
		switch {
		case errors.Is(bad, state.ErrNotFound): // it aged out a moment before its index
			bad = nil
		case bad == nil && q.Wants(d):
			// Ids are random: one that came up again stands for the newer decision.
			found = append(found, d)
		}
		return bad == nil && len(found) < q.Limit
	})
	if err := errors.Join(err, bad); err != nil {
		return nil, fmt.Errorf("decisions: %w", err)
	}
	return found, nil
}

// indexed reads the decision that a by/ key, behind its subject, stands for.
func (s *Store) indexed(rest string) (state.Decision, error) {
	id, err := idOf(rest)
	if err != nil {
		return state.Decision{}, err
	}
	return s.decision(id)
}

// Status implements state.Store.
func (s *Store) Status(ctx context.Context, _ time.Time) (state.Status, error) {
	if err := ctx.Err(); err != nil {
		return state.Status{}, err
	}
	last, fault := s.writer.health()
	st := state.Status{Backend: "badger", LastCommit: last.UTC()}
	if fault != nil {
		st.Degraded = fault.Error()
	}
	return st, nil
}
