package mtaqueue

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"o2n-milter/hold/wire"
)

func (s *sendmail) List(ctx context.Context, wanted func(wire.Queue) bool, yield func(wire.Queued) error) error {
	dirs, err := s.cf.folders()
	if err != nil {
		return err
	}
	locked, err := lockedFiles()
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		l := lister{dir: dir, locked: locked, wanted: wanted, yield: yield}
		if err := l.list(ctx); err != nil {
			return err
		}
	}
	return nil
}

// lister lists a folder.
type lister struct {
	dir    folder
	locked map[uint64]bool
	wanted func(wire.Queue) bool
	yield  func(wire.Queued) error
}

// listStep is how many names of a folder are in memory at a time.
const listStep = 512

func (l lister) list(ctx context.Context) error {
	d, err := os.Open(l.dir.control)
	if err != nil {
		return err
	}
	defer d.Close()
	for {
		names, err := d.Readdirnames(listStep)
		for _, name := range names {
			if err := l.one(name); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
	}
}

// one yields the message of a control file. One that cannot be read is told with
// what is known of it: a damaged file must not hide the others, nor itself.
func (l lister) one(name string) error {
	if len(name) < 2 || !wire.ValidID(wire.Sendmail, name[2:]) || name[:2] != "hf" && name[:2] != "qf" {
		return nil
	}
	q := wire.Queued{ID: name[2:], Queue: wire.QueueDeferred}
	if name[0] == 'h' {
		q.Queue = wire.QueueHold
	}
	if !l.wanted(q.Queue) && q.Queue == wire.QueueHold {
		return nil
	}
	err := l.read(filepath.Join(l.dir.control, name), &q)
	if errors.Is(err, fs.ErrNotExist) { // sent meanwhile
		return nil
	}
	if err != nil {
		q.Reason = clip("queue file: " + err.Error())
	}
	if !l.wanted(q.Queue) {
		return nil
	}
	return l.yield(q)
}

func (l lister) read(path string, q *wire.Queued) error {
	file, err := openQueueFile(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if q.Queue == wire.QueueDeferred && l.locked[inode(info)] {
		q.Queue = wire.QueueActive
	}
	if body, err := os.Lstat(filepath.Join(l.dir.data, "df"+q.ID)); err == nil {
		q.Size = body.Size() // 0 when the body is in another folder, as a d line says
	}
	return readControl(file, q)
}

// maxLine bounds a line of a control file; Sendmail's own longest is 2048 octets (MAXLINE).
const maxLine = 64 << 10

// readControl reads the envelope: a letter and a value each line, up to the first
// header field, which is not read (Sendmail Installation and Operation Guide,
// appendix B).
func readControl(r io.Reader, q *wire.Queued) error {
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 0, 4<<10), maxLine)
	for in.Scan() {
		line := in.Text()
		if line == "" {
			continue
		}
		letter, value := line[0], line[1:]
		switch letter {
		case 'H', '.':
			return nil
		case 'T':
			seconds, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				return fmt.Errorf("line %q: %w", clip(line), err)
			}
			q.Arrived = time.Unix(seconds, 0).UTC()
		case 'S':
			q.From = clip(bare(value))
		case 'R':
			q.Count++
			if _, address, ok := strings.Cut(value, ":"); ok && len(q.Recipients) < wire.MaxRecipients {
				q.Recipients = append(q.Recipients, clip(bare(address)))
			}
		case 'q': // why it is in quarantine
			q.Reason = clip(value)
		case 'M':
			if q.Reason == "" {
				q.Reason = clip(value)
			}
		}
	}
	if err := in.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF // it always ends with a dot
}

// bare takes the angle brackets away, if any.
func bare(address string) string {
	if inner, ok := strings.CutPrefix(address, "<"); ok && strings.HasSuffix(inner, ">") {
		return inner[:len(inner)-1]
	}
	return address
}
