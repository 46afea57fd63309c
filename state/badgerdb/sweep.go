package badgerdb

import (
	"errors"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"

	"o2n-milter/state/internal/ledger"
)

const (
	// sweepKeys is how many subjects and pages of members are looked at in one go: some 5 ms.
	sweepKeys = 2000
	// sweepGoes is how many goes there are in a second while most of what is found is
	// dead, so that a flood of names is swept as fast as it came.
	sweepGoes = 5
	// sweepDecisions is how many decisions are deleted in one go.
	sweepDecisions = 300
	// sweepAgain is after how many goes decisions are looked for from the first one
	// on: one may have been recorded with an older time than those deleted.
	sweepAgain = 3600
)

// The sweeper deletes what no longer counts, bit by bit: subjects whose windows have been
// empty for as long as they are and whose members have been forgotten, decisions over
// their retention or over MaxSize. It goes by the store's time line.
type sweeper struct {
	mu     sync.Mutex // one sweeps at a time
	at     string     // the key where looking at subjects goes on
	oldest string     // no decision is before this key
	goes   int
}

// errEnough ends a scan.
var errEnough = errors.New("enough")

func (s *Store) sweep() {
	s.sweeper.mu.Lock()
	defer s.sweeper.mu.Unlock()
	line := s.clock.Line()
	if line == 0 {
		return // no call was made yet: nobody knows what time it is
	}
	for range sweepGoes {
		dead, err := s.sweepSubjects(line)
		if err != nil || dead < sweepKeys/2 {
			s.sweepFault(err)
			break
		}
	}
	for range sweepGoes {
		n, err := s.sweepHistory(line)
		if err != nil || n < sweepDecisions {
			s.sweepFault(err)
			break
		}
	}
}

func (s *Store) sweepFault(err error) {
	if err != nil && s.awayWhy() == "" {
		s.log.Warn("store: sweep", "err", err)
	}
}

// sweepSubjects looks at the next subjects and pages and deletes the dead.
func (s *Store) sweepSubjects(line int64) (dead int, err error) {
	g := graves{line: line}
	err = s.base.use(func(db *badger.DB) error {
		seen := 0
		s.sweeper.at, err = walk(db, max(s.sweeper.at, membersPrefix), subjectPrefix+"\xff", func(item *badger.Item) error {
			if seen++; seen > sweepKeys {
				return errEnough
			}
			return g.look(db, item)
		})
		return err
	})
	if err != nil {
		return 0, err
	}
	return len(g.corpses), s.bury(g.corpses)
}

// sweepHistory deletes the oldest decisions: those over their retention, and, over
// MaxSize, as many as it takes.
func (s *Store) sweepHistory(line int64) (n int, err error) {
	// Decisions have the callers' time, which may differ from the line where a clock
	// was set: what is old by both is old.
	old := min(line, s.windows.Latest().UnixNano()) - int64(s.options.Retention)
	excess := s.writer.standing().History - s.options.MaxSize
	if s.windows.Latest().IsZero() {
		old = 0
	}
	if s.sweeper.goes++; s.sweeper.goes%sweepAgain == 0 {
		s.sweeper.oldest = ""
	}
	var corpses []corpse
	err = s.base.use(func(db *badger.DB) error {
		s.sweeper.oldest, err = walk(db, max(s.sweeper.oldest, decisionPrefix), decisionPrefix+"\xff", func(item *badger.Item) error {
			at, _, err := parsePlace(string(item.Key()[len(decisionPrefix):]))
			if err == nil && at.UnixNano() >= old && excess <= 0 {
				return errEnough
			}
			if n++; n > sweepDecisions {
				return errEnough
			}
			found, err := decisionCorpses(db, item)
			for _, c := range found {
				excess -= int64(c.history)
			}
			corpses = append(corpses, found...)
			return err
		})
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, s.bury(corpses)
}

// decisionCorpses are all records of a decision.
func decisionCorpses(db *badger.DB, item *badger.Item) ([]corpse, error) {
	value, err := item.ValueCopy(nil)
	if err != nil {
		return nil, err
	}
	key := item.KeyCopy(nil)
	corpses := []corpse{{key: key, version: item.Version(), history: len(key) + len(value)}}
	d, err := ledger.DecodeDecision(value)
	if err != nil {
		return corpses, nil // its index leads to nothing then, which nobody minds
	}
	err = db.View(func(txn *badger.Txn) error {
		for _, r := range decisionKeys(d) {
			c, err := r.corpse(txn)
			if err != nil {
				return err
			}
			if c != nil {
				corpses = append(corpses, *c)
			}
		}
		return nil
	})
	return corpses, err
}

// corpse is the record as it is stored; nil when there is another, or none.
func (r record) corpse(txn *badger.Txn) (*corpse, error) {
	item, err := txn.Get(r.key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	value, err := item.ValueCopy(nil)
	if err != nil || string(value) != string(r.value) {
		return nil, err
	}
	return &corpse{key: r.key, version: item.Version(), history: len(r.key) + len(r.value)}, nil
}

// bury has the writer delete corpses, and waits for it.
func (s *Store) bury(corpses []corpse) error {
	if len(corpses) == 0 {
		return nil
	}
	done := make(chan error, 1)
	s.writer.put(op{dead: corpses, done: done})
	select {
	case err := <-done:
		return err
	case <-time.After(time.Minute): // the disk is stuck; what is queued is done later
		return errors.New("the writer does not come to it")
	}
}

// walk calls f with the keys from one on and before another, until it returns
// errEnough. It returns the key at which to go on; empty when it came to the end.
func walk(db *badger.DB, from, before string, f func(*badger.Item) error) (at string, err error) {
	err = db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{PrefetchValues: true, PrefetchSize: 100})
		defer it.Close()
		for it.Seek([]byte(from)); it.Valid(); it.Next() {
			if string(it.Item().Key()) >= before {
				return nil
			}
			err := f(it.Item())
			if errors.Is(err, errEnough) {
				at = string(it.Item().Key())
				return nil
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return at, err
}
