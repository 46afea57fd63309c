package badgerdb

import (
	"errors"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"

	"o2n-milter/internal/chaos"
)

const (
	// sweepKeys is how many subjects and pages of members are looked at in one go: some 5 ms.
	sweepKeys = 2000
	// sweepGoes is how many goes there are in a second while most of what is found is
	// dead, so that a flood of names is swept as fast as it came.
	sweepGoes = 5
	// sweepPages is how many pages of decisions are deleted in one go.
	sweepPages = 20
	// sweepAgain is after how many goes pages are looked for from the first one on: one
	// may have been made of older times than those deleted.
	sweepAgain = 3600
)

// The sweeper deletes what no longer counts, bit by bit: subjects whose windows have been
// empty for as long as they are and whose members have been forgotten, decisions over
// their retention or over MaxSize. It goes by the store's time line.
type sweeper struct {
	mu     sync.Mutex // one sweeps at a time
	at     string     // the key where looking at subjects goes on
	oldest string     // no page's filter is before this key
	goes   int
}

// errEnough ends a scan.
var errEnough = errors.New("enough")

func (s *Store) sweep() {
	chaos.Point("store_sweep")
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
		if err != nil || n < sweepPages {
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

// sweepHistory deletes the oldest pages of decisions: those over their retention, and,
// over MaxSize, as many as it takes; then drafts likewise.
func (s *Store) sweepHistory(line int64) (n int, err error) {
	// Decisions have the callers' time, which may differ from the line where a clock
	// was set: what is old by both is old.
	old := min(line, s.windows.Latest().UnixNano()) - int64(s.options.Retention)
	if s.windows.Latest().IsZero() {
		old = 0
	}
	s.history.horizon.Store(old)
	if s.sweeper.goes++; s.sweeper.goes%sweepAgain == 0 {
		s.sweeper.oldest = ""
	}
	pages, n, err := s.oldPages(old, s.writer.standing().History-s.options.MaxSize)
	if err == nil {
		err = s.forget(pages, func(error) {})
	}
	if err != nil || n >= sweepPages {
		return n, err
	}
	drafts, records := s.history.sweep(old, s.writer.standing().History-s.options.MaxSize)
	return n, s.forget(records, func(err error) {
		if err == nil {
			s.history.remove(drafts)
		} else {
			s.history.spare(drafts)
		}
	})
}

// oldPages are the records to delete of pages that go, the oldest first: those that end
// before old, and others while there is an excess of bytes.
func (s *Store) oldPages(old, excess int64) (records []record, n int, err error) {
	err = s.base.use(func(db *badger.DB) error {
		s.sweeper.oldest, err = walk(db, max(s.sweeper.oldest, filterPrefix), filterPrefix+"\xff", func(item *badger.Item) error {
			if n == sweepPages {
				return errEnough
			}
			gone := record{key: item.KeyCopy(nil), gone: true, history: -int(int64(len(item.Key())) + item.ValueSize())}
			err := withFilter(item, func(f filter) error {
				if f.last >= old && excess <= 0 {
					return errEnough
				}
				records = append(records, record{key: decisionsKey(f.place), gone: true, history: -int(f.size)})
				excess -= f.size
				return nil
			})
			if errors.Is(err, errEnough) {
				return err
			}
			n++ // one of no page that we know is none that anybody finds
			records = append(records, gone)
			excess += int64(gone.history)
			return nil
		})
		return err
	})
	return records, n, err
}

// bury has the writer delete corpses, and waits for it.
func (s *Store) bury(corpses []corpse) error {
	if len(corpses) == 0 {
		return nil
	}
	return s.await(op{dead: corpses})
}

// forget has the writer delete records of decisions, and waits for it.
func (s *Store) forget(records []record, settled func(error)) error {
	if len(records) == 0 {
		return nil
	}
	return s.await(op{history: &change{records: records, settled: settled}})
}

func (s *Store) await(o op) error {
	done := make(chan error, 1)
	o.done = done
	s.writer.put(o)
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
