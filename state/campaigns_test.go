package state

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// check wants every campaign once, with recipients, within the bounds, all of one length.
func (c *Campaigns) check(t *testing.T) {
	t.Helper()
	seen := make(map[Sketch]bool)
	for i := range c.list {
		x := &c.list[i]
		m := &x.recipients
		m.check(t)
		if seen[x.sketch] || m.Len() == 0 || m.length != c.length || m.oldest < c.oldest || m.newest > c.newest {
			t.Fatalf("campaign %d of %v is there twice, empty, of another length, or out of bounds (%d to %d)", i, c.list, c.oldest, c.newest)
		}
		seen[x.sketch] = true
	}
}

// all is what c holds: slots by sketch and hash.
func (c *Campaigns) all() map[Sketch]map[uint64]int64 {
	all := make(map[Sketch]map[uint64]int64)
	for _, x := range c.list {
		all[x.sketch] = make(map[uint64]int64)
		for _, m := range x.recipients.list {
			all[x.sketch][m.hash] = m.k
		}
	}
	return all
}

// sendAt counts recipients at this minute.
func sendAt(c *Campaigns, minute int64, of Sketch, hashes ...uint64) CampaignMarks {
	c.Advance(time.Hour, minute*int64(time.Minute))
	return c.Put(of, hashes, minute*int64(time.Minute))
}

// The id is in decision records, and the same on every host.
func TestCampaignID(t *testing.T) {
	// SHA-256 by another program; the first 8 bytes.
	const want = "bab64231cf397395"
	if got := CampaignID("account:a", Sketch{1, 2, 3, 1 << 63}); got != want {
		t.Errorf("id %s; want %s", got, want)
	}
	if CampaignID("account:b", Sketch{1, 2, 3, 1 << 63}) == want || CampaignID("account:a", Sketch{1, 2, 3, 1<<63 + 1}) == want {
		t.Error("another subject's, or sketch's, is the same")
	}
}

func TestDistance(t *testing.T) {
	for want, s := range map[int]Sketch{0: {}, 1: {0, 0, 0, 1}, 2: {1 << 63, 0, 1}, 256: {^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}} {
		if got := s.Distance(Sketch{}); got != want {
			t.Errorf("%x: %d; want %d", s, got, want)
		}
	}
}

// Random letters, undone at times, against a map; now and then it is written and read.
func TestCampaignsModel(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 3))
	var c Campaigns
	want := make(map[Sketch]map[uint64]int64)
	line := int64(1000 * hour)
	for step := range 5000 {
		line += rnd.Int64N(3 * int64(time.Minute))
		if c.Advance(time.Hour, line) {
			t.Fatal("folded")
		}
		for sketch, recipients := range want {
			for h, k := range recipients {
				if slotLeaves(k, hour) <= line {
					delete(recipients, h)
				}
			}
			if len(recipients) == 0 {
				delete(want, sketch)
			}
		}
		of := Sketch{uint64(rnd.IntN(40))}
		hashes := []uint64{rnd.Uint64N(50), 50 + rnd.Uint64N(50)}[:rnd.IntN(3)]
		marks := c.Put(of, hashes, line)
		if rnd.IntN(3) == 0 {
			c.Undo(marks)
		} else {
			for _, h := range hashes {
				if want[of] == nil {
					want[of] = make(map[uint64]int64)
				}
				want[of][h] = line / slotWidth(hour)
			}
		}
		if rnd.IntN(50) == 0 {
			c = loaded(t, &c)
		}
		c.check(t)
		if got, want := fmt.Sprint(c.all()), fmt.Sprint(want); got != want {
			t.Fatalf("step %d: %s; want %s", step, got, want)
		}
	}
	if len(want) < 10 {
		t.Errorf("%d campaigns at the end: the traffic shows nothing", len(want))
	}
}

