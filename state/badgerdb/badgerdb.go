// Package badgerdb is the durable store of one host, on an embedded Badger.
//
// Memory decides (state/internal/ledger), Badger remembers. One writer commits for
// all sessions: a call changes memory, queues what it changed, and waits for the
// commit that holds it. The writer takes everything queued at one moment, in which
// no call is half done, and writes each window's value of that moment: so a key
// never goes back to an older value, and after a crash a message stands in all
// its windows or in none. If a commit does not succeed, its changes are taken back
// from memory and every call waiting for it gets the error.
//
// What an error means: nothing was kept, with one exception. When the context
// ends while the commit is under way, the charge, block or lift may still stand;
// it is never forgotten once it was answered without an error.
//
// With Sync a commit is on the disk (fsync) before the answer, and survives a
// power cut; without, it is in the kernel's hands, and survives kill -9.
//
// Badger drops records by its own clock. That only cleans: windows are kept for
// twice their length and judged by their slots, blocks are kept for ever.
package badgerdb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"o2n-milter/state"
	"o2n-milter/state/internal/ledger"
)

// format is the layout of keys and values that this version writes; it reads no
// newer one.
const format = 1

const (
	defaultRetention = 30 * 24 * time.Hour
	gcEvery          = 10 * time.Minute
	gcDiscard        = 0.5 // rewrite a value log file when half of it is stale
)

// Options say where and how.
type Options struct {
	Path      string        // folder; made when it does not exist
	Sync      bool          // durability = "power": fsync before the answer
	Retention time.Duration // of decisions; 0: 30 days
	Log       *slog.Logger  // nil: slog.Default
}

// Store implements state.Store.
type Store struct {
	ledger.DocCalls
	db        *badger.DB
	log       *slog.Logger
	retention time.Duration
	windows   *ledger.Windows
	docs      *ledger.Docs
	writer    *writer

	// life is held for reading by every call, so that Close waits for them.
	life   sync.RWMutex
	closed bool

	stop     chan struct{} // ends collect
	stopped  chan struct{}
	closing  sync.Once
	closeErr error
}

var _ state.Store = (*Store)(nil)

var errClosed = errors.New("store is closed")

