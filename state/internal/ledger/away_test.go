package ledger

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"o2n-milter/state"
)

func (b *bench) attach() {
	b.Helper()
	if err := b.Attach(func(c *Change) { b.queue = append(b.queue, c) }); err != nil {
		b.Fatal(err)
	}
}

// While the store is away, what is in memory counts on, what is not begins at
// nothing, and no change is handed over. When it is back, both count.
func TestAway(t *testing.T) {
	b := newBench(t, 0)
	for _, s := range []string{"account:here", "account:gone", "account:quiet"} {
		b.take(start, to(s, "r1", "r2"))
	}
	b.commit()
	b = b.again()
	b.take(start, to("account:here", "r1"))
	b.commit()

	reads := b.store.reads.Load()
	b.Detach()
	b.store.fault = errors.New("closed")
	b.take(start, to("account:here", "r1", "r3"))
	b.take(start, to("account:gone", "r1", "r3"))
	b.take(start, to("account:new", "r1"))
	b.cost(start, 2, to("account:quiet", "r1", "r2"))
	if len(b.queue) > 0 || b.store.reads.Load() != reads {
		t.Fatal("a change was handed over, or the store read, while it was away")
	}
	b.used(start, 3, to("account:here"))
	b.used(start, 2, to("account:gone"))

	b.store.fault = nil
	b.attach()
	b.used(start, 4, to("account:gone")) // merged: 2 before, 2 meanwhile
	b.commit()
	for _, now := range []*bench{b, b.again()} {
		now.used(start, 3, to("account:here"))
		now.used(start, 4, to("account:gone"))
		now.used(start, 1, to("account:new"))
		now.used(start, 2, to("account:quiet"))
		now.cost(start, 1, to("account:here", "r1", "r2", "r3", "r4"))
		now.cost(start, 1, to("account:gone", "r1", "r2", "r3", "r4"))
		now.cost(start, 0, to("account:quiet", "r1", "r2"))
	}
	b.counted()
	// From here on changes are handed over again.
	b.take(start, to("account:new", "r2"))
	if n := b.commit(); n != 1 {
		t.Errorf("%d members written after the store came back; want 1", n)
	}
}

// Whoever was refused for the whole outage is not forgotten: his entry was never
// read, and is when he comes again.
func TestRefusedWhileAway(t *testing.T) {
	b := newBench(t, 0)
	b.take(start, to("account:a", "r1", "r2"))
	b.commit()
	b = b.again()
	b.Detach()
	full := to("account:a", "r1", "r2", "r3", "r4", "r5", "r6")
	if a := b.take(start, full); len(a.Full) != 1 {
		t.Fatalf("full %v; want it refused", a.Full)
	}
	b.attach()
	if len(b.queue) > 0 {
		t.Error("what was not charged is to be written")
	}
	b.cost(start, 4, full)
	if a := b.take(start, full); len(a.Full) != 1 || a.Full[0].Used != 2 {
		t.Errorf("full %v; want 2 used", a.Full)
	}
}

// What could not be committed any more stands in memory, and is handed over later.
func TestPark(t *testing.T) {
	b := newBench(t, 0)
	b.take(start, to("account:a", "r1"))
	b.Detach()
	b.take(start, to("account:a", "r2"))
	b.Freeze(func() { b.queue[0].Park() })
	b.queue = nil
	b.used(start, 2, to("account:a"))
	b.attach()
	if n := b.commit(); n != 2 {
		t.Errorf("%d members written; want 2", n)
	}
	b.again().used(start, 2, to("account:a"))
}

// A change that was under way when the store went away and is settled after: what
// was charged in between is still handed over.
func TestSettledWhileAway(t *testing.T) {
	b := newBench(t, 0)
	b.take(start, to("account:a", "r1"))
	b.Detach()
	b.Freeze(func() { b.store.write(b.queue[0]) })
	b.take(start, to("account:a", "r2"))
	b.Freeze(func() { b.queue[0].Settle() })
	b.queue = nil
	b.attach()
	b.commit()
	b.again().used(start, 2, to("account:a"))
}

