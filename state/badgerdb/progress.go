package badgerdb

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// progress is written beside the database each second: how far the database was on
// the disk, and where the store's time line stood. A database that knows less has
// lost something; and a process that starts goes on with the line.
type progress struct {
	Serial  int64         `json:"serial"`  // of this record
	Commit  int64         `json:"commit"`  // that is on the disk, with all before it
	At      time.Time     `json:"at"`      // the callers' time in that commit
	Journal int64         `json:"journal"` // the journal's last line
	Line    int64         `json:"line"`    // ns since 1970; 0: no call was made yet
	Wall    time.Time     `json:"wall"`    // the host's clock when the line stood there
	Boot    string        `json:"boot"`
	Up      time.Duration `json:"up"`    // the host's time since boot then, in ns
	Clean   bool          `json:"clean"` // the store was closed after this
}

const (
	// progressSlot is the length of a record in the file, in bytes. There are two, and
	// the older one is overwritten: in place, so that no disk is too full for it, and
	// so that one is whole when the power goes in between.
	progressSlot = 512
	sumLength    = 9 // in hex, and a blank
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// progressFile is open for as long as the store is.
type progressFile struct {
	path string
	lost string // why nothing was known when it was opened; empty when something was

	mu    sync.Mutex
	file  *os.File
	fault error // why it cannot be written to until it is opened again
	last  progress
}

// openProgress reads the file, or makes it.
func openProgress(path string) (*progressFile, error) {
	p := &progressFile{path: path}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if isReadOnly(err) {
		p.fault = err
		f, err = os.Open(path)
	}
	if err != nil {
		return nil, err
	}
	p.file = f
	text, err := io.ReadAll(io.LimitReader(f, 2*progressSlot))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	p.last = newest(text)
	switch {
	case p.last.Serial > 0:
	case len(text) == 0:
		p.lost = "there is none"
	default:
		p.lost = "it cannot be read"
	}
	return p, nil
}

// newest is the record written last; the zero one when neither can be read.
func newest(text []byte) (last progress) {
	for len(text) > 0 {
		n := min(progressSlot, len(text))
		if p, err := decodeProgress(text[:n]); err == nil && p.Serial > last.Serial {
			last = p
		}
		text = text[n:]
	}
	return last
}

func decodeProgress(slot []byte) (p progress, err error) {
	slot = bytes.TrimRight(slot, " \n\x00")
	if len(slot) < sumLength || string(slot[:sumLength]) != sum(slot[sumLength:]) {
		return p, errors.New("checksum does not agree")
	}
	return p, json.Unmarshal(slot[sumLength:], &p)
}

func encodeProgress(p progress) ([]byte, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	line := append([]byte(sum(text)), text...)
	if len(line) >= progressSlot {
		return nil, fmt.Errorf("record of %d bytes; want less than %d", len(line), progressSlot)
	}
	line = append(line, bytes.Repeat([]byte(" "), progressSlot-1-len(line))...)
	return append(line, '\n'), nil
}

func sum(text []byte) string { return fmt.Sprintf("%08x ", crc32.Checksum(text, castagnoli)) }

// save writes p behind the last one and waits for the disk.
func (f *progressFile) save(p progress) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	p.Serial = f.last.Serial + 1
	p.At, p.Wall = p.At.UTC(), p.Wall.UTC()
	slot, err := encodeProgress(p)
	if err != nil {
		return err
	}
	if err := f.again(); err != nil {
		return err
	}
	if _, err := f.file.WriteAt(slot, p.Serial%2*progressSlot); err != nil {
		return err
	}
	if err := f.file.Sync(); err != nil {
		return err
	}
	f.last = p
	return nil
}

// again opens a file that could only be read.
func (f *progressFile) again() error {
	if f.fault == nil {
		return nil
	}
	file, err := os.OpenFile(f.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	old := f.file
	f.file, f.fault = file, nil
	return old.Close()
}

// known is what was saved last.
func (f *progressFile) known() progress {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last
}

func progressPath(folder string) string { return filepath.Join(folder, "progress") }
