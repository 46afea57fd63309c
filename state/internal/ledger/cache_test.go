package ledger

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"o2n-milter/state"
)

// day is a charge that stays alive through the test.
func day(subject string) []state.Charge {
	return []state.Charge{{
		Window: state.Window{Limit: "daily", Subject: subject, Length: 24 * time.Hour, Max: 10}, Cost: 1,
	}}
}

// counted wants the shards' sums to be what their entries take.
func (b *bench) counted() {
	b.Helper()
	b.Freeze(func() {
		for i := range b.shards {
			var sum int64
			for _, s := range b.shards[i].all {
				e := s.entry
				e.account()
				sum += int64(e.size)
			}
			if sh := &b.shards[i]; sum != sh.bytes || len(sh.all) != len(sh.entries) {
				b.Fatalf("shard %d counts %d bytes; want %d, and %d entries in the maps", i, sh.bytes, sum, len(sh.all))
			}
		}
	})
}

// What is in the store as it is in memory is let go over the bound, and counts on
// when it is asked for again.
func TestBound(t *testing.T) {
	const bound, subjects = 1 << 20, 20_000
	b := newBench(t, bound)
	most := int64(0)
	for i := range subjects {
		b.take(start, day(fmt.Sprint("account:", i)))
		b.commit()
		most = max(most, b.Held().Bytes)
	}
	if most > bound*105/100 || most < bound*8/10 {
		t.Errorf("%d bytes at most; want about %d", most, bound)
	}
	b.counted()
	for i := range subjects {
		b.used(start, 1, day(fmt.Sprint("account:", i)))
	}
	if held := b.Held(); held.Bytes > bound*105/100 {
		t.Errorf("%d bytes after asking for the usage of all; want it to take nothing into memory", held.Bytes)
	}
	for range 9 {
		b.take(start, day("account:0"))
		b.commit()
	}
	if a := b.take(start, day("account:0")); len(a.Full) != 1 || a.Full[0].Used != 10 {
		t.Errorf("full %v; want the window full at 10", a.Full)
	}
}

// Who sends all the time stays in memory while strangers pass through.
func TestBoundKeepsWhoIsUsed(t *testing.T) {
	b := newBench(t, 1<<20)
	busy := day("account:busy")
	busy[0].Max = 1 << 40
	const strangers = 10_000
	for i := range 2 * strangers {
		b.take(start, day(fmt.Sprint("account:", i)))
		if i >= strangers && i%1000 == 0 {
			b.take(start, busy)
		}
		b.commit()
	}
	if n := b.store.reads.Load(); n != 2*strangers+1 {
		t.Errorf("%d reads; want one for each of %d, and one for who sent every thousandth message", n, 2*strangers)
	}
}

// What is not in the store yet stays, whatever the bound.
func TestBoundKeepsWhatIsUnderWay(t *testing.T) {
	b := newBench(t, 1)
	const subjects = 2000
	for i := range subjects {
		b.take(start, to(fmt.Sprint("account:", i), "r1"))
	}
	if n := b.size(); n != subjects {
		t.Errorf("%d entries in memory; want %d", n, subjects)
	}
	b.commit()
	for i := range subjects {
		b.take(start, day(fmt.Sprint("account:", i)))
		b.commit()
	}
	if n := b.size(); n > 4*shards {
		t.Errorf("%d entries in memory after they were kept; want next to none", n)
	}
	for i := range subjects {
		b.cost(start, 0, to(fmt.Sprint("account:", i), "r1"))
	}
	b.counted()
}

// A window of the future is not let go: read again, it would count anew.
func TestBoundKeepsFolded(t *testing.T) {
	b := newBench(t, 0)
	b.take(start.AddDate(1, 0, 0), day("account:a"))
	b.commit()
	b = &bench{T: t, Windows: NewWindows(Options{Source: b.store, Bytes: 1}), store: b.store}
	full := day("account:a")
	full[0].Max = 0
	b.take(start, full) // refused, so not written
	for i := range 1000 {
		b.take(start, day(fmt.Sprint("account:", i)))
		b.commit()
	}
	if !b.has("account:a") {
		t.Error("a window of the future was let go")
	}
	// Charged, it is in the store as it is here.
	b.take(start, day("account:a"))
	b.commit()
	for i := range 1000 {
		b.take(start, day(fmt.Sprint("account:", i)))
		b.commit()
	}
	if b.has("account:a") {
		t.Error("a window of the future was not let go after it was kept")
	}
}

