package statetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"syscall"
	"testing"
	"time"

	"o2n-milter/state"
)

// BenchMail measures Take as rules ask for a message: three limits of its account, one of
// its client's address (of 256) and one of a recipient's domain (of 100), and a letter
// that is like no other, with one recipient. 16 sessions; each account has been there
// once before.
func BenchMail(b *testing.B, accounts int, open func(b *testing.B) state.Store) {
	const sessions = 16
	s := open(b)
	defer s.Close()
	mails := func(from, to, rounds int) {
		together(sessions, func(session int) {
			rnd := rand.New(rand.NewPCG(uint64(from), uint64(session)))
			for n := from + session; n < to; n += sessions {
				now := start.Add(time.Duration(n) * time.Millisecond)
				if _, err := s.Take(context.Background(), now, mail(rnd, n%rounds)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	mails(0, accounts, accounts)
	done := accounts
	b.Run(fmt.Sprint(accounts), func(b *testing.B) {
		b.ReportAllocs()
		began := cpuTime(b)
		b.ResetTimer()
		mails(done, done+b.N, accounts)
		b.StopTimer()
		b.ReportMetric(float64(cpuTime(b)-began)/float64(b.N), "cpu-ns/op")
		done += b.N
		if st, err := s.Status(context.Background(), start); err == nil {
			b.ReportMetric(float64(st.Size)/1e6, "diskMB")
		}
	})
}

// mail is what a message from the n-th account asks; what is drawn by chance differs.
func mail(rnd *rand.Rand, n int) state.Ask {
	n = int(uint32(n) * 2654435761 % 4294967291) // no neighbours
	account := fmt.Sprintf("account:user%d@client%d.example", n, n%1000)
	return state.Ask{
		Charges: append(threeWindows(account),
			charge(window("ip", fmt.Sprintf("ip:192.0.2.%d", rnd.IntN(256)), time.Minute, 1<<40), 1),
			charge(window("host", fmt.Sprintf("domain:remote%d.example", rnd.IntN(100)), time.Hour, 1<<40), 1)),
		Letters: []state.Letter{{
			Subject: account, Sketch: state.Sketch{rnd.Uint64(), rnd.Uint64(), rnd.Uint64(), rnd.Uint64()}, Near: near, Max: 1 << 40,
			Members: []string{fmt.Sprintf("recipient%d@remote%d.example", rnd.IntN(10_000), n%100)}, Remember: 24 * time.Hour,
		}},
		Subjects: []string{account},
	}
}

// cpuTime is the processor time that this process has taken, in all threads.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	runtime.GC() // what was made is paid for by who made it
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
