package badgerdb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"o2n-milter/internal/chaos"
	"o2n-milter/state/internal/ledger"
)

const (
	// look is how often the disk is looked at: statfs takes some microseconds.
	look = 100 * time.Millisecond
	// patience is for how long a commit under way is waited for before the database
	// is closed under it.
	patience = 2 * time.Second
	// closeWait is for how long Close waits for a database that does not close: Badger
	// tries for ever to write what it must. What it holds is in its log files.
	closeWait = 10 * time.Second
	// A database that could not be opened again is tried after this, and ever later.
	shortPause = time.Second
	longPause  = time.Minute
)

// keeper sees to a database that the disk cannot bear. Only watch uses it, and Close when that has ended.
type keeper struct {
	guard   guard
	closing chan error // Badger's answer to Close; nil: it was not asked
	retry   time.Time  // not opened before; zero: at once
	pause   time.Duration
}

// watch looks at the disk.
func (s *Store) watch(ctx context.Context) {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			r, err := roomAt(s.options.Path)
			if err != nil {
				s.log.Warn("store: the disk cannot be looked at", "err", err)
				continue
			}
			s.look(now, r)
		}
	}
}

// look does what the disk's room asks for. While there is none, the database is left
// alone: it takes no more pages than it has, where closing it would write some MB. It
// is closed, and opened with all its checks, when there is room again.
func (s *Store) look(now time.Time, r room) {
	chaos.Point("store_disk")
	k := &s.keeper
	if k.guard.look(r); k.guard.why != "" {
		s.goAway(k.guard.why)
		return
	}
	switch {
	case s.awayWhy() == "" || now.Before(k.retry):
	case k.closing != nil:
		s.awaitClosed(now)
	case s.base.handle() == nil:
		s.comeBack(now)
	default:
		s.closeAway(now)
	}
}

// closeAway closes a database that was left alone. Where nothing can be written Badger
// would try for ever.
func (s *Store) closeAway(now time.Time) {
	if err := s.probe(); err != nil {
		s.keeper.retry = now.Add(shortPause)
		return
	}
	s.startClosing()
}

func (s *Store) awayWhy() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.why
}

// goAway makes judging go on from memory. The database is neither read nor written to
// any more.
func (s *Store) goAway(why string) {
	s.mu.Lock()
	first := s.why == ""
	s.why = why
	s.mu.Unlock()
	if !first {
		return
	}
	// In this order: no call reads a database that is closing, and what the writer
	// cannot write it may leave in memory.
	s.windows.Detach()
	s.absent.Store(true)
	s.base.closed.Store(true)
	s.log.Error("store: judging goes on from memory, decisions are not kept", "why", why)
}

// badgerFault is told of Badger's own complaints, which it makes for ever.
func (s *Store) badgerFault(text string) {
	if fault := diskFault(errors.New(text)); fault != "" && s.begun.Load() {
		go s.goAway(fault) // not in Badger's goroutine, which may hold its locks
	}
}

// startClosing closes the database when no commit is under way, or has been for too
// long: then Badger is stuck in it, and closing is what ends it.
func (s *Store) startClosing() {
	select {
	case s.writer.turn <- struct{}{}:
		defer func() { <-s.writer.turn }()
	case <-time.After(patience):
	}
	db := s.base.take()
	s.keeper.closing = make(chan error, 1)
	go func() { s.keeper.closing <- db.Close() }()
}

func (s *Store) awaitClosed(now time.Time) {
	select {
	case err := <-s.keeper.closing:
		s.keeper.closing = nil
		if err != nil {
			s.log.Warn("store: closing the database", "err", err)
		}
		s.comeBack(now)
	default:
	}
}

