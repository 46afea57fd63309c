package rules

import (
	"context"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"o2n-milter/message"
	"o2n-milter/state"
)

// idle is a store that remembers nothing and answers at once: what is left is our own.
type idle struct {
	state.Store
	usage []state.Usage
	costs []int64
}

func (*idle) ActiveBlocks(context.Context, time.Time, []string) ([]state.Block, error) {
	return nil, nil
}

func (*idle) DocsOf(context.Context, string, []string) ([]state.Doc, error) { return nil, nil }

func (*idle) Record(context.Context, state.Decision) error { return nil }

func (s *idle) Take(_ context.Context, now time.Time, ask state.Ask) (state.Answer, error) {
	n := len(ask.Charges)
	for i, c := range ask.Charges {
		s.costs[i], s.usage[i] = c.Cost, state.Usage{Window: c.Window, Used: 1, NextFree: now}
	}
	return state.Answer{Windows: s.usage[:n], Costs: s.costs[:n], Campaigns: make([]state.Campaign, len(ask.Letters))}, nil
}

// fiveLimits are three of the account, one of the client and one of the destination.
func fiveLimits(s *Settings) {
	for _, l := range []Limit{
		{Name: "minute", Subject: "account", Window: time.Minute}, {Name: "hour", Subject: "account", Window: time.Hour},
		{Name: "day", Subject: "account", Window: day}, {Name: "ip", Subject: "ip", Window: time.Minute},
		{Name: "host", Subject: "domain", Window: time.Hour},
	} {
		l.Unit, l.Max, l.Action = Messages, 1<<40, Tempfail
		s.Limits = append(s.Limits, l)
	}
}

// tenFields is a mail of ten fields to one recipient.
func tenFields() *Mail {
	m := with("Received: from [192.0.2.7] (host.example [192.0.2.7])\n\tby mx.example (Postfix) with ESMTPSA id 4XyZ; Sun, 22 Nov 2026 12:00:00 +0100 (CET)",
		"Message-ID: <4f1c3a52-9d0b-4c55-8a2e-0c9f6d1b7a11@client-a.example>", "Date: Sun, 22 Nov 2026 12:00:00 +0100",
		"MIME-Version: 1.0", "User-Agent: Mozilla Thunderbird", "Subject: Meeting on Monday", "Content-Language: fr",
		"To: Bob Martin <bob@remote.example>", "From: Alice Durand <alice@client-a.example>", "Content-Type: text/plain; charset=UTF-8")
	m.Body = []byte("Hello Bob,\r\n\r\nshall we meet on Monday, at ten?\r\n\r\nAlice\r\n")
	return m
}

// perCall runs a benchmark with its processor time, so that a busy machine does not count.
func perCall(b *testing.B, call func()) {
	b.ReportAllocs()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	begin := threadTime(b)
	for b.Loop() {
		call()
	}
	b.ReportMetric(float64(threadTime(b)-begin)/float64(b.N), "cpu-ns/op")
}

// threadTime is the processor time of this thread in nanoseconds.
func threadTime(b testing.TB) int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &now); err != nil {
		b.Fatal(err)
	}
	return now.Nano()
}

// BenchmarkDecide is a whole decision: without a letter and with one (a short one, so
// that it is what is around it that counts), on a store that does nothing and on memory.
func BenchmarkDecide(b *testing.B) {
	for _, kind := range []struct {
		name         string
		letter, idle bool
	}{{"idle", false, true}, {"idle+letter", true, true}, {"memory", false, false}, {"memory+letter", true, false}} {
		b.Run(kind.name, func(b *testing.B) {
			x := costBench(b, kind.letter, kind.idle)
			m := tenFields()
			perCall(b, func() { x.Decide(b.Context(), m) })
		})
	}
}

// BenchmarkJudge is a decision without its record.
func BenchmarkJudge(b *testing.B) {
	x := costBench(b, false, true)
	m := tenFields()
	perCall(b, func() {
		r := x.judgeSafely(b.Context(), start, m, false)
		x.gate.leave(r.weight)
		x.verdict(r, start, "ABCDEFGH")
	})
}

// BenchmarkRefused is mail that a rule refuses for abuse, its reply and its strike, which
// this message has made before.
func BenchmarkRefused(b *testing.B) {
	for _, language := range []string{"en", "en+fr"} {
		b.Run(language, func(b *testing.B) {
			x := newBench(b, func(s *Settings) {
				fiveLimits(s)
				s.Language = language
				s.Blocking = Blocking{Automatic: Reject, Strikes: 5, Within: time.Hour, Durations: []time.Duration{time.Hour}, Remember: 30 * day, MaxPerHour: 100, MaxShare: 10}
			})
			x.Engine.store = &idle{usage: make([]state.Usage, 8), costs: make([]int64, 8)}
			m := tenFields()
			m.Header[8].Value = "Boss <boss@bank.example>"
			if v := x.Decide(b.Context(), m); v.Rule != "identity.header_from" {
				b.Fatal(v.Rule, v.Err)
			}
			perCall(b, func() { x.Decide(b.Context(), m) })
		})
	}
}

// BenchmarkRecord is the record of a decision until the store has it.
func BenchmarkRecord(b *testing.B) {
	x := costBench(b, false, true)
	r := x.judgeSafely(b.Context(), start, tenFields(), false)
	v := x.verdict(r, start, "ABCDEFGH")
	perCall(b, func() {
		if err := x.record(b.Context(), &r.facts, &v); err != nil {
			b.Fatal(err)
		}
	})
}

func BenchmarkParseAddress(b *testing.B) {
	perCall(b, func() { message.ParseAddress("alice.durand@client-a.example") })
}

func costBench(b *testing.B, letter, isIdle bool) *bench {
	x := newBench(b, func(s *Settings) {
		fiveLimits(s)
		if letter {
			bulkActions(s)
		}
	})
	if isIdle {
		x.Engine.store = &idle{usage: make([]state.Usage, 8), costs: make([]int64, 8)}
	}
	return x
}

func BenchmarkNewID(b *testing.B) { perCall(b, func() { NewID() }) }
