package badgerdb

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/dgraph-io/badger/v4"

	"o2n-milter/state"
)

// format is the layout of keys and values that this version writes; it reads no
// newer one.
const format = 2

// opened is a database fit to be used.
type opened struct {
	db     *badger.DB
	stand  stand
	marks  []found
	faults []string // what was damaged, and what was done about it
	aside  bool     // it is a new one: the old one was set aside
}

// openDatabase opens the database, whatever state it is in. What is damaged is
// repaired, or left out, or the whole is set aside and a new one begun; what is not
// damage (no rights, another program's, a newer version's) is an error.
func (s *Store) openDatabase() (*opened, error) {
	o, err := s.openMarked()
	if err != nil {
		return nil, err
	}
	if err := s.whole(func() error { return s.convertDecisions(o) }); err != nil {
		return nil, errors.Join(err, o.db.Close())
	}
	return o, nil
}

// openMarked opens it, and marks meanwhile that this start may die of it.
func (s *Store) openMarked() (o *opened, err error) {
	o = &opened{}
	dead, err := s.prepare(o)
	if err != nil {
		return nil, err
	}
	// Marked no longer than it takes: a start that is killed for being slow has not died
	// of the database. Reading all tables, in prepare, and converting are what may be slow.
	if err := s.folder.begin(dead + 1); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.folder.begun()) }() // whatever came of it, nothing died
	if err := s.openBadger(o); err != nil {
		return nil, err
	}
	if err := s.whole(func() error { return errors.Join(s.checkFormat(o), s.examine(o)) }); err != nil {
		return nil, errors.Join(err, o.db.Close())
	}
	s.folder.saveFormat()
	return o, nil
}

// prepare makes the folder fit to be opened, and says how many starts in a row have
// died of what is in it now.
func (s *Store) prepare(o *opened) (dead int, err error) {
	dead, err = s.folder.deaths()
	if err != nil {
		return 0, err
	}
	if dead >= deadStarts {
		return 0, s.setAside(o, fmt.Errorf("%d starts in a row died of it", dead))
	}
	faults, err := s.folder.repair(s.host().wall)
	o.faults = append(o.faults, faults...)
	if err == nil || refusal(err) {
		return dead, err
	}
	return 0, s.setAside(o, err)
}

// setAside puts a new database in the place of the one that is there.
func (s *Store) setAside(o *opened, why error) error {
	bad, err := s.folder.setAside(s.host().wall)
	if errors.Is(err, os.ErrNotExist) {
		return nil // it had not even been made
	}
	if err != nil {
		return fmt.Errorf("%w, and it cannot be set aside: %w", why, err)
	}
	o.aside = true
	o.faults = append(o.faults, fmt.Sprintf("the database could not be opened (%v); it was set aside as %s and a new one begun: "+
		"charges, known recipients and decisions are forgotten, blocks are not", why, filepath.Base(bad)))
	return nil
}

// refusal says that an error is none of the database's: another start would do, or
// another user, or another version.
func refusal(err error) bool {
	if errors.Is(err, state.ErrNewer) || diskFault(err) != "" {
		return true
	}
	for _, s := range []string{"permission denied", "too many open files", "cannot allocate memory", "Cannot acquire directory lock"} {
		if strings.Contains(err.Error(), s) {
			return true
		}
	}
	return false
}

// remedy is what may make a database open that does not: files set aside, of which
// Badger makes new ones.
type remedy struct {
	files []string // patterns
	told  string
}

var remedies = []remedy{
	{[]string{"*.vlog", "DISCARD", "KEYREGISTRY"}, "files of the database that hold nothing of ours were damaged (no value is long enough for the value log, and nothing is encrypted)"},
	{[]string{"*.mem"}, "the database's log was damaged: the newest charges and decisions are forgotten"},
}

