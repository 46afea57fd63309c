package state

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// membersVersion is the first byte of a member's own record.
const membersVersion = 1

// Members are one set of one subject, each member with the slot of Remember/60 in
// which it was last put there. Like in Slots, it is known until that whole slot
// is Remember ago: never shorter, and up to 1/60 longer. So a member that comes
// again and again changes once in a slot.
//
// The zero value is empty and ready. Not safe for concurrent use.
type Members struct {
	length int64    // Remember in ns; 0 until the first Advance or Load
	list   []member // by hash
	oldest int64    // no slot in list is before it
	newest int64    // nor after it
}

type member struct {
	hash uint64
	k    int64 // slot, in widths since 1970
}

// Advance brings m to members remembered for so long at this time; every other
// method answers for that time. It drops those that are to be forgotten. Slots
// from the future are taken for now's; folded says that there were any: another
// copy of m would know them longer. When remember has changed, each member counts
// from the end of its old slot.
func (m *Members) Advance(remember time.Duration, line int64) (folded bool) {
	if m.length != int64(remember) {
		folded = m.Expire(line) // what has left the old length stays forgotten
		m.resize(int64(remember))
	}
	if len(m.list) > 0 && slotLeaves(m.oldest, m.length) <= line {
		m.list = slices.DeleteFunc(m.list, func(x member) bool { return slotLeaves(x.k, m.length) <= line })
		m.trim()
	}
	now := line / slotWidth(m.length)
	if len(m.list) == 0 || m.newest <= now {
		return folded
	}
	m.bounds()
	folded = folded || m.newest > now
	for i := range m.list {
		m.list[i].k = min(m.list[i].k, now)
	}
	m.bounds()
	return folded
}

// Expire drops what has left a set remembered as long as m was last.
func (m *Members) Expire(line int64) (folded bool) {
	return m.length > 0 && m.Advance(time.Duration(m.length), line)
}

func (m *Members) resize(length int64) {
	for i := range m.list {
		m.list[i].k = slotMoved(m.list[i].k, m.length, length)
	}
	m.length = length
	m.bounds()
}

// trim lets go of an array that is mostly empty, and finds the bounds anew.
func (m *Members) trim() {
	switch {
	case len(m.list) == 0:
		m.list = nil
	case len(m.list) < cap(m.list)/4:
		m.list = slices.Clone(m.list)
	}
	m.bounds()
}

func (m *Members) bounds() {
	m.oldest, m.newest = 0, 0
	for i, x := range m.list {
		if i == 0 {
			m.oldest, m.newest = x.k, x.k
		}
		m.oldest, m.newest = min(m.oldest, x.k), max(m.newest, x.k)
	}
}

// Len is how many members are known.
func (m *Members) Len() int { return len(m.list) }

// Remember is how long members are; 0 when there never was one.
func (m *Members) Remember() time.Duration { return time.Duration(m.length) }

// Leaves is when the last one leaves if none is put there again; m is not empty.
func (m *Members) Leaves() int64 { return slotLeaves(m.newest, m.length) }

func (m *Members) find(hash uint64) (int, bool) {
	return slices.BinarySearchFunc(m.list, hash, func(x member, h uint64) int { return cmp.Compare(x.hash, h) })
}

// Unknown says how many of hashes are not known.
func (m *Members) Unknown(hashes []uint64) int64 {
	var n int64
	for _, h := range hashes {
		if _, ok := m.find(h); !ok {
			n++
		}
	}
	return n
}

// Each calls f with all that are known, in order of their hashes, and their slots.
func (m *Members) Each(f func(hash uint64, slot int64)) {
	for _, x := range m.list {
		f(x.hash, x.k)
	}
}

// never stands for the slot of a member that is not known.
const never = -1

// MemberMarks say what one Put changed.
type MemberMarks struct {
	length int64
	list   []memberMark
}

type memberMark struct {
	hash          uint64
	before, after int64 // slots; never: not known
}

// Len is how many members changed; those forgotten for want of room count too.
func (c *MemberMarks) Len() int { return len(c.list) }

// Remember is how long they are known.
func (c *MemberMarks) Remember() time.Duration { return time.Duration(c.length) }

// Each calls f with each that changed, in order, and the slot that it is in now; one
// may come twice.
func (c *MemberMarks) Each(f func(hash uint64, slot int64)) {
	for _, x := range c.list {
		f(x.hash, x.after)
	}
}

// Put makes hashes, in order and each once, known from the time of the last
// Advance on. Over MaxMembers the oldest are forgotten; of one slot those with
// the lowest hash.
func (m *Members) Put(hashes []uint64, line int64) MemberMarks {
	now := line / slotWidth(m.length)
	c := MemberMarks{length: m.length}
	fresh := 0
	for _, h := range hashes {
		i, known := m.find(h)
		switch {
		case !known:
			c.list = append(c.list, memberMark{h, never, now})
			fresh++
		case m.list[i].k != now:
			c.list = append(c.list, memberMark{h, m.list[i].k, now})
			m.list[i].k = now
		}
	}
	if len(c.list) > 0 {
		m.insert(c.list, fresh)
		m.newest = max(m.newest, now)
		c.list = m.forget(c.list, now)
	}
	return c
}

