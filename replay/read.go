package replay

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"o2n-milter/message"
)

// mostKept bounds what is kept of a message, in octets: header and as much of the body
// as rules look at (rules.MaxBody). The rest is only counted.
const mostKept = 2 << 20

// ahead is how many messages are read while others are judged.
const ahead = 8

// Message is one of an Index.
type Message struct {
	At   time.Time
	Name string // its file, and its number there
	Raw  message.Raw
	err  error
}

// Each calls f for all messages in order of time, until f or ctx ends it; both errors
// come back. A message that cannot be read is noted and left out.
func (x *Index) Each(ctx context.Context, f func(Message) error) error {
	ctx, cancel := context.WithCancel(ctx)
	ready := make(chan Message, ahead)
	defer func() {
		cancel()
		for range ready { // until the reader has ended
		}
	}()
	go func() {
		defer close(ready)
		for _, it := range x.items {
			select {
			case ready <- x.read(it):
			case <-ctx.Done():
				return
			}
		}
	}()
	for m := range ready {
		if err := ctx.Err(); err != nil {
			return err
		}
		if m.err != nil {
			x.failed(m.Name, m.err)
			continue
		}
		if err := f(m); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (x *Index) read(it item) Message {
	m := Message{At: time.Unix(0, it.at).UTC(), Name: x.files[it.file]}
	if it.length != whole {
		m.Name = fmt.Sprintf("%s, message %d", m.Name, it.number)
	}
	if m.Raw, m.err = x.split(it); m.err != nil {
		m.err = plain(m.err)
	} else if len(m.Raw.Fields) == 0 {
		m.err = errNoHeader // it was there when the Index was made
	}
	return m
}

func (x *Index) split(it item) (message.Raw, error) {
	if it.length == whole && x.files[it.file] != "-" {
		f, err := os.Open(x.files[it.file])
		if err != nil {
			return message.Raw{}, err
		}
		defer f.Close()
		return message.Split(f, mostKept)
	}
	f, err := x.opened(it.file)
	if err != nil {
		return message.Raw{}, err
	}
	if it.length == whole {
		return message.Split(io.NewSectionReader(f, 0, 1<<62), mostKept)
	}
	return message.Split(newUnquoted(io.NewSectionReader(f, it.offset, it.length)), mostKept)
}

// opened is a mailbox file, which is opened once.
func (x *Index) opened(file int32) (*os.File, error) {
	if x.files[file] == "-" {
		return x.spool, nil
	}
	if f := x.open[file]; f != nil {
		return f, nil
	}
	for old, f := range x.open {
		if len(x.open) < mostOpen {
			break
		}
		delete(x.open, old)
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
	f, err := os.Open(x.files[file])
	if err == nil {
		x.open[file] = f
	}
	return f, err
}
