package redisdb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"o2n-milter/state"
)

const (
	// tries is how many calls in a row must go wrong before the server counts as away
	// and calls are refused at once, without waiting for it.
	tries = 3
	// inFlight bounds the calls that wait for the server at one moment. It is under
	// connections, at which the library stops dialling by a rule of its own.
	inFlight = 24
)

// link is the way to the server: it gives each call its budget and refuses all of
// them while the server is away. Only the keeper puts it up again.
type link struct {
	budget time.Duration
	sole   bool          // one server: not a Cluster, of which a part may serve
	places chan struct{} // one for each call in flight
	lost   chan struct{} // holds one when the link has gone down

	failures atomic.Int32 // calls in a row

	mu     sync.Mutex
	client redis.UniversalClient // nil while the server is away
	cause  error                 // why it is
}

var errNotYet = errors.New("not connected yet")

func newLink(budget time.Duration, sole bool) *link {
	return &link{budget: budget, sole: sole, places: make(chan struct{}, inFlight), lost: make(chan struct{}, 1), cause: errNotYet}
}

// unavailable is every error that is due to the server.
type unavailable struct{ cause error }

func (u unavailable) Error() string {
	return "redis: " + state.ErrUnavailable.Error() + ": " + u.cause.Error()
}

func (u unavailable) Unwrap() []error { return []error{state.ErrUnavailable, u.cause} }

// refusal is an answer of the server, or what was found there, that says nothing
// about the server's health.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

// wrongType says that a key of ours holds something else: no fault of the server's.
func wrongType(err error) bool { return redis.HasErrorPrefix(err, "WRONGTYPE") }

// do runs call, which may ask the server several times, within the budget.
func (l *link) do(ctx context.Context, call func(context.Context, redis.UniversalClient) error) error {
	return l.within(ctx, l.budget, call)
}

// within is do for another budget.
func (l *link) within(ctx context.Context, budget time.Duration, call func(context.Context, redis.UniversalClient) error) error {
	limited, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	if _, err := l.current(); err != nil { // while away nobody waits for a place
		return err
	}
	select {
	case l.places <- struct{}{}:
		defer func() { <-l.places }()
	case <-limited.Done():
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return unavailable{fmt.Errorf("%d calls wait for an answer", inFlight)}
	}
	client, err := l.current()
	if err != nil {
		return err
	}
	return l.judge(ctx, client, guard(limited, client, call))
}

// guard turns a panic of the library, as some junk replies cause, into an error.
func guard(ctx context.Context, c redis.UniversalClient, call func(context.Context, redis.UniversalClient) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the answer made the library panic: %v", r)
		}
	}()
	return call(ctx, c)
}

func (l *link) current() (redis.UniversalClient, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.client == nil {
		return nil, unavailable{l.cause}
	}
	return l.client, nil
}

// judge counts what went wrong and says what the caller is told.
func (l *link) judge(ctx context.Context, client redis.UniversalClient, err error) error {
	var r refusal
	switch {
	case err == nil || errors.As(err, &r) || wrongType(err):
		if l.failures.Load() != 0 {
			l.failures.Store(0)
		}
		return err
	case ended(ctx) != nil: // the caller's own end, not the budget's
		return ended(ctx)
	}
	if l.failures.Add(1) >= tries || (l.sole && cannotServe(err)) {
		l.down(client, err)
	}
	return unavailable{err}
}

// ended is ctx.Err, also in the moment when a connection has noticed its deadline
// before the context has.
func ended(ctx context.Context) error {
	if end, ok := ctx.Deadline(); ok && !time.Now().Before(end) {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}

// cannotServe says that the server is there, but cannot do its work: it is a replica,
// out of memory or disk, still loading, or does not let us in. One such answer is
// enough, as calls that only read may go on getting theirs.
func cannotServe(err error) bool {
	return slices.ContainsFunc([]string{
		"READONLY", "OOM", "MISCONF", "NOREPLICAS", "LOADING", "MASTERDOWN", "NOAUTH", "WRONGPASS", "NOPERM",
	}, func(prefix string) bool { return redis.HasErrorPrefix(err, prefix) })
}

// down refuses calls from now on, if client is still the one in use.
func (l *link) down(client redis.UniversalClient, cause error) {
	l.mu.Lock()
	mine := l.client != nil && l.client == client
	if mine {
		l.client, l.cause = nil, cause
	}
	l.mu.Unlock()
	if !mine {
		return
	}
	l.lost <- struct{}{} // has room: up emptied it
	// Calls still waiting for it are told at once.
	client.Close()
}

// up serves calls from now on.
func (l *link) up(client redis.UniversalClient) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures.Store(0)
	select {
	case <-l.lost:
	default:
	}
	if l.client != nil { // of a keeper that panicked
		l.client.Close()
	}
	l.client, l.cause = client, nil
}

// fault is why the server is away; nil when it is not.
func (l *link) fault() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cause
}

// note keeps why the last attempt to come back did not succeed.
func (l *link) note(cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cause = cause
}

// close lets go of the server.
func (l *link) close() error {
	l.mu.Lock()
	client := l.client
	l.client, l.cause = nil, errClosed
	l.mu.Unlock()
	if client == nil {
		return nil
	}
	return client.Close()
}
