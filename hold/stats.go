package hold

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"o2n-milter/hold/wire"
	"o2n-milter/state"
)

// Stats are for metrics and for people.
type Stats struct {
	Waiting, Kept, Leaving int
	ByRule                 map[string]int
	Oldest                 time.Time // since when the oldest is held; zero: nothing is
	// Since the process began.
	Released, Deleted, Bounced, Expired, Gone int64
	AgentErrors                               map[string]int64 // by verb; "host" for the first question
	Unknown                                   int              // on hold in the MTA and not ours, at the last look
}

// Verbs are those of AgentErrors.
func Verbs() []string {
	return []string{"host", wire.VerbList, wire.VerbHold, wire.VerbRelease, wire.VerbDelete, wire.VerbFind}
}

// counts are what Stats tells of what happened.
type counts struct {
	expired atomic.Int64

	mu       sync.Mutex
	became   map[state.HeldState]int64
	agent    map[string]int64
	why      string   // nothing is released; empty while it is
	strange  []Queued // the oldest first
	strangeN int
}

func newCounts() *counts {
	return &counts{became: map[state.HeldState]int64{}, agent: map[string]int64{}}
}

func (c *counts) ended(as state.HeldState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.became[as]++
}

func (c *counts) agentError(verb string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.agent[verb]++
}

func (c *counts) away(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.why = ""; why != nil {
		c.why = oneLine(why.Error(), 300)
	}
}

// Away is why nothing is released, as at the last Step; empty while it is.
func (k *Keeper) Away() string {
	k.tell.mu.Lock()
	defer k.tell.mu.Unlock()
	return k.tell.why
}

// unknown notes the messages on hold that are not ours.
func (c *counts) unknown(found map[string]Queued) {
	list := slices.SortedFunc(maps.Values(found), func(a, b Queued) int {
		if n := a.Arrived.Compare(b.Arrived); n != 0 {
			return n
		}
		return strings.Compare(a.ID, b.ID)
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.strange, c.strangeN = slices.Clone(list[:min(len(list), mostUnknown)]), len(list)
}

// Unknown are the messages on hold in the MTA that are not ours, the oldest first, as
// at the last look; the first thousand.
func (k *Keeper) Unknown() []Queued {
	k.tell.mu.Lock()
	defer k.tell.mu.Unlock()
	return k.tell.strange
}

// Host is the MTA's own name; empty before the agent has told it.
func (k *Keeper) Host() string {
	k.book.mu.Lock()
	defer k.book.mu.Unlock()
	return k.book.host
}

// Stats counts.
func (k *Keeper) Stats() Stats {
	s := Stats{ByRule: map[string]int{}, AgentErrors: map[string]int64{}, Expired: k.tell.expired.Load()}
	k.book.mu.Lock()
	for _, it := range k.book.items {
		if !it.isOpen() {
			continue
		}
		s.ByRule[it.Rule]++
		switch it.State {
		case state.HeldWaiting:
			s.Waiting++
		case state.HeldKept:
			s.Kept++
		default:
			s.Leaving++
		}
		s.Oldest = earlier(it.Since, s.Oldest)
	}
	k.book.mu.Unlock()
	k.tell.mu.Lock()
	defer k.tell.mu.Unlock()
	for _, verb := range Verbs() {
		s.AgentErrors[verb] = k.tell.agent[verb]
	}
	s.Released, s.Deleted = k.tell.became[state.HeldReleased], k.tell.became[state.HeldDeleted]
	s.Bounced, s.Gone = k.tell.became[state.HeldBounced], k.tell.became[state.HeldGone]
	s.Unknown = k.tell.strangeN
	return s
}
