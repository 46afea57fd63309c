package statetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"o2n-milter/state"
)

// BenchDecisions measures what a decision costs by its recipients: until it is on the
// disk, with 1,000 accounts, a record of some 1.9 KB and four subjects. 16 sessions
// record as fast as they can; alone, one decision comes after the other is written.
func BenchDecisions(b *testing.B, open func(b *testing.B) state.Store) {
	for _, recipients := range []int{0, 1, 10, 100} {
		b.Run(fmt.Sprintf("record/%d", recipients), func(b *testing.B) {
			benchRecord(b, open(b), func(s state.Store) {
				together(16, func(session int) {
					for n := session; n < b.N; n += 16 {
						recordOne(b, s, n, recipients)
					}
				})
				await(b, s, benchDecision(b.N-1, recipients).ID)
			})
		})
	}
	b.Run("alone", func(b *testing.B) {
		benchRecord(b, open(b), func(s state.Store) {
			for n := range b.N {
				recordOne(b, s, n, 1)
				time.Sleep(100 * time.Millisecond)
			}
		})
	})
	b.Run("find", func(b *testing.B) { benchFind(b, open(b), 50_000) })
}

// benchRecord measures record, and closing the store, by which all is written.
func benchRecord(b *testing.B, s state.Store, record func(state.Store)) {
	b.ReportAllocs()
	began := cpuTime(b)
	b.ResetTimer()
	record(s)
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	b.ReportMetric(float64(cpuTime(b)-began)/float64(b.N), "cpu-ns/op")
}

func recordOne(b *testing.B, s state.Store, n, recipients int) {
	if err := s.Record(context.Background(), benchDecision(n, recipients)); err != nil {
		b.Error(err)
	}
}

// BenchFind looks for decisions among so many.
func BenchFind(b *testing.B, all int, open func(b *testing.B) state.Store) {
	benchFind(b, open(b), all)
}

// benchFind looks for the newest 100: one in 1,000 has the account, the recipient or the
// rule. Nobody has the name or the id that is nowhere; and for an action that none has all
// are looked at.
func benchFind(b *testing.B, s state.Store, all int) {
	defer s.Close()
	for n := range all {
		recordOne(b, s, n, 1)
	}
	await(b, s, benchDecision(all-1, 1).ID)
	ctx := context.Background()
	for name, q := range map[string]state.Query{
		"newest":  {},
		"subject": {Subject: "account:user7@client-a.example"}, "recipient": {Recipient: "r7@remote7.example"},
		"rule": {Rule: "limit.r7"}, "nowhere": {Recipient: "nobody@remote7.example"}, "nothing": {Action: "tempfail"},
	} {
		q.Limit = 100
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Decisions(ctx, q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	for name, id := range map[string]string{"id": benchDecision(all/2, 1).ID, "no id": "nowhere"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Decision(ctx, id); (err == nil) != (name == "id") {
					b.Fatal(err)
				}
			}
		})
	}
}

// await waits until the store shows a decision.
func await(b *testing.B, s state.Store, id string) {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		_, err := s.Decision(context.Background(), id)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			b.Fatal(err)
		}
	}
}

func benchDecision(n, recipients int) state.Decision {
	k := n % 1000
	d := state.Decision{
		ID: fmt.Sprintf("D%07d", n), At: start.Add(time.Duration(n) * time.Millisecond), Action: "reject", Rule: fmt.Sprintf("limit.r%d", k),
		Account: fmt.Sprintf("user%d@client-a.example", k), Client: "192.0.2.7", From: fmt.Sprintf("user%d@client-a.example", k), Rcpts: recipients,
		Subjects: []string{fmt.Sprintf("account:user%d@client-a.example", k), "customer:C-1001", "ip:192.0.2.7", fmt.Sprintf("domain:remote%d.example", k)},
		Detail:   benchDetails[k],
	}
	for i := range recipients {
		d.To = append(d.To, fmt.Sprintf("r%d@remote%d.example", k+i, k+i))
	}
	return d
}

// benchDetails are made before anything is measured.
var benchDetails = func() (details [1000][]byte) {
	for n := range details {
		details[n] = benchDetail(n)
	}
	return details
}()

// benchDetail is as long, and repeats itself as much, as what rules write for a message
// with five limits.
func benchDetail(n int) []byte {
	h := uint32(n) * 2654435761
	b := fmt.Appendf(nil, `{"queue_id":"%010x","login":"user%d@client-a.example","message_id":"\u003c%08x@submit.example\u003e","mail_subject":"Order %x: find house","size":%d,"evidence":null,"windows":[`,
		uint64(h)<<8, n%1000, h, h, 4000+h%1000)
	for i, limit := range []string{"minute", "hour", "day", "ip", "host"} {
		if i > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, `{"limit":%q,"subject":"account:user%d@client-a.example","unit":"messages","window":"1h","used":%d,"max":1000000,"next_free":%q,"reply":"%060d"}`,
			limit, n%1000, h>>(3*i)%100, start.Add(time.Duration(n)*time.Millisecond).Format(time.RFC3339Nano), 0)
	}
	return fmt.Appendf(b, `],"campaign":{"id":"%016x","recipients":%d},"version":"0eb25306d2ee"}`, uint64(h)*0x9E3779B97F4A7C15, h%50)
}
