package replay

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"o2n-milter/message"
)

// Unreadable is a source, a file or a message that could not be read, and why.
type Unreadable struct {
	File    string `json:"file"`
	Problem string `json:"problem"`
}

// mostUnreadable bounds how many are named; all are counted.
const mostUnreadable = 100

// Index knows where the messages of some sources lie and when they were sent, some 50
// bytes each; it holds none of them. It is used by one goroutine.
type Index struct {
	Undated int // messages without a time of their own
	// LeftOut are files in folders whose names say nothing of mail.
	LeftOut int
	// Lost are sources that could not be read, or hold no message at all.
	Lost int
	// Unreadable names the first of what could not be read; Failed counts all of it.
	Unreadable []Unreadable
	Failed     int

	ctx   context.Context // of New, which alone uses it
	seen  func(messages int)
	files []string
	items []item
	spool *os.File // what came on standard input; nil: nothing did
	open  map[int32]*os.File
}

// item is where a message lies.
type item struct {
	at             int64 // ns since 1970; undated: none of its own
	offset, length int64 // length whole: all of the file
	file           int32
	number         int32 // in its file, from 1 on
}

const (
	undated = -1 << 63
	whole   = -1
	// mostOpen bounds how many mailbox files are open at once.
	mostOpen = 32
)

// New looks through sources: mailbox files, Maildirs, folders of .eml and mailbox
// files, single messages, "-" for in. Their messages come in order of time; one
// without a time of its own comes after the one before it in its source, or, where no
// message of the source has one, at the earliest of all, or at now. seen is told how
// many there are so far. What cannot be read is noted and no error: that is only ctx's
// end, or the disk's.
func New(ctx context.Context, sources []string, in io.Reader, now time.Time, seen func(messages int)) (*Index, error) {
	x := &Index{ctx: ctx, seen: seen, open: map[int32]*os.File{}}
	var starts []int
	for _, source := range sources {
		start := len(x.items)
		starts = append(starts, start)
		failed := x.Failed
		err := x.source(source, in)
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, errors.Join(err, x.Close())
		}
		if len(x.items) == start {
			x.Lost++
			if x.Failed == failed {
				x.failed(source, errors.New("no message in it; want a mailbox, a Maildir, a folder of .eml files or a message"))
			}
		}
	}
	x.date(starts, now)
	return x, nil
}

// Len is how many messages there are.
func (x *Index) Len() int { return len(x.items) }

// Close lets go of what is open.
func (x *Index) Close() error {
	var err error
	for _, f := range x.open {
		err = errors.Join(err, f.Close())
	}
	clear(x.open)
	if x.spool != nil {
		err = errors.Join(err, x.spool.Close())
		x.spool = nil
	}
	return err
}

func (x *Index) failed(file string, err error) {
	x.Failed++
	if len(x.Unreadable) < mostUnreadable {
		x.Unreadable = append(x.Unreadable, Unreadable{file, err.Error()})
	}
}

// source takes all messages of one source; an error is the end of everything.
func (x *Index) source(name string, in io.Reader) error {
	if name == "-" {
		return x.stdin(in)
	}
	info, err := os.Stat(name)
	switch {
	case err != nil:
		x.failed(name, plain(err))
	case info.IsDir():
		return x.folder(name)
	case !info.Mode().IsRegular():
		x.failed(name, errors.New("no file that can be read twice; want - and its output on standard input"))
	default:
		x.file(name, isEML(name))
	}
	return nil
}

// plain is a file's error without its path, which stands before it.
func plain(err error) error {
	if pe := (*os.PathError)(nil); errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// stdin keeps what comes there in a file that has no name: it is read twice.
func (x *Index) stdin(in io.Reader) error {
	if x.spool != nil {
		x.failed("-", errors.New("is named twice"))
		return nil
	}
	f, err := os.CreateTemp("", "o2n-milter-replay-")
	if err != nil {
		return fmt.Errorf("standard input: %w", err)
	}
	x.spool = f
	if err := os.Remove(f.Name()); err != nil {
		return fmt.Errorf("standard input: %w", err)
	}
	copied := make(chan error, 1)
	go func() {
		_, err := io.Copy(f, in)
		copied <- err
	}()
	select {
	case err = <-copied:
	case <-x.ctx.Done(): // a read that waits for somebody to type goes on until he does
		err = x.ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("standard input: %w", err)
	}
	x.mail("-", f, false)
	return nil
}

// stopping is a reader that ends with ctx.
type stopping struct {
	ctx context.Context
	io.Reader
}

func (s stopping) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.Reader.Read(p)
}

