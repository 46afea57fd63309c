package state

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"
	"time"
)

const second = int64(time.Second)

// minute is a one-minute window with these charges, by the second they are made.
func minute(at ...int64) Slots {
	var s Slots
	for _, sec := range at {
		s.Advance(time.Minute, sec*second)
		s.Charge(1, sec*second)
	}
	return s
}

func TestSlotsLeave(t *testing.T) {
	tests := []struct {
		line int64
		want int64
	}{
		{101 * second, 3}, {161*second - 1, 3}, {161 * second, 2}, {161*second + 1, 2},
		{162*second - 1, 2}, {162 * second, 0}, {1000 * second, 0},
	}
	for _, test := range tests {
		s := minute(100, 101, 101)
		s.Advance(time.Minute, test.line)
		if s.Used() != test.want {
			t.Errorf("at %d ns: used %d; want %d", test.line, s.Used(), test.want)
		}
	}
}

func TestSlotsFromTheFuture(t *testing.T) {
	s := minute(100, 5000, 9000)
	if s.Advance(time.Minute, 9000*second) || s.Used() != 1 {
		t.Errorf("used %d in order; want 1 and nothing folded", s.Used())
	}
	s = Slots{length: int64(time.Minute), used: 6, slots: []slot{{99, 1}, {5000, 2}, {9000, 3}}}
	if !s.Advance(time.Minute, 100*second) {
		t.Error("nothing folded")
	}
	if want := []slot{{99, 1}, {100, 5}}; !slices.Equal(s.slots, want) || s.Used() != 6 {
		t.Errorf("slots %v, used %d; want %v, 6", s.slots, s.Used(), want)
	}
	if s.Advance(time.Minute, 161*second-1); s.Used() != 5 {
		t.Errorf("used %d; want 5 to count for a minute from then", s.Used())
	}
	if s.Advance(time.Minute, 161*second); s.Used() != 0 {
		t.Errorf("used %d a minute later; want 0", s.Used())
	}
}

// However often the length changes, a charge is counted no shorter than the
// shortest of them.
func TestSlotsResize(t *testing.T) {
	made := 100*second + 1
	for _, length := range []time.Duration{time.Second, 61 * time.Second, 7 * time.Minute, time.Hour + 1} {
		var s Slots
		s.Advance(time.Minute, made)
		s.Charge(7, made)
		s.Advance(length, made)
		if s.Used() != 7 {
			t.Errorf("%s: used %d at once; want 7", length, s.Used())
		}
		if s.Advance(length, made+int64(length)); s.Used() != 7 {
			t.Errorf("%s: used %d at the end of the window; want 7", length, s.Used())
		}
		// One slot of either width, at most.
		if s.Advance(length, made+int64(length)+second+int64(length/60)); s.Used() != 0 {
			t.Errorf("%s: used %d two slots after the window; want 0", length, s.Used())
		}
	}
}

func TestSlotsUndo(t *testing.T) {
	var s Slots
	s.Advance(time.Minute, 100*second)
	first := s.Charge(2, 100*second)
	second1 := s.Charge(3, 100*second)
	s.Undo(first)
	if s.Used() != 3 {
		t.Errorf("used %d; want 3", s.Used())
	}
	s.Undo(second1)
	if s.Used() != 0 || len(s.slots) != 0 {
		t.Errorf("used %d in %d slots; want none", s.Used(), len(s.slots))
	}
	mark := s.Charge(4, 100*second)
	s.Advance(time.Hour, 100*second)
	if s.Undo(mark); s.Used() != 4 {
		t.Errorf("used %d after another length's undo; want 4", s.Used())
	}
}

func TestSlotsMerge(t *testing.T) {
	s, other := minute(100), minute(99, 100)
	s.Merge(other)
	if want := []slot{{99, 1}, {100, 2}}; !slices.Equal(s.slots, want) || s.Used() != 3 {
		t.Errorf("slots %v, used %d; want %v, 3", s.slots, s.Used(), want)
	}
	var empty Slots
	if empty.Merge(other); empty.Used() != 2 || empty.Length() != time.Minute {
		t.Errorf("used %d of %s; want 2 of a minute", empty.Used(), empty.Length())
	}
	full := Slots{length: second, used: math.MaxInt64, slots: []slot{{5000, math.MaxInt64}}}
	if full.Merge(other); full.Used() != math.MaxInt64 {
		t.Errorf("used %d; want no overflow", full.Used())
	}
	if _, err := DecodeSlots(full.Append(nil)); err != nil {
		t.Errorf("what had no room left cannot be read again: %v", err)
	}
}