// Without a store behind, what is alive stays.
func TestBoundWithoutStore(t *testing.T) {
	w := NewWindows(Options{Bytes: 1})
	for i := range 1000 {
		if _, err := w.Take(start, state.Ask{Charges: day(fmt.Sprint("account:", i))}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.Held().Windows; n != 1000 {
		t.Errorf("%d windows; want all 1000", n)
	}
}

// The estimate is what the memory really takes, within 30 percent.
func TestEstimate(t *testing.T) {
	inUse := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	recipients := make([]string, 500)
	for i := range recipients {
		recipients[i] = fmt.Sprint("r", i)
	}
	tests := []struct {
		name     string
		subjects int
		charges  func(subject string, n int) []state.Charge
	}{
		{"one window each", 20_000, func(s string, _ int) []state.Charge { return day(s) }},
		{"three windows", 10_000, func(s string, _ int) []state.Charge {
			c := append(day(s), append(one(s), one(s)...)...)
			c[1].Limit, c[1].Length, c[2].Limit, c[2].Length = "hourly", time.Hour, "weekly", 7*24*time.Hour
			return c
		}},
		{"long names", 10_000, func(s string, _ int) []state.Charge { return day(s + strings.Repeat("x", 200)) }},
		{"full windows", 1_000, func(s string, _ int) []state.Charge { return day(s) }},
		{"sets", 1_000, func(s string, n int) []state.Charge { return to(s, recipients[:n%500]...) }},
		{"letters", 300, func(string, int) []state.Charge { return nil }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := inUse()
			w := NewWindows(Options{})
			times := 1
			if test.name == "full windows" {
				times = 60
			}
			for i := range times {
				now := start.Add(time.Duration(i) * 24 * time.Minute)
				for n := range test.subjects {
					ask := state.Ask{Charges: test.charges(fmt.Sprintf("account:user%d@client-a.example", n), n)}
					for i := range ask.Charges {
						ask.Charges[i].Max = 1 << 40
					}
					if test.name == "letters" {
						for i := range n % state.MaxCampaigns {
							ask.Letters = append(ask.Letters, letter(fmt.Sprintf("account:user%d@client-a.example", n), i, recipients[:1+i/100]...))
						}
					}
					if _, err := w.Take(now, ask, nil); err != nil {
						t.Fatal(err)
					}
				}
			}
			took := inUse() - before
			bytes := w.Held().Bytes
			if bytes < took*7/10 || bytes > took*13/10 {
				t.Errorf("estimate %d; the memory takes %d", bytes, took)
			}
			t.Logf("%d bytes a subject, estimate %d", took/int64(test.subjects), bytes/int64(test.subjects))
			runtime.KeepAlive(w)
		})
	}
}

// nothingStored is a store that has never seen anybody, and keeps at once.
func nothingStored(string) (state.Slots, error) { return state.Slots{}, nil }

// Every message is of another subject: what a flood costs beside the store's reads.
func BenchmarkStrangers(b *testing.B) {
	for _, bytes := range []int64{0, 64 << 20} {
		b.Run(fmt.Sprintf("bound=%dMB", bytes>>20), func(b *testing.B) {
			w := NewWindows(Options{Source: windowSource(nothingStored), Bytes: bytes})
			var c *Change
			b.ReportAllocs()
			for n := range b.N {
				c = nil
				if _, err := w.Take(start, state.Ask{Charges: day(fmt.Sprint("account:", n))}, func(made *Change) { c = made }); err != nil {
					b.Fatal(err)
				}
				sh := c.posts[0].entry.shard
				sh.mu.Lock()
				c.Settle()
				sh.mu.Unlock()
			}
			b.ReportMetric(float64(w.Held().Bytes)/(1<<20), "MB")
		})
	}
}
