package redisdb

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"o2n-milter/state"
)

// remembered is for how long Status tells what was lost.
const remembered = time.Hour

// facts are what a server, or all masters of a Cluster, say of themselves.
type facts struct {
	memory  int64  // bytes used
	evicts  string // the policy, where it drops keys when memory is full; else empty
	forgets bool   // no append-only file
	cluster bool
	missing int // masters of a Cluster that did not answer
}

// look asks the servers.
func look(ctx context.Context, c redis.UniversalClient) (facts, error) {
	cluster, ok := c.(*redis.ClusterClient)
	if !ok {
		return lookAt(ctx, c)
	}
	var mu sync.Mutex
	all := facts{cluster: true}
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		f, err := lookAt(ctx, node)
		mu.Lock()
		defer mu.Unlock()
		if err != nil { // the others go on
			all.missing++
			return nil
		}
		all.memory += f.memory
		all.evicts = max(all.evicts, f.evicts)
		all.forgets = all.forgets || f.forgets
		return nil
	})
	return all, err
}

func lookAt(ctx context.Context, c redis.Cmdable) (facts, error) {
	text, err := c.Info(ctx).Result()
	if err != nil {
		return facts{}, fmt.Errorf("info: %w", err)
	}
	info := make(map[string]string)
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		info[name] = value
	}
	f := facts{cluster: info["cluster_enabled"] == "1", forgets: info["aof_enabled"] == "0"}
	// A service that hides a number is no worse for it.
	f.memory, _ = strconv.ParseInt(info["used_memory"], 10, 64)
	if policy := info["maxmemory_policy"]; policy != "noeviction" && info["maxmemory"] != "0" {
		f.evicts = policy
	}
	return f, nil
}

// health is what Status tells beside the link's.
type health struct {
	mu       sync.Mutex
	facts    facts
	lost     string    // what the server had lost; empty when it had not
	lostAt   time.Time // by this host's monotonic clock
	lastTake time.Time // of the last call that charged, by the callers' time
}

func (h *health) take(f facts, log *slog.Logger) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if f.evicts != "" && f.evicts != h.facts.evicts {
		log.Warn("redis: evicts keys when its memory is full: limits will leak; set maxmemory-policy noeviction", "maxmemory-policy", f.evicts)
	}
	if f.forgets && !h.facts.forgets {
		log.Warn("redis: appendonly is off: a restart of the server forgets what was charged since its last snapshot")
	}
	h.facts = f
}

// serverLost tells that the server was given docs that it no longer had.
func (s *Store) serverLost(docs int) {
	text := fmt.Sprintf("the server had lost data (emptied, restored from a backup, or a replica that was behind): "+
		"%d blocks and other docs were put back; windows, sets and decisions cannot be", docs)
	s.log.Error("redis: "+text, "server", s.server())
	s.names.forget()
	s.health.mu.Lock()
	defer s.health.mu.Unlock()
	s.health.lost, s.health.lostAt = text, time.Now()
}

// charged notes the time of a call for Status.
func (h *health) charged(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now.After(h.lastTake) {
		h.lastTake = now
	}
}

// Status implements state.Store.
func (s *Store) Status(ctx context.Context, _ time.Time) (state.Status, error) {
	if err := s.enter(ctx); err != nil {
		return state.Status{}, err
	}
	defer s.leave()
	s.health.mu.Lock()
	st := state.Status{Backend: "redis", LastCommit: s.health.lastTake.UTC(), Size: s.health.facts.memory}
	s.health.mu.Unlock()
	st.Degraded, st.Away = strings.Join(s.troubles(), "; "), s.link.fault() != nil
	return st, nil
}

// troubles are the reasons why the store is not whole, the worst first.
func (s *Store) troubles() []string {
	var list []string
	if err := s.link.fault(); err != nil {
		list = append(list, "the server is away: "+err.Error())
	}
	s.health.mu.Lock()
	defer s.health.mu.Unlock()
	if s.health.lost != "" && time.Since(s.health.lostAt) < remembered {
		list = append(list, s.health.lost)
	}
	f := s.health.facts
	if f.missing > 0 {
		list = append(list, fmt.Sprintf("%d servers of the Cluster do not answer", f.missing))
	}
	if f.evicts != "" {
		list = append(list, "the server evicts keys when its memory is full ("+f.evicts+"): limits will leak")
	}
	if d := s.mirror.diary; d != nil {
		if err := d.fault.Load(); err != nil {
			list = append(list, (*err).Error())
		}
	}
	if n := s.writer.recentlyLost(); n > 0 {
		list = append(list, fmt.Sprintf("%d decisions were not kept", n))
	}
	return list
}
