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
	now, old hashSet
}

// mostActive bounds a shard, at some 16 bytes each; more accounts only make the
// ceiling lower than it might be.
const mostActive = 1 << 16

func newActivity() *activity { return &activity{seed: maphash.MakeSeed()} }

func (a *activity) seen(now time.Time, account string) {
	h := max(1, maphash.String(a.seed, account))
	s := &a.shards[h%uint64(len(a.shards))]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn(now)
	s.now.add(h)
}

// count is how many accounts sent in this half hour and the one before it.
func (a *activity) count(now time.Time) int {
	n := 0
	for i := range a.shards {
		s := &a.shards[i]
		s.mu.Lock()
		s.turn(now)
		n += s.now.n
		for _, h := range s.old.places {
			if h != 0 && !s.now.has(h) {
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
	switch half := now.Unix() / 1800; {
	case half > s.half+1:
		s.old, s.now, s.half = hashSet{}, hashSet{}, half
	case half == s.half+1:
		s.old, s.now, s.half = s.now, hashSet{}, half
	}
}

// hashSet is a set of hashes. Each message looks for one, nearly always where no other
// has been for long: here that is one place in memory, in a map it is three.
type hashSet struct {
	places []uint64 // twice as many as hashes at least, a power of two; 0: free
	last   uint64   // place
	n      int
}

// at is the place of a hash, which is not 0, or the free one where it belongs.
func (s *hashSet) at(h uint64) uint64 {
	i := h >> 32 & s.last // the low bits chose the shard
	for s.places[i] != 0 && s.places[i] != h {
		i = (i + 1) & s.last
	}
	return i
}

func (s *hashSet) has(h uint64) bool { return s.n > 0 && s.places[s.at(h)] == h }

// add adds a hash, which is not 0, as long as there are fewer than mostActive.
func (s *hashSet) add(h uint64) {
	if s.has(h) || s.n >= mostActive {
		return
	}
	if 2*s.n >= len(s.places) {
		before := s.places
		s.last = max(63, 2*s.last+1)
		s.places = make([]uint64, s.last+1)
		for _, h := range before {
			if h != 0 {
				s.places[s.at(h)] = h
			}
		}
	}
	s.places[s.at(h)] = h
	s.n++
}
