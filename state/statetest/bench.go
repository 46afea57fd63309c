package statetest

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"o2n-milter/state"
)

// Bench measures Take with the three windows of a message, all sessions on one
// account (hot) or each message on one of 10,000 (spread).
func Bench(b *testing.B, open func(b *testing.B) state.Store) {
	for _, spread := range []int{1, 10_000} {
		for _, sessions := range []int{1, 16, 64} {
			kind := "hot"
			if spread > 1 {
				kind = "spread"
			}
			b.Run(fmt.Sprintf("%s/%d", kind, sessions), func(b *testing.B) {
				s := open(b)
				defer s.Close()
				benchTake(b, s, sessions, spread)
			})
		}
	}
}

func benchTake(b *testing.B, s state.Store, sessions, spread int) {
	subjects := make([]string, spread)
	for i := range subjects {
		subjects[i] = fmt.Sprintf("account:user%d@client-a.example", i)
	}
	var next atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	together(sessions, func(int) {
		for {
			n := int(next.Add(1))
			if n > b.N {
				return
			}
			subject := subjects[n*7919%spread] // 7919 is prime: no neighbours
			charges := []state.Charge{
				charge(window("minute", subject, time.Minute, 1<<40), 1),
				charge(window("hour", subject, time.Hour, 1<<40), 1),
				charge(window("daily", subject, 24*time.Hour, 1<<40), 1),
			}
			now := start.Add(time.Duration(n) * 100 * time.Microsecond)
			if _, err := s.Take(context.Background(), now, state.Ask{Charges: charges}); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "takes/s")
}
