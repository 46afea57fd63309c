// Package redisdb is the store that several hosts share, on Redis (5 or later) or
// Valkey: a server, Sentinel or a Cluster.
//
// The server decides: a message is one call of a script (take.lua), which sees all
// its windows and charges all or none. Its time is the server's, so the hosts' clocks
// do not matter. A server's clock that is set back lets nobody over and refuses for
// no longer than a window; one that is set forward empties windows early.
//
// On a Cluster a message whose subjects are on several servers is charged server by
// server, and what was charged is taken back when a later one refuses. No window is
// ever over its Max; one may be refused a place that comes free a moment later, and a
// crash in between leaves too much charged, never too little.
//
// Docs (blocks and the like) are in every host's memory, and in its journal. Each
// call of a message that asks for blocks compares generations, so that a block is in
// force on every host when the call that made it returns. A server that has lost its
// data is given the docs again by the hosts that know them; windows, sets and
// decisions are gone then. (A doc deleted after the backup that a server is restored
// from comes back with it.)
//
// A user of the server's needs, in its ACL: ~o2n:* &o2n:* +@all -@admin -@dangerous +info.
//
// Every call has a budget of time. After a few that went wrong the server counts as
// away: calls are refused at once with state.ErrUnavailable, while one goroutine
// tries to come back. Blocks are known all the while.
//
// What survives the server's end is the server's matter: with appendonly yes all but
// the last second.
package redisdb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"o2n-milter/state"
	"o2n-milter/state/internal/ledger"
)

const (
	defaultRetention = 30 * 24 * time.Hour
	defaultBudget    = 200 * time.Millisecond
)

// Options say where and how.
type Options struct {
	URL       string        // see parseURL
	Password  string        // of the server where the URL has none
	CAFile    string        // certificates to trust in place of the system's; needs TLS
	Path      string        // folder of the journal of docs; empty: none is kept
	Retention time.Duration // of decisions; 0: 30 days
	Budget    time.Duration // for one call, all waiting included; 0: 200 ms
	// HostTime makes the time given to each call decide, not the server's. Calls that
	// charge then wait for one another: for tests and simulated time.
	HostTime bool
	Log      *slog.Logger // nil: slog.Default
	Loop     state.Loop   // what runs beside the calls; nil: state.Unguarded
}

// Store implements state.Store.
type Store struct {
	ledger.DocCalls
	options Options
	address *redis.UniversalOptions
	log     *slog.Logger
	link    *link
	mirror  *mirror
	names   names
	hashes  atomic.Pointer[state.MemberKey]
	health  health
	writer  *writer

	clock state.Clock // where the hosts' time decides
	order sync.Mutex  // held by calls that charge by it

	// life is held for reading by every call, so that Close waits for them.
	life   sync.RWMutex
	closed bool

	end      func() // of the keeper
	closing  sync.Once
	closeErr error
}

var _ state.Store = (*Store)(nil)

var errClosed = errors.New("store is closed")

// The library logs what the link says better, for the whole process.
var quiet = sync.OnceFunc(logging.Disable)

// Open returns a store that connects when it can: it also succeeds, and says so in the
// log, while the server is away.
func Open(o Options) (*Store, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Loop == nil {
		o.Loop = state.Unguarded
	}
	if o.Retention == 0 {
		o.Retention = defaultRetention
	}
	if o.Budget == 0 {
		o.Budget = defaultBudget
	}
	where, err := address(o)
	if err != nil {
		return nil, err
	}
	diary, docs, known, err := openDiary(o.Path, o.Log)
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", o.Path, err)
	}
	quiet()
	s := &Store{options: o, address: where, log: o.Log, link: newLink(o.Budget, !where.IsClusterMode)}
	s.mirror = &mirror{
		docs: ledger.NewDocs(), diary: diary, log: o.Log, turn: make(chan struct{}, 1), claim: s.claim, putBack: s.serverLost,
	}
	s.mirror.begin(docs, known)
	s.DocCalls = ledger.DocCalls{All: s.mirror.docs, Ready: s.ready, Put: s.PutDoc}
	s.writer = newWriter(s.link, o)
	s.start()
	return s, nil
}

// start makes the first attempt to connect and leaves the rest to goroutines.
func (s *Store) start() {
	life, cancel := context.WithCancel(context.Background())
	k := &keeper{Store: s, life: life, pause: firstPause, news: make(chan struct{}, 1), unsubscribe: func() {}}
	first := k.join()
	if first != nil {
		s.link.note(first)
		s.log.Warn("redis: away at the start; going on without it", "server", s.server(), "err", first, "docs", len(s.mirror.docs.All()))
	}
	up := first == nil
	keep := s.options.Loop(life, "redis_link", func(context.Context) {
		begun := up
		up = false // after a panic it connects anew
		k.run(begun)
	})
	s.end = func() {
		cancel()
		keep()
	}
	s.writer.start(life, s.options.Loop)
}

// server names it for the log.
func (s *Store) server() []string { return s.address.Addrs }

// enter begins a call; leave ends it.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.life.RLock()
	if s.closed {
		s.life.RUnlock()
		return errClosed
	}
	return nil
}

func (s *Store) leave() { s.life.RUnlock() }

// Close waits for the calls at work, writes the decisions that are queued if the
// server is there, and lets go of it. Closing twice is fine.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.life.Lock()
		s.closed = true
		s.life.Unlock()
		s.writer.stop()
		s.end()
		s.closeErr = errors.Join(s.link.close(), s.mirror.diary.close())
	})
	return s.closeErr
}
