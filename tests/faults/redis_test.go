//go:build mta

package faults

import (
	"fmt"
	"testing"

	"o2n-milter/tests/mta"
)

// redis is a redis-server of our own.
type redis struct{ *mta.Redis }

func startRedis(t testing.TB) redis {
	t.Helper()
	return redis{mta.NewRedis(t, "--appendfsync", "everysec")}
}

// state is what stands under [state].
func (r redis) state(more string) string {
	return fmt.Sprintf("backend = \"redis\"\nredis = \"unix://%s\"\n%s", r.Socket, more)
}

const badger = "backend = \"badger\"\n"
