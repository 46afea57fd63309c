// Package local is a store that goes on alone while the one behind it is away: it
// counts in its own memory, at half of every max, until the other answers again.
//
// Half, rounded up, so that two hosts which both count alone let hardly more through
// together than one max. What was counted before is not known here, and what is
// counted here is not known there: over the edges of an outage a window may hold
// half a max more. Members of sets and
// campaigns are not known either, so that everybody is new.
// Blocks and all other docs are the primary's, which has them in memory.
package local

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"o2n-milter/state"
	"o2n-milter/state/memory"
)

// calm is how long the primary must have answered every call before it is called
// back: one that answers now and then is said to be away once.
const calm = 10 * time.Second

// Store is the primary, and what is counted without it.
type Store struct {
	state.Store // the primary
	own         *memory.Store
	log         *slog.Logger
	takes       atomic.Uint64

	away atomic.Bool // as it was last said; changed under mu
	mu   sync.Mutex
	// since and last are the first and the latest call of this outage that was
	// answered from here.
	since, last time.Time
	counted     uint64 // takes before this outage
}

var _ state.Store = (*Store)(nil)

// New puts a store that can go on alone in front of primary, whose every call must
// come back in a bounded time by itself.
func New(primary state.Store, log *slog.Logger) *Store {
	return &Store{Store: primary, own: memory.New(), log: log}
}

// Takes is how many calls were decided here.
func (s *Store) Takes() uint64 { return s.takes.Load() }

// Take implements state.Store.
func (s *Store) Take(ctx context.Context, now time.Time, ask state.Ask) (state.Answer, error) {
	answer, err := s.Store.Take(ctx, now, ask)
	if err == nil {
		s.answered(now)
		return answer, nil
	}
	if ctx.Err() != nil {
		return answer, err // nobody waits for it any more
	}
	alone, ownErr := s.take(ctx, now, ask)
	if ownErr != nil {
		return answer, err // the caller's fault, or the blocks are not known
	}
	if !ask.Dry { // what is only asked decides nothing, and says nothing of mail
		s.takes.Add(1)
		s.failed(now, err)
	}
	return alone, nil
}

// take is Take without the primary but for its blocks.
func (s *Store) take(ctx context.Context, now time.Time, ask state.Ask) (state.Answer, error) {
	if len(ask.Subjects) > 0 {
		blocks, err := s.Store.ActiveBlocks(ctx, now, ask.Subjects)
		if err != nil || len(blocks) > 0 {
			return state.Answer{Blocks: blocks}, err
		}
	}
	halved := state.Ask{Charges: slices.Clone(ask.Charges), Letters: slices.Clone(ask.Letters), Dry: ask.Dry}
	for i := range halved.Charges {
		c := &halved.Charges[i]
		c.Max = half(c.Max)
	}
	for i := range halved.Letters {
		l := &halved.Letters[i]
		l.Max = half(l.Max)
	}
	answer, err := s.own.Take(ctx, now, halved)
	if err != nil {
		return state.Answer{}, err
	}
	for i := range answer.Full {
		f := &answer.Full[i]
		c := ask.Charges[f.Index]
		// Too much for half, and too many whom only the primary knows, are not too
		// much for ever.
		if f.Free.IsZero() && (c.Set != "" || c.Cost <= c.Max) {
			f.Free = now.UTC().Add(c.Length)
		}
	}
	return answer, nil
}

// half rounds up, so that what allows anything allows something.
func half(limit int64) int64 { return limit/2 + limit%2 }

// failed notes that the primary did not answer a call.
func (s *Store) failed(now time.Time, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = now
	if s.away.Load() {
		return
	}
	s.away.Store(true)
	s.since, s.counted = now, s.takes.Load()-1
	s.log.Error("store is away: this host counts alone, at half the limits", "error", why)
}

// answered notes that it did.
func (s *Store) answered(now time.Time) {
	if !s.away.Load() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.away.Load() || s.isFresh(now) {
		return
	}
	s.away.Store(false)
	s.log.Warn("store is back: what was counted alone is not known there", "since", s.since.UTC().Format(time.RFC3339),
		"calls", s.takes.Load()-s.counted)
}

// isFresh says that a call was answered from here a moment ago; mu is held.
func (s *Store) isFresh(now time.Time) bool { return now.Sub(s.last) < calm }

// Usage implements state.Store. While the primary is away it tells what is counted
// here.
func (s *Store) Usage(ctx context.Context, now time.Time, windows []state.Window) ([]state.Usage, error) {
	usage, err := s.Store.Usage(ctx, now, windows)
	if err == nil || ctx.Err() != nil {
		return usage, err
	}
	halved := slices.Clone(windows)
	for i := range halved {
		halved[i].Max = half(halved[i].Max)
	}
	alone, ownErr := s.own.Usage(ctx, now, halved)
	if ownErr != nil {
		return nil, err
	}
	return alone, nil
}

// Reset implements state.Store. What is counted here is cleared also when the
// primary does not answer.
func (s *Store) Reset(ctx context.Context, subject string) (int, error) {
	_, ownErr := s.own.Reset(ctx, subject)
	n, err := s.Store.Reset(ctx, subject)
	return n, errors.Join(err, ownErr)
}

// Status implements state.Store.
func (s *Store) Status(ctx context.Context, now time.Time) (state.Status, error) {
	st, err := s.Store.Status(ctx, now)
	if err != nil {
		return st, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// Without mail nobody finds out that the primary is back, but it knows.
	if s.away.Load() && (st.Degraded != "" || s.isFresh(now)) {
		said := "this host counts alone, at half the limits, since " + s.since.UTC().Format(time.RFC3339)
		if st.Degraded != "" {
			said += ": " + st.Degraded
		}
		st.Degraded, st.Away = said, true
	}
	return st, nil
}

// Close implements state.Store.
func (s *Store) Close() error { return errors.Join(s.Store.Close(), s.own.Close()) }
