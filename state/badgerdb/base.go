package badgerdb

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"o2n-milter/state"
)

// base is the database, which may be away.
type base struct {
	mu     sync.RWMutex // held for reading while the database is read
	db     *badger.DB   // nil while away
	closed atomic.Bool  // it is going, or gone: who reads for long stops
}

// errAway is what reading gets then; judging goes on from memory.
var errAway = fmt.Errorf("the database cannot be read now: %w", state.ErrUnavailable)

// use calls f with the database; it is not closed meanwhile.
func (b *base) use(f func(*badger.DB) error) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if err := b.leaving(); err != nil {
		return err
	}
	return f(b.db)
}

// leaving says why who reads for long must stop; nil: it may go on.
func (b *base) leaving() error {
	if b.closed.Load() {
		return errAway
	}
	return nil
}

// take takes the database away from everybody, and gives it to the caller.
func (b *base) take() *badger.DB {
	b.closed.Store(true)
	b.mu.Lock()
	defer b.mu.Unlock()
	db := b.db
	b.db = nil
	return db
}

func (b *base) put(db *badger.DB) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.db = db
	b.closed.Store(false)
}

// handle is for the one who writes, who is kept from it by other means while the
// database is closed; nil while it is away.
func (b *base) handle() *badger.DB {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.db
}

const memTableSize = 8 << 20

// badgerOptions are for a small daemon: about 250 MB at the peak of 600,000
// windows, where the defaults take 443.
func badgerOptions(dir string, sync bool, log badger.Logger) badger.Options {
	b := badger.DefaultOptions(dir)
	b.Logger = log
	b.SyncWrites = sync
	b.MemTableSize = memTableSize
	b.NumMemtables = 2
	b.NumLevelZeroTables = 2
	b.NumLevelZeroTablesStall = 6
	b.NumCompactors = 2
	// ValueThreshold stays at 1 MB: nothing of ours goes to the value log, with
	// which Badger has lost records.
	b.ValueLogFileSize = 16 << 20
	b.Compression = options.None
	// What is not compressed is read where it is mapped: caches would only cost.
	b.BlockCacheSize = 0
	b.IndexCacheSize = 0
	b.VerifyValueChecksum = true
	b.MetricsEnabled = false
	b.DetectConflicts = false // there is one writer
	return b
}

func get(db *badger.DB, key []byte) (value []byte, found bool, err error) {
	err = db.View(func(txn *badger.Txn) error {
		item, err := txn.Get(key)
		if err != nil {
			return err
		}
		value, err = item.ValueCopy(nil)
		return err
	})
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("%s: %w", key, err)
	}
	return value, true, nil
}

// scan calls f with each key of this prefix, in order, until it returns an error.
func scan(db *badger.DB, prefix string, values bool, f func(*badger.Item) error) error {
	return db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte(prefix), PrefetchValues: values, PrefetchSize: 100})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			if err := f(it.Item()); err != nil {
				return err
			}
		}
		return nil
	})
}
