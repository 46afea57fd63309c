package ledger

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"o2n-milter/state"
)

// letter is of one campaign for each n, of which 5 recipients may get it.
func letter(subject string, n int, recipients ...string) state.Letter {
	return state.Letter{
		Subject: subject, Sketch: state.Sketch{uint64(n)}, Max: 5, Members: recipients, Remember: 24 * time.Hour,
	}
}

// send queues the change, if there is one, and wants so many known before.
func (b *bench) send(now time.Time, known int64, letters ...state.Letter) {
	b.Helper()
	a, err := b.Take(now, state.Ask{Letters: letters}, func(c *Change) { b.queue = append(b.queue, c) })
	if err != nil {
		b.Fatal(err)
	}
	if a.Campaigns[0].Known != known {
		b.Errorf("%+v; want %d known", a.Campaigns, known)
	}
}

// sent asks only, and wants so many known.
func (b *bench) sent(now time.Time, known int64, l state.Letter) {
	b.Helper()
	a, err := b.Take(now, state.Ask{Letters: []state.Letter{l}, Dry: true}, nil)
	if err != nil || a.Campaigns[0].Known != known {
		b.Errorf("%+v, error %v; want %d known", a.Campaigns, err, known)
	}
}

// A recipient is written when he is new, and when the slot is another; a letter to
// known ones writes nothing, and there is nothing else to write.
func TestLettersWritten(t *testing.T) {
	b := newBench(t, 0)
	slot := 24 * time.Hour / 60
	for i, test := range []struct {
		after time.Duration
		known int64
		l     state.Letter
		want  int
	}{
		{0, 0, letter("account:a", 1, "r1", "r2"), 2},
		{time.Second, 2, letter("account:a", 1, "r1"), 0},
		{time.Second, 2, letter("account:a", 1, "r2", "r3"), 1},
		{time.Second, 0, letter("account:a", 2, "r1"), 1},
		{time.Second, 3, letter("account:a", 1, "r3", "r4", "r5", "r6"), 0}, // full
		{slot, 3, letter("account:a", 1, "r1", "r2"), 2},
		{slot + time.Second, 3, letter("account:a", 1, "r1", "r2"), 0},
		{slot + time.Second, 0, letter("account:a", 3), 0},
	} {
		b.send(start.Add(test.after), test.known, test.l)
		if n := b.commit(); n != test.want {
			t.Errorf("step %d: %d recipients written; want %d", i, n, test.want)
		}
	}
	again := b.again()
	again.sent(start.Add(slot), 3, letter("account:a", 1, "r1"))
	again.sent(start.Add(slot), 1, letter("account:a", 2, "r1"))
	again.sent(start.Add(24*time.Hour+slot), 2, letter("account:a", 1, "r3"))
}