// An Attach whose commit fails is tried again by the next one.
func TestAttachUndone(t *testing.T) {
	b := newBench(t, 0)
	b.Detach()
	b.take(start, to("account:a", "r1"))
	b.attach()
	b.undo()
	b.used(start, 1, to("account:a"))
	b.Detach()
	b.attach()
	b.commit()
	b.again().used(start, 1, to("account:a"))
	b.again().cost(start, 0, to("account:a", "r1"))
}

// What cannot be read when the store is back is an error for who asks for it, and
// is tried again; what was charged is not lost.
func TestAttachCannotRead(t *testing.T) {
	b := newBench(t, 0)
	b.take(start, to("account:a", "r1"))
	b.commit()
	b = b.again()
	b.Detach()
	b.take(start, to("account:a", "r2"))
	b.store.fault = errors.New("unreadable")
	if err := b.Attach(func(*Change) { t.Error("handed over") }); !errors.Is(err, b.store.fault) {
		t.Errorf("attach: %v; want %v", err, b.store.fault)
	}
	if _, err := b.Take(start, state.Ask{Charges: to("account:a", "r2")}, nil); !errors.Is(err, b.store.fault) {
		t.Errorf("take: %v; want %v", err, b.store.fault)
	}
	if _, err := b.Usage(start, []state.Window{to("account:a")[0].Window}); !errors.Is(err, b.store.fault) {
		t.Errorf("usage: %v; want %v", err, b.store.fault)
	}
	b.store.fault = nil
	b.used(start, 2, to("account:a"))
	b.cost(start, 0, to("account:a", "r1", "r2"))
	b.attach()
	b.commit()
	b.again().used(start, 2, to("account:a"))
	b.again().cost(start, 0, to("account:a", "r1", "r2"))
}

// A reset while the store is away also clears what only the store holds, and
// spares what is charged after it.
func TestResetWhileAway(t *testing.T) {
	b := newBench(t, 0)
	b.take(start, append(to("account:a", "r1", "r2"), day("account:a")...))
	b.take(start, to("account:b", "r1"))
	b.commit()
	b = b.again()
	b.take(start, day("account:a"))
	b.commit()
	b.Detach()
	b.take(start, to("account:a", "r1")) // made without what the store holds
	handOver := func(*Change) { t.Error("handed over") }
	if n, err := b.Reset("account:a", handOver); n != 2 || err != nil {
		t.Errorf("reset: %d, %v; want the windows in memory", n, err)
	}
	b.take(start, to("account:a", "r2", "r3"))
	b.take(start, day("account:c")) // sweeps
	sweepAll(t, b.Windows, start)
	b.attach()
	b.commit()
	for _, now := range []*bench{b, b.again()} {
		now.used(start, 2, to("account:a"))
		now.used(start, 0, day("account:a"))
		now.cost(start, 1, to("account:a", "r1", "r2", "r3"))
		now.used(start, 1, to("account:b"))
	}
}

// The same, where the first commit after it fails.
func TestResetWhileAwayUndone(t *testing.T) {
	b := newBench(t, 1)
	b.take(start, to("account:a", "r1", "r2"))
	b.commit()
	b = b.again()
	b.Detach()
	if _, err := b.Reset("account:a", nil); err != nil {
		t.Fatal(err)
	}
	b.attach()
	b.undo()
	sweepAll(t, b.Windows, start)
	b.used(start, 0, to("account:a"))
	b.cost(start, 2, to("account:a", "r1", "r2"))
	b.Detach()
	b.attach()
	b.commit()
	b.again().used(start, 0, to("account:a"))
	b.again().cost(start, 2, to("account:a", "r1", "r2"))
}

