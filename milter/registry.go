package milter

import (
	"container/list"
	"errors"
	"net/netip"
	"sync"
	"time"
)

// mostSilent is for how long a session's peer may be silent when others want its place.
// Postfix ends a client that is silent for 300 s, and its session with it.
const mostSilent = 6 * time.Minute

var (
	errTooMany   = errors.New("as many sessions as milter.max_sessions allows")
	errPerClient = errors.New("as many sessions from this address as milter.max_per_client allows")
)

// registry knows the open sessions and holds them under the caps.
type registry struct {
	max, perClient int
	count          func(open int) // called with the lock held, so in order

	mu      sync.Mutex
	open    map[*conn]struct{}
	clients map[netip.Addr]int // TCP peers only
	// early holds the sessions that have not negotiated, oldest first: at a cap
	// they go first, since an MTA negotiates at once.
	early list.List
}

func (r *registry) init(max, perClient int, count func(int)) {
	r.max, r.perClient, r.count = max, perClient, count
	r.open = map[*conn]struct{}{}
	r.clients = map[netip.Addr]int{}
}

// add lets a session in, or says why not. At a cap it takes out an early session
// instead, or the one that has been silent longest, if that is for long; the caller must
// cut it. admitted runs with the lock held.
func (r *registry) add(c *conn, now time.Time, admitted func()) (evicted *conn, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.perClient > 0 && c.client.IsValid() && r.clients[c.client] >= r.perClient {
		if evicted = r.evict(now, func(old *conn) bool { return old.client == c.client }); evicted == nil {
			return nil, errPerClient
		}
	}
	if r.max > 0 && len(r.open) >= r.max {
		if evicted = r.evict(now, func(*conn) bool { return true }); evicted == nil {
			return nil, errTooMany
		}
	}
	r.enter(c)
	admitted()
	return evicted, nil
}

// put lets a session in that was let in before, by an earlier process.
func (r *registry) put(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.enter(c)
}

func (r *registry) enter(c *conn) {
	r.open[c] = struct{}{}
	if c.client.IsValid() {
		r.clients[c.client]++
	}
	c.early = r.early.PushBack(c)
	r.count(len(r.open))
}

// evict takes out the oldest early session that fits, else the most silent one, of those
// without a message first.
func (r *registry) evict(now time.Time, fits func(*conn) bool) *conn {
	for e := r.early.Front(); e != nil; e = e.Next() {
		if c := e.Value.(*conn); fits(c) {
			r.drop(c)
			return c
		}
	}
	var silent *conn
	for c := range r.open {
		if c.silence(now) > mostSilent && fits(c) && (silent == nil || c.givesWayTo(silent, now)) {
			silent = c
		}
	}
	if silent != nil {
		r.drop(silent)
	}
	return silent
}

// givesWayTo says which of two silent sessions ends first: one that has no message before one
// that has, because Postfix says nothing while a client sends a long text slowly.
func (c *conn) givesWayTo(other *conn, now time.Time) bool {
	if busy := c.busy.Load(); busy != other.busy.Load() {
		return !busy
	}
	return c.silence(now) > other.silence(now)
}

// negotiated is called when a session does that.
func (r *registry) negotiated(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unearly(c)
}

func (r *registry) unearly(c *conn) {
	if c.early != nil {
		r.early.Remove(c.early)
		c.early = nil
	}
}

// remove is called when a session has ended; evicted ones are out already.
func (r *registry) remove(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.open[c]; ok {
		r.drop(c)
		r.count(len(r.open))
	}
}

func (r *registry) drop(c *conn) {
	delete(r.open, c)
	r.unearly(c)
	if !c.client.IsValid() {
		return
	}
	if r.clients[c.client]--; r.clients[c.client] == 0 {
		delete(r.clients, c.client)
	}
}

// all are the sessions still open.
func (r *registry) all() []*conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	left := make([]*conn, 0, len(r.open))
	for c := range r.open {
		left = append(left, c)
	}
	return left
}