func (s *Store) openBadger(o *opened) error {
	err := s.tryBadger(o)
	for _, r := range remedies {
		if err == nil || refusal(err) || o.aside {
			break
		}
		if err = s.apply(o, r, err); err != nil && errors.As(err, new(badgerPanic)) {
			break
		}
	}
	if err == nil || refusal(err) {
		return err
	}
	if errors.As(err, new(badgerPanic)) {
		// Its goroutines may live on, and write into the folder: not in this process.
		return errors.Join(s.setAside(o, err), s.tell(o.faults), errors.New("start again: the next start finds a new database"))
	}
	if err := s.setAside(o, err); err != nil {
		return err
	}
	return s.tryBadger(o)
}

// apply sets files aside and tries again.
func (s *Store) apply(o *opened, r remedy, why error) error {
	var names []string
	for _, pattern := range r.files {
		found, _ := filepath.Glob(filepath.Join(s.folder.database(), pattern)) // the patterns are good
		for _, name := range found {
			names = append(names, filepath.Base(name))
		}
	}
	if len(names) == 0 || errors.As(why, new(badgerPanic)) {
		return why
	}
	bad, err := s.folder.setFilesAside(s.host().wall, names)
	if err != nil {
		return errors.Join(why, err)
	}
	if err := s.tryBadger(o); err != nil {
		return err
	}
	o.faults = append(o.faults, fmt.Sprintf("%s; they are set aside as %s (%v)", r.told, filepath.Base(bad), why))
	return nil
}

// badgerPanic is what Badger panicked with while it was opened.
type badgerPanic struct{ what any }

func (p badgerPanic) Error() string { return fmt.Sprintf("panic: %.200v", p.what) }

func (s *Store) tryBadger(o *opened) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = badgerPanic{r}
		}
	}()
	o.db, err = badger.Open(badgerOptions(s.folder.database(), s.options.Sync, &badgerLog{log: s.log, fault: s.badgerFault}))
	return err
}

// checkFormat refuses what a newer version, or another program, has written.
func (s *Store) checkFormat(o *opened) error {
	value, found, err := get(o.db, []byte(formatKey))
	if err != nil {
		return err
	}
	if !found {
		return s.initFormat(o)
	}
	n, err := strconv.Atoi(string(value))
	switch {
	case err != nil || n < 1:
		return fmt.Errorf("%s: found %q; want a number", formatKey, value)
	case n > format:
		return newerFormat(n)
	case n < format:
		// First of all: an earlier version must not write to what is half converted.
		return writeFormat(o.db)
	}
	return nil
}

func writeFormat(db *badger.DB) error {
	return db.Update(func(txn *badger.Txn) error {
		return txn.Set([]byte(formatKey), []byte(strconv.Itoa(format)))
	})
}

var errNotEmpty = errors.New("not empty")

func (s *Store) initFormat(o *opened) error {
	err := scan(o.db, "", false, func(*badger.Item) error { return errNotEmpty })
	if errors.Is(err, errNotEmpty) {
		if s.progress.known().Commit == 0 && s.journal.Seq() == 0 {
			return errors.New("a Badger database of another program: it holds keys but no " + formatKey)
		}
		o.faults = append(o.faults, "the database has lost its "+formatKey)
	} else if err != nil {
		return err
	}
	return writeFormat(o.db)
}

// examine compares what the database holds with what it should.
func (s *Store) examine(o *opened) (err error) {
	o.stand, o.marks, err = readStand(o.db)
	if err != nil {
		o.faults = append(o.faults, fmt.Sprintf("it is not known how far the database is: %v", err))
		return nil
	}
	p := s.progress.known()
	o.faults = append(o.faults, gaps(o.marks)...)
	if back := rolledBack(o.stand, p); back != "" && !o.aside {
		o.faults = append(o.faults, back)
		return nil
	}
	lost := s.progress.lost
	s.progress.lost = "" // and is told once
	switch {
	case lost != "" && o.stand.Commit > 0:
		s.log.Warn("store: whether the database has lost anything cannot be told: the file progress was lost", "why", lost)
	case !s.options.Sync && !p.Clean && p.Commit > 0 && p.Boot != s.host().boot:
		s.log.Warn("store: the host went down without notice; with durability = \"process\" charges of about the last second before that may be forgotten",
			"after", utc(p.At))
	}
	return nil
}
