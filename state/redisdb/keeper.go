package redisdb

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"o2n-milter/internal/chaos"
	"o2n-milter/state"
)

const (
	// format is the layout of keys and values that this version writes; it reads no
	// newer one.
	format = 1
	// pollEvery is how often an idle host looks whether docs have changed, should the
	// notice have been lost.
	pollEvery = time.Second
	// pollTime is what a poll gets beyond a call's budget: it may read many docs.
	pollTime = 2 * time.Second
	// inspectEvery is how many polls pass between two looks at the server's health.
	inspectEvery = 10
	// firstPause and longestPause are between attempts to come back. They double, and
	// vary by half, so that many hosts do not knock at one moment.
	firstPause   = 50 * time.Millisecond
	longestPause = 3 * time.Second
	// joinTime bounds one attempt: it may read all docs.
	joinTime = 10 * time.Second
)

// keeper is the goroutine that puts the link up, sees that docs are fresh, and comes
// back when the server was away.
type keeper struct {
	*Store
	life  context.Context
	pause time.Duration // before the next attempt to come back
	news  chan struct{} // holds one when docs have changed
	// unsubscribe ends the reading of notices; it does nothing the second time.
	unsubscribe func()
}

func (k *keeper) run(up bool) {
	defer func() { k.unsubscribe() }()
	for {
		if !up && !k.comeBack() {
			return
		}
		up = false
		since := time.Now()
		if !k.watch() {
			return
		}
		if time.Since(since) > longestPause { // else it keeps going up and down
			k.pause = firstPause
		}
		k.unsubscribe()
		k.log.Error("redis: away; calls are refused until it is back", "server", k.server(), "err", k.link.fault())
	}
}

// comeBack tries until the link is up; false when life has ended.
func (k *keeper) comeBack() bool {
	for {
		select {
		case <-k.life.Done():
			return false
		case <-time.After(k.pause/2 + rand.N(k.pause)):
		}
		k.pause = min(2*k.pause, longestPause)
		if err := k.join(); err != nil {
			k.link.note(err)
			continue
		}
		k.log.Info("redis: back", "server", k.server())
		return true
	}
}

// watch looks after the link while it is up; false when life has ended.
func (k *keeper) watch() bool {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-k.life.Done():
			return false
		case <-k.link.lost:
			return true
		case <-k.news:
			chaos.Point("redis_link")
			k.poll(false)
		case <-tick.C:
			chaos.Point("redis_link")
			k.poll(n%inspectEvery == 0)
		}
	}
}

// poll reads changes of docs and, now and then, the server's health. What goes wrong
// is the link's to count.
func (k *keeper) poll(inspect bool) {
	_ = k.link.within(k.life, k.options.Budget+pollTime, func(ctx context.Context, c redis.UniversalClient) error {
		if err := k.mirror.renew(ctx, c); err != nil || !inspect {
			return err
		}
		found, err := look(ctx, c)
		if err == nil {
			k.health.take(found, k.log)
		}
		return err
	})
}

func (k *keeper) subscribe(c redis.UniversalClient) {
	ctx, cancel := context.WithCancel(k.life)
	notice := c.Subscribe(ctx, docsChannel)
	stop := k.options.Loop(ctx, "redis_notices", func(ctx context.Context) { k.read(ctx, notice) })
	k.unsubscribe = func() {
		cancel()
		notice.Close()
		stop()
	}
}

// read waits for notices until they are unsubscribed; many at once are one. Without
// a connection for them there is still the poll.
func (k *keeper) read(ctx context.Context, notice *redis.PubSub) {
	for {
		_, err := notice.ReceiveMessage(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			select {
			case <-ctx.Done():
			case <-time.After(pollEvery):
			}
			continue
		}
		chaos.Point("redis_notices")
		select {
		case k.news <- struct{}{}:
		default:
		}
	}
}

// join connects, makes sure that the server can be read and written, brings the docs
// up to date and puts the link up.
func (k *keeper) join() error {
	ctx, cancel := context.WithTimeout(k.life, joinTime)
	defer cancel()
	c := connect(k.life, k.address)
	err := guard(ctx, c, k.greet)
	if err != nil {
		return errors.Join(err, c.Close())
	}
	k.subscribe(c)
	k.link.up(c)
	return nil
}

func (k *keeper) greet(ctx context.Context, c redis.UniversalClient) error {
	// A server that does not answer costs a few budgets, not the whole attempt's time:
	// there are four answers to wait for, and a connection to make.
	first, cancel := context.WithTimeout(ctx, 3*k.options.Budget)
	defer cancel()
	found, err := look(first, c)
	if err != nil {
		return err
	}
	if found.cluster && !k.address.IsClusterMode {
		return errors.New("this server is part of a Cluster; want its address with ?addr=HOST:PORT of another one")
	}
	if err := k.claim(first, c); err != nil {
		return err
	}
	// The script of every message, here with no charge.
	probe := newTaking(k.Store, time.Time{}, state.Ask{}).part()
	if _, err := probe.run(first, c, modeDry, ""); err != nil {
		return err
	}
	k.health.take(found, k.log)
	k.names.forget()
	return k.mirror.inTurn(ctx, func() error { return k.mirror.catchUp(ctx, c) })
}

// claim writes what every host must agree on, and reads what stands there. A server
// that is read-only or out of memory refuses here.
func (s *Store) claim(ctx context.Context, c redis.UniversalClient) error {
	mine := state.NewMemberKey()
	if key := s.hashes.Load(); key != nil {
		mine = *key // of the server before it lost its data
	}
	pipe := c.Pipeline()
	pipe.SetNX(ctx, formatKey, format, 0)
	pipe.SetNX(ctx, memberKey, hex.EncodeToString(mine[:]), 0)
	number, key := pipe.Get(ctx, formatKey), pipe.Get(ctx, memberKey)
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	switch n, err := strconv.Atoi(number.Val()); {
	case err != nil || n < 1:
		return fmt.Errorf("%s: found %.100q; want a number", formatKey, number.Val())
	case n > format:
		return fmt.Errorf("%s: format %d (this version reads up to %d): %w", formatKey, n, format, state.ErrNewer)
	}
	raw, err := hex.DecodeString(key.Val())
	if err != nil || len(raw) != len(mine) {
		return fmt.Errorf("%s: found %d characters; want %d bytes in hex", memberKey, len(key.Val()), len(mine))
	}
	copy(mine[:], raw)
	s.hashes.Store(&mine)
	return nil
}
