package redisdb

import (
	"context"
	"sync"

	"github.com/redis/go-redis/v9"
)

// names are the limits and sets that this process knows to be in o2n:names. There are
// as many as the operator has configured.
type names struct{ known sync.Map }

// forget makes ensure look again: the server may have lost them.
func (n *names) forget() { n.known.Clear() }

// ensure writes those that are not known to be there; before the first window of that
// name, so that Reset finds it.
func (n *names) ensure(ctx context.Context, c redis.UniversalClient, list []string) error {
	var fresh []any
	for _, name := range list {
		if _, ok := n.known.Load(name); !ok {
			fresh = append(fresh, name)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	if err := c.SAdd(ctx, namesKey, fresh...).Err(); err != nil {
		return err
	}
	for _, name := range fresh {
		n.known.Store(name, true)
	}
	return nil
}
