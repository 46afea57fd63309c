package mtaqueue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"o2n-milter/hold/wire"
)

// postfix is an instance of Postfix.
type postfix struct {
	postqueue, postsuper tool
	queue                string // its folder
	name                 string // myhostname
}

var _ MTA = (*postfix)(nil)

// maxHashDepth is the deepest hash_queue_depth that Find looks at. Postfix
// recommends 2 at most.
const maxHashDepth = 4

func openPostfix(ctx context.Context, in folders, config string) (*postfix, error) {
	p := &postfix{}
	var first []string
	if config != "" {
		first = []string{"-c", config}
	}
	postconf := tool{first: first}
	for name, t := range map[string]*tool{"postqueue": &p.postqueue, "postsuper": &p.postsuper, "postconf": &postconf} {
		path, err := in.find(name)
		if err != nil {
			return nil, fmt.Errorf("postfix: %w", err)
		}
		*t = tool{path, first}
	}
	out, err := postconf.run(ctx, "", "-x", "myhostname", "queue_directory", "hash_queue_depth")
	if err != nil {
		return nil, err
	}
	return p, p.configure(string(out))
}

// configure reads what postconf(1) prints: "name = value" lines.
func (p *postfix) configure(out string) error {
	values := map[string]string{}
	for line := range strings.Lines(out) {
		name, value, _ := strings.Cut(line, "=")
		values[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	p.name, p.queue = values["myhostname"], values["queue_directory"]
	depth, err := strconv.Atoi(values["hash_queue_depth"])
	switch {
	case p.name == "":
		return errors.New("postconf: no myhostname")
	case !filepath.IsAbs(p.queue):
		return fmt.Errorf("postconf: queue_directory is %q; want a path", p.queue)
	case err != nil || depth > maxHashDepth:
		return fmt.Errorf("postconf: hash_queue_depth is %q; want at most %d", values["hash_queue_depth"], maxHashDepth)
	}
	return nil
}

func (p *postfix) Host() wire.Host { return wire.Host{MTA: wire.Postfix, Name: p.name} }

func (p *postfix) ValidID(id string) bool { return wire.ValidID(wire.Postfix, id) }

func (p *postfix) List(ctx context.Context, wanted func(wire.Queue) bool, yield func(wire.Queued) error) error {
	return p.postqueue.stream(ctx, func(r io.Reader) error {
		return readPostqueue(r, func(q wire.Queued) error {
			if !wanted(q.Queue) {
				return nil
			}
			return yield(q)
		})
	}, "-j")
}

// postfixQueues is the order in which mail moves, but for what is put on hold.
var postfixQueues = []wire.Queue{wire.QueueHold, wire.QueueDeferred, wire.QueueIncoming, wire.QueueActive}

// Find looks at the file names. Mail that moves from one folder to another while we
// look at first the one, then the other, is found the second time.
func (p *postfix) Find(id string) (wire.Queue, error) {
	for range 2 {
		for _, q := range postfixQueues {
			if found, err := p.in(q, id); found || err != nil {
				return q, err
			}
		}
	}
	return wire.QueueNone, nil
}

// in looks at every depth: the configuration of a running Postfix may change, and
// that of a folder need not be the same as that of its neighbour.
func (p *postfix) in(q wire.Queue, id string) (bool, error) {
	dir, hash := filepath.Join(p.queue, string(q)), hashOf(id)
	for depth := range maxHashDepth + 1 {
		_, err := os.Lstat(filepath.Join(dir, id))
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
		dir = filepath.Join(dir, hash[depth:depth+1])
	}
	return false, nil
}

// base52 are the digits of long ids, in their order (Postfix, mail_queue.h).
const base52 = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"

// hashOf gives the letters of the folders below a queue's: the microseconds of the
// id in hexadecimal, with which a short id begins.
func hashOf(id string) string {
	const seconds, micros = 6, 4 // digits of a long id
	if len(id) <= seconds+micros || id[seconds+micros] != 'z' {
		return id
	}
	n := 0
	for _, c := range []byte(id[seconds : seconds+micros]) {
		n = n*len(base52) + strings.IndexByte(base52, c)
	}
	return fmt.Sprintf("%05X", n)
}

func (p *postfix) Hold(ctx context.Context, ids []string) error { return p.super(ctx, "-h", ids) }

func (p *postfix) Delete(ctx context.Context, ids []string) error { return p.super(ctx, "-d", ids) }

// super has postsuper(1) read the ids from its standard input.
func (p *postfix) super(ctx context.Context, verb string, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	_, err := p.postsuper.run(ctx, strings.Join(ids, "\n")+"\n", verb, "-")
	return err
}

// Release takes mail off hold and has it sent at once: after postsuper it is
// deferred, until the next queue run otherwise. What is deferred already is sent at
// once as well, so that a release cut short can be repeated.
func (p *postfix) Release(ctx context.Context, ids []string) error {
	if err := p.super(ctx, "-H", p.only(wire.QueueHold, ids)); err != nil {
		return err
	}
	var errs []error
	for _, id := range p.only(wire.QueueDeferred, ids) {
		if err := ctx.Err(); err != nil {
			return err
		}
		// It takes one id. It fails while Postfix does not run.
		if _, err := p.postqueue.run(ctx, "", "-i", id); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// only leaves the messages of a queue, and those of which we do not know.
func (p *postfix) only(q wire.Queue, ids []string) []string {
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		found, err := p.in(q, id)
		return err == nil && !found
	})
}
