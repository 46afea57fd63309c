package badgerdb

import (
	"errors"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/sys/unix"

	"o2n-milter/state/internal/ledger"
)

// Format 1 had three kinds of keys for each decision:
//
//	decision/TIME/ID          a decision: JSON
//	id/ID                     TIME of the decision with this id
//	by/NAME/TIME/ID           empty; a history
//
// They are put on pages when the database is opened, the oldest first. Each page is
// written together with how far that is, so that a start that dies goes on there; the old
// keys go at the end, all at once.
const (
	oldDecisions = "decision/"
	oldIDs       = "id/"
	oldHistories = "by/"
	// convertDecisionsKey holds the key of the last decision that is on a page. It is there as long
	// as there is something to do.
	convertDecisionsKey = "meta/convert-decisions"
)

// convertDecisions brings the decisions of a database of format 1 to pages.
func (s *Store) convertDecisions(o *opened) error {
	at, begun, err := get(o.db, []byte(convertDecisionsKey))
	if err == nil && !begun {
		begun, err = hasOldDecisions(o.db)
	}
	if err != nil || !begun {
		return err
	}
	c := decisionConverter{db: o.db, at: string(at)}
	began, told := time.Now(), time.Now()
	s.log.Info("store: decisions of an older version are being rewritten")
	for more := true; more; {
		if err := s.roomToConvert(); err != nil {
			return err
		}
		if more, err = c.page(); err != nil {
			return fmt.Errorf("rewriting decisions: %w", err)
		}
		if time.Since(told) > 5*time.Second {
			told = time.Now()
			s.log.Info("store: decisions of an older version are being rewritten", "done", c.done, "up_to", c.at)
		}
	}
	if c.bad > 0 {
		o.faults = append(o.faults, fmt.Sprintf("%d decisions of an older version cannot be read and are left out, the last one %s", c.bad, c.worst))
	}
	if err := c.end(&o.stand); err != nil {
		return fmt.Errorf("rewriting decisions: %w", err)
	}
	s.log.Info("store: decisions of an older version are rewritten", "decisions", c.done, "took", time.Since(began).Round(time.Millisecond))
	return nil
}

func hasOldDecisions(db *badger.DB) (found bool, err error) {
	for _, prefix := range []string{oldDecisions, oldIDs, oldHistories} {
		err := scan(db, prefix, false, func(*badger.Item) error { return errEnough })
		if errors.Is(err, errEnough) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
	return false, nil
}

// roomToConvert says that the disk is full before it is.
func (s *Store) roomToConvert() error {
	r, err := roomAt(s.options.Path)
	if err != nil {
		return err
	}
	if why := r.shortage(uint64(s.options.MinFree), minInodes); why != "" {
		return fmt.Errorf("rewriting decisions: %w: %s", unix.ENOSPC, why)
	}
	return nil
}

// decisionConverter goes through the old decisions.
type decisionConverter struct {
	db    *badger.DB
	at    string // the key of the last one that is on a page; empty: none is
	done  int
	bad   int    // that could not be read
	worst string // the last of them
}

// page makes one page, if there is anything left for it.
func (c *decisionConverter) page() (more bool, err error) {
	entries, at, err := c.next()
	if err != nil || at == c.at {
		return false, err
	}
	c.at = at
	c.done += len(entries)
	return true, c.db.Update(func(txn *badger.Txn) error {
		if len(entries) > 0 {
			for _, r := range pageRecords(sorted(entries)) {
				if err := r.set(txn); err != nil {
					return err
				}
			}
		}
		return txn.Set([]byte(convertDecisionsKey), []byte(at))
	})
}

// next reads the decisions for the next page; at is the last one's key.
func (c *decisionConverter) next() (entries []*entry, at string, err error) {
	var b bulk
	at = c.at
	_, err = walk(c.db, max(oldDecisions, at+"\x00"), oldDecisions+"\xff", func(item *badger.Item) error {
		if b.full() {
			return errEnough
		}
		at = string(item.Key())
		value, err := item.ValueCopy(nil)
		if err != nil {
			return err
		}
		d, err := ledger.DecodeDecision(value)
		if err != nil {
			c.bad, c.worst = c.bad+1, fmt.Sprintf("%s (%v)", at, err)
			return nil
		}
		e := newEntry(d, value)
		entries, b = append(entries, e), b.with(e)
		return nil
	})
	return entries, at, err
}

// end takes the old keys away, and notes in st what the pages take.
func (c *decisionConverter) end(st *stand) error {
	if err := c.db.DropPrefix([]byte(oldDecisions), []byte(oldIDs), []byte(oldHistories)); err != nil {
		return err
	}
	st.History = 0
	err := scan(c.db, filterPrefix, true, func(item *badger.Item) error {
		return withFilter(item, func(f filter) error {
			st.History += f.size + int64(len(item.Key())) + item.ValueSize()
			return nil
		})
	})
	if err != nil {
		return err
	}
	return c.db.Update(func(txn *badger.Txn) error {
		if err := txn.Delete([]byte(convertDecisionsKey)); err != nil {
			return err
		}
		return setJSON(txn, []byte(standKey), st)
	})
}
