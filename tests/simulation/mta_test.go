package simulation

import (
	"context"
	"errors"
	"time"

	"o2n-milter/hold"
)

// mta is an MTA's queue, and the agent that works it.
type mta struct {
	queue   map[string]*queued
	down    error
	deaf    bool            // it does what it is told, and cannot say so
	release func(q *queued) // is told of what leaves
	deleted func(q *queued) // and of what is deleted
	now     func() time.Time
}

// queued is a message there.
type queued struct {
	hold.Queued
	letter *letter
}

var errMTA = errors.New("agent does not answer")

func (m *mta) Host(context.Context) (hold.Host, error) {
	return hold.Host{MTA: "postfix", Name: host}, m.down
}

func (m *mta) List(_ context.Context, yield func(hold.Queued) error, queues ...hold.Queue) error {
	if m.down != nil {
		return m.down
	}
	for _, q := range m.queue {
		for _, wanted := range queues {
			if q.Queue != wanted {
				continue
			}
			if err := yield(q.Queued); err != nil {
				return err
			}
		}
	}
	return nil
}

// each does something with messages.
func (m *mta) each(ids []string, do func(*queued)) (map[string]error, error) {
	if m.down != nil {
		return nil, m.down
	}
	done := map[string]error{}
	for _, id := range ids {
		if q := m.queue[id]; q != nil {
			do(q)
			done[id] = nil
		} else {
			done[id] = hold.ErrNotQueued
		}
	}
	if m.deaf {
		return nil, errMTA
	}
	return done, nil
}

func (m *mta) Hold(_ context.Context, ids ...string) (map[string]error, error) {
	return m.each(ids, func(q *queued) { q.Queue = hold.QueueHold })
}

// Release delivers at once.
func (m *mta) Release(_ context.Context, ids ...string) (map[string]error, error) {
	return m.each(ids, func(q *queued) {
		m.release(q)
		delete(m.queue, q.ID)
	})
}

func (m *mta) Delete(_ context.Context, ids ...string) (map[string]error, error) {
	return m.each(ids, func(q *queued) {
		m.deleted(q)
		delete(m.queue, q.ID)
	})
}

func (m *mta) Find(_ context.Context, ids ...string) (map[string]hold.Queue, error) {
	if m.down != nil {
		return nil, m.down
	}
	found := map[string]hold.Queue{}
	for _, id := range ids {
		found[id] = hold.QueueNone
		if q := m.queue[id]; q != nil {
			found[id] = q.Queue
		}
	}
	return found, nil
}
