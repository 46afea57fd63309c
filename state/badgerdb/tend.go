package badgerdb

import (
	"context"
	"time"

	"github.com/dgraph-io/badger/v4"

	"o2n-milter/internal/chaos"
)

// eachSecond does something each second until its context ends.
func eachSecond(do func()) func(context.Context) {
	return func(ctx context.Context) {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				do()
			}
		}
	}
}

// secure brings what was committed to the disk, and writes down how far that is.
func (s *Store) secure() {
	chaos.Point("store_sync")
	var err error
	if s.writer.unsigned() && s.awayWhy() == "" {
		err = s.writer.mark()
	}
	if e := s.syncDatabase(); err == nil {
		err = e
	}
	if e := s.save(false); err == nil {
		err = e
	}
	if err != nil && s.awayWhy() == "" {
		s.log.Error("store: what was committed could not be brought to the disk", "err", err)
		if fault := diskFault(err); fault != "" {
			s.goAway(fault)
		}
	}
}

// syncDatabase makes sure that all that was committed by now is on the disk.
func (s *Store) syncDatabase() error {
	st := s.writer.standing()
	if st.Commit == s.writer.durable().Commit {
		return nil
	}
	err := s.base.use(func(db *badger.DB) error {
		if s.options.Sync {
			return nil // it was before it was answered
		}
		return db.Sync()
	})
	if err == nil {
		s.writer.synced(st)
	}
	return err
}

// save writes the progress file, if there is anything new.
func (s *Store) save(clean bool) error {
	if line := s.clock.Line(); line != s.line.Line {
		now := s.host()
		s.line = progress{Line: line, Wall: now.wall, Boot: now.boot, Up: now.up}
	}
	st := s.writer.durable()
	p, last := s.line, s.progress.known()
	p.Commit, p.At, p.Journal, p.Clean = max(st.Commit, last.Commit), st.At, s.journal.Seq(), clean
	if st.Commit < last.Commit {
		p.At = last.At
	}
	if p.Boot == "" {
		now := s.host()
		p.Wall, p.Boot, p.Up = now.wall, now.boot, now.up
	}
	if same(p, last) {
		return nil
	}
	return s.progress.save(p)
}

func same(p, last progress) bool {
	return p.Commit == last.Commit && p.Journal == last.Journal && p.Line == last.Line && p.Clean == last.Clean &&
		p.Boot == last.Boot && last.Serial > 0
}
