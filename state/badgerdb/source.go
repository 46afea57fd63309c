package badgerdb

import (
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"o2n-milter/state/internal/ledger"
)

// source is where the ledger reads what is not in memory.
type source struct{ base *base }

// Subject implements ledger.Source.
func (s source) Subject(subject string) (e *ledger.Entry, err error) {
	key := subjectKey(subject)
	err = s.base.use(func(db *badger.DB) error {
		return db.View(func(txn *badger.Txn) error {
			item, err := txn.Get(key)
			if errors.Is(err, badger.ErrKeyNotFound) {
				return nil
			}
			if err != nil {
				return err
			}
			return item.Value(func(head []byte) error {
				e, err = ledger.Decode(subject, head, func(p ledger.Page) ([]byte, error) { return readPage(txn, subject, p) })
				return err
			})
		})
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return e, nil
}

// readPage is nil when the page is not there.
func readPage(txn *badger.Txn, subject string, p ledger.Page) ([]byte, error) {
	key := pageKey(subject, p)
	item, err := txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, nil
	}
	var value []byte
	if err == nil {
		value, err = item.ValueCopy(nil)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return value, nil
}
