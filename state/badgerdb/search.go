package badgerdb

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"o2n-milter/state"
	"o2n-milter/state/internal/ledger"
)

// eachFilter calls f with the filter of each page, that of the page that ends last first,
// while it wants more.
func eachFilter(txn *badger.Txn, f func(filter) (more bool, err error)) error {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte(filterPrefix), Reverse: true})
	defer it.Close()
	for it.Seek([]byte(filterPrefix + "\xff")); it.Valid(); it.Next() {
		more := true
		err := withFilter(it.Item(), func(page filter) (err error) {
			more, err = f(page)
			return err
		})
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// withFilter calls f with a filter as it is stored; it is good for this call.
func withFilter(item *badger.Item, f func(filter) error) error {
	place := string(item.Key()[len(filterPrefix):])
	last, err := lastOf(place)
	if err != nil {
		return fmt.Errorf("%s: %w", item.Key(), err)
	}
	return item.Value(func(value []byte) error { return f(decodeFilter(place, last, value)) })
}

// read reads the page; none when it was lost with a part of the database, which was told.
func (f filter) read(txn *badger.Txn, want blocks) (entries []*entry, err error) {
	item, err := txn.Get(decisionsKey(f.place))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, nil
	}
	if err == nil {
		err = item.Value(func(value []byte) (err error) {
			entries, err = decodePage(value, want)
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", decisionsKey(f.place), err)
	}
	return entries, nil
}

// hit is a decision that was found.
type hit struct {
	state.Decision
	at    int64
	hash  uint32 // of its id
	place string // of its page; empty: it is in memory
}

// search is a query being answered.
type search struct {
	ctx    context.Context
	base   *base
	txn    *badger.Txn
	query  state.Query
	hashes []uint32 // of the histories that what it asks for is in
	signs  [][]byte // that are in its value
	open   []*entry // that are on no page, the newest first
	found  []hit    // the newest first; of one time in the order of their ids
}

// run finds what is asked for. An id that came up again stands for the newer decision:
// those that it stood for before make room for others.
func (s *search) run() error {
	for want := s.query.Limit; ; {
		if err := s.collect(want); err != nil {
			return err
		}
		enough := len(s.found) >= want
		gone, err := s.dropSuperseded()
		if err != nil || gone == 0 || !enough {
			return err
		}
		want += gone
	}
}

// collect finds the newest that are asked for: so many, and all of the last one's time.
func (s *search) collect(want int) error {
	s.found = s.found[:0]
	if err := s.add(s.open, "", want); err != nil {
		return err
	}
	return eachFilter(s.txn, func(f filter) (more bool, err error) {
		if err := s.goOn(); err != nil || f.last < s.floor(want) {
			return false, err
		}
		in := f.hasAll(s.hashes)
		if !s.query.Before.IsZero() && f.first > s.query.Before.UnixNano() || in == 0 {
			return true, nil
		}
		entries, err := f.read(s.txn, in)
		if err == nil {
			err = s.add(entries, f.place, want)
		}
		return true, err
	})
}

// goOn says why a search must end.
func (s *search) goOn() error { return errors.Join(s.ctx.Err(), s.base.leaving()) }

// floor is the time before which nothing is wanted any more.
func (s *search) floor(want int) int64 {
	floor := int64(math.MinInt64)
	if !s.query.Since.IsZero() {
		floor = s.query.Since.UnixNano()
	}
	if len(s.found) >= want {
		floor = max(floor, s.found[want-1].at)
	}
	return floor
}

// add takes from entries, which begin with the newest, what is asked for.
func (s *search) add(entries []*entry, place string, want int) error {
	floor, added := s.floor(want), 0
	for _, e := range entries {
		if e.at < floor {
			break
		}
		if !e.mayBe(s) {
			continue
		}
		d, err := ledger.DecodeDecision(e.value)
		if err != nil {
			return fmt.Errorf("%s: %w", decisionsKey(place), err)
		}
		if !s.query.Wants(d) {
			continue
		}
		s.found = append(s.found, hit{Decision: d, at: e.at, hash: idHash(d.ID), place: place})
		if added++; added == want {
			floor = e.at
		}
	}
	slices.SortStableFunc(s.found, func(a, b hit) int { return cmp.Or(cmp.Compare(b.at, a.at), cmp.Compare(a.ID, b.ID)) })
	floor = s.floor(want)
	s.found = slices.DeleteFunc(s.found, func(h hit) bool { return h.at < floor })
	return nil
}

// mayBe says whether it is worth to decode the decision.
func (e *entry) mayBe(s *search) bool {
	for _, sign := range s.signs {
		if !bytes.Contains(e.value, sign) {
			return false
		}
	}
	return true
}

// dropSuperseded drops what was found under an id that now stands for another decision.
func (s *search) dropSuperseded() (gone int, err error) {
	if len(s.found) == 0 {
		return 0, nil
	}
	newest := make(map[string]int64, len(s.open))
	for _, e := range s.open {
		newest[e.id] = e.at
	}
	before := len(s.found)
	s.found = slices.DeleteFunc(s.found, func(h hit) bool {
		at, ok := newest[h.ID]
		return ok && h.place != "" && at >= h.at
	})
	err = eachFilter(s.txn, func(f filter) (more bool, err error) {
		if err := s.goOn(); err != nil || len(s.found) == 0 || f.last < s.found[len(s.found)-1].at {
			return false, err
		}
		return true, s.dropFor(f)
	})
	return before - len(s.found), err
}

// dropFor drops what a page has newer decisions for.
func (s *search) dropFor(f filter) (err error) {
	s.found = slices.DeleteFunc(s.found, func(h hit) bool {
		if h.place == f.place || h.at > f.last || err != nil || f.has(h.hash) == 0 {
			return false
		}
		var entries []*entry
		entries, err = f.read(s.txn, f.has(h.hash))
		e := find(entries, h.ID)
		return e != nil && (e.at > h.at || e.at == h.at && h.place != "" && f.place > h.place)
	})
	return err
}

// find is the entry with this id; nil when there is none.
func find(entries []*entry, id string) *entry {
	sign := ledger.SignOf(id)
	for _, e := range entries {
		if bytes.HasPrefix(e.value, sign) {
			return e
		}
	}
	return nil
}

// newest finds the newest decision with this id; nil when there is none.
func (s *search) newest(id string) (best *entry, err error) {
	best = find(s.open, id)
	hash := idHash(id)
	err = eachFilter(s.txn, func(f filter) (more bool, err error) {
		if err := s.goOn(); err != nil || best != nil && f.last <= best.at {
			return false, err
		}
		in := f.has(hash)
		if in == 0 {
			return true, nil
		}
		entries, err := f.read(s.txn, in)
		if e := find(entries, id); e != nil && (best == nil || e.at > best.at) {
			best = e
		}
		return true, err
	})
	return best, err
}

// within makes the query leave out what is over its retention.
func (h *history) within(q state.Query) state.Query {
	if horizon := time.Unix(0, h.horizon.Load()); q.Since.Before(horizon) {
		q.Since = horizon
	}
	return q
}
