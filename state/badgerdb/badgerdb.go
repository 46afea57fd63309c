// Package badgerdb is the durable store of one host, on an embedded Badger.
//
// Memory decides (state/internal/ledger), Badger remembers. One writer commits for
// all sessions: a call changes memory, queues what it changed, and waits for the
// commit that holds it. The writer takes everything queued at one moment, in which
// no call is half done, and writes each window's value of that moment: so a key
// never goes back to an older value, and after a crash a message stands in all
// its windows or in none. If a commit does not succeed, its changes are taken back
// from memory and every call waiting for it gets the error.
//
// What an error means: nothing was kept, with one exception. When the context
// ends while the commit is under way, the charge, block or lift may still stand;
// it is never forgotten once it was answered without an error.
//
// Decisions wait up to 50 ms for others, and are stored many to a record (history, page).
//
// What survives what. A commit survives kill -9. With Sync it is on the disk (fsync)
// before the answer, and survives a power cut too; without, the disk has it within a
// second, and a power cut may forget charges and decisions of about that second.
// Docs (blocks and the like) are in a journal beside the database, on the disk before
// the answer, whatever Sync says; they survive the loss of the database.
//
// The disk is watched. Below Options.MinFree, or when it cannot be written to, the
// database is left alone before it dies of it, and judging goes on from memory:
// windows that were not in memory begin at nothing, docs still go to the journal (in
// space reserved for them), decisions are dropped and counted. When there is room again
// the database is closed, opened, and gets what was charged meanwhile. A kill -9 in
// between loses the charges since the database was left alone, not the docs.
//
// Damage is never silent, and never a crash loop: openDatabase says what is done.
// Each commit has a number, and each second with commits a link in a chain of marks;
// so a database that has lost its end, or a part in the middle, is found out when it
// is opened. What was found is in the log, in DAMAGE.txt, and in Status for a day.
//
// Nothing is dropped by a clock that may be wrong: windows, members and decisions
// are deleted by a slow sweeper that goes by the store's time line, which is carried
// over a restart (resume) and does not follow the host's clock when that is set.
package badgerdb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"o2n-milter/state"
	"o2n-milter/state/internal/journal"
	"o2n-milter/state/internal/ledger"
)

const (
	defaultRetention = 30 * 24 * time.Hour
	defaultMaxSize   = 2_000_000_000
	// tellDamage is for how long Status speaks of what was found damaged.
	tellDamage = 24 * time.Hour
)

// Options say where and how.
type Options struct {
	Path      string        // folder; made when it does not exist
	Sync      bool          // durability = "power": fsync before the answer
	Retention time.Duration // of decisions; 0: 30 days
	MaxSize   int64         // of the decisions, in bytes, about; the oldest go first; 0: 2 GB
	MinFree   int64         // of the disk, in bytes, below which the database is left alone; 0: 96 MB
	Cache     int64         // of windows and sets in memory, in bytes; 0: not bounded
	Log       *slog.Logger  // nil: slog.Default
	Loop      state.Loop    // what runs beside the calls; nil: state.Unguarded
}

