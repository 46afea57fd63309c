package ledger

import (
	"fmt"
	"testing"
	"time"
)

// half a MiB is the bound of these tests.
const half = 1 << 19

// over is a bench whose memory is over its bound, but not over alone times it.
func over(t *testing.T) *bench {
	b := newBench(t, half)
	b.take(start, day("account:quiet"))
	b.commit()
	b.Detach()
	for i := range 3500 { // 360 bytes each
		b.take(start, day(fmt.Sprint("account:", i)))
	}
	if h := b.Held(); h.Bytes < 2*half || h.Bytes > 3*half {
		t.Fatalf("%d bytes; want two to three times the bound", h.Bytes)
	}
	return b
}

// While the store is away memory may pass the bound: what is in memory cannot be
// read again, what was charged is nowhere else. When it is kept, it can go.
func TestBoundWhileAway(t *testing.T) {
	b := over(t)
	if h := b.Held(); h.Windows != 3501 || h.Lost != 0 || !b.has("account:quiet") {
		t.Errorf("%+v; want all windows, and the one that was there before", h)
	}
	b.attach()
	b.commit()
	for i := range 1000 {
		b.take(start, day(fmt.Sprint("account:", i)))
		b.commit()
	}
	if h := b.Held(); h.Bytes > half*105/100 || h.Lost != 0 {
		t.Errorf("%+v; want it within the bound again, and nothing lost", h)
	}
	b.again().used(start, 2, day("account:999"))
	b.again().used(start, 1, day("account:3499"))
}

// A dead window goes though its charge is not kept yet.
func TestDeadWhileAway(t *testing.T) {
	b := newBench(t, 0)
	b.Detach()
	b.take(start, one("account:a"))
	sweepAll(t, b.Windows, start.Add(time.Hour))
	if b.has("account:a") || b.Held().Lost != 0 {
		t.Error("a dead window was kept, or counted as lost")
	}
}

// A flood of subjects while the store is away does not fill the memory; what is
// lost by that is counted.
func TestFloodWhileAway(t *testing.T) {
	b := over(t)
	for i := range 20_000 {
		b.take(start, day(fmt.Sprint("account:flood", i)))
	}
	h := b.Held()
	if h.Bytes > alone*half*105/100 || h.Lost == 0 || h.Windows+int(h.Lost) < 23_500 {
		t.Errorf("%+v; want some 2 MiB, and those forgotten counted", h)
	}
	b.attach()
	b.commit()
	want := h.Windows
	if !b.has("account:quiet") {
		want++ // in the store from before
	}
	if len(b.store.heads) != want {
		t.Errorf("%d windows in the store; want the %d that were held", len(b.store.heads), want)
	}
	b.counted()
}
