package main

import (
	"fmt"
	"io"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"o2n-milter/config"
	"o2n-milter/milter"
	"o2n-milter/notify"
	"o2n-milter/rules"
	"o2n-milter/state/memory"
	"o2n-milter/web/stats"
)

// processTime is the processor time of this process in nanoseconds: a busy machine does
// not count.
func processTime(b *testing.B) int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &now); err != nil {
		b.Fatal(err)
	}
	return now.Nano()
}

// What a verdict costs beside the deciding: its log line, written out, its counters and
// its place in the statistics.
func BenchmarkVerdictTold(b *testing.B) {
	m := &rules.Mail{
		Client: netip.MustParseAddr("192.0.2.7"), Login: "alice@client-a.example", Sender: "alice@client-a.example",
		Recipients: []rules.Recipient{{Address: "bob@remote.example"}}, QueueID: "4XyZ1234567",
	}
	passed := rules.Verdict{Action: rules.Accept, Rule: "none", ID: "ABCDEFGH", Code: 250, Judged: true, Account: "alice@client-a.example",
		Subjects: []string{"account:alice@client-a.example", "ip:192.0.2.7", "domain:remote.example"}, At: time.Now()}
	refused := passed
	refused.Action, refused.Rule, refused.Code = rules.Reject, "identity.header_from", 550
	refused.Evidence = []rules.Evidence{{Rule: "identity.header_from", Fact: "header From", Got: "boss@bank.example", Want: "client-a.example"}}
	for name, v := range map[string]rules.Verdict{"passed": passed, "refused": refused} {
		for _, asJSON := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/json=%v", name, asJSON), func(b *testing.B) {
				out := openLog(io.Discard, config.Log{JSON: asJSON})
				defer out.close()
				var judged atomic.Int64
				r := recorder{milter.NewLog(out.Logger, prometheus.NewRegistry()), stats.New(memory.New(), "mx1", nil), func(notify.Event) {}, &judged}
				b.ReportAllocs()
				begin := processTime(b)
				for b.Loop() {
					r.Record(m, v, 123456*time.Nanosecond)
				}
				b.ReportMetric(float64(processTime(b)-begin)/float64(b.N), "cpu-ns/op")
			})
		}
	}
}
