package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
	"time"
)

// slotsPerWindow is how many slots share a window's length: a place comes free
// at most one slot, W/60, late.
const slotsPerWindow = 60

// MaxLength bounds windows, and how long members are remembered.
const MaxLength = 10 * 365 * 24 * time.Hour

// slotsVersion is the first byte of encoded Slots.
const slotsVersion = 1

// Slots are the charges of one sliding window, summed by slots of W/60. Only
// slots that hold something are kept, so that a quiet subject costs little.
//
// Slot k holds what was charged at k*width <= t < (k+1)*width and counts until
// all of it has left the window, that is while line-W < (k+1)*width. So a charge
// never stops counting before its time and at most W/60 after it. Max is not
// kept: it may differ from call to call.
//
// A line is a time in ns since 1970 on the store's own time line, which never
// runs backwards. The zero value is empty and ready. Not safe for concurrent use.
type Slots struct {
	length int64 // W in ns; 0 until the first Advance
	slots  []slot
	used   int64 // sum over slots
}

type slot struct {
	k int64 // number since 1970, in widths
	n int64 // charged, in the limit's unit; over 0
}

// slotWidth is the width of the slots of this length, both in ns.
func slotWidth(length int64) int64 { return length / slotsPerWindow }

// slotLeaves is the first time at which slot k of this length no longer counts.
func slotLeaves(k, length int64) int64 { return (k+1)*slotWidth(length) + length }

// slotMoved is the slot of a new length for slot k of an old one: where its last
// ns lies, so that it ends no earlier.
func slotMoved(k, old, length int64) int64 {
	if old == length {
		return k
	}
	return ((k+1)*slotWidth(old) - 1) / slotWidth(length)
}

// lastSlot is the highest for which slotLeaves cannot overflow, even moved to any
// length up to MaxLength; it lies after latestTime.
func lastSlot(length int64) int64 {
	return (math.MaxInt64-2*max(length, int64(MaxLength)))/slotWidth(length) - 1
}

func (s *Slots) width() int64 { return slotWidth(s.length) }

// leaves is the first time at which slot k no longer counts.
func (s *Slots) leaves(k int64) int64 { return slotLeaves(k, s.length) }

// Advance brings s to a window of this length at this time; every other method
// answers for that time. It drops the slots that have left. Slots from the future
// (written by a process whose clock was ahead) are taken for charges of now: they
// count, but for no longer than W. When the length has changed, each charge
// counts from the end of its old slot. Folded says that there were slots from the
// future: another copy of s would count them longer.
func (s *Slots) Advance(length time.Duration, line int64) (folded bool) {
	if s.length != int64(length) {
		folded = s.Expire(line) // what has left the old window stays forgotten
		s.resize(int64(length))
	}
	gone := 0
	for ; gone < len(s.slots) && s.leaves(s.slots[gone].k) <= line; gone++ {
		s.used -= s.slots[gone].n
	}
	s.slots = slices.Delete(s.slots, 0, gone) // in place: a window that goes on takes no new array
	if len(s.slots) == 0 {
		s.slots = nil // lets go of the array
		return folded
	}
	now := line / s.width()
	future := sort.Search(len(s.slots), func(i int) bool { return s.slots[i].k > now })
	late := s.slots[future:]
	s.slots = s.slots[:future]
	for _, x := range late { // the first put may take late[0]'s place, which is read by then
		s.used -= x.n
		s.put(now, x.n)
	}
	return folded || len(late) > 0
}

func (s *Slots) resize(length int64) {
	old := *s
	*s = Slots{length: length}
	for _, x := range old.slots {
		s.put(slotMoved(x.k, old.length, length), x.n)
	}
}

// Expire drops what has left a window of the length that s already has.
func (s *Slots) Expire(line int64) (folded bool) {
	return s.length > 0 && s.Advance(time.Duration(s.length), line)
}

// put adds n to slot k, which is nearly always the last one. A sum that int64
// cannot hold (two records merged) stays at the highest.
func (s *Slots) put(k, n int64) {
	n = min(n, math.MaxInt64-s.used)
	if n == 0 {
		return // a slot that holds nothing cannot be read again
	}
	s.used += n
	i := len(s.slots)
	for i > 0 && s.slots[i-1].k > k {
		i--
	}
	if i > 0 && s.slots[i-1].k == k {
		s.slots[i-1].n += n
		return
	}
	s.slots = append(s.slots, slot{})
	copy(s.slots[i+1:], s.slots[i:])
	s.slots[i] = slot{k, n}
}

// Length is W; 0 when nothing was ever charged.
func (s *Slots) Length() time.Duration { return time.Duration(s.length) }

