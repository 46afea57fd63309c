package state

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// hour is how long the members of these tests are remembered: slots of a minute.
const hour = int64(time.Hour)

// put makes these known at this minute.
func put(m *Members, minute int64, hashes ...uint64) MemberMarks {
	m.Advance(time.Hour, minute*int64(time.Minute))
	return m.Put(hashes, minute*int64(time.Minute))
}

// check wants list in order, within its bounds, and at most MaxMembers.
func (m *Members) check(t *testing.T) {
	t.Helper()
	for i, x := range m.list {
		if (i > 0 && m.list[i-1].hash >= x.hash) || x.k < m.oldest || x.k > m.newest {
			t.Fatalf("member %d of %v is out of order or bounds (%d to %d)", i, m.list, m.oldest, m.newest)
		}
	}
}

func marksOf(c MemberMarks) (hashes []uint64) {
	c.Each(func(h uint64, _ int64) { hashes = append(hashes, h) })
	return hashes
}

func hashesOf(m *Members) (hashes []uint64) {
	m.Each(func(h uint64, _ int64) { hashes = append(hashes, h) })
	return hashes
}

// A member is known for the whole hour and up to its slot's end.
func TestMembersLeave(t *testing.T) {
	at := 100*int64(time.Minute) + 1
	for line, want := range map[int64]int64{
		at: 0, at + hour - 1: 0, at + hour: 0, 161*int64(time.Minute) - 1: 0, 161 * int64(time.Minute): 1,
	} {
		var m Members
		m.Advance(time.Hour, at)
		m.Put([]uint64{7}, at)
		m.Advance(time.Hour, line)
		if n := m.Unknown([]uint64{7}); n != want {
			t.Errorf("%s after: %d unknown; want %d", time.Duration(line-at), n, want)
		}
	}
}

// Only what changed is to be written: those added, and those whose slot is another.
func TestMembersPut(t *testing.T) {
	var m Members
	tests := []struct {
		minute int64
		hashes []uint64
		want   []uint64
	}{
		{100, []uint64{5, 9}, []uint64{5, 9}},
		{100, []uint64{5, 9}, nil},
		{100, []uint64{1, 5, 7, 20}, []uint64{1, 7, 20}},
		{101, []uint64{5, 6}, []uint64{5, 6}},
		{160, []uint64{9}, []uint64{9}},
		{161, nil, nil},
		{161, []uint64{1, 5, 9}, []uint64{1, 5, 9}},
	}
	for i, test := range tests {
		if got := marksOf(put(&m, test.minute, test.hashes...)); !slices.Equal(got, test.want) {
			t.Errorf("step %d: changed %v; want %v", i, got, test.want)
		}
		m.check(t)
	}
	if want := []uint64{1, 5, 6, 9}; !slices.Equal(hashesOf(&m), want) || m.Len() != 4 {
		t.Errorf("known %v; want %v: the others have left", hashesOf(&m), want)
	}
}

