package milter

import "sync/atomic"

const (
	// defaultMemory is a quarter of what the unit gives the daemon (MemoryMax=): garbage
	// and what judging takes come to as much again.
	defaultMemory = 512 << 20
	// memoryStep is what a message reserves at a time, so that one of ordinary size
	// reserves once. 8,192 of them make the default.
	memoryStep = 64 << 10
	// mostLarge is how much of it messages get that are larger than a step, in eighths:
	// who fills it with large ones does not keep small ones out.
	mostLarge = 7

	overBudget = "more mail at once than memory is set aside for"
)

// budget bounds the bytes kept of all messages that are being taken in.
type budget struct {
	max  int64
	held atomic.Int64
}

// take reserves a step, if there is room for it.
func (b *budget) take(first bool) bool {
	most := b.max
	if !first {
		most = most / 8 * mostLarge
	}
	for {
		held := b.held.Load()
		if held+memoryStep > most {
			return false
		}
		if b.held.CompareAndSwap(held, held+memoryStep) {
			return true
		}
	}
}

// share is a message's part of the budget, in bytes.
type share struct {
	of   *budget
	held int64 // whole steps
	used int64
	out  bool // it was refused more, and gets none
}

// keep says whether n bytes more may be kept.
func (s *share) keep(n int) bool {
	want := s.used + int64(n)
	for want > s.held && !s.out {
		if s.out = !s.of.take(s.held == 0); !s.out {
			s.held += memoryStep
		}
	}
	if s.out {
		return false
	}
	s.used = want
	return true
}

// giveBack ends the share.
func (s *share) giveBack() {
	if s.held > 0 {
		s.of.held.Add(-s.held)
	}
	*s = share{}
}
