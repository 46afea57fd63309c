package redisdb

import (
	"testing"
	"time"

	"o2n-milter/state"
	"o2n-milter/state/statetest"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 333_000_000, time.UTC)

func TestStore(t *testing.T) {
	statetest.Run(t, func(t *testing.T) state.Store {
		return open(t, Options{URL: common(t).url(), HostTime: true, Log: testLog(t)})
	})
}

func TestReopen(t *testing.T) {
	url := common(t).url()
	reopen := func(t *testing.T) state.Store {
		return open(t, Options{URL: url, HostTime: true, Log: testLog(t)})
	}
	statetest.Reopen(t, reopen, reopen)
}

func BenchmarkDecisions(b *testing.B) {
	statetest.BenchDecisions(b, func(b *testing.B) state.Store {
		return open(b, Options{URL: common(b).url(), HostTime: true})
	})
}

func BenchmarkTake(b *testing.B) {
	statetest.Bench(b, func(b *testing.B) state.Store {
		return open(b, Options{URL: common(b).url()})
	})
}
