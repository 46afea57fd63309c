package hold

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"o2n-milter/state"
)

// crash is what kills the process in the middle of a step.
type crash struct{}

// fakeMTA is an MTA whose queue survives the Keeper.
type fakeMTA struct {
	*world
	host    string
	queue   map[string]*queued
	arrived []arrival
	down    error         // the agent does not answer
	fail    error         // nor does it do anything for these
	unheard error         // it does it, and cannot say so
	delay   time.Duration // of a delivery
	puts    bool          // it off: every message is deferred by its destination
	stopped bool          // the MTA stands still, and the agent cannot wake it
	calls   map[string]int

	left int // steps to the crash; 0: none
}

type queued struct {
	Queued
	since time.Time // released
}

type arrival struct {
	id, user string
	at       time.Time
	held     bool
}

// step is one thing that happens outside of the Keeper; before and after each it may
// die.
func (f *fakeMTA) step() {
	if f.left == 0 {
		return
	}
	if f.left--; f.left == 0 {
		panic(crash{})
	}
}

func (f *fakeMTA) called(verb string) error {
	if f.calls == nil {
		f.calls = map[string]int{}
	}
	f.calls[verb]++
	return f.down
}

func (f *fakeMTA) Host(context.Context) (Host, error) {
	return Host{MTA: "postfix", Name: f.host}, f.called("host")
}

func (f *fakeMTA) List(_ context.Context, yield func(Queued) error, queues ...Queue) error {
	if err := f.called("list"); err != nil {
		return err
	}
	for _, q := range f.queue {
		if slices.Contains(queues, q.Queue) {
			if err := yield(q.Queued); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *fakeMTA) change(verb string, ids []string, do func(*queued)) (map[string]error, error) {
	f.step()
	if err := f.called(verb); err != nil {
		return nil, err
	}
	done := map[string]error{}
	for _, id := range ids {
		switch q := f.queue[id]; {
		case f.fail != nil:
			done[id] = f.fail
		case q == nil:
			done[id] = ErrNotQueued
		default:
			do(q)
			done[id] = nil
		}
	}
	f.step()
	if f.unheard != nil {
		return nil, f.unheard
	}
	return done, nil
}

func (f *fakeMTA) Hold(_ context.Context, ids ...string) (map[string]error, error) {
	return f.change("hold", ids, func(q *queued) { q.Queue = QueueHold })
}

func (f *fakeMTA) Release(_ context.Context, ids ...string) (map[string]error, error) {
	done, err := f.change("release", ids, func(q *queued) {
		switch {
		case f.stopped:
			q.Queue = QueueDeferred // off hold, but nobody takes it on
		case q.Queue != QueueActive:
			q.Queue, q.since = QueueActive, f.now
		}
	})
	for id, problem := range done {
		if f.stopped && problem == nil {
			done[id] = errBroken
		}
	}
	return done, err
}

func (f *fakeMTA) Delete(_ context.Context, ids ...string) (map[string]error, error) {
	return f.change("delete", ids, func(q *queued) { delete(f.queue, q.ID) })
}

func (f *fakeMTA) Find(_ context.Context, ids ...string) (map[string]Queue, error) {
	if err := f.called("find"); err != nil {
		return nil, err
	}
	f.deliver()
	found := map[string]Queue{}
	for _, id := range ids {
		found[id] = QueueNone
		if q := f.queue[id]; q != nil {
			found[id] = q.Queue
		}
	}
	return found, nil
}

// deliver sends what is on its way.
func (f *fakeMTA) deliver() {
	for id, q := range f.queue {
		switch {
		case q.Queue != QueueActive || f.stopped || f.now.Sub(q.since) < f.delay:
		case f.puts:
			q.Queue = QueueDeferred
		default:
			delete(f.queue, id)
			user, _, _ := strings.Cut(q.From, "@")
			f.arrived = append(f.arrived, arrival{id, user, f.now, true})
		}
	}
}

// badStore is a store that may be away, and in whose calls the process may die.
type badStore struct {
	state.Store
	*world
	away bool
	full bool // what is kept cannot be changed
	deaf bool // what is kept is kept, and nobody hears of it
	// putting happens before a put, while the store answers.
	putting func()
}

var errAway = fmt.Errorf("redis: %w", state.ErrUnavailable)

func (s *badStore) PutDoc(ctx context.Context, doc state.Doc) (state.Doc, error) {
	if s.away || s.full {
		return state.Doc{}, errAway
	}
	if s.putting != nil {
		s.putting()
	}
	s.mta.step()
	d, err := s.Store.PutDoc(ctx, doc)
	s.mta.step()
	if s.deaf {
		return state.Doc{}, errAway
	}
	return d, err
}

func (s *badStore) Take(ctx context.Context, now time.Time, ask state.Ask) (state.Answer, error) {
	if s.away {
		return state.Answer{}, errAway
	}
	s.mta.step()
	a, err := s.Store.Take(ctx, now, ask)
	s.mta.step()
	return a, err
}

func (s *badStore) ChangedDocs(ctx context.Context, kind string, known map[string]int64) ([]state.Doc, error) {
	if s.away {
		return nil, errAway
	}
	return s.Store.ChangedDocs(ctx, kind, known)
}

var errBroken = errors.New("it is broken")
