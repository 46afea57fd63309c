package accounts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// A changed file is read when it has been quiet for this long, so that one that
// is being written in place is not read half done ...
const quiet = 200 * time.Millisecond

// ... but at the latest this long after the first change.
const patience = 2 * time.Second

// The file is also looked at this often: network file systems report nothing,
// and a folder that was replaced as a whole is watched no more.
const lookEvery = 30 * time.Second

// ErrNotWatched is told where the kernel tells of no changes, as with too many inotify
// instances on the host: they are noticed when the file is looked at, within 30 s.
var ErrNotWatched = errors.New("changes are noticed within half a minute only")

// Directory is a Source over all accounts that the configuration and the map
// file name. It reads them again when the map file changes. What cannot be read
// or is wrong is refused as a whole and the old accounts stay.
type Directory struct {
	table atomic.Pointer[Table]
	path  string
	read  func() ([]*Account, error)
	told  func(accounts int, err error)

	mu   sync.Mutex // one read at a time
	seen signature  // of the file as it was before the last read; under mu

	stop chan struct{}
	once sync.Once
	done sync.WaitGroup
}

// signature tells one version of a file from the next without reading it.
type signature struct {
	inode uint64 // 0 when there is no file
	size  int64
	mod   time.Time
}

// Open reads the accounts with read, which gives those of the configuration and
// of the file at path together, and from then on reads them again whenever that
// file changes. With an empty path nothing is watched. After each further read,
// and when the watching itself is in trouble (ErrNotWatched), told is called with the
// number of accounts in force and what was wrong, nil for nothing; it must not call
// back into the Directory.
func Open(path string, read func() ([]*Account, error), told func(accounts int, err error)) (*Directory, error) {
	d := &Directory{path: path, read: read, told: told, stop: make(chan struct{})}
	if err := d.load(); err != nil {
		return nil, err
	}
	if path == "" {
		return d, nil
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		told(d.Table().Len(), fmt.Errorf("%w: watch %s: %w", ErrNotWatched, path, err))
		watcher = nil // looking now and then must do
	}
	if err := d.attach(watcher); err != nil {
		told(d.Table().Len(), err)
	}
	// Between the read above and the watch the file may have changed unseen.
	if d.changed() {
		_ = d.Reload() // told has been told
	}
	d.done.Go(func() { d.follow(watcher) })
	return d, nil
}

// Table is the one in force.
func (d *Directory) Table() *Table { return d.table.Load() }

// Reload reads the accounts now. With an error the old ones stay.
func (d *Directory) Reload() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.loadLocked()
	d.told(d.Table().Len(), err)
	return err
}

// Close ends the watching. The accounts stay as they are.
func (d *Directory) Close() {
	d.once.Do(func() { close(d.stop) })
	d.done.Wait()
}

func (d *Directory) load() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.loadLocked()
}

// loadLocked takes a panic over what the file holds for a fault in it: the old accounts
// stay, and so does the daemon.
func (d *Directory) loadLocked() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	// Before the read: a change while it is read makes it differ afterwards.
	d.seen = sign(d.path)
	list, err := d.read()
	if err != nil {
		return err
	}
	table, clashes := NewTable(list)
	if len(clashes) > 0 {
		errs := make([]error, 0, len(clashes))
		for _, c := range clashes {
			errs = append(errs, c)
		}
		return errors.Join(errs...)
	}
	d.table.Store(table)
	return nil
}

func (d *Directory) changed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.seen != sign(d.path)
}

func sign(path string) signature {
	info, err := os.Stat(path)
	if err != nil {
		return signature{}
	}
	s := signature{size: info.Size(), mod: info.ModTime()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		s.inode = sys.Ino
	}
	return s
}

// attach watches the file's folder, not the file: editors and configuration
// managers put a new file in its place. Behind a symbolic link it is the link's
// and the target's folder. A folder that is not there yet is no fault.
func (d *Directory) attach(w *fsnotify.Watcher) error {
	if w == nil {
		return nil
	}
	folders := []string{filepath.Dir(d.path)}
	if target, err := filepath.EvalSymlinks(d.path); err == nil {
		folders = append(folders, filepath.Dir(target))
	}
	for _, folder := range folders {
		err := w.Add(folder)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fsnotify.ErrClosed) {
			return fmt.Errorf("%w: watch %s: %w", ErrNotWatched, folder, err)
		}
	}
	return nil
}

// follow turns changes of the folder into reads of the file until Close.
func (d *Directory) follow(w *fsnotify.Watcher) {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	var events <-chan fsnotify.Event
	var lost <-chan error
	if w != nil {
		defer func() { _ = w.Close() }()
		events, lost = w.Events, w.Errors
	}
	var due <-chan time.Time
	var last time.Time // when due must fire at the latest
	for {
		select {
		case <-d.stop:
			return
		case e := <-events:
			if filepath.Base(e.Name) != filepath.Base(d.path) && !d.changed() {
				continue
			}
			if due == nil {
				last = time.Now().Add(patience)
			}
			due = time.After(min(quiet, max(0, time.Until(last))))
		case <-lost: // the kernel's queue ran over
			if due == nil {
				due = time.After(quiet)
			}
		case <-look.C:
			if due == nil && d.changed() {
				due = time.After(quiet)
			}
			_ = d.attach(w) // a folder that came or came back; told of the rest at Open
		case <-due:
			due = nil
			_ = d.Reload() // told has been told
			_ = d.attach(w)
		}
	}
}

// ByLogin implements Source.
func (d *Directory) ByLogin(ctx context.Context, login string) (*Account, error) {
	return d.Table().ByLogin(ctx, login)
}

// ByScript implements Source.
func (d *Directory) ByScript(ctx context.Context, sender string) (*Account, error) {
	return d.Table().ByScript(ctx, sender)
}

// ByIP implements Source.
func (d *Directory) ByIP(ctx context.Context, client netip.Addr) (*Account, error) {
	return d.Table().ByIP(ctx, client)
}

// ByDomain implements Source.
func (d *Directory) ByDomain(ctx context.Context, domain string) (*Owner, error) {
	return d.Table().ByDomain(ctx, domain)
}