func (o Options) withDefaults() (Options, error) {
	if o.Path == "" {
		return o, errors.New("store without a path")
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Loop == nil {
		o.Loop = state.Unguarded
	}
	if o.Retention < 0 || o.MaxSize < 0 || o.MinFree < 0 || o.Cache < 0 {
		return o, fmt.Errorf("store %s: an option is below 0", o.Path)
	}
	o.Retention = cmp.Or(o.Retention, defaultRetention)
	o.MaxSize = cmp.Or(o.MaxSize, defaultMaxSize)
	o.MinFree = cmp.Or(o.MinFree, defaultMinFree)
	return o, nil
}

// Store implements state.Store.
type Store struct {
	ledger.DocCalls
	options  Options
	log      *slog.Logger
	host     func() reading // the host's clocks; tests have their own
	folder   *folder
	journal  *journal.Journal
	progress *progressFile
	base     *base
	windows  *ledger.Windows
	docs     *ledger.Docs
	writer   *writer
	history  *history
	clock    *state.Clock // the windows'
	sweeper  sweeper
	keeper   keeper
	begun    atomic.Bool // all of this is there
	line     progress    // where the time line was last seen to move; the other fields are empty

	key            *state.MemberKey // what members are hashed with
	journalDamaged bool             // and so not the only truth about docs
	faults         []string         // found since the last report

	mu     sync.Mutex
	why    string      // the database is away; empty: it is there
	absent atomic.Bool // the same, for the writer
	damage string      // what was found damaged
	since  time.Time   // by the host's clock

	// life is held for reading by every call, so that Close waits for them.
	life   sync.RWMutex
	closed bool

	stops    []func() // of what runs beside the calls
	closing  sync.Once
	closeErr error
}

var _ state.Store = (*Store)(nil)

var errClosed = errors.New("store is closed")

// Open opens the store in o.Path, or makes one there.
func Open(o Options) (*Store, error) { return open(o, readHost) }

func open(o Options, host func() reading) (*Store, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Store{
		options: o, log: o.Log, host: host, docs: ledger.NewDocs(), base: &base{},
		keeper: keeper{guard: guard{min: uint64(o.MinFree)}},
	}
	if err := s.begin(); err != nil {
		if db := s.base.take(); db != nil {
			err = errors.Join(err, db.Close())
		}
		return nil, fmt.Errorf("store %s: %w", o.Path, errors.Join(err, s.letGo()))
	}
	go s.writer.run()
	s.beside("store_disk", s.watch)
	s.beside("store_sync", eachSecond(s.secure))
	s.beside("store_sweep", eachSecond(s.sweep))
	s.beside("store_decisions", s.history.run)
	return s, nil
}

// beside runs a loop until the store is closed.
func (s *Store) beside(name string, run func(context.Context)) {
	s.stops = append(s.stops, s.options.Loop(context.Background(), name, run))
}

// begin opens what is in the folder.
func (s *Store) begin() (err error) {
	if s.folder, err = openFolder(s.options.Path, s.log); err != nil {
		return err
	}
	if s.progress, err = openProgress(progressPath(s.options.Path)); err != nil {
		return err
	}
	var docs []state.Doc
	if s.journal, docs, err = journal.Open(s.folder.journal(), s.log); err != nil {
		return err
	}
	s.loadJournal(docs)
	r, err := roomAt(s.options.Path)
	if err != nil {
		return err
	}
	s.resumeClock()
	if s.keeper.guard.look(r); s.keeper.guard.why == "" {
		err = s.beginHere()
	} else {
		err = s.beginAway(s.keeper.guard.why)
	}
	if err = errors.Join(err, s.report()); err != nil {
		return err
	}
	// From now on the store was not closed.
	if err := s.save(false); err != nil && s.awayWhy() == "" {
		return err
	}
	s.begun.Store(true)
	return nil
}

// beginHere begins with the database.
func (s *Store) beginHere() error {
	o, err := s.openDatabase()
	if err != nil {
		if fault := passing(err); fault != "" && s.base.db == nil {
			return s.beginAway(fault)
		}
		return err
	}
	s.checkJournal(max(o.stand.Journal, s.progress.known().Journal))
	if err := s.chooseKey(o.db); err != nil {
		return errors.Join(err, o.db.Close())
	}
	s.equip()
	s.base.put(o.db)
	err = s.adopt(o)
	if errors.As(err, new(ownPanic)) {
		s.goAway(err.Error()) // and opened again later, as often as it takes
		return nil
	}
	return err
}

// beginAway begins without it: from what the journal holds.
func (s *Store) beginAway(why string) error {
	s.checkJournal(s.progress.known().Journal)
	if err := s.chooseKey(nil); err != nil && diskFault(err) == "" {
		return err
	}
	s.equip()
	s.goAway(why)
	return nil
}

// equip makes what needs the key.
func (s *Store) equip() {
	s.windows = ledger.NewWindows(ledger.Options{
		Key: *s.key, Source: source{s.base}, Bytes: s.options.Cache, Clock: s.clock,
	})
	s.DocCalls = ledger.DocCalls{All: s.docs, Ready: s.ready, Put: s.PutDoc}
	s.writer = newWriter(s.base, s.log)
	s.writer.windows, s.writer.docs, s.writer.journal = s.windows, s.docs, s.journal
	s.writer.trouble, s.writer.away = s.goAway, s.absent.Load
	s.writer.ahead.least = s.keeper.guard.min
	s.history = newHistory(s.writer, s.options.Retention)
}

// adopt takes an opened database into use; nothing else writes to it meanwhile.
func (s *Store) adopt(o *opened) error {
	return s.whole(func() error { return s.takeUp(o) })
}

func (s *Store) takeUp(o *opened) error {
	s.faults = append(s.faults, o.faults...)
	s.checkJournal(max(o.stand.Journal, s.progress.known().Journal))
	records, err := s.reconcile(o.db)
	if err != nil {
		return err
	}
	more, err := s.keepKey(o.db)
	if err != nil {
		return err
	}
	records = append(records, more...)
	faults, dead, err := s.history.read(o.db)
	if err != nil {
		return err
	}
	s.faults, records = append(s.faults, faults...), append(records, dead...)
	if len(o.faults) > 0 {
		records = append(records, broken(o.marks)...)
		o.marks = nil
		m, err := mend(o.db)
		if err != nil {
			return err
		}
		s.faults, records = append(s.faults, m.faults...), append(records, m.records...)
		o.stand.History = m.size
	}
	s.writer.adopt(o.stand, o.marks, s.progress.known().Commit)
	if faults, err = s.convert(); err != nil {
		return err
	}
	s.faults = append(s.faults, faults...)
	if err := s.writer.inParts(records); err != nil || len(o.faults) == 0 {
		return err
	}
	// What was found is told once: numbers and marks go on from here.
	return s.writer.write(nil, nil)
}

// resumeClock goes on with the time line where the last process left it.
func (s *Store) resumeClock() {
	s.clock = &state.Clock{}
	p := s.progress.known()
	if p.Line == 0 {
		return
	}
	now := s.host()
	line, doubt := resume(p, now)
	if doubt != "" {
		s.log.Error("store: " + doubt)
	}
	s.clock = state.NewClock(now.wall, line)
	s.line = progress{Line: line, Wall: now.wall, Boot: now.boot, Up: now.up}
}

// report tells the operator what was found damaged: log, file and Status.
func (s *Store) report() error {
	faults := s.faults
	s.faults = nil
	if len(faults) == 0 {
		return nil
	}
	for _, fault := range faults {
		s.log.Error("store: damage", "found", fault)
	}
	s.mu.Lock()
	s.damage, s.since = "damage: "+strings.Join(faults, "; "), s.host().wall
	s.mu.Unlock()
	if err := s.tell(faults); err != nil && diskFault(err) == "" {
		return err
	}
	return nil
}

func (s *Store) tell(faults []string) error {
	for _, fault := range faults {
		if err := s.folder.tell(s.host().wall, fault); err != nil {
			return err
		}
	}
	return nil
}

// enter begins a call; leave ends it.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.life.RLock()
	if s.closed {
		s.life.RUnlock()
		return errClosed
	}
	if err := s.writer.broken(); err != nil {
		s.life.RUnlock()
		return err
	}
	return nil
}

func (s *Store) leave() { s.life.RUnlock() }

// Close waits for the calls at work, commits what is queued and lets go of the
// folder. Closing twice is fine.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.life.Lock()
		s.closed = true
		s.life.Unlock()
		for _, stop := range s.stops {
			stop()
		}
		s.lastChance()
		s.closeErr = errors.Join(s.writer.close(), s.closeDatabase(), s.letGo())
	})
	return s.closeErr
}

// letGo closes what else is open.
func (s *Store) letGo() error {
	var errs []error
	if s.journal != nil {
		errs = append(errs, s.journal.Close())
	}
	if s.progress != nil {
		errs = append(errs, s.progress.file.Close())
	}
	if s.folder != nil {
		errs = append(errs, s.folder.close())
	}
	return errors.Join(errs...)
}
