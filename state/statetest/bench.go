package statetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
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

// threeWindows are what the packaged example limits, with room for all.
func threeWindows(subject string) []state.Charge {
	return []state.Charge{
		charge(window("minute", subject, time.Minute, 1<<40), 1),
		charge(window("hour", subject, time.Hour, 1<<40), 1),
		charge(window("daily", subject, 24*time.Hour, 1<<40), 1),
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
			now := start.Add(time.Duration(n) * 100 * time.Microsecond)
			if _, err := s.Take(context.Background(), now, asks(threeWindows(subject)...)); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "takes/s")
}

// BenchLetters measures what a letter costs a message with five windows, of one of 1,000
// subjects: none; one of a known campaign, to somebody new; and one that is like no
// other, until the subjects have as many campaigns as they may.
func BenchLetters(b *testing.B, open func(b *testing.B) state.Store) {
	const subjects, sessions = 1000, 16
	for _, kind := range []string{"none", "known", "new"} {
		b.Run(kind, func(b *testing.B) {
			s := open(b)
			defer s.Close()
			b.ReportAllocs()
			b.ResetTimer()
			together(sessions, func(session int) {
				rnd := rand.New(rand.NewPCG(1, uint64(session)))
				for n := session; n < b.N; n += sessions {
					subject := fmt.Sprintf("account:user%d@client-a.example", n%subjects)
					ask := asks(fiveWindows(subject)...)
					l := letter(subject, bits(rnd.IntN(near)), 1<<40, fmt.Sprintf("recipient%d@client-b.example", n/subjects))
					l.Remember = 24 * time.Hour
					if kind == "new" {
						l.Sketch = state.Sketch{rnd.Uint64(), rnd.Uint64(), rnd.Uint64(), rnd.Uint64()}
					}
					if kind != "none" {
						ask.Letters = []state.Letter{l}
					}
					if _, err := s.Take(context.Background(), start.Add(time.Duration(n)*100*time.Microsecond), ask); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.StopTimer()
			st, err := s.Status(context.Background(), start)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(st.Memory)/subjects, "estB/subject")
			b.ReportMetric(float64(st.Size)/float64(b.N), "diskB/op")
		})
	}
}

// fiveWindows have room for all.
func fiveWindows(subject string) []state.Charge {
	return append(threeWindows(subject),
		charge(window("bytes", subject, time.Hour, 1<<40), 1000), charge(window("recipients", subject, 24*time.Hour, 1<<40), 1))
}

// BenchSubjects measures what one more subject takes: with its three windows, and
// with ten recipients that it knows. The heap holds all that the process has; est is
// what the store says of it; disk, where it tells, follows some way behind.
func BenchSubjects(b *testing.B, open func(b *testing.B) state.Store) {
	ten := numbered(0, 10)
	kinds := map[string]func(subject string) []state.Charge{
		"windows":    threeWindows,
		"recipients": func(subject string) []state.Charge { return []state.Charge{to(recipients(subject, 1<<40), ten...)} },
	}
	for name, charges := range kinds {
		b.Run(name, func(b *testing.B) {
			s := open(b)
			defer s.Close()
			before := heap()
			b.ResetTimer()
			together(16, func(session int) {
				for n := session; n < b.N; n += 16 {
					ask := asks(charges(fmt.Sprintf("account:user%d@client-a.example", n))...)
					if _, err := s.Take(context.Background(), start, ask); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.StopTimer()
			st, err := s.Status(context.Background(), start)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(heap()-before)/float64(b.N), "heapB/subject")
			b.ReportMetric(float64(st.Memory)/float64(b.N), "estB/subject")
			b.ReportMetric(float64(st.Size)/float64(b.N), "diskB/subject")
		})
	}
}

// heap is what the process holds, in bytes.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