func TestSlotsEncoding(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixNano()
	var busy Slots
	for i := range int64(61) {
		busy.Advance(24*time.Hour, now+i*int64(24*time.Minute))
		busy.Charge(i+1, now+i*int64(24*time.Minute))
	}
	high := Slots{length: second, used: math.MaxInt64, slots: []slot{{0, 1}, {lastSlot(second), math.MaxInt64 - 1}}}
	for _, s := range []Slots{minute(100), minute(0, 1, 60), busy, high} {
		b := s.Append([]byte("before"))[len("before"):]
		got, err := DecodeSlots(b)
		if err != nil {
			t.Fatalf("%v: %v", s, err)
		}
		if got.length != s.length || got.used != s.used || !slices.Equal(got.slots, s.slots) {
			t.Errorf("got %v; want %v", got, s)
		}
	}
	if n := len(busy.Append(nil)); n > 200 {
		t.Errorf("a window with all its slots takes %d bytes; want at most 200", n)
	}
}

func TestDecodeDamaged(t *testing.T) {
	record := func(numbers ...uint64) []byte {
		b := []byte{slotsVersion}
		for _, n := range numbers {
			b = binary.AppendUvarint(b, n)
		}
		return b
	}
	minute := uint64(time.Minute)
	tests := map[string][]byte{
		"empty":            {},
		"other version":    {2},
		"no length":        record(),
		"length 59":        record(59),
		"length too high":  record(1 << 63),
		"half a slot":      record(minute, 100),
		"cut off":          record(minute, 100, 1<<40)[:12],
		"slot of nothing":  record(minute, 100, 0),
		"slot twice":       record(minute, 100, 1, 0, 1),
		"slot too high":    record(minute, math.MaxInt64, 1),
		"sum too high":     record(minute, 100, math.MaxInt64, 1, 1),
		"endless number":   append(record(minute), slices.Repeat([]byte{0xff}, 20)...),
		"longest window":   record(math.MaxInt64, 1, 1),
		"slots too far on": record(minute, 100, 1, math.MaxInt64, 1),
	}
	for name, b := range tests {
		if s, err := DecodeSlots(b); err == nil {
			t.Errorf("%s: read as %v", name, s)
		}
	}
}

func FuzzDecodeSlots(f *testing.F) {
	s := minute(100, 101, 130)
	f.Add(s.Append(nil), int64(time.Minute), 131*second)
	f.Add([]byte{1, 60, 1, 1}, int64(time.Hour), second)
	f.Fuzz(func(t *testing.T, b []byte, length, line int64) {
		s, err := DecodeSlots(b)
		if err != nil {
			return
		}
		again, err := DecodeSlots(s.Append(nil))
		if err != nil || !slices.Equal(again.slots, s.slots) || again.used != s.used {
			t.Fatalf("%v written and read: %v, %v", s, again, err)
		}
		before := s.Used()
		length = int64(time.Second) + max(0, length)%int64(400*24*time.Hour)
		line = max(0, line) % latestTime.UnixNano()
		s.Advance(time.Duration(length), line)
		var sum int64
		for i, x := range s.slots {
			sum += x.n
			if x.n <= 0 || x.k > line/s.width() || s.leaves(x.k) <= line || (i > 0 && s.slots[i-1].k >= x.k) {
				t.Fatalf("slots %v at %d", s.slots, line)
			}
		}
		if sum != s.used || s.used > before {
			t.Fatalf("used %d; the slots hold %d, and held %d", s.used, sum, before)
		}
		if at, ok := s.FreeAt(1, max(1, sum), line); !ok || at < line {
			t.Fatalf("free at %d, %v; now is %d", at, ok, line)
		}
	})
}

// What has left a window stays forgotten when the window is made longer, also when
// nobody looked in between.
func TestLongerWindowForgets(t *testing.T) {
	at := int64(time.Hour)
	var s Slots
	s.Advance(time.Minute, at)
	s.Charge(5, at)
	later := at + int64(2*time.Minute)
	if s.Advance(time.Hour, later); s.Used() != 0 {
		t.Errorf("used %d; want 0", s.Used())
	}
	var m Members
	m.Advance(time.Minute, at)
	m.Put([]uint64{1}, at)
	if m.Advance(time.Hour, later); m.Unknown([]uint64{1}) != 1 {
		t.Error("a member that was forgotten is known again")
	}
}
