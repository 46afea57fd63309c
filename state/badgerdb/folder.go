package badgerdb

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"o2n-milter/state"
)

// The store's folder:
//
//	badger/            the database
//	badger.bad-TIME/   a damaged one, or damaged parts of one; the newest two are kept
//	journal            every doc, in text (state/internal/journal)
//	format             the number of the layout: what is newer is not touched
//	progress           how far the database was on the disk, and the time line
//	opening            there while the database is being opened: starts that died
//	DAMAGE.txt         what was found damaged and what was done, for the operator
//	lock               held while a process runs
const (
	keptBad = 2
	// maxNotice bounds DAMAGE.txt, in bytes; the log has everything.
	maxNotice = 256 << 10
	// deadStarts in a row are enough: whoever dies of a database twice dies of it again.
	deadStarts = 2
)

type folder struct {
	path string
	log  *slog.Logger
	lock *os.File
}

// openFolder makes the folder where there is none, and locks it.
func openFolder(path string, log *slog.Logger) (*folder, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	name := filepath.Join(path, "lock")
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if isReadOnly(err) {
		f, err = os.Open(name)
	}
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = errors.New("it is in use: another o2n-milter runs on this folder (only one process can)")
		}
		return nil, errors.Join(err, f.Close())
	}
	opened := &folder{path: path, log: log, lock: f}
	if err := opened.checkFormat(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return opened, nil
}

// checkFormat refuses what a later version has written, before anything else in the folder
// is looked at: what that wrote may look damaged from here. A file that says nothing is
// no fault, since the database and the journal have the number too.
func (f *folder) checkFormat() error {
	text, err := os.ReadFile(f.format())
	if err != nil {
		return nil
	}
	if n, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && n > format {
		return newerFormat(n)
	}
	return nil
}

// saveFormat makes the file say what the folder now holds.
func (f *folder) saveFormat() {
	want := strconv.Itoa(format) + "\n"
	if text, err := os.ReadFile(f.format()); err == nil && string(text) == want {
		return
	}
	if err := os.WriteFile(f.format(), []byte(want), 0o600); err != nil {
		f.log.Warn("store: the number of its layout is not written beside it", "err", err)
	}
}

func newerFormat(n int) error {
	return fmt.Errorf("format %d (this version reads up to %d): %w", n, format, state.ErrNewer)
}

func isReadOnly(err error) bool { return errors.Is(err, unix.EROFS) }

func (f *folder) close() error { return f.lock.Close() }

func (f *folder) database() string { return filepath.Join(f.path, "badger") }
func (f *folder) format() string   { return filepath.Join(f.path, "format") }
func (f *folder) journal() string  { return filepath.Join(f.path, "journal") }
func (f *folder) marker() string   { return filepath.Join(f.path, "opening") }

// deaths says how many starts in a row have died at opening the database. Badger may
// panic in goroutines of its own, and a mapped page that cannot be read is a SIGBUS:
// nothing in the process can catch those.
func (f *folder) deaths() (int, error) {
	text, err := os.ReadFile(f.marker())
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	dead, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || dead < 1 {
		return 1, nil // cut off when its start died
	}
	return dead, nil
}

// begin marks that this is the n-th start in a row that may die.
func (f *folder) begin(n int) error {
	return writeSynced(f.marker(), []byte(strconv.Itoa(n)+"\n"))
}

// begun takes the mark away.
func (f *folder) begun() error {
	if err := os.Remove(f.marker()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDir(f.path)
}

// setAside gives the database another name, and returns it.
func (f *folder) setAside(now time.Time) (string, error) {
	bad, err := f.badName(now)
	if err != nil {
		return "", err
	}
	if err := os.Rename(f.database(), bad); err != nil {
		return "", err
	}
	return bad, errors.Join(syncDir(f.path), f.prune())
}

// setFilesAside moves files of the database into a folder of their own.
func (f *folder) setFilesAside(now time.Time, names []string) (string, error) {
	bad, err := f.badName(now)
	if err != nil {
		return "", err
	}
	if err := os.Mkdir(bad, 0o700); err != nil {
		return "", err
	}
	for _, name := range names {
		if err := os.Rename(filepath.Join(f.database(), name), filepath.Join(bad, name)); err != nil {
			return "", err
		}
	}
	return bad, errors.Join(syncDir(bad), syncDir(f.database()), syncDir(f.path), f.prune())
}

// badName is free: several may be set aside in one second.
func (f *folder) badName(now time.Time) (string, error) {
	name := f.database() + ".bad-" + now.UTC().Format("20060102T150405.000Z")
	for i := range 1000 {
		free := name
		if i > 0 {
			free = fmt.Sprintf("%s-%d", name, i)
		}
		if _, err := os.Lstat(free); errors.Is(err, fs.ErrNotExist) {
			return free, nil
		}
	}
	return "", fmt.Errorf("%s and 999 more are taken", name)
}

// prune removes all but the newest that were set aside: they may be large, and what
// happened first is told in DAMAGE.txt.
func (f *folder) prune() error {
	bad, err := filepath.Glob(f.database() + ".bad-*")
	if err != nil {
		return err
	}
	slices.Sort(bad)
	for _, name := range bad[:max(0, len(bad)-keptBad)] {
		f.log.Warn("store: the oldest damaged database is removed; the newest two are kept", "folder", name)
		if err := os.RemoveAll(name); err != nil {
			return err
		}
	}
	return nil
}

// tell writes a line for the operator.
func (f *folder) tell(now time.Time, text string) error {
	file, err := os.OpenFile(filepath.Join(f.path, "DAMAGE.txt"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil && info.Size() < maxNotice {
		_, err = fmt.Fprintf(file, "%s  %s\n", now.UTC().Format(time.RFC3339), text)
	}
	return errors.Join(err, file.Close())
}

// size is what the folder takes on the disk, in bytes; files of Badger's are longer
// than what they take.
func (f *folder) size() (int64, error) {
	var n int64
	err := filepath.WalkDir(f.path, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed while we look
		}
		if err != nil || d.IsDir() {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			if errors.Is(err, unix.ENOENT) {
				return nil
			}
			return err
		}
		n += st.Blocks * 512
		return nil
	})
	return n, err
}

// writeSynced replaces a file, and waits for the disk.
func writeSynced(path string, text []byte) error {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes what happened to the names in dir last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