func TestMembersAreBounded(t *testing.T) {
	count := func(from, n uint64) (hashes []uint64) {
		for h := range n {
			hashes = append(hashes, from+h)
		}
		return hashes
	}
	var m Members
	put(&m, 100, count(1000, 10)...)
	put(&m, 101, count(2000, MaxMembers-10)...)
	if m.Len() != MaxMembers || m.Unknown(count(1000, 10)) != 0 {
		t.Fatalf("%d known; want %d, none forgotten", m.Len(), MaxMembers)
	}
	c := put(&m, 102, 1)
	if got := marksOf(c); !slices.Equal(got, []uint64{1, 1000}) || m.Len() != MaxMembers {
		t.Errorf("one more: changed %v; want the new one, and the oldest forgotten", got)
	}
	m.check(t)
	m.Undo(c)
	if m.check(t); m.Unknown([]uint64{1}) != 1 || m.Unknown([]uint64{1000}) != 0 || m.Len() != MaxMembers {
		t.Error("undone: want the oldest back, and the new one gone")
	}
	longer := m.Clone()
	c = put(&longer, 102, 1)
	longer.Advance(2*time.Hour, 102*int64(time.Minute))
	longer.Undo(c) // whose slots are of another length
	if longer.check(t); longer.Unknown([]uint64{1000}) != 1 || longer.Len() != MaxMembers {
		t.Error("undone after another length: want nothing to come back")
	}
	put(&m, 102, count(1, 15)...)
	if m.Unknown(count(1000, 10)) != 10 || m.Unknown(count(2000, 5)) != 5 || m.Unknown(count(2005, 100)) != 0 {
		t.Error("15 more: want the 10 of the oldest slot forgotten, and the lowest 5 of the next")
	}
	put(&m, 103, count(1<<40, MaxMembers)...)
	if m.check(t); m.Unknown(count(1<<40, MaxMembers)) != 0 || m.Len() != MaxMembers {
		t.Error("a whole set of new ones: want them and no others")
	}
}

func TestMembersUndo(t *testing.T) {
	var m Members
	put(&m, 100, 5, 9)
	first := put(&m, 101, 5, 7) // renews 5, adds 7
	again := put(&m, 102, 7)
	m.Undo(first)
	if m.check(t); m.Unknown([]uint64{7}) != 0 {
		t.Error("a member put again since was taken away")
	}
	m.Undo(again)
	m.Undo(first)
	m.check(t)
	if m.Unknown([]uint64{7}) != 1 || m.Unknown([]uint64{5, 9}) != 0 {
		t.Errorf("undone: known %v; want 5 and 9", hashesOf(&m))
	}
	if m.Advance(time.Hour, 161*int64(time.Minute)); m.Len() != 0 {
		t.Error("undone: 5 is still renewed")
	}
}

func TestMembersFromTheFuture(t *testing.T) {
	var m Members
	put(&m, 5000, 7)
	put(&m, 5001, 8)
	if m.Advance(time.Hour, 5001*int64(time.Minute)) {
		t.Error("folded though in order")
	}
	if !m.Advance(time.Hour, 100*int64(time.Minute)) || m.Len() != 2 {
		t.Errorf("%d known, or nothing folded; want 2", m.Len())
	}
	m.check(t)
	if m.Advance(time.Hour, 161*int64(time.Minute)-1) || m.Len() != 2 {
		t.Error("folded again, or forgotten within the hour")
	}
	if m.Advance(time.Hour, 161*int64(time.Minute)); m.Len() != 0 {
		t.Error("known for more than an hour")
	}
}

// However remember changes, a member is known no shorter than the shortest.
func TestMembersResize(t *testing.T) {
	made := 100*int64(time.Minute) + 1
	for _, remember := range []time.Duration{time.Second, 61 * time.Minute, 90 * 24 * time.Hour, MaxLength} {
		var m Members
		m.Advance(time.Hour, made)
		m.Put([]uint64{1, 2}, made)
		m.Advance(remember, made)
		if m.Advance(remember, made+int64(remember)); m.Unknown([]uint64{1, 2}) != 0 {
			t.Errorf("%s: forgotten within it", remember)
		}
		if m.Advance(remember, made+int64(remember)+int64(time.Minute)+int64(remember/60)); m.Len() != 0 {
			t.Errorf("%s: known two slots after it", remember)
		}
	}
}