// file takes the messages of one file; one: it is one, whatever it looks like.
func (x *Index) file(name string, one bool) {
	f, err := os.Open(name)
	if err != nil {
		x.failed(name, plain(err))
		return
	}
	defer f.Close()
	x.mail(name, f, one)
}

// mail takes a mailbox, or else one message.
func (x *Index) mail(name string, f *os.File, one bool) {
	file := int32(len(x.files))
	x.files = append(x.files, name)
	first := make([]byte, 5)
	n, err := f.ReadAt(first, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		x.failed(name, plain(err))
		return
	}
	// Not f itself, whose place others may have moved.
	all := stopping{x.ctx, io.NewSectionReader(f, 0, 1<<62)}
	if one || string(first[:n]) != "From " {
		x.single(name, file, all)
		return
	}
	number := int32(0)
	err = scanMbox(all, func(s span) error {
		number++
		x.add(fmt.Sprintf("%s, message %d", name, number), item{offset: s.offset, length: s.length, file: file, number: number}, s.header)
		return nil
	})
	if err != nil {
		x.failed(name, plain(err))
	}
}

// single takes a file that is one message.
func (x *Index) single(name string, file int32, r io.Reader) {
	header, err := readHeader(bufio.NewReader(r))
	if err == nil && len(header) == 0 {
		err = errEmpty
	}
	if err != nil {
		x.failed(name, plain(err))
		return
	}
	x.add(name, item{length: whole, file: file, number: 1}, header)
}

var (
	errEmpty    = errors.New("empty; want a message")
	errNoHeader = errors.New("no header; want a message")
)

// readHeader reads up to the first empty line, at most mostHeader octets.
func readHeader(r *bufio.Reader) ([]byte, error) {
	var header []byte
	for len(header) < mostHeader {
		line, err := r.ReadSlice('\n')
		header = append(header, line...)
		if errors.Is(err, io.EOF) || len(bytes.TrimRight(line, "\r\n")) == 0 {
			break
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
	}
	return header, nil
}

// add takes a message that begins with header.
func (x *Index) add(name string, it item, header []byte) {
	raw, err := message.Split(bytes.NewReader(header), int64(len(header)))
	if err == nil && len(raw.Fields) == 0 {
		err = errNoHeader
	}
	if err != nil {
		x.failed(name, err)
		return
	}
	it.at = undated
	if at, ok := sentAt(raw.Fields); ok {
		it.at = at.UnixNano()
	}
	x.items = append(x.items, it)
	x.seen(len(x.items))
}

// date gives every message a time, and puts all in its order; those of one time stay
// in the order of their sources.
func (x *Index) date(starts []int, now time.Time) {
	earliest := int64(undated)
	for _, it := range x.items {
		if it.at != undated && (earliest == undated || it.at < earliest) {
			earliest = it.at
		}
	}
	if earliest == undated {
		earliest = now.UnixNano()
	}
	for i, start := range starts {
		end := len(x.items)
		if i+1 < len(starts) {
			end = starts[i+1]
		}
		x.Undated += fill(x.items[start:end], earliest)
	}
	slices.SortStableFunc(x.items, func(a, b item) int { return cmp.Compare(a.at, b.at) })
}

// fill dates the undated messages of a source, and says how many there are.
func fill(items []item, earliest int64) int {
	last := earliest
	if i := slices.IndexFunc(items, func(it item) bool { return it.at != undated }); i >= 0 {
		last = items[i].at
	}
	n := 0
	for i := range items {
		if items[i].at == undated {
			items[i].at = last
			n++
		}
		last = items[i].at
	}
	return n
}
