// Package journal keeps docs (blocks and the like) in a small text file of their
// own, so that whatever becomes of a store's database, nobody's block is forgotten.
//
// One line each, its checksum in front: an admin can read it, and a byte that has
// changed costs one line and is noticed. The last line of a doc counts. What Append
// has returned without an error for is on the disk (fsync). Space is reserved ahead,
// so that a block can still be kept when the disk is full.
//
//	6b2f8a01 {"journal":"o2n-milter","format":1,"seq":0}
//	03c1d9e4 {"seq":1,"kind":"block","id":"7K3QF2M9","rev":1,"data":{"subject":"account:a",...}}
//	a97e0c55 {"seq":2,"kind":"block","id":"7K3QF2M9","rev":2}
//
// The last one deletes. Lines are numbered for the file's whole life, so whoever
// remembers Seq can tell later whether lines at the end are missing.
package journal

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"o2n-milter/state"
)

const (
	// ahead is how much space is reserved behind the last line, in bytes: some
	// 1,500 blocks. It is filled up again when half of it is used.
	ahead = 512 << 10
	// slack is how many lines that no longer count are left in the file, besides as
	// many as there are docs, before it is written anew.
	slack = 1000
)

// Journal is an open file. It is safe for concurrent use.
type Journal struct {
	path string
	log  *slog.Logger

	mu       sync.Mutex
	file     *os.File // nil once closed
	size     int64    // where the next line goes
	reserved int64    // up to where the disk has promised space
	seq      int64    // of the last line
	lines    int      // behind the header
	live     map[name]bool
	compact  int    // not before there are so many lines
	fault    error  // why nothing can be written behind what is there; nil when it can
	damage   string // what Open found
}

type name struct{ kind, id string }

var errClosed = errors.New("journal is closed")

// Open opens the journal at path, or makes one there, and returns the last line of
// each doc, in the order of the file; Data is nil where that line deletes it. A last
// line that was torn off in mid-write was never answered and is cut off. Damaged
// lines are skipped, logged and told by Damage; the file as it was stays at PATH.bad.
// A journal of a newer version, or in use by another process, is an error.
func Open(path string, log *slog.Logger) (*Journal, []state.Doc, error) {
	file, fault, err := openLocked(path)
	if err != nil {
		return nil, nil, fmt.Errorf("journal %s: %w", path, err)
	}
	j := &Journal{path: path, log: log, file: file, fault: fault, live: make(map[name]bool)}
	c, err := j.begin()
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("journal %s: %w", path, err), j.Close())
	}
	return j, c.docs(), nil
}

// begin reads the file, if there is one, and makes it fit to be written to.
func (j *Journal) begin() (content, error) {
	if j.file == nil {
		return content{}, j.rewrite(content{})
	}
	c, err := read(j.file)
	if err != nil {
		return content{}, err
	}
	j.take(c)
	if j.damage = c.fault(); j.damage == "" {
		j.cut(c)
		return c, nil
	}
	j.log.Error("journal: damaged; what can be read of it is used", "file", j.path, "damage", j.damage,
		"docs", len(c.last), "kept", j.path+badSuffix)
	if err := errors.Join(j.setAside(), j.rewrite(c)); err != nil {
		j.log.Error("journal: could not be written anew; going on behind the damage", "file", j.path, "err", err)
		j.cut(c)
	}
	return c, nil
}

// take makes c what the file holds.
func (j *Journal) take(c content) {
	j.size, j.seq, j.lines = c.end, max(j.seq, c.seq), c.lines
	clear(j.live)
	for _, e := range c.last {
		if e.Data != nil {
			j.live[e.name()] = true
		}
	}
}

// cut removes a line that was torn off.
func (j *Journal) cut(c content) {
	if c.torn > 0 {
		j.log.Warn("journal: the last line was torn off in mid-write and is removed; it was never answered",
			"file", j.path, "bytes", c.torn)
		j.fault = errors.Join(j.fault, j.file.Truncate(j.size))
	}
	j.reserve()
}

// Damage says what Open found wrong; empty when the file was whole. It does not know
// of lines that are missing at the end: whoever remembered Seq does.
func (j *Journal) Damage() string { return j.damage }

// Seq is the number of the last line; 0 when there was never one.
func (j *Journal) Seq() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.seq
}

// After makes the next line's number higher than seq: a journal that was lost goes
// on where another memory of it ends.
func (j *Journal) After(seq int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.seq = max(j.seq, seq)
}

// Append writes a line for each doc and returns when all are on the disk. A doc
// without Data is deleted. After an error the lines do not count in this process; the
// next one may find them.
func (j *Journal) Append(docs ...state.Doc) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return errClosed
	}
	lines, err := j.encode(docs)
	if err == nil {
		err = j.mend()
	}
	if err == nil {
		err = j.write(lines)
	}
	if err != nil {
		return fmt.Errorf("journal %s: %w", j.path, err)
	}
	j.count(docs)
	j.reserve()
	j.tidy()
	return nil
}

func (j *Journal) encode(docs []state.Doc) (lines []byte, err error) {
	for i, doc := range docs {
		if lines, err = appendLine(lines, entryOf(doc, j.seq+int64(i)+1)); err != nil {
			return nil, fmt.Errorf("%s %.100q: %w", doc.Kind, doc.ID, err)
		}
	}
	return lines, nil
}

// write puts lines behind the last one, all or none.
func (j *Journal) write(lines []byte) error {
	if _, err := j.file.WriteAt(lines, j.size); err != nil {
		// Half a line would spoil the next one. (This gives up what is reserved.)
		j.fault = j.file.Truncate(j.size)
		j.reserved = j.size
		return err
	}
	if err := syncFile(j.file); err != nil {
		// After this the kernel may take for written what is not: only another file helps.
		j.fault = err
		return err
	}
	j.size += int64(len(lines))
	return nil
}

func (j *Journal) count(docs []state.Doc) {
	j.seq += int64(len(docs))
	j.lines += len(docs)
	for _, doc := range docs {
		if n := (name{doc.Kind, doc.ID}); doc.Data == nil {
			delete(j.live, n)
		} else {
			j.live[n] = true
		}
	}
}

// reserve asks the disk for the space of the next lines. Where it has none, or the
// file system cannot promise any, a line is written if there is room when it comes.
func (j *Journal) reserve() {
	if j.reserved-j.size >= ahead/2 {
		return
	}
	if promise(j.file, j.size) == nil {
		j.reserved = j.size + ahead
	}
}

func promise(f *os.File, size int64) error {
	return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, size, ahead)
}

// Close closes the file. Closing twice is fine.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return nil
	}
	err := j.file.Close()
	j.file = nil
	return err
}
