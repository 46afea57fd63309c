package statetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/state"
)

// decision is made n seconds after start.
func decision(id string, n int, subjects ...string) state.Decision {
	return state.Decision{
		ID: id, At: start.Add(time.Duration(n) * time.Second), Action: "reject", Rule: "limit.minute",
		Account: "alice@client-a.example", Client: "192.0.2.1", From: "50%\xe9\x00@client-a.example", Rcpts: 3,
		Subjects: subjects, To: []string{"bob\xe9%/{x}@remote.example", "all@remote.example"}, Detail: []byte(`{"evidence":["\u00e9 %00"]}`),
	}
}

func (s *suite) record(d state.Decision) {
	s.Helper()
	if err := s.Record(s.ctx, d); err != nil {
		s.Fatalf("record %q: %v", d.ID, err)
	}
}

// visible tries for the second that the contract allows, and two more for a test
// machine that is busy with other things.
func visible(check func() string) string {
	deadline := time.Now().Add(3 * time.Second)
	for {
		fault := check()
		if fault == "" || time.Now().After(deadline) {
			return fault
		}
		time.Sleep(time.Millisecond)
	}
}

// history wants exactly these decisions of a subject.
func (s *suite) history(subject string, limit int, want ...state.Decision) {
	s.Helper()
	if want == nil {
		want = []state.Decision{}
	}
	fault := visible(func() string {
		got, err := s.Decisions(s.ctx, state.Query{Subject: subject, Limit: limit})
		if err != nil {
			return err.Error()
		}
		return cmp.Diff(want, got)
	})
	if fault != "" {
		s.Fatalf("decisions of %q (-want +got):\n%s", subject, fault)
	}
}

func testDecisions(_ *testing.T, s *suite) {
	d1, d2 := decision("D1", 1, "account:a", "ip:192.0.2.1"), decision("D2", 2, "account:a")
	d3, old := decision("D3", 2, "account:b"), decision("D4", -86400, "account:a")
	subjects := []string{"account:a"}
	d2.Subjects = subjects
	for _, d := range []state.Decision{d1, d2, d3, old} {
		s.record(d)
	}
	subjects[0] = "account:reused" // the store has its own copy
	d2.Subjects = []string{"account:a"}
	s.history("account:a", 10, d2, d1, old)
	s.history("account:a", 3, d2, d1, old)
	s.history("account:a", 2, d2, d1)
	s.history("account:a", 0)
	s.history("account:a", -1)
	s.history("ip:192.0.2.1", 10, d1)
	s.history("account:reused", 10)
	s.history("account:", 10)
	got, err := s.Decision(s.ctx, "D2")
	if err != nil {
		s.Fatal(err)
	}
	if d := cmp.Diff(d2, got); d != "" {
		s.Errorf("decision (-want +got):\n%s", d)
	}
	for _, id := range []string{"", "D", "D9", "d1"} {
		if _, err := s.Decision(s.ctx, id); !errors.Is(err, state.ErrNotFound) {
			s.Errorf("decision %q: %v; want ErrNotFound", id, err)
		}
	}
	// An id that comes up again: nobody is shown another's mail for it.
	again := decision("D3", 3, "account:c")
	s.record(again)
	s.history("account:c", 10, again)
	s.history("account:b", 10)
	if err := s.Record(s.ctx, decision("", 0)); err == nil {
		s.Error("a decision without id: no error")
	}
}

// More than wait in any queue, from several sessions: none is lost.
func testManyDecisions(_ *testing.T, s *suite) {
	const sessions, each = 10, 500
	together(sessions, func(i int) {
		for n := range each {
			if err := s.Record(s.ctx, decision(fmt.Sprintf("D%d-%d", i, n), n, fmt.Sprintf("account:%d", i))); err != nil {
				s.Error(err)
			}
		}
	})
	for i := range sessions {
		fault := visible(func() string {
			got, err := s.Decisions(s.ctx, state.Query{Subject: fmt.Sprintf("account:%d", i), Limit: 2 * each})
			if err != nil || len(got) != each {
				return fmt.Sprintf("%d decisions, error %v; want %d", len(got), err, each)
			}
			return ""
		})
		if fault != "" {
			s.Fatalf("account %d: %s", i, fault)
		}
	}
}
