package milter

import (
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	warnedFor = time.Minute
	// maxWarnings is how many lines one peer may cost in that time: who asks what is
	// wrong with it needs no more.
	maxWarnings = 10
	// maxWarned is how many peers may have lines of their own: a network of hosts, or
	// loopback, has addresses without end.
	maxWarned  = 100
	otherPeers = "others"
)

// warnings bounds what the log gets of connections that come to nothing: each would cost
// its peer nothing and us a line. Those left out are counted, and told at the minute's end.
type warnings struct {
	log *slog.Logger

	mu   sync.Mutex
	of   map[string]int // warnings of this minute by peer; nil before the first
	over *time.Timer    // the end of the minute
}

// admit says whether a warning about a peer is to be written.
func (w *warnings) admit(peer string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.of == nil {
		w.of = map[string]int{}
		w.over = time.AfterFunc(warnedFor, w.tell)
	}
	if w.of[peer] == 0 && len(w.of) >= maxWarned {
		peer = otherPeers
	}
	w.of[peer]++
	return w.of[peer] <= maxWarnings
}

// tell ends the minute and says what was left out.
func (w *warnings) tell() {
	w.mu.Lock()
	of := w.of
	w.of = nil
	if of != nil {
		w.over.Stop()
	}
	w.mu.Unlock()
	for _, peer := range slices.Sorted(maps.Keys(of)) {
		if left := of[peer] - maxWarnings; left > 0 {
			w.log.Warn("milter: more such warnings about a peer", "peer", peer, "count", left)
		}
	}
}

// warn tells of a connection that comes to nothing.
func (c *conn) warn(msg string, args ...any) {
	peer := c.RemoteAddr().Network() // all of a unix socket's peers are one
	if c.client.IsValid() {
		peer = c.client.String()
	}
	if c.server.warnings.admit(peer) {
		c.log().Warn(msg, args...)
	}
}
