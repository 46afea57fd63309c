package milter

import (
	"container/list"
	"errors"
	"iter"
	"net/netip"
	"sync"
	"time"
)

// mostSilent is for how long a session's peer may be silent when others want its place.
// Postfix ends a client that is silent for 300 s, and its session with it.
const mostSilent = 6 * time.Minute

// mostEarly is for how long a session may not have negotiated when others from its address
// want its place. An MTA negotiates at once, but where all processors are busy it is some
// time until that is read, and who is cut off then gets no answer.
const mostEarly = 500 * time.Millisecond

var (
	errTooMany   = errors.New("as many sessions as milter.max_sessions allows")
	errPerClient = errors.New("as many sessions from this address as milter.max_per_client allows")
)

// registry knows the open sessions and holds them under the caps.
type registry struct {
	max, perClient int
	count          func(open int) // called with the lock held, so in order

	mu      sync.Mutex
	open    crowd
	clients map[netip.Addr]*crowd // TCP peers only
	// early holds the sessions that have not negotiated, oldest first: at a cap
	// they go first, since an MTA negotiates at once.
	early list.List
}

// crowd are the sessions that a cap is for.
type crowd struct {
	all   map[*conn]struct{}
	early int // of them
	// talking is until when none of them can have been silent for too long: as long nobody
	// looks at them again. Peers that speak, and new ones, only make it later.
	talking time.Time
}

func (r *registry) init(max, perClient int, count func(int)) {
	r.max, r.perClient, r.count = max, perClient, count
	r.open = crowd{all: map[*conn]struct{}{}}
	r.clients = map[netip.Addr]*crowd{}
}

// add lets a session in, or says why not. At a cap it takes out an early session
// instead, or the one that has been silent longest, if that is for long; the caller must
// cut it. admitted runs with the lock held.
func (r *registry) add(c *conn, now time.Time, admitted func()) (evicted *conn, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if own := r.clients[c.client]; r.perClient > 0 && own != nil && len(own.all) >= r.perClient {
		if evicted = r.evict(now, own, c.client); evicted == nil {
			return nil, errPerClient
		}
	}
	if r.max > 0 && len(r.open.all) >= r.max {
		if evicted = r.evict(now, &r.open, c.client); evicted == nil {
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
	if c.client.IsValid() && r.clients[c.client] == nil {
		r.clients[c.client] = &crowd{all: map[*conn]struct{}{}}
	}
	c.early = r.early.PushBack(c)
	for of := range r.crowds(c) {
		of.all[c] = struct{}{}
		of.early++
	}
	r.count(len(r.open.all))
}

// crowds are those that a session that is let in belongs to.
func (r *registry) crowds(c *conn) iter.Seq[*crowd] {
	return func(yield func(*crowd) bool) {
		if yield(&r.open) && c.client.IsValid() {
			yield(r.clients[c.client])
		}
	}
}

// evict takes out the oldest early session of a crowd, else the most silent one, of those
// without a message first, for a peer of this address.
func (r *registry) evict(now time.Time, of *crowd, peer netip.Addr) *conn {
	goes := r.oldestEarly(now, of, peer)
	if goes == nil {
		goes = of.mostSilent(now)
	}
	if goes != nil {
		r.drop(goes)
	}
	return goes
}

func (r *registry) oldestEarly(now time.Time, of *crowd, peer netip.Addr) *conn {
	for e := r.early.Front(); e != nil && of.early > 0; e = e.Next() {
		c := e.Value.(*conn)
		if _, is := of.all[c]; is && (c.client != peer || now.Sub(c.opened) >= mostEarly) {
			return c
		}
	}
	return nil
}

// mostSilent is who has been silent for too long, and for longest; nil when nobody has.
func (of *crowd) mostSilent(now time.Time) (silent *conn) {
	if !now.After(of.talking) {
		return nil
	}
	of.talking = now.Add(mostSilent)
	for c := range of.all {
		quiet := c.silence(now)
		if quiet > mostSilent && (silent == nil || c.givesWayTo(silent, now)) {
			silent = c
		}
		of.talking = earlier(of.talking, now.Add(mostSilent-quiet))
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
		for of := range r.crowds(c) {
			of.early--
		}
	}
}

// remove is called when a session has ended; evicted ones are out already.
func (r *registry) remove(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.open.all[c]; ok {
		r.drop(c)
		r.count(len(r.open.all))
	}
}

func (r *registry) drop(c *conn) {
	r.unearly(c)
	for of := range r.crowds(c) {
		delete(of.all, c)
	}
	if own := r.clients[c.client]; own != nil && len(own.all) == 0 {
		delete(r.clients, c.client)
	}
}

// all are the sessions still open.
func (r *registry) all() []*conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	left := make([]*conn, 0, len(r.open.all))
	for c := range r.open.all {
		left = append(left, c)
	}
	return left
}