func TestMembersMerge(t *testing.T) {
	var m, other, empty Members
	put(&m, 100, 1, 2)
	other.Advance(2*time.Hour, 101*int64(time.Minute))
	other.Put([]uint64{2, 3}, 101*int64(time.Minute))
	m.Merge(other)
	m.check(t)
	m.Merge(Members{})
	if want := []uint64{1, 2, 3}; !slices.Equal(hashesOf(&m), want) {
		t.Errorf("known %v; want %v", hashesOf(&m), want)
	}
	// Of two slots the later one stands: minute 101 in slots of two minutes ends at 102.
	if m.Advance(time.Hour, 161*int64(time.Minute)); !slices.Equal(hashesOf(&m), []uint64{2, 3}) {
		t.Errorf("known %v an hour later; want 2 and 3", hashesOf(&m))
	}
	if empty.Merge(other); empty.Len() != 2 || empty.Remember() != 2*time.Hour {
		t.Errorf("%d for %s; want 2 for two hours", empty.Len(), empty.Remember())
	}
}

func TestMembersRestore(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixNano()
	const days = 90 * 24 * time.Hour
	var m, read Members
	m.Advance(days, now)
	m.Put([]uint64{0, 7, math.MaxUint64}, now)
	for _, h := range []uint64{math.MaxUint64, 0, 7} {
		if err := read.Restore(h, days, m.newest); err != nil {
			t.Fatal(err)
		}
	}
	if leaves := MemberLeaves(days, m.newest); leaves != slotLeaves(m.newest, m.length) {
		t.Errorf("leaves at %d", leaves)
	}
	read.check(t)
	if !slices.Equal(read.list, m.list) || read.length != m.length {
		t.Errorf("read %v; want %v", read, m)
	}
	// Others of another Remember: they count from the end of their old slots.
	const longer = 100 * 24 * time.Hour
	if err := read.Restore(3, longer, now/slotWidth(int64(longer))); err != nil {
		t.Fatal(err)
	}
	if read.Advance(days, now+int64(days)); read.Len() != 4 {
		t.Errorf("%d known after 90 days; want all 4", read.Len())
	}
	// Forgotten, and known again.
	for _, x := range []struct {
		slot int64
		want int
	}{{-1, 3}, {-1, 3}, {read.newest, 4}} {
		if err := read.Restore(7, days, x.slot); err != nil || read.Len() != x.want {
			t.Errorf("slot %d: %d known, %v; want %d", x.slot, read.Len(), err, x.want)
		}
		read.check(t)
	}
}

func FuzzRestoreMember(f *testing.F) {
	f.Add(int64(60), int64(1), int64(time.Hour), second)
	f.Add(int64(59), int64(1), int64(0), int64(0))
	f.Add(int64(-60), int64(1), int64(0), int64(0))
	f.Add(int64(60), int64(-1), int64(0), int64(0))
	f.Add(int64(60), int64(math.MaxInt64), int64(0), int64(0))
	f.Add(int64(math.MaxInt64), int64(0), int64(0), int64(0))
	f.Add(int64(time.Hour), int64(100), int64(MaxLength), 100*int64(time.Minute))
	f.Fuzz(func(t *testing.T, length, slot, remember, line int64) {
		var m Members
		if err := m.Restore(5, time.Duration(length), slot); err != nil || slot < 0 {
			if m.Len() != 0 || m.Remember() != 0 {
				t.Fatalf("%v left %v", err, m)
			}
			return
		}
		remember = int64(time.Second) + max(0, remember)%(int64(MaxLength-time.Second)+1)
		line = max(0, line) % latestTime.UnixNano()
		m.Advance(time.Duration(remember), line)
		m.check(t)
		if m.Len() > 0 && (m.newest > line/slotWidth(remember) || slotLeaves(m.oldest, remember) <= line) {
			t.Fatalf("%v at %d", m, line)
		}
	})
}

