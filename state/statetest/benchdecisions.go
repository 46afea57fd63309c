package statetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"o2n-milter/state"
)

// BenchDecisions measures what a decision costs by its recipients: until it is on its
// way to the disk, with 1,000 accounts, a record of some 1.5 KB and four subjects.
func BenchDecisions(b *testing.B, open func(b *testing.B) state.Store) {
	for _, recipients := range []int{0, 1, 10, 100} {
		b.Run(fmt.Sprintf("record/%d", recipients), func(b *testing.B) {
			s := open(b)
			defer s.Close()
			b.ReportAllocs()
			b.ResetTimer()
			for n := range b.N {
				if err := s.Record(context.Background(), benchDecision(n, recipients)); err != nil {
					b.Fatal(err)
				}
			}
			await(b, s, benchDecision(b.N-1, recipients).ID)
		})
	}
	b.Run("find", func(b *testing.B) { benchFind(b, open(b)) })
}

// benchFind looks for the newest 100 among 50,000: one in 1,000 has the account, the
// recipient or the rule; and for an action that none has, which looks at all.
func benchFind(b *testing.B, s state.Store) {
	defer s.Close()
	const all = 50_000
	for n := range all {
		if err := s.Record(context.Background(), benchDecision(n, 1)); err != nil {
			b.Fatal(err)
		}
	}
	await(b, s, benchDecision(all-1, 1).ID)
	for name, q := range map[string]state.Query{
		"subject": {Subject: "account:user7@client-a.example"}, "recipient": {Recipient: "r7@remote7.example"},
		"rule": {Rule: "limit.r7"}, "nothing": {Action: "tempfail"},
	} {
		q.Limit = 100
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Decisions(context.Background(), q); err != nil {
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
		Detail:   fmt.Appendf(nil, `{"reply":"%01200d"}`, n),
	}
	for i := range recipients {
		d.To = append(d.To, fmt.Sprintf("r%d@remote%d.example", k+i, k+i))
	}
	return d
}