// Those forgotten for want of room are deleted, or come back with an undo.
func TestLettersForgotten(t *testing.T) {
	b := newBench(t, 0)
	for n := range state.MaxCampaigns {
		b.send(start, 0, letter("account:a", n, "r1", "r2"))
	}
	b.commit()
	b.send(start, 0, letter("account:a", 1000, "r1"))
	b.undo()
	b.sent(start, 2, letter("account:a", 0, "r1"))
	b.sent(start, 0, letter("account:a", 1000, "r1"))
	b.send(start, 0, letter("account:a", 1000, "r1"))
	b.commit()
	gone := 0
	for n := range state.MaxCampaigns {
		a, err := b.again().Take(start, state.Ask{Letters: []state.Letter{letter("account:a", n, "r1")}, Dry: true}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if a.Campaigns[0].Known == 0 {
			gone++
		}
	}
	if gone != 1 {
		t.Errorf("%d campaigns are gone; want 1", gone)
	}
}

// A call that takes a recipient for known while that is not kept yet waits for it, and
// is undone with it.
func TestLettersUnderWay(t *testing.T) {
	b := newBench(t, 0)
	b.send(start, 0, letter("account:a", 1, "r1"))
	b.send(start, 1, letter("account:a", 1, "r1"))
	if len(b.queue) != 2 {
		t.Fatalf("%d changes; want one for each call", len(b.queue))
	}
	b.undo()
	b.sent(start, 0, letter("account:a", 1, "r1"))
	b.send(start, 0, letter("account:a", 1, "r1"))
	b.commit()
	b.send(start, 1, letter("account:a", 1, "r1"))
	if len(b.queue) != 0 {
		t.Error("a change though nothing changed and nothing is under way")
	}
}

func TestResetCampaigns(t *testing.T) {
	b := newBench(t, 0)
	b.send(start, 0, letter("account:a", 1, "r1", "r2"), letter("account:a", 2, "r1"))
	b.send(start, 0, letter("account:b", 1, "r1"))
	b.commit()
	fresh := b.again() // has nothing in memory
	reset := func() {
		t.Helper()
		if n, err := fresh.Reset("account:a", func(c *Change) { fresh.queue = append(fresh.queue, c) }); n != 0 || err != nil {
			t.Fatalf("reset: %d, %v; want no window", n, err)
		}
		fresh.sent(start, 0, letter("account:a", 1, "r1"))
	}
	reset()
	fresh.undo()
	fresh.sent(start, 2, letter("account:a", 1, "r1"))
	fresh.sent(start, 1, letter("account:a", 2, "r1"))
	reset()
	fresh.commit()
	if _, ok := b.store.heads["account:a"]; ok {
		t.Error("the store still holds the subject")
	}
	b.again().sent(start, 0, letter("account:a", 1, "r1"))
	b.again().sent(start, 1, letter("account:b", 1, "r1"))
}

// Recipients of the future are written as they are taken: read again, they would count
// anew.
func TestFoldedLettersAreWritten(t *testing.T) {
	b := newBench(t, 0)
	b.send(start.AddDate(1, 0, 0), 0, letter("account:a", 1, "r1", "r2"), letter("account:a", 2, "r3"))
	b.commit()
	b = b.again()
	b.send(start, 2, letter("account:a", 1, "r1"))
	if n := b.commit(); n < 3 {
		t.Errorf("%d recipients written; want all", n)
	}
	b.again().sent(start.Add(25*time.Hour), 0, letter("account:a", 1, "r1"))
	b.again().sent(start.Add(25*time.Hour), 0, letter("account:a", 2, "r1"))
}

func TestCampaignsCannotBeRead(t *testing.T) {
	b := newBench(t, 0)
	b.store.fault = errors.New("unreadable")
	if _, err := b.Take(start, state.Ask{Letters: []state.Letter{letter("account:a", 1, "r1")}}, nil); !errors.Is(err, b.store.fault) {
		t.Errorf("take: %v; want %v", err, b.store.fault)
	}
	b.store.fault = nil
	b.sent(start, 0, letter("account:a", 1, "r1"))
	if b.size() != 0 {
		t.Errorf("%d entries in memory; want none", b.size())
	}
}

// While the store is away campaigns go on from what is in memory; when it is back both
// count, and a reset made meanwhile does too.
func TestLettersAway(t *testing.T) {
	b := newBench(t, 0)
	for _, s := range []string{"account:here", "account:gone", "account:reset"} {
		b.send(start, 0, letter(s, 1, "r1", "r2"))
	}
	b.commit()
	b = b.again()
	b.send(start, 2, letter("account:here", 1, "r1"))
	b.Detach()
	b.send(start, 2, letter("account:here", 1, "r3"))
	b.send(start, 0, letter("account:gone", 1, "r1", "r3"))
	if _, err := b.Reset("account:reset", nil); err != nil {
		t.Fatal(err)
	}
	b.send(start, 0, letter("account:reset", 1, "r9"))
	b.attach()
	b.commit()
	for _, now := range []*bench{b, b.again()} {
		now.sent(start, 3, letter("account:here", 1, "r1"))
		now.sent(start, 3, letter("account:gone", 1, "r1"))
		now.sent(start, 1, letter("account:reset", 1, "r1"))
	}
	b.counted()
}

// Over the bound campaigns are let go, and read again.
func TestBoundOfCampaigns(t *testing.T) {
	const bound, subjects = 1 << 19, 3000
	b := newBench(t, bound)
	for i := range subjects {
		b.send(start, 0, letter(fmt.Sprint("account:", i), 1, "r1", "r2"), letter(fmt.Sprint("account:", i), 2, "r1"))
		b.commit()
	}
	if h := b.Held(); h.Bytes > bound*105/100 || h.Bytes < bound*8/10 || h.Windows != 0 {
		t.Errorf("%+v; want about %d bytes, and no window", h, bound)
	}
	for i := range subjects {
		b.sent(start, 2, letter(fmt.Sprint("account:", i), 1, "r1"))
	}
	b.counted()
	// When all have left, nothing is left.
	for range 4 {
		sweepAll(t, b.Windows, start.Add(25*time.Hour))
	}
	b.Freeze(func() {
		for i := range b.shards {
			for _, s := range b.shards[i].all {
				e := s.entry
				if e.letters != nil {
					t.Errorf("%s has %d campaigns", e.Subject, e.letters.Len())
				}
			}
		}
	})
}
