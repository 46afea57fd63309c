package rules

import (
	"hash/maphash"
	"sync"
	"time"
)

// activity counts the accounts that sent in the last hour or so, for the ceiling
// of automatic blocks. It is safe for concurrent use and outlives a reload.
type activity struct {
	seed   maphash.Seed
	shards [16]activeShard
}

// activeShard holds hashes of accounts of this half hour and the one before it.
type activeShard struct {
	mu       sync.Mutex
	half     int64 // since 1970
	now, old map[uint64]struct{}
}

// mostActive bounds a shard, at some 16 bytes each; more accounts only make the
// ceiling lower than it might be.
const mostActive = 1 << 16

func newActivity() *activity { return &activity{seed: maphash.MakeSeed()} }

func (a *activity) seen(now time.Time, account string) {
	h := maphash.String(a.seed, account)
	s := &a.shards[h%uint64(len(a.shards))]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn(now)
	if len(s.now) < mostActive {
		s.now[h] = struct{}{}
	}
}

// count is how many accounts sent in this half hour and the one before it.
func (a *activity) count(now time.Time) int {
	n := 0
	for i := range a.shards {
		s := &a.shards[i]
		s.mu.Lock()
		s.turn(now)
		n += len(s.now)
		for h := range s.old {
			if _, both := s.now[h]; !both {
				n++
			}
		}
		s.mu.Unlock()
	}
	return n
}

// turn begins a new half hour when it is time. A clock that was set back turns
// nothing.
func (s *activeShard) turn(now time.Time) {
	half := now.Unix() / 1800
	switch {
	case s.now == nil, half > s.half+1:
		s.old, s.now, s.half = nil, map[uint64]struct{}{}, half
	case half == s.half+1:
		s.old, s.now, s.half = s.now, map[uint64]struct{}{}, half
	}
}
