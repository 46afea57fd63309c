package hold

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"o2n-milter/hold/wire"
)

// Words that the agent and the Keeper have in common.
type (
	// Queue is where in its MTA a message is.
	Queue = wire.Queue
	// Queued is a message in its MTA's queue.
	Queued = wire.Queued
	// Host is whose queue it is.
	Host = wire.Host
)

// The queues.
const (
	QueueNone     = wire.QueueNone
	QueueHold     = wire.QueueHold
	QueueIncoming = wire.QueueIncoming
	QueueActive   = wire.QueueActive
	QueueDeferred = wire.QueueDeferred
)

// ErrNotQueued says that a message is in no queue of the MTA.
var ErrNotQueued = errors.New("no such message in the queue")

// Agent asks the privileged process that works the MTA's queue (o2n-milter
// hold-agent). Each call has a connection of its own, so that an agent that was
// started anew is no event. Safe for concurrent use.
type Agent struct {
	path string
}

// NewAgent asks at this socket. It does not connect.
func NewAgent(path string) *Agent { return &Agent{path} }

// callTimeout ends a call at the latest. The agent ends what it does sooner.
const callTimeout = 3 * time.Minute

// maxAnswer bounds a line of the agent's: wire.MaxIDs results with their problems.
const maxAnswer = 2 << 20

// Host says whose queue it is.
func (a *Agent) Host(ctx context.Context) (Host, error) {
	c, err := a.dial(ctx)
	if err != nil {
		return Host{}, err
	}
	defer c.close()
	return c.host, nil
}

// List yields the messages of the named queues, or of all when none is named, in
// no order, as the agent finds them. An error of yield ends it and is returned.
// Mail that moves between queues meanwhile may be missed or come twice.
func (a *Agent) List(ctx context.Context, yield func(Queued) error, queues ...Queue) error {
	c, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	if err := c.send(wire.Request{Verb: wire.VerbList, Queues: queues}); err != nil {
		return err
	}
	for {
		answer, err := c.read()
		if err != nil {
			return fmt.Errorf("hold agent: list: %w", err)
		}
		if answer.Done {
			return nil
		}
		if answer.Message == nil {
			return errors.New("hold agent: list: a line without a message; want one, or the end")
		}
		if err := yield(*answer.Message); err != nil {
			return err
		}
	}
}

// Hold puts messages on hold that wait in the queue; one that is on hold already
// is done. What is under delivery at the moment may still go out.
//
// The map of this and the next two has each id: nil when it was done,
// ErrNotQueued when there is no such message, or what was wrong with it. The error
// is for the call: with it, nothing is known of ids that the map does not have.
func (a *Agent) Hold(ctx context.Context, ids ...string) (map[string]error, error) {
	return a.change(ctx, wire.VerbHold, ids)
}

// Release takes messages off hold and has the MTA try to deliver them at once. One
// that is on its way already is done. It does not wait for the delivery.
func (a *Agent) Release(ctx context.Context, ids ...string) (map[string]error, error) {
	return a.change(ctx, wire.VerbRelease, ids)
}

// Delete deletes messages, on hold or not.
func (a *Agent) Delete(ctx context.Context, ids ...string) (map[string]error, error) {
	return a.change(ctx, wire.VerbDelete, ids)
}

// Find says in which queue each message is; QueueNone for those in none. It is
// cheap, however long the queue is.
func (a *Agent) Find(ctx context.Context, ids ...string) (map[string]Queue, error) {
	found := make(map[string]Queue, len(ids))
	err := a.each(ctx, wire.VerbFind, ids, func(r wire.Result) error {
		if r.Problem != "" {
			return fmt.Errorf("hold agent: find %s: %s", r.ID, r.Problem)
		}
		found[r.ID] = r.Queue
		return nil
	})
	return found, err
}

func (a *Agent) change(ctx context.Context, verb string, ids []string) (map[string]error, error) {
	done := make(map[string]error, len(ids))
	err := a.each(ctx, verb, ids, func(r wire.Result) error {
		switch {
		case r.Missing:
			done[r.ID] = ErrNotQueued
		case r.Problem != "":
			done[r.ID] = fmt.Errorf("hold agent: %s %s: %s", verb, r.ID, r.Problem)
		default:
			done[r.ID] = nil
		}
		return nil
	})
	return done, err
}

// each asks for the ids, as many at a time as a request may have.
func (a *Agent) each(ctx context.Context, verb string, ids []string, take func(wire.Result) error) error {
	for part := range slices.Chunk(ids, wire.MaxIDs) {
		results, err := a.ask(ctx, wire.Request{Verb: verb, IDs: part})
		if err != nil {
			return err
		}
		for _, r := range results {
			if err := take(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// ask wants a result for each id, in their order: silence about one is no success. What
// has another MTA's id is not in this one's queue, and not asked for: the agent would
// refuse all.
func (a *Agent) ask(ctx context.Context, req wire.Request) ([]wire.Result, error) {
	c, err := a.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer c.close()
	var missing []wire.Result
	req.IDs = slices.DeleteFunc(slices.Clone(req.IDs), func(id string) bool {
		foreign := wire.IsForeignID(c.host.MTA, id)
		if foreign {
			missing = append(missing, wire.Result{ID: id, Missing: true})
		}
		return foreign
	})
	if len(req.IDs) == 0 {
		return missing, nil
	}
	if err := c.send(req); err != nil {
		return nil, err
	}
	answer, err := c.read()
	if err != nil {
		return nil, fmt.Errorf("hold agent: %s: %w", req.Verb, err)
	}
	same := func(r wire.Result, id string) bool { return r.ID == id }
	if !slices.EqualFunc(answer.Results, req.IDs, same) {
		return nil, fmt.Errorf("hold agent: %s: results for other ids than the %d asked for", req.Verb, len(req.IDs))
	}
	return append(answer.Results, missing...), nil
}

// conn is a connection whose agent has said whose queue it is, for one call.
type conn struct {
	ctx   context.Context
	nc    net.Conn
	in    *bufio.Scanner
	host  Host
	close func()
}

func (a *Agent) dial(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	var d net.Dialer
	nc, err := d.DialContext(ctx, "unix", a.path)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("hold agent: %w", err)
	}
	context.AfterFunc(ctx, func() { nc.Close() }) // ends what is being read or written
	c := &conn{ctx: ctx, nc: nc, in: bufio.NewScanner(nc), close: cancel}
	c.in.Buffer(nil, maxAnswer)
	answer, err := c.read()
	if err == nil && answer.Host == nil {
		err = errors.New("it did not say whose queue it has")
	}
	if err != nil {
		c.close()
		return nil, fmt.Errorf("hold agent at %s: %w", a.path, err)
	}
	c.host = *answer.Host
	return c, nil
}

func (c *conn) send(req wire.Request) error {
	line, err := json.Marshal(req)
	if err != nil {
		return err
	}
	if _, err := c.nc.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("hold agent: %s: %w", req.Verb, err)
	}
	return nil
}

// read reads a line; that the agent has a problem is an error.
func (c *conn) read() (wire.Answer, error) {
	if !c.in.Scan() {
		if err := c.ctx.Err(); err != nil {
			return wire.Answer{}, err
		}
		if err := c.in.Err(); err != nil {
			return wire.Answer{}, err
		}
		return wire.Answer{}, errors.New("it hung up")
	}
	var answer wire.Answer
	if err := json.Unmarshal(c.in.Bytes(), &answer); err != nil {
		return wire.Answer{}, fmt.Errorf("its answer: %w", err)
	}
	if answer.Problem != "" {
		return wire.Answer{}, errors.New(answer.Problem)
	}
	return answer, nil
}