// loaded is what another process reads of c, in no order.
func loaded(t *testing.T, c *Campaigns) (again Campaigns) {
	t.Helper()
	type recipient struct {
		of   Sketch
		hash uint64
	}
	slots := make(map[recipient]int64)
	c.Each(func(of Sketch, recipients *Members) {
		recipients.Each(func(hash uint64, slot int64) { slots[recipient{of, hash}] = slot })
	})
	for r, slot := range slots {
		if err := again.Restore(r.of, r.hash, c.Remember(), slot); err != nil {
			t.Fatal(err)
		}
	}
	again.Loaded()
	return again
}

// What is forgotten for want of room is told, so that it can be deleted, and comes back
// with an undo.
func TestCampaignForgotten(t *testing.T) {
	var c Campaigns
	for i := range MaxCampaigns {
		sendAt(&c, 100, Sketch{uint64(i)}, 1, 2)
	}
	sendAt(&c, 101, Sketch{uint64(5)}, 3)
	before := fmt.Sprint(c.all())
	marks := sendAt(&c, 102, Sketch{1000}, 7)
	var changed []string
	marks.Each(func(of Sketch, recipients *MemberMarks) {
		recipients.Each(func(hash uint64, slot int64) { changed = append(changed, fmt.Sprint(of[0], hash, slot)) })
	})
	if want := []string{"1000 7 102", "0 1 -1", "0 2 -1"}; !slices.Equal(changed, want) || marks.Len() != 3 {
		t.Errorf("changed %v; want %v", changed, want)
	}
	if c.Len() != MaxCampaigns {
		t.Errorf("%d campaigns; want %d", c.Len(), MaxCampaigns)
	}
	c.Undo(marks)
	c.check(t)
	if got := fmt.Sprint(c.all()); got != before {
		t.Errorf("after the undo: %s; want %s", got, before)
	}
	// The old ones may go; of them the 5th has the most recipients.
	for i := range CampaignGrace {
		sendAt(&c, 103, Sketch{uint64(2000 + i)}, 1)
	}
	if known, _ := c.Known(Sketch{5}, nil); known != 3 {
		t.Errorf("the campaign of the last letter was forgotten")
	}
	c.check(t)
}

// Two copies, as they come together when a store is back: the later slot of each
// recipient stands, and what is too much goes with the next letter.
func TestCampaignsMerge(t *testing.T) {
	var a, b Campaigns
	for i := range MaxCampaigns {
		sendAt(&a, 100, Sketch{uint64(i)}, 1, 2)
		sendAt(&b, 101, Sketch{uint64(i + 10)}, 2, 3)
	}
	a.Merge(b.Clone())
	a.check(t)
	if a.Len() != MaxCampaigns+10 {
		t.Errorf("%d campaigns; want all", a.Len())
	}
	want := map[uint64]int64{1: 100, 2: 101, 3: 101}
	if got := a.all()[Sketch{20}]; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("merged %v; want %v", got, want)
	}
	marks := sendAt(&a, 101, Sketch{20}, 1)
	if a.Len() != MaxCampaigns || marks.Len() != 1+10*2 {
		t.Errorf("%d campaigns, %d changes; want %d, and 10 forgotten", a.Len(), marks.Len(), MaxCampaigns)
	}
	var none Campaigns
	none.Merge(b)
	none.check(t)
	if fmt.Sprint(none.all()) != fmt.Sprint(b.all()) {
		t.Error("merged with none it is another")
	}
}

// A copy shares nothing.
func TestCampaignsClone(t *testing.T) {
	var c Campaigns
	sendAt(&c, 100, Sketch{1}, 1, 2)
	o := c.Clone()
	sendAt(&o, 105, Sketch{1}, 1, 3)
	sendAt(&o, 105, Sketch{2}, 1)
	if got, want := fmt.Sprint(c.all()), "map[[1 0 0 0]:map[1:100 2:100]]"; got != want {
		t.Errorf("%s; want %s", got, want)
	}
}

