package redisdb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"o2n-milter/internal/chaos"
	"o2n-milter/state"
)

const (
	// queued is how many decisions may wait, at some KB each: for the writer, or for a
	// server that is away.
	queued = 8192
	// batch is how many are written by one call.
	batch = 128
	// keptDecisions bounds all decisions: some 0.8 GB of the server's memory.
	keptDecisions = 500_000
	// keptOf bounds one history.
	keptOf = 20_000
	// retryAfter is between attempts while the server is away.
	retryAfter = 100 * time.Millisecond
	// lastFlush is what Close gives the decisions that still wait.
	lastFlush = time.Second
)

// writer is the goroutine that writes decisions.
type writer struct {
	link      *link
	log       *slog.Logger
	budget    time.Duration
	retention time.Duration
	queue     chan record
	stop      func() // writes what waits, if it can; nothing may be put any more

	lost   atomic.Int64 // decisions dropped since the last report
	mu     sync.Mutex
	total  int64 // dropped while recently
	lostAt time.Time
}

func newWriter(l *link, o Options) *writer {
	return &writer{
		link: l, log: o.Log, budget: o.Budget, retention: o.Retention,
		queue: make(chan record, queued),
	}
}

// put queues r. When the queue is full it waits for a budget, and while the server is
// away not at all.
func (w *writer) put(ctx context.Context, r record) error {
	select {
	case w.queue <- r:
		return nil
	default:
	}
	err := w.link.fault()
	if err == nil {
		timer := time.NewTimer(w.budget)
		defer timer.Stop()
		select {
		case w.queue <- r:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("decision: %d others wait to be written: %w", queued, ctx.Err())
		case <-timer.C:
			err = errors.New("the server is slow")
		}
	}
	w.drop(1)
	return unavailable{fmt.Errorf("decision not kept, %d others wait: %w", queued, err)}
}

func (w *writer) drop(n int) {
	w.lost.Add(int64(n))
	w.mu.Lock()
	defer w.mu.Unlock()
	if time.Since(w.lostAt) > remembered {
		w.total = 0
	}
	w.total += int64(n)
	w.lostAt = time.Now()
}

// recentlyLost is for Status.
func (w *writer) recentlyLost() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if time.Since(w.lostAt) > remembered {
		return 0
	}
	return w.total
}

// start writes until stop is called; life, in which the server is asked, is longer.
func (w *writer) start(life context.Context, loop state.Loop) {
	w.stop = loop(context.Background(), "redis_decisions", func(ctx context.Context) { w.run(life, ctx.Done()) })
}

func (w *writer) run(life context.Context, closing <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case r := <-w.queue:
			w.write(life, closing, w.gather(r))
		case <-tick.C:
			w.report()
		case <-closing:
			w.flush(life)
			return
		}
	}
}

// gather takes what waits behind first, up to a batch.
func (w *writer) gather(first record) []record {
	records := []record{first}
	for len(records) < batch {
		select {
		case r := <-w.queue:
			records = append(records, r)
		default:
			return records
		}
	}
	return records
}

// write tries until the records are written or the store closes.
func (w *writer) write(life context.Context, closing <-chan struct{}, records []record) {
	lost := len(records) // also where they make us panic
	defer func() {
		if lost > 0 {
			w.drop(lost)
		}
	}()
	for {
		chaos.Point("redis_decisions")
		err := w.store(life, records)
		if err == nil {
			lost = 0
			return
		}
		if !errors.Is(err, state.ErrUnavailable) {
			w.log.Error("redis: decisions not written", "err", err, "decisions", len(records))
			return
		}
		select {
		case <-time.After(retryAfter):
			w.report()
		case <-closing:
			if w.store(life, records) == nil {
				lost = 0
			}
			return
		}
	}
}

// flush writes what still waits at the end, for a moment.
func (w *writer) flush(life context.Context) {
	until := time.Now().Add(lastFlush)
	for {
		select {
		case r := <-w.queue:
			records := w.gather(r)
			if time.Now().After(until) || w.store(life, records) != nil {
				w.drop(len(records))
			}
		default:
			w.report()
			return
		}
	}
}

// report logs what was dropped since the last one.
func (w *writer) report() {
	if n := w.lost.Swap(0); n > 0 {
		w.log.Error("redis: decisions dropped", "decisions", n)
	}
}

// store writes records with their places in the indexes, and trims those.
func (w *writer) store(life context.Context, records []record) error {
	return w.link.do(life, func(ctx context.Context, c redis.UniversalClient) error {
		pipe := c.Pipeline()
		touched := map[string]bool{}
		oldest := records[0].at
		for _, r := range records {
			pipe.Set(ctx, decisionKey(r.id), r.value, w.retention)
			pipe.ZAdd(ctx, decisionsKey, redis.Z{Score: r.score(), Member: r.id})
			for _, name := range r.names {
				pipe.ZAdd(ctx, byKey(name), redis.Z{Score: r.score(), Member: r.id})
				touched[byKey(name)] = true
			}
			if r.at.Before(oldest) {
				oldest = r.at
			}
		}
		// By the records' own time: it is the one that the indexes are sorted by.
		gone := "(" + strconv.FormatInt(oldest.Add(-w.retention).UnixMilli(), 10)
		for key := range touched {
			pipe.ZRemRangeByScore(ctx, key, "-inf", gone)
			pipe.ZRemRangeByRank(ctx, key, 0, -keptOf-1)
			pipe.PExpire(ctx, key, w.retention)
		}
		pipe.ZRemRangeByScore(ctx, decisionsKey, "-inf", gone)
		count := pipe.ZCard(ctx, decisionsKey)
		if err := w.exec(ctx, pipe); err != nil {
			return err
		}
		return trim(ctx, c, count.Val()-keptDecisions)
	})
}

// exec logs a key of ours that somebody has put something else in, and goes on.
func (w *writer) exec(ctx context.Context, pipe redis.Pipeliner) error {
	commands, _ := pipe.Exec(ctx)
	for _, cmd := range commands {
		err := cmd.Err()
		if wrongType(err) {
			w.log.Error("redis: a decision's index is damaged", "key", cmd.Args()[1], "err", err)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// trim deletes the oldest decisions where there are too many. Their places in the
// histories are skipped when read.
func trim(ctx context.Context, c redis.UniversalClient, over int64) error {
	if over <= 0 {
		return nil
	}
	oldest, err := c.ZPopMin(ctx, decisionsKey, min(over, batch)).Result()
	if err != nil {
		return err
	}
	pipe := c.Pipeline()
	for _, e := range oldest {
		pipe.Unlink(ctx, decisionKey(fmt.Sprint(e.Member)))
	}
	_, err = pipe.Exec(ctx)
	return err
}