// A reset that was under way when the store went away.
func TestResetParked(t *testing.T) {
	b := newBench(t, 0)
	b.take(start, to("account:a", "r1", "r2"))
	b.commit()
	if _, err := b.Reset("account:a", func(c *Change) { b.queue = append(b.queue, c) }); err != nil {
		t.Fatal(err)
	}
	b.Detach()
	b.Freeze(func() { b.queue[0].Park() })
	b.queue = nil
	sweepAll(t, b.Windows, start)
	b.attach()
	b.commit()
	b.again().used(start, 0, to("account:a"))
	b.again().cost(start, 2, to("account:a", "r1", "r2"))
}

// The store comes and goes while calls are made: what was answered is there.
func TestAwayRace(t *testing.T) {
	b := newBench(t, 1<<17)
	var mu sync.Mutex
	var calls sync.WaitGroup
	var charged atomic.Int64
	stop := make(chan struct{})
	const sessions, each = 4, 500
	for i := range sessions {
		calls.Go(func() {
			for n := range each {
				charges := to(fmt.Sprint("account:", (i+n)%50), fmt.Sprint("r", n))
				charges[0].Max = 1 << 40
				a, err := b.Take(start, state.Ask{Charges: charges}, func(c *Change) {
					mu.Lock()
					defer mu.Unlock()
					b.queue = append(b.queue, c)
				})
				if err != nil {
					t.Error(err)
					return
				}
				charged.Add(a.Costs[0])
			}
		})
	}
	var driver sync.WaitGroup
	driver.Go(func() { b.comeAndGo(&mu, stop) })
	calls.Wait()
	close(stop)
	driver.Wait()
	if n := b.Held().Lost; n != 0 {
		t.Fatalf("%d lost; the bound is too tight for this test", n)
	}
	var sum int64
	again := b.again()
	for i := range 50 {
		u, err := again.Usage(start, []state.Window{to(fmt.Sprint("account:", i))[0].Window})
		if err != nil {
			t.Fatal(err)
		}
		sum += u[0].Used
	}
	if sum != charged.Load() || sum < each {
		t.Errorf("the store holds %d; want the %d that were charged", sum, charged.Load())
	}
	for i := range sessions {
		for n := range each {
			again.cost(start, 0, to(fmt.Sprint("account:", (i+n)%50), fmt.Sprint("r", n)))
		}
	}
	b.counted()
}

// comeAndGo commits, goes away, and comes back until stopped; then it keeps all.
func (b *bench) comeAndGo(mu *sync.Mutex, stop chan struct{}) {
	commit := func(away bool) {
		b.Freeze(func() {
			mu.Lock()
			defer mu.Unlock()
			for _, c := range b.queue {
				if away {
					c.Park()
					continue
				}
				b.store.write(c)
				c.Settle()
			}
			b.queue = nil
		})
	}
	attach := func() {
		err := b.Attach(func(c *Change) {
			mu.Lock()
			defer mu.Unlock()
			b.queue = append(b.queue, c)
		})
		if err != nil {
			b.Error(err)
		}
	}
	for round := 0; ; round++ {
		select {
		case <-stop:
			attach()
			commit(false)
			return
		default:
		}
		commit(false)
		b.Detach()
		commit(round%2 == 0)
		attach()
	}
}

// Undone changes must not leave what others added: the order is from the newest.
func TestUndoInOrder(t *testing.T) {
	b := newBench(t, 0)
	b.take(start, to("account:a", "r1"))
	b.commit()
	b.take(start, to("account:a", "r2"))
	b.take(start.Add(time.Hour), to("account:a", "r1", "r2", "r3"))
	b.undo()
	b.cost(start.Add(time.Hour), 2, to("account:a", "r1", "r2", "r3"))
	b.used(start.Add(time.Hour), 1, to("account:a"))
	if !slices.Equal(b.queue, nil) {
		t.Error("changes left")
	}
}