// Recipients of the future are taken for now's, and it is said.
func TestCampaignsFolded(t *testing.T) {
	var c Campaigns
	sendAt(&c, 1000, Sketch{1}, 1)
	sendAt(&c, 1000, Sketch{2}, 1)
	if !c.Advance(time.Hour, 100*int64(time.Minute)) {
		t.Error("not folded")
	}
	if c.Advance(time.Hour, 100*int64(time.Minute)) {
		t.Error("folded twice")
	}
	c.check(t)
	c.Advance(time.Hour, 161*int64(time.Minute))
	if c.Len() != 0 {
		t.Error("they count for longer than an hour")
	}
}

// When recipients are remembered for another time, each counts from the end of its slot.
func TestCampaignsLengthChanged(t *testing.T) {
	for _, length := range []time.Duration{time.Minute, 24 * time.Hour} {
		var c Campaigns
		sendAt(&c, 100, Sketch{1}, 1)
		sendAt(&c, 100, Sketch{2}, 1)
		ends := 101 * int64(time.Minute) // of the slot
		c.Advance(length, ends)
		c.check(t)
		if c.Len() != 2 || c.Remember() != length {
			t.Errorf("%s: %d campaigns that remember for %s; want 2", length, c.Len(), c.Remember())
		}
		c.Put(Sketch{2}, []uint64{2}, ends)
		c.check(t)
		c.Advance(length, ends+int64(length)+int64(length)/60)
		if c.Len() != 0 {
			t.Errorf("%s: %d campaigns after that", length, c.Len())
		}
	}
}

func FuzzRestoreCampaign(f *testing.F) {
	f.Add(int64(60), int64(1), int64(60), int64(2), int64(1))
	f.Add(int64(60), int64(1), int64(200), int64(-1), int64(1<<40))
	f.Add(int64(-1), int64(1), int64(math.MaxInt64), int64(math.MaxInt64), int64(0))
	f.Fuzz(func(t *testing.T, length, slot, other, another, line int64) {
		var c Campaigns
		for i, x := range [][2]int64{{length, slot}, {other, another}} {
			if err := c.Restore(Sketch{uint64(i)}, 5, time.Duration(x[0]), x[1]); err != nil || x[1] < 0 {
				continue
			}
			if known, _ := c.Known(Sketch{uint64(i)}, nil); known != 1 {
				t.Fatalf("%d was read, and is not there", x)
			}
		}
		c.Loaded()
		c.check(t)
		line = min(max(line, 1), latestTime.UnixNano())
		c.Expire(line)
		c.Advance(time.Hour, line)
		c.check(t)
		c.Put(Sketch{9}, []uint64{1}, line)
		c.check(t)
	})
}

func BenchmarkCampaigns(b *testing.B) {
	rnd := rand.New(rand.NewPCG(1, 4))
	random := func() Sketch { return Sketch{rnd.Uint64(), rnd.Uint64(), rnd.Uint64(), rnd.Uint64()} }
	var c Campaigns
	for range MaxCampaigns {
		sendAt(&c, 100, random(), 1)
	}
	line := 100 * int64(time.Minute)
	b.Run("nearest/256", func(b *testing.B) {
		s := random()
		for b.Loop() {
			c.Advance(time.Hour, line)
			c.Nearest(s, 40)
		}
	})
	b.Run("known/256", func(b *testing.B) {
		b.ReportAllocs()
		s := c.list[0].sketch
		for b.Loop() {
			c.Put(s, []uint64{1}, line)
		}
	})
	b.Run("new/256", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c.Put(random(), []uint64{1}, line)
		}
	})
	b.Run("advance in another slot/256", func(b *testing.B) {
		for b.Loop() {
			line += int64(time.Second)
			c.Put(c.list[0].sketch, []uint64{1}, line)
			c.Advance(time.Hour, line)
		}
	})
}
