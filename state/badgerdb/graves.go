package badgerdb

import (
	"errors"

	"github.com/dgraph-io/badger/v4"

	"o2n-milter/state/internal/ledger"
)

// graves are the dead subjects of one go, and the pages of members that no head names:
// those of the dead, and what is left of all that was written anew when a crash came
// between.
type graves struct {
	line    int64
	corpses []corpse
	last    named
}

// named is what the head of one subject names.
type named struct {
	head    []byte // its key; nil before the first
	version uint64 // 0: there is no head
	before  ledger.Page
}

// look looks at a head or a page.
func (g *graves) look(db *badger.DB, item *badger.Item) error {
	if hasPrefix(item.Key(), membersPrefix) {
		return g.lookAtPage(db, item)
	}
	return item.Value(func(head []byte) error {
		if ledger.Gone(head, g.line) {
			g.corpses = append(g.corpses, corpse{key: item.KeyCopy(nil), version: item.Version()})
		}
		return nil
	})
}

func (g *graves) lookAtPage(db *badger.DB, item *badger.Item) error {
	escaped, p, ok := parsePageKey(string(item.Key()))
	head := append([]byte(subjectPrefix), escaped...)
	if g.last.head == nil || string(g.last.head) != string(head) {
		if err := g.last.read(db, head); err != nil {
			return err
		}
	}
	if !ok || !g.last.before.Names(p) {
		g.corpses = append(g.corpses, corpse{
			key: item.KeyCopy(nil), version: item.Version(), head: g.last.head, headVersion: g.last.version,
		})
	}
	return nil
}

// read finds out what a head names.
func (n *named) read(db *badger.DB, head []byte) error {
	*n = named{head: head}
	return db.View(func(txn *badger.Txn) error {
		item, err := txn.Get(head)
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		n.version = item.Version()
		return item.Value(func(value []byte) error {
			n.before = ledger.Named(value)
			return nil
		})
	})
}