// Where Remember was made longer, members that are kept with the old one and with the
// new one are read in any order: none is forgotten early.
func TestLoadMixedLengths(t *testing.T) {
	var short, long Members
	at := 1000 * hour
	short.Advance(time.Minute, at)
	short.Put([]uint64{1}, at)
	long.Advance(24*time.Hour, at)
	long.Put([]uint64{2, 3}, at)
	from := map[uint64]*Members{1: &short, 2: &long, 3: &long}
	for _, order := range [][]uint64{{1, 2, 3}, {2, 1, 3}, {2, 3, 1}} {
		var m Members
		var c Campaigns
		for _, h := range order {
			remember, slot := from[h].Remember(), from[h].newest
			if err := errors.Join(m.Restore(h, remember, slot), c.Restore(Sketch{h % 2}, h, remember, slot)); err != nil {
				t.Fatal(err)
			}
		}
		c.Loaded()
		c.check(t)
		m.Advance(24*time.Hour, at+23*hour)
		c.Advance(24*time.Hour, at+23*hour)
		m.check(t)
		c.check(t)
		if n := m.Unknown([]uint64{2, 3}); n != 0 {
			t.Errorf("%v: %d of those remembered for a day are forgotten", order, n)
		}
		if n := len(c.all()[Sketch{0}]) + len(c.all()[Sketch{1}]); n < 2 {
			t.Errorf("%v: %d recipients; want those that count for a day", order, n)
		}
	}
}

func TestDecodeMember(t *testing.T) {
	if remember, slot, err := DecodeMember([]byte{1, 200, 1, 5}); remember != 200 || slot != 5 || err != nil {
		t.Errorf("%d ns, slot %d, %v; want 200 and 5", remember, slot, err)
	}
	for _, value := range [][]byte{
		{}, {2, 60, 1}, {1}, {1, 60}, {1, 59, 1}, {1, 60, 1, 1}, {1, 60, 0xff},
		{1, 60, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
	} {
		if remember, slot, err := DecodeMember(value); err == nil {
			t.Errorf("%x was read as %s, slot %d", value, remember, slot)
		}
	}
}

// Random puts, undone at times, against a map.
func TestMembersModel(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var m Members
	slots := make(map[uint64]int64)
	line := int64(1000 * hour)
	for step := range 5000 {
		line += rnd.Int64N(3 * int64(time.Minute))
		m.Advance(time.Hour, line)
		for h, k := range slots {
			if slotLeaves(k, hour) <= line {
				delete(slots, h)
			}
		}
		var hashes []uint64
		for range rnd.IntN(6) {
			hashes = append(hashes, rnd.Uint64N(200))
		}
		slices.Sort(hashes)
		hashes = slices.Compact(hashes)
		c := m.Put(hashes, line)
		if rnd.IntN(3) == 0 {
			m.Undo(c)
		} else {
			for _, h := range hashes {
				slots[h] = line / slotWidth(hour)
			}
		}
		m.check(t)
		if got, want := fmt.Sprint(m.list), fmt.Sprint(listed(slots)); got != want {
			t.Fatalf("step %d: %s; want %s", step, got, want)
		}
	}
}

func listed(slots map[uint64]int64) (list []member) {
	for h, k := range slots {
		list = append(list, member{h, k})
	}
	slices.SortFunc(list, func(a, b member) int { return int(a.hash) - int(b.hash) })
	return list
}

func BenchmarkMembers(b *testing.B) {
	key := NewMemberKey()
	ten := make([]string, 10)
	for i := range ten {
		ten[i] = fmt.Sprintf("recipient%d@client-b.example", i)
	}
	b.Run("hashes/10", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			key.Hashes(ten)
		}
	})
	for _, size := range []int{100, MaxMembers} {
		var m Members
		all := make([]uint64, size)
		for i := range all {
			all[i] = uint64(i) * (math.MaxUint64 / uint64(size))
		}
		put(&m, 100, all...)
		known := []uint64{all[1], all[size/2], all[size-1]}
		b.Run(fmt.Sprintf("known/%d", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m.Put(known, 100*int64(time.Minute))
			}
		})
		b.Run(fmt.Sprintf("new/%d", size), func(b *testing.B) {
			fresh := uint64(1)
			for b.Loop() {
				m.Put([]uint64{fresh * 0x9e3779b97f4a7c15}, 100*int64(time.Minute))
				fresh++
			}
		})
	}
}
