package badgerdb

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"o2n-milter/state"
)

// traffic are sessions that charge, and now and then block and record, until told to
// stop; no call may fail.
type traffic struct {
	answered [8]atomic.Int64 // by session, each with a subject of its own
	blocks   atomic.Int64
	noBlocks atomic.Bool
	stop     chan struct{}
	ending   sync.Once
	sessions sync.WaitGroup
}

func begin(t *testing.T, s *Store) *traffic {
	tr := &traffic{stop: make(chan struct{})}
	t.Cleanup(tr.end) // before the store is closed
	for i := range tr.answered {
		tr.sessions.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-tr.stop:
					return
				default:
				}
				tr.session(t, s, i, n)
			}
		})
	}
	return tr
}

func (tr *traffic) session(t *testing.T, s *Store, i, n int) {
	ctx := context.Background()
	if a, err := s.Take(ctx, start, state.Ask{Charges: charges(1<<40, subject(i), "customer:C-1")}); err != nil || len(a.Full) > 0 {
		t.Errorf("take: full %v, error %v", a.Full, err)
	}
	tr.answered[i].Add(1)
	if err := s.Record(ctx, state.Decision{ID: fmt.Sprintf("D%d-%d", i, n), At: start, Subjects: []string{subject(i)}}); err != nil {
		t.Errorf("record: %v", err)
	}
	if n%100 == 0 && !tr.noBlocks.Load() {
		if err := s.AddBlock(ctx, state.Block{ID: fmt.Sprintf("B%d-%d", i, n), Subject: "ip:192.0.2.1", Since: start}); err != nil {
			t.Errorf("block: %v", err)
		}
		tr.blocks.Add(1)
	}
	time.Sleep(2 * time.Millisecond) // so that the disk is full of other things
}

func subject(i int) string { return fmt.Sprint("account:", i) }

func (tr *traffic) sum() (n int64) {
	for i := range tr.answered {
		n += tr.answered[i].Load()
	}
	return n
}

// more waits for so many answers.
func (tr *traffic) more(t *testing.T, n int64) {
	t.Helper()
	want := tr.sum() + n
	until(t, func() bool { return tr.sum() >= want })
}

func (tr *traffic) end() {
	tr.ending.Do(func() { close(tr.stop) })
	tr.sessions.Wait()
}

// holds wants the store to know exactly what was answered.
func (tr *traffic) holds(t *testing.T, s *Store) {
	t.Helper()
	for i := range tr.answered {
		if got, want := used(t, s, subject(i)), tr.answered[i].Load(); got != want {
			t.Errorf("%s: used %d; %d were answered", subject(i), got, want)
		}
	}
	if got := used(t, s, "customer:C-1"); got != tr.sum() {
		t.Errorf("customer: used %d; %d were answered", got, tr.sum())
	}
	blocks, err := s.Blocks(t.Context())
	if err != nil || int64(len(blocks)) != tr.blocks.Load() {
		t.Errorf("%d blocks, error %v; want %d", len(blocks), err, tr.blocks.Load())
	}
}
