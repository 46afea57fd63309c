package badgerdb

import (
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"o2n-milter/state/internal/ledger"
)

// mending makes pages of decisions and their filters fit each other, after parts of the
// database were lost: a page without its filter would be found by nobody, not even by the
// sweeper.
type mending struct {
	records []record
	size    int64    // what decisions take now, without what records change
	faults  []string // pages that go because they cannot be read
}

func mend(db *badger.DB) (m mending, err error) {
	err = db.View(func(txn *badger.Txn) error {
		if err := m.each(txn, filterPrefix, decisionsPrefix, func(place string, size int) { m.drop(filterKey(place), size) }); err != nil {
			return err
		}
		return m.each(txn, decisionsPrefix, filterPrefix, func(place string, size int) { m.refilter(txn, place, size) })
	})
	if err == nil {
		err = scan(db, draftPrefix, false, func(item *badger.Item) error {
			m.count(item)
			return nil
		})
	}
	return m, err
}

// count adds what is stored, and says how much that is.
func (m *mending) count(item *badger.Item) (size int) {
	size = len(item.Key()) + int(item.ValueSize())
	m.size += int64(size)
	return size
}

// each counts the keys of a prefix, and calls alone with those that have none of the other
// prefix beside them.
func (m *mending) each(txn *badger.Txn, prefix, other string, alone func(place string, size int)) error {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte(prefix)})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		size := m.count(it.Item())
		place := string(it.Item().Key()[len(prefix):])
		_, err := txn.Get([]byte(other + place))
		if errors.Is(err, badger.ErrKeyNotFound) {
			alone(place, size)
		} else if err != nil {
			return fmt.Errorf("%s%s: %w", other, place, err)
		}
	}
	return nil
}

// drop lets go of what is stored under key.
func (m *mending) drop(key []byte, size int) {
	m.records = append(m.records, record{key: key, gone: true, history: -size})
}

// refilter makes the filter of a page anew.
func (m *mending) refilter(txn *badger.Txn, place string, size int) {
	entries, err := filter{place: place}.read(txn, allBlocks)
	for i := 0; i < len(entries) && err == nil; i++ {
		d, fault := ledger.DecodeDecision(entries[i].value)
		entries[i], err = newEntry(d, entries[i].value), fault
	}
	if err != nil || len(entries) == 0 {
		m.faults = append(m.faults, fmt.Sprintf("decisions cannot be read and are left out: %v", err))
		m.drop(decisionsKey(place), size)
		return
	}
	r := record{key: filterKey(place), value: encodeFilter(entries, size)}
	r.history = len(r.key) + len(r.value)
	m.records = append(m.records, r)
}
