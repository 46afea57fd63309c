package redisdb

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Server is what a server, or all masters of a Cluster, say of themselves.
type Server struct {
	Version string
	Evicts  string        // the policy, where keys are dropped when memory is full; else empty
	Forgets bool          // no append-only file
	Missing int           // masters of a Cluster that did not answer
	Ahead   time.Duration // of the clock that now tells
}

// Inspect asks the server of a store that need not be open, and writes nothing there.
// Now is the host's clock; a slow answer counts as a difference of half its time.
func Inspect(ctx context.Context, o Options, now func() time.Time) (Server, error) {
	where, err := address(o)
	if err != nil {
		return Server{}, err
	}
	quiet()
	life, end := context.WithCancel(ctx)
	defer end()
	client := connect(life, where)
	defer client.Close()
	before := now()
	theirs, err := client.Time(ctx).Result()
	if err != nil {
		return Server{}, fmt.Errorf("time: %w", err)
	}
	middle := before.Add(now().Sub(before) / 2)
	f, err := look(ctx, client)
	if err != nil {
		return Server{}, err
	}
	s := Server{Evicts: f.evicts, Forgets: f.forgets, Missing: f.missing, Ahead: theirs.Sub(middle)}
	s.Version, err = versionOf(ctx, client)
	return s, err
}

func versionOf(ctx context.Context, c redis.UniversalClient) (string, error) {
	text, err := c.Info(ctx, "server").Result()
	if err != nil {
		return "", fmt.Errorf("info: %w", err)
	}
	const name = "redis_version:"
	lines := strings.Split(text, "\r\n")
	if i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, name) }); i >= 0 {
		return lines[i][len(name):], nil
	}
	return "", nil // a service may hide it
}