// Open opens the store in o.Path, or makes one there.
func Open(o Options) (*Store, error) {
	if o.Path == "" {
		return nil, errors.New("store without a path")
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Retention == 0 {
		o.Retention = defaultRetention
	}
	db, err := openDB(o)
	if err != nil {
		return nil, err
	}
	s := &Store{
		db: db, log: o.Log, retention: o.Retention, docs: ledger.NewDocs(),
		stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	s.DocCalls = ledger.DocCalls{All: s.docs, Ready: s.ready, Put: s.PutDoc}
	s.windows = ledger.NewWindows(ledger.Options{Key: state.NewMemberKey(), Source: source{s}})
	if err := errors.Join(s.checkFormat(o.Path), s.loadDocs()); err != nil {
		return nil, errors.Join(fmt.Errorf("store %s: %w", o.Path, err), db.Close())
	}
	s.writer = newWriter(db, s.windows, s.docs, o.Log)
	go s.writer.run()
	go s.collect()
	return s, nil
}

// openDB turns what stops Badger into sentences; a table file cut short makes it panic.
func openDB(o Options) (db *badger.DB, err error) {
	defer func() {
		if r := recover(); r != nil {
			db, err = nil, fmt.Errorf("store %s is damaged: %v", o.Path, r)
		}
	}()
	db, err = badger.Open(badgerOptions(o))
	// Badger wraps the lock's errno beyond the reach of errors.Is.
	if err != nil && strings.Contains(err.Error(), "Cannot acquire directory lock") {
		path, _ := filepath.Abs(o.Path)
		return nil, fmt.Errorf("store %s is in use: another o2n-milter runs on this folder (only one process can)", path)
	}
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", o.Path, err)
	}
	return db, nil
}

// badgerOptions are for a small daemon: about 250 MB at the peak of 600,000
// windows, where the defaults take 443.
func badgerOptions(o Options) badger.Options {
	b := badger.DefaultOptions(o.Path)
	b.Logger = badgerLog{o.Log}
	b.SyncWrites = o.Sync
	b.MemTableSize = 8 << 20
	b.NumMemtables = 2
	b.NumLevelZeroTables = 2
	b.NumLevelZeroTablesStall = 6
	b.NumCompactors = 2
	// ValueThreshold stays at 1 MB: nothing of ours goes to the value log, with
	// which Badger has lost records.
	b.ValueLogFileSize = 16 << 20
	b.BlockCacheSize = 4 << 20
	b.IndexCacheSize = 4 << 20
	b.Compression = options.None
	b.VerifyValueChecksum = true
	b.MetricsEnabled = false
	b.DetectConflicts = false // there is one writer
	return b
}

// checkFormat refuses what a newer version, or another program, has written.
func (s *Store) checkFormat(path string) error {
	value, found, err := s.get([]byte(formatKey))
	if err != nil {
		return err
	}
	if !found {
		return s.initFormat()
	}
	n, err := strconv.Atoi(string(value))
	switch {
	case err != nil || n < 1:
		return fmt.Errorf("%s: found %q; want a number", formatKey, value)
	case n > format:
		return fmt.Errorf("written by a newer o2n-milter (format %d; this one reads up to %d): install that version again, or use another folder", n, format)
	}
	return nil
}

func (s *Store) initFormat() error {
	empty := true
	if err := s.scan("", false, func(*badger.Item) bool { empty = false; return false }); err != nil {
		return err
	}
	if !empty {
		return errors.New("a Badger database of another program: it holds keys but no " + formatKey)
	}
	return s.db.Update(func(txn *badger.Txn) error {
		return txn.Set([]byte(formatKey), []byte(strconv.Itoa(format)))
	})
}

func (s *Store) loadDocs() error {
	var bad error
	err := s.scan(docPrefix, true, func(item *badger.Item) bool {
		bad = item.Value(func(value []byte) error {
			var doc state.Doc
			if err := json.Unmarshal(value, &doc); err != nil {
				return err
			}
			return s.docs.Load(doc)
		})
		if bad != nil {
			bad = fmt.Errorf("%s: %w", item.Key(), bad)
		}
		return bad == nil
	})
	return errors.Join(err, bad)
}

// collect gives value log space back to the disk.
func (s *Store) collect() {
	defer close(s.stopped)
	tick := time.NewTicker(gcEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
			err := s.db.RunValueLogGC(gcDiscard)
			if err != nil && !errors.Is(err, badger.ErrNoRewrite) {
				s.log.Warn("store: value log collection", "err", err)
			}
		}
	}
}

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
	if err := s.writer.broken(); err != nil {
		s.life.RUnlock()
		return err
	}
	return nil
}

func (s *Store) leave() { s.life.RUnlock() }

// Close waits for the calls at work, commits what is queued and lets go of the
// folder. Closing twice is fine.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.life.Lock()
		s.closed = true
		s.life.Unlock()
		close(s.stop)
		<-s.stopped
		s.closeErr = errors.Join(s.writer.close(), s.db.Close())
	})
	return s.closeErr
}

// badgerLog passes on what an operator should know; Badger's news of its daily
// work are debug lines here.
type badgerLog struct{ log *slog.Logger }

func (l badgerLog) Errorf(f string, a ...any)   { l.log.Error(line(f, a)) }
func (l badgerLog) Warningf(f string, a ...any) { l.log.Warn(line(f, a)) }
func (l badgerLog) Infof(f string, a ...any)    { l.log.Debug(line(f, a)) }
func (l badgerLog) Debugf(string, ...any)       {}

func line(f string, a []any) string { return "badger: " + strings.TrimSpace(fmt.Sprintf(f, a...)) }