// comeBack opens the database again and gives it what it has missed.
func (s *Store) comeBack(now time.Time) {
	err := s.probe()
	var o *opened
	if err == nil {
		o, err = s.openDatabase()
	}
	if err == nil {
		if err = s.rejoin(o); err != nil {
			s.keeper.closing = make(chan error, 1)
			s.base.take()
			go func() { s.keeper.closing <- o.db.Close() }()
		}
	}
	if err != nil {
		s.postpone(now, err)
		return
	}
	s.keeper.pause = 0
	if err := s.report(); err != nil {
		s.log.Error("store: DAMAGE.txt", "err", err)
	}
}

func (s *Store) postpone(now time.Time, err error) {
	k := &s.keeper
	k.pause = min(max(shortPause, 2*k.pause), longPause)
	k.retry = now.Add(k.pause)
	s.goAway(fmt.Sprintf("the database could not be opened again: %v", err))
	s.log.Warn("store: the database could not be opened again", "err", err, "next", k.pause)
}

// probe writes a little: free space alone does not say that one may.
func (s *Store) probe() error {
	path := filepath.Join(s.options.Path, "probe")
	if err := writeSynced(path, make([]byte, 64<<10)); err != nil {
		return err
	}
	return os.Remove(path)
}

// rejoin gives an opened database what was put and charged without it. Nothing is
// written to it by others meanwhile; calls go on, in memory.
func (s *Store) rejoin(o *opened) error {
	s.writer.turn <- struct{}{}
	defer func() { <-s.writer.turn }()
	s.base.put(o.db)
	s.absent.Store(false)
	if err := s.adopt(o); err != nil {
		s.absent.Store(true)
		s.base.closed.Store(true)
		return err
	}
	s.mu.Lock()
	s.why = ""
	s.mu.Unlock()
	handed := 0
	err := s.windows.Attach(func(c *ledger.Change) {
		handed += c.Subjects()
		s.writer.put(op{windows: c})
	})
	if err != nil {
		s.log.Warn("store: some windows could not be read, and wait in memory", "err", err)
	}
	s.log.Info("store: the database is back", "subjects", handed,
		"subjects_forgotten", s.windows.Held().Lost, "decisions_dropped", s.writer.dropped.Swap(0))
	return nil
}

// lastChance opens a database that is away once more before the store is closed, if
// there is room: what memory alone holds would be forgotten.
func (s *Store) lastChance() {
	if s.awayWhy() == "" {
		return
	}
	if err := s.tryOnce(); err != nil {
		s.log.Error("store: closed without its database: what was charged since it went away is forgotten, blocks are not", "why", err)
	}
}

// tryOnce closes and opens it, if it may.
func (s *Store) tryOnce() error {
	r, err := roomAt(s.options.Path)
	if err != nil {
		return err
	}
	if why := r.shortage(uint64(s.options.MinFree), minInodes); why != "" {
		return errors.New(why)
	}
	if err := s.probe(); err != nil {
		return err
	}
	if s.base.handle() != nil {
		s.startClosing()
	}
	if s.keeper.closing != nil {
		if err := awaitClose(s.keeper.closing); err != nil {
			return err
		}
	}
	o, err := s.openDatabase()
	if err != nil {
		return err
	}
	if err := s.rejoin(o); err != nil {
		s.base.take()
		return errors.Join(err, o.db.Close())
	}
	return nil
}

func awaitClose(closing chan error) error {
	select {
	case err := <-closing:
		return err
	case <-time.After(closeWait):
		return errors.New("the database does not close; its log files hold what was committed")
	}
}

// closeDatabase ends a database that is there, and says so in the progress file.
func (s *Store) closeDatabase() error {
	if s.awayWhy() != "" {
		if err := s.save(false); err != nil {
			s.log.Warn("store: how far the database is could not be written down", "err", err)
		}
		return nil
	}
	db := s.base.take()
	closing := make(chan error, 1)
	go func() { closing <- db.Close() }()
	if err := awaitClose(closing); err != nil {
		return err
	}
	s.writer.synced(s.writer.standing())
	return s.save(true)
}