// Used is the sum of what counts.
func (s *Slots) Used() int64 { return s.used }

// Leaves is when the last of it leaves if nothing else is charged; s is not empty.
func (s *Slots) Leaves() int64 { return s.leaves(s.slots[len(s.slots)-1].k) }

// Room says whether cost more fits under limit.
func (s *Slots) Room(cost, limit int64) bool { return cost <= limit-s.used }

// Charge adds cost, which must fit an int64 with Used, at the time of the last
// Advance, and gives what Undo needs.
func (s *Slots) Charge(cost, line int64) Mark {
	m := Mark{length: s.length, slot: slot{line / s.width(), cost}}
	s.put(m.slot.k, cost)
	return m
}

// Mark says where a charge was put.
type Mark struct {
	length int64
	slot   slot
}

// Undo takes a charge back. It does nothing when the charge has left or the
// window's length has changed since: then it may count too much, never too little.
func (s *Slots) Undo(m Mark) {
	if s.length != m.length {
		return
	}
	for i := range s.slots {
		if x := &s.slots[i]; x.k == m.slot.k {
			n := min(m.slot.n, x.n)
			x.n -= n
			s.used -= n
			if x.n == 0 {
				s.slots = append(s.slots[:i], s.slots[i+1:]...)
			}
			return
		}
	}
}

// FreeAt is the earliest time at which cost fits under limit if nothing else is
// charged: line, when it fits now; false when it never does.
func (s *Slots) FreeAt(cost, limit, line int64) (int64, bool) {
	if cost > limit {
		return 0, false
	}
	left := s.used
	for i := 0; left > limit-cost; i++ {
		left -= s.slots[i].n
		line = s.leaves(s.slots[i].k)
	}
	return line, true
}

// Size is how many bytes the slots take beside the struct.
func (s *Slots) Size() int { return 16 * cap(s.slots) }

// Merge adds other's charges, which may have another length.
func (s *Slots) Merge(other Slots) {
	o := other.Clone()
	if s.length == 0 {
		*s = o
		return
	}
	if o.length != s.length {
		o.resize(s.length)
	}
	for _, x := range o.slots {
		s.put(x.k, x.n)
	}
}

// Clone is a copy that shares nothing.
func (s *Slots) Clone() Slots {
	c := *s
	c.slots = append([]slot(nil), s.slots...)
	return c
}

// Append encodes s after b: the version, then uvarints: W in ns, and for each
// slot the distance to the slot before (the first: its number) and its sum.
func (s *Slots) Append(b []byte) []byte {
	b = append(b, slotsVersion)
	b = binary.AppendUvarint(b, uint64(s.length))
	last := int64(0)
	for _, x := range s.slots {
		b = binary.AppendUvarint(b, uint64(x.k-last))
		b = binary.AppendUvarint(b, uint64(x.n))
		last = x.k
	}
	return b
}

// DecodeSlots reads what Append wrote. The bytes may be anything.
func DecodeSlots(b []byte) (Slots, error) {
	if len(b) == 0 {
		return Slots{}, errors.New("window is empty; want a version byte")
	}
	if b[0] != slotsVersion {
		return Slots{}, fmt.Errorf("window has version %d; want %d", b[0], slotsVersion)
	}
	length, b, err := uvarint(b[1:])
	if err != nil {
		return Slots{}, err
	}
	s := Slots{length: length}
	if s.width() == 0 {
		return Slots{}, fmt.Errorf("window of %d ns is too short", length)
	}
	last, k := lastSlot(length), int64(0)
	s.slots = make([]slot, 0, numbers(b)/2)
	for len(b) > 0 {
		var delta, n int64
		if delta, b, err = uvarint(b); err != nil {
			return Slots{}, err
		}
		if n, b, err = uvarint(b); err != nil {
			return Slots{}, err
		}
		if delta > last-k || n == 0 || n > math.MaxInt64-s.used || (delta == 0 && len(s.slots) > 0) {
			return Slots{}, fmt.Errorf("slot %d of the window is out of range", len(s.slots))
		}
		k += delta
		s.slots = append(s.slots, slot{k, n})
		s.used += n
	}
	return s, nil
}

// numbers is how many b holds.
func numbers(b []byte) (n int) {
	for _, c := range b {
		if c < 0x80 { // the last byte of one
			n++
		}
	}
	return n
}

// uvarint reads a number that fits an int64 and returns what follows it.
func uvarint(b []byte) (int64, []byte, error) {
	u, n := binary.Uvarint(b)
	if n <= 0 || u > math.MaxInt64 {
		return 0, nil, errors.New("window is cut off or holds a number that is none")
	}
	return int64(u), b[n:], nil
}
