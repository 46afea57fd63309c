package demo

import (
	"context"
	"maps"
	"slices"
	"sync"

	"o2n-milter/hold/mtaqueue"
	"o2n-milter/hold/wire"
)

// Queue is the MTA's queue: it has only mail on hold, as all other is thrown away at
// once. The hold agent works it.
type Queue struct {
	host string
	// left is told of each message that leaves, released or deleted.
	left func(m wire.Queued, released bool)

	mu   sync.Mutex
	held map[string]wire.Queued
}

var _ mtaqueue.MTA = (*Queue)(nil)

func newQueue(host string, left func(m wire.Queued, released bool)) *Queue {
	return &Queue{host: host, left: left, held: map[string]wire.Queued{}}
}

func (q *Queue) put(m wire.Queued) {
	q.mu.Lock()
	defer q.mu.Unlock()
	m.Queue = wire.QueueHold
	q.held[m.ID] = m
}

// Host gives itself out as Postfix, whose ids it has.
func (q *Queue) Host() wire.Host { return wire.Host{MTA: wire.Postfix, Name: q.host} }

// ValidID says whether an id is of the form of ours.
func (q *Queue) ValidID(id string) bool { return wire.ValidID(wire.Postfix, id) }

// List yields what is on hold.
func (q *Queue) List(_ context.Context, wanted func(wire.Queue) bool, yield func(wire.Queued) error) error {
	if !wanted(wire.QueueHold) {
		return nil
	}
	q.mu.Lock()
	list := slices.Collect(maps.Values(q.held))
	q.mu.Unlock()
	for _, m := range list {
		if err := yield(m); err != nil {
			return err
		}
	}
	return nil
}

// Find says whether a message is on hold.
func (q *Queue) Find(id string) (wire.Queue, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.held[id].Queue, nil
}

// Hold has nothing to do: what is in this queue is on hold.
func (q *Queue) Hold(context.Context, []string) error { return nil }

// Release lets messages go, which is to throw them away.
func (q *Queue) Release(_ context.Context, ids []string) error { return q.leave(ids, true) }

// Delete throws messages away.
func (q *Queue) Delete(_ context.Context, ids []string) error { return q.leave(ids, false) }

func (q *Queue) leave(ids []string, released bool) error {
	for _, id := range ids {
		q.mu.Lock()
		m, there := q.held[id]
		delete(q.held, id)
		q.mu.Unlock()
		if there {
			q.left(m, released)
		}
	}
	return nil
}