// insert puts the fresh ones among marks where they belong, from the end on.
func (m *Members) insert(marks []memberMark, fresh int) {
	if len(m.list) == 0 {
		m.oldest = marks[0].after
	}
	from := len(m.list) - 1
	m.list = slices.Grow(m.list, fresh)[:len(m.list)+fresh]
	to := len(m.list) - 1
	for _, x := range slices.Backward(marks) {
		if x.before != never {
			continue
		}
		for ; from >= 0 && m.list[from].hash > x.hash; from-- {
			m.list[to] = m.list[from]
			to--
		}
		m.list[to] = member{x.hash, x.after}
		to--
	}
}

// forget drops what is over MaxMembers and adds it to marks.
func (m *Members) forget(marks []memberMark, now int64) []memberMark {
	over := len(m.list) - MaxMembers
	if over <= 0 {
		return marks
	}
	// Up to 61 slots before now's have not left: the last one is not quite over.
	const oldest = slotsPerWindow + 1
	var byAge [oldest + 1]int
	age := func(x member) int { return int(min(now-x.k, oldest)) }
	for _, x := range m.list {
		byAge[age(x)]++
	}
	last := oldest // the youngest age of which some must go
	for ; over > byAge[last]; last-- {
		over -= byAge[last]
	}
	m.list = slices.DeleteFunc(m.list, func(x member) bool {
		a := age(x)
		if a == last {
			over--
		}
		gone := a > last || (a == last && over >= 0)
		if gone {
			marks = append(marks, memberMark{x.hash, x.k, never})
		}
		return gone
	})
	m.bounds()
	return marks
}

// Undo takes back what Put did. What was put again since stays.
func (m *Members) Undo(c MemberMarks) {
	for _, x := range slices.Backward(c.list) {
		i, known := m.find(x.hash)
		switch {
		case !known && x.after == never && m.length == c.length:
			m.list = slices.Insert(m.list, i, member{x.hash, x.before})
		case !known || m.length != c.length || m.list[i].k != x.after:
			// Gone, put again, or of another length: known too long at worst by one Put.
		case x.before == never:
			m.list = slices.Delete(m.list, i, i+1)
		default:
			m.list[i].k = x.before
		}
	}
	m.trim()
}

// Merge adds other's members, which may be remembered for another time; of two
// slots of one the later stands.
func (m *Members) Merge(other Members) {
	if m.length == 0 {
		m.length = other.length
	}
	for _, x := range other.list {
		m.put(x.hash, slotMoved(x.k, other.length, m.length))
	}
	m.bounds()
}

// put is for one member; in order of their hashes it is quick.
func (m *Members) put(hash uint64, k int64) {
	if n := len(m.list); n == 0 || m.list[n-1].hash < hash {
		m.list = append(m.list, member{hash, k})
		return
	}
	if i, known := m.find(hash); known {
		m.list[i].k = max(m.list[i].k, k)
	} else {
		m.list = slices.Insert(m.list, i, member{hash, k})
	}
}

// Clone is a copy that shares nothing.
func (m *Members) Clone() Members {
	c := *m
	c.list = slices.Clone(m.list)
	return c
}

// Size is how many bytes the members take beside the struct.
func (m *Members) Size() int { return 16 * cap(m.list) }

// Restore adds a member that another copy remembers for so long and put there in this
// slot; a slot below 0: it was forgotten. The numbers may be any. An error changes
// nothing: such a member is as good as forgotten. Where Remember was changed and members
// of both times are there, all count for the longer one: by the shorter the next Advance
// would forget those that are remembered longer.
func (m *Members) Restore(hash uint64, remember time.Duration, k int64) error {
	length := int64(remember)
	if err := CheckMember(remember, k); err != nil {
		return err
	}
	if k < 0 {
		m.drop(hash)
		return nil
	}
	if length > m.length {
		m.resize(length)
	}
	k = slotMoved(k, length, m.length)
	if len(m.list) == 0 {
		m.oldest, m.newest = k, k
	}
	m.oldest, m.newest = min(m.oldest, k), max(m.newest, k)
	m.put(hash, k)
	return nil
}

// drop forgets a member, if it is known.
func (m *Members) drop(hash uint64) {
	if i, known := m.find(hash); known {
		m.list = slices.Delete(m.list, i, i+1)
		m.trim()
	}
}

// MemberLeaves is the first time at which a member is forgotten that was put in this
// slot.
func MemberLeaves(remember time.Duration, slot int64) (line int64) {
	return slotLeaves(slot, int64(remember))
}

// DecodeMember reads a member of the time when each had a record of its own: a version,
// then uvarints: Remember in ns and the slot's number. The bytes may be anything.
func DecodeMember(b []byte) (remember time.Duration, slot int64, err error) {
	if len(b) == 0 {
		return 0, 0, errors.New("member is empty; want a version byte")
	}
	if b[0] != membersVersion {
		return 0, 0, fmt.Errorf("member has version %d; want %d", b[0], membersVersion)
	}
	length, b, err := uvarint(b[1:])
	if err != nil {
		return 0, 0, err
	}
	if slot, b, err = uvarint(b); err != nil {
		return 0, 0, err
	}
	if len(b) > 0 {
		return 0, 0, fmt.Errorf("member is followed by %d bytes; want none", len(b))
	}
	remember = time.Duration(length)
	return remember, slot, CheckMember(remember, slot)
}

// CheckMember makes sure that a member can be remembered for so long from this slot on.
func CheckMember(remember time.Duration, slot int64) error {
	if slotWidth(int64(remember)) <= 0 || slot > lastSlot(int64(remember)) {
		return fmt.Errorf("slot %d of %s is out of range", slot, remember)
	}
	return nil
}
