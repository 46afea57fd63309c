package badgerdb

import (
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"o2n-milter/state"
	"o2n-milter/state/internal/text"
)

// source is where the ledger reads what is not in memory.
type source struct{ base *base }

// Window implements ledger.Source.
func (s source) Window(limit, subject string) (slots state.Slots, err error) {
	err = s.base.use(func(db *badger.DB) error {
		key := limitKey(limit, subject)
		value, found, err := get(db, key)
		if err != nil || !found {
			return err
		}
		if slots, err = state.DecodeSlots(value); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		return nil
	})
	return slots, err
}

// Set implements ledger.Source. A member that cannot be read is as good as forgotten.
func (s source) Set(set, subject string) (members state.Members, err error) {
	err = s.base.use(func(db *badger.DB) error {
		return scan(db, knownBy(set, subject), true, func(item *badger.Item) error {
			hash, err := hashOf(string(item.Key()))
			if err != nil {
				return nil
			}
			return item.Value(func(value []byte) error {
				_ = members.Load(hash, value)
				return nil
			})
		})
	})
	return members, err
}

// Campaigns implements ledger.Source. A recipient who cannot be read is as good as
// forgotten.
func (s source) Campaigns(subject string) (campaigns state.Campaigns, err error) {
	prefix := sentBy(subject)
	err = s.base.use(func(db *badger.DB) error {
		return scan(db, prefix, true, func(item *badger.Item) error {
			of, hash, err := recipientOf(string(item.Key()[len(prefix):]))
			if err != nil {
				return nil
			}
			return item.Value(func(value []byte) error {
				_ = campaigns.Load(of, hash, value)
				return nil
			})
		})
	})
	campaigns.Loaded()
	return campaigns, err
}

// Names implements ledger.Source. It looks at one key for each limit and set.
func (s source) Names(subject string) (limits, sets []string, err error) {
	err = s.base.use(func(db *badger.DB) error {
		return db.View(func(txn *badger.Txn) error {
			if limits, err = namesOf(txn, limitPrefix, func(limit string) (bool, error) {
				_, err := txn.Get(limitKey(limit, subject))
				if errors.Is(err, badger.ErrKeyNotFound) {
					return false, nil
				}
				return err == nil, err
			}); err != nil {
				return err
			}
			sets, err = namesOf(txn, knownPrefix, func(set string) (bool, error) {
				return holds(txn, knownBy(set, subject)), nil
			})
			return err
		})
	})
	return limits, sets, err
}

// namesOf are the names behind prefix that has says yes to.
func namesOf(txn *badger.Txn, prefix string, has func(name string) (bool, error)) (found []string, err error) {
	err = names(txn, prefix, func(part string) error {
		name, err := text.Unescape(part)
		if err != nil {
			return err
		}
		ok, err := has(name)
		if ok {
			found = append(found, name)
		}
		return err
	})
	return found, err
}

// holds says that there is a key of this prefix.
func holds(txn *badger.Txn, prefix string) bool {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte(prefix)})
	defer it.Close()
	it.Rewind()
	return it.Valid()
}
