package journal

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const (
	newSuffix = ".new" // while the file is being written anew
	badSuffix = ".bad" // the last one that was damaged, as it was
)

// syncFile waits until the disk has a file, or the names in a folder. Tests cut the power
// between two of its calls.
var syncFile = (*os.File).Sync

// openLocked opens and locks the file; nil when there is none. On a file system that
// is read-only it opens it for reading: what it says counts all the same, and the
// fault makes Append put another file in its place as soon as that can be.
func openLocked(path string) (f *os.File, fault, err error) {
	for {
		f, err = os.OpenFile(path, os.O_RDWR, 0)
		if errors.Is(err, unix.EROFS) {
			fault = err
			f, err = os.Open(path)
		}
		if errors.Is(err, os.ErrNotExist) {
			return nil, nil, nil
		}
		if err != nil {
			return nil, nil, err
		}
		if err := lock(f); err != nil {
			return nil, nil, errors.Join(err, f.Close())
		}
		same, err := isAt(f, path)
		if err != nil || same {
			return f, fault, err
		}
		// It was written anew between opening and locking.
		if err := f.Close(); err != nil {
			return nil, nil, err
		}
	}
}

// lock keeps other processes out; it ends with the file, also after kill -9.
func lock(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errors.New("in use: another o2n-milter runs on this folder (only one process can)")
	}
	return err
}

func isAt(f *os.File, path string) (bool, error) {
	there, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	mine, err := f.Stat()
	return err == nil && os.SameFile(there, mine), err
}

// setAside keeps the file as it is under another name.
func (j *Journal) setAside() error {
	bad := j.path + badSuffix
	if err := os.Remove(bad); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.Link(j.path, bad)
}

// tidy writes the file anew when much of it no longer counts. That it cannot is no
// harm: it is tried again later.
func (j *Journal) tidy() {
	if j.lines <= 2*len(j.live)+slack || j.lines < j.compact {
		return
	}
	c, err := j.reread()
	if err == nil {
		err = j.rewrite(c)
	}
	if err != nil {
		j.compact = j.lines + slack
		j.log.Warn("journal: could not be written anew; it grows", "file", j.path, "lines", j.lines, "err", err)
	}
}

// mend writes the file anew after something went wrong with it.
func (j *Journal) mend() error {
	if j.fault == nil {
		return nil
	}
	c, err := j.reread()
	if err != nil {
		return err
	}
	if err := j.rewrite(c); err != nil {
		return fmt.Errorf("after %w: %w", j.fault, err)
	}
	return nil
}

// reread reads what counts: not what a write that failed has left behind it.
func (j *Journal) reread() (content, error) {
	return readLines(bufio.NewReader(io.NewSectionReader(j.file, 0, j.size)))
}

// rewrite puts a file with c's docs, and no deleted ones, in the place of the old
// one. Whatever happens on the way, the old or the new one is there, and whole.
func (j *Journal) rewrite(c content) error {
	lines, err := c.lean(max(j.seq, c.seq))
	if err != nil {
		return err
	}
	f, err := writeFile(j.path+newSuffix, lines)
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), j.path); err != nil {
		return errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	// From here on f is what another process finds.
	j.swap(f, int64(len(lines)), c)
	if err := syncDir(filepath.Dir(j.path)); err != nil {
		j.fault = err
		return err
	}
	return nil
}

// lean is a file's text with all that counts and nothing else.
func (c content) lean(seq int64) ([]byte, error) {
	lines, err := appendLine(nil, header{program, format, seq})
	for _, e := range c.last {
		if e.Data != nil && err == nil {
			lines, err = appendLine(lines, e)
		}
	}
	return lines, err
}

// writeFile makes a locked file of text, on the disk, with space behind it.
func writeFile(path string, text []byte) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = f.Write(text)
	// A file system that cannot promise space is no fault; one that has none is.
	if e := promise(f, int64(len(text))); err == nil && errors.Is(e, unix.ENOSPC) {
		err = e
	}
	if err == nil {
		err = errors.Join(lock(f), syncFile(f))
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(path))
	}
	return f, nil
}

// swap makes f, which holds what of c counts, the file.
func (j *Journal) swap(f *os.File, size int64, c content) {
	if j.file != nil {
		if err := j.file.Close(); err != nil {
			j.log.Warn("journal: closing the old file", "file", j.path, "err", err)
		}
	}
	j.take(c)
	j.file, j.size, j.lines = f, size, len(j.live)
	j.reserved, j.compact, j.fault = size+ahead, 0, nil
}

// syncDir makes a rename in dir last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(syncFile(d), d.Close())
}
