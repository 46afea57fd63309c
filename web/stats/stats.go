// Package stats counts verdicts by hour, rule and action, and who sends most, for
// the operator's overview. What must be exact is elsewhere: metrics and decisions.
//
// Counts are added up in this process and flushed each minute into docs of kind
// "stats", one for each host and hour, which are kept for 8 days. What a crash
// loses is the last minute.
package stats

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"o2n-milter/rules"
	"o2n-milter/state"
)

const (
	// shards keep sessions out of each other's way: two cores seldom meet in 16.
	shards = 16
	// mostHours bounds what waits while the store is away; the oldest hour goes.
	mostHours = 24
	// keep is how long docs stay: a week to compare with, and a day.
	keep = 8 * 24 * time.Hour
)

// Counter is safe for concurrent use.
type Counter struct {
	store   state.Store
	host    string
	log     *slog.Logger
	seed    maphash.Seed
	shards  [shards]shard
	shadows shadows

	mu      sync.Mutex
	waiting map[time.Time]*record // taken from the shards, not yet in the store
	pruned  time.Time             // the hour in which old docs were last looked for
	// shadowFor is how long counts of shadow stay; 0: keepShadow.
	shadowFor time.Duration
}

// shard holds the counts of some senders, by hour.
type shard struct {
	mu    sync.Mutex
	hours map[time.Time]*bucket
	hour  time.Time // the last one that was counted for
	last  *bucket   // its counts; nil: none yet
}

// bucket is an hour's counts.
type bucket struct {
	passed  int64 // of rules: nearly all mail
	rules   map[ruleAction]int64
	senders senders
}

type ruleAction struct {
	rule   string
	action rules.Action
}

// New makes a Counter. Counters that name the same host add up.
func New(store state.Store, host string, log *slog.Logger) *Counter {
	c := &Counter{store: store, host: plain(host), log: log, seed: maphash.MakeSeed(), waiting: map[time.Time]*record{}}
	for i := range c.shards {
		c.shards[i].hours = map[time.Time]*bucket{}
	}
	return c
}

// plain makes a host's name fit for a doc's id.
func plain(host string) string {
	s := strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' || strings.ContainsRune("/%{}", r) {
			return '_'
		}
		return r
	}, host)
	return cmp.Or(s[:min(len(s), 150)], "localhost")
}

// Count adds one verdict.
func (c *Counter) Count(v *rules.Verdict) {
	c.shadows.count(v)
	sender := ""
	if len(v.Subjects) > 0 {
		sender = v.Subjects[0] // who sent it comes first
	}
	hash := maphash.String(c.seed, sender)
	sh := &c.shards[hash%shards]
	hour := v.At.UTC().Truncate(time.Hour)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	b := sh.bucket(hour)
	if kind := (ruleAction{v.Rule, v.Action}); kind == passed {
		b.passed++
	} else {
		b.rules[kind]++
	}
	if sender != "" {
		b.senders.add(sender, hash, v.Action >= rules.Quarantine)
	}
}

// passed is what mail passes with in which nothing was found.
var passed = ruleAction{"none", rules.Accept}

// bucket is that of an hour, for who holds mu.
func (sh *shard) bucket(hour time.Time) *bucket {
	if sh.last != nil && sh.hour == hour {
		return sh.last
	}
	b := sh.hours[hour]
	if b == nil {
		b = &bucket{rules: map[ruleAction]int64{}}
		sh.hours[hour] = b
	}
	sh.hour, sh.last = hour, b
	return b
}

// Run flushes each minute until ctx ends, and once more then.
func (c *Counter) Run(ctx context.Context, now func() time.Time) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			c.flush(ctx, now())
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			c.flush(last, now())
			return
		}
	}
}

func (c *Counter) flush(ctx context.Context, now time.Time) {
	// What a ctx that has ended left undone is for the last flush.
	if err := c.Flush(ctx, now); err != nil && ctx.Err() == nil {
		c.log.Warn("statistics wait for the store", "error", err)
	}
}

// Flush adds what was counted since the last time to the store's docs, and deletes
// docs that are too old. What cannot be kept waits for the next time.
func (c *Counter) Flush(ctx context.Context, now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.collect()
	for hour, r := range c.waiting {
		if err := c.put(ctx, r); err != nil {
			return fmt.Errorf("statistics of %s: %w", hour.Format(time.RFC3339), err)
		}
		delete(c.waiting, hour)
	}
	if err := c.flushShadow(ctx); err != nil {
		return err
	}
	return c.prune(ctx, now)
}

// collect moves the shards' counts to those that wait.
func (c *Counter) collect() {
	for i := range c.shards {
		sh := &c.shards[i]
		sh.mu.Lock()
		hours := sh.hours
		sh.hours, sh.last = map[time.Time]*bucket{}, nil
		sh.mu.Unlock()
		for hour, b := range hours {
			r := c.waiting[hour]
			if r == nil {
				r = &record{At: hour, Host: c.host, Counts: map[string]int64{}}
				c.waiting[hour] = r
			}
			r.add(b)
		}
	}
	for len(c.waiting) > mostHours {
		oldest := slices.MinFunc(slices.Collect(maps.Keys(c.waiting)), time.Time.Compare)
		delete(c.waiting, oldest)
		c.log.Warn("statistics dropped: the store has been away too long", "hour", oldest)
	}
}

// put adds r to what the store has of its host and hour: an earlier flush, an
// earlier process, another one on the same host.
func (c *Counter) put(ctx context.Context, r *record) error {
	for {
		docs, err := c.store.Docs(ctx, kind)
		if err != nil {
			return err
		}
		sum, rev := *r, int64(0)
		for _, doc := range docs {
			if doc.ID != r.id() {
				continue
			}
			old, err := decode(doc)
			if err != nil {
				return err
			}
			sum, rev = old.plus(r), doc.Rev
		}
		_, err = c.store.PutDoc(ctx, state.Doc{Kind: kind, ID: r.id(), Rev: rev, Data: sum.encode()})
		if !errors.Is(err, state.ErrConflict) {
			return err
		}
	}
}

// prune deletes what is too old, once an hour, of every host: one may be gone.
func (c *Counter) prune(ctx context.Context, now time.Time) error {
	hour := now.UTC().Truncate(time.Hour)
	if hour.Equal(c.pruned) {
		return nil
	}
	old := func(id string) bool { return hourOf(id).Before(hour.Add(-keep)) }
	if err := c.drop(ctx, kind, old); err != nil {
		return err
	}
	old = func(id string) bool { return dayAt(id).Before(c.firstShadow(now)) }
	if err := c.drop(ctx, shadowKind, old); err != nil {
		return err
	}
	c.pruned = hour
	return nil
}

// drop deletes the docs that are old by their id.
func (c *Counter) drop(ctx context.Context, kind string, old func(id string) bool) error {
	docs, err := c.store.Docs(ctx, kind)
	if err != nil {
		return err
	}
	for _, doc := range docs {
		if !old(doc.ID) {
			continue
		}
		_, err := c.store.PutDoc(ctx, state.Doc{Kind: kind, ID: doc.ID, Rev: doc.Rev})
		// Another host may have been first.
		if err != nil && !errors.Is(err, state.ErrConflict) {
			return err
		}
	}
	return nil
}
