package statetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/state"
)

// finds wants exactly these decisions, as soon as they are visible.
func (s *suite) finds(q state.Query, want ...state.Decision) {
	s.Helper()
	if want == nil {
		want = []state.Decision{}
	}
	fault := visible(func() string {
		got, err := s.Decisions(s.ctx, q)
		if err != nil {
			return err.Error()
		}
		return cmp.Diff(want, got)
	})
	if fault != "" {
		s.Fatalf("decisions %+v (-want +got):\n%s", q, fault)
	}
}

func testQuery(_ *testing.T, s *suite) {
	var ds []state.Decision // oldest first
	for i := range 5 {
		subjects := []string{"account:a", "ip:192.0.2.1", "customer:C-1"}
		if i%2 == 1 {
			subjects = []string{"account:b"}
		}
		ds = append(ds, decision(fmt.Sprint("D", i), i, subjects...))
		s.record(ds[i])
	}
	nobody := decision("D5", 5)
	nobody.Subjects = nil
	s.record(nobody)
	// Of any subject: each once, and those of none too.
	s.finds(state.Query{Limit: 10}, nobody, ds[4], ds[3], ds[2], ds[1], ds[0])
	s.finds(state.Query{Limit: 2}, nobody, ds[4])
	s.finds(state.Query{}) // none
	s.finds(state.Query{Limit: -1})
	for _, subject := range []string{"", "account:a"} {
		find := func(since, before time.Time, limit int, want ...state.Decision) {
			s.Helper()
			q := state.Query{Subject: subject, Since: since, Before: before, Limit: limit}
			s.finds(q, slices.DeleteFunc(want, func(d state.Decision) bool { return !q.Wants(d) })...)
		}
		var first, last time.Time
		find(ds[2].At, ds[4].At.Add(1), 10, ds[4], ds[3], ds[2])
		find(ds[2].At.Add(1), ds[4].At.Add(1), 1, ds[4])
		find(ds[4].At, ds[4].At, 10)
		find(first, ds[0].At, 10)
		find(first, ds[0].At.Add(1), 10, ds[0])
		find(ds[0].At.Add(24*time.Hour), last, 10)
		find(ds[0].At, ds[1].At, 1, ds[0])
		find(ds[4].At, ds[4].At.Add(time.Second), 10, ds[4])
	}
}

// Each decision is found by any of its recipients, by its rule and by its action, alone
// and together with the rest of the question.
func testFilters(_ *testing.T, s *suite) {
	var ds []state.Decision // oldest first
	for i := range 12 {
		d := decision(fmt.Sprint("F", i), i, "account:a")
		d.To = []string{fmt.Sprintf("r%d@x.example", i%3), "50%/{all}\xe9@x.example"}
		d.Action, d.Rule = "reject", []string{"limit.minute", "identity.header_from"}[i%2]
		if i%4 == 0 {
			d.Action, d.Rule, d.Subjects = "accept", "none", []string{"account:b"}
		}
		ds = append(ds, d)
		s.record(d)
	}
	slices.Reverse(ds)
	for _, subject := range []string{"", "account:a", "account:c"} {
		for _, to := range []string{"", "r1@x.example", "50%/{all}\xe9@x.example", "r9@x.example", "R1@x.example"} {
			for _, rule := range []string{"", "none", "limit.minute", "limit"} {
				for _, action := range []string{"", "reject", "accept"} {
					q := state.Query{Subject: subject, Recipient: to, Rule: rule, Action: action, Limit: 20, Since: ds[11].At, Before: ds[0].At, Past: "F1"}
					var want []state.Decision
					for _, d := range ds {
						if (subject == "" || d.Subjects[0] == subject) && (to == "" || slices.Contains(d.To, to)) &&
							(rule == "" || d.Rule == rule) && (action == "" || d.Action == action) {
							want = append(want, d)
						}
					}
					s.finds(q, want...)
				}
			}
		}
	}
}

// Of one time the order is that of the ids, and who asks page by page, each behind the
// last decision of the page before, gets each once: also where many are of one
// millisecond, or of one nanosecond.
func testPages(_ *testing.T, s *suite) {
	var want []state.Decision // newest first
	for ms := range 4 {
		for i := range 6 {
			d := decision(fmt.Sprintf("D%d-%d", ms, i), 0, "account:a")
			d.At = start.Add(-time.Duration(ms)*time.Millisecond - time.Duration(i/3)*time.Nanosecond)
			want = append(want, d)
		}
	}
	for i := range want {
		s.record(want[i*7%len(want)]) // in no order
	}
	to := want[0].To[0]
	for _, q := range []state.Query{{Subject: "account:a"}, {}, {Recipient: to}, {Rule: want[0].Rule}} {
		q.Limit = 100
		s.finds(q, want...)
		for q.Limit = 1; q.Limit <= len(want)+1; q.Limit++ {
			s.pages(q, want)
		}
	}
}

// pages wants these decisions page by page, each page full but for the last.
func (s *suite) pages(q state.Query, want []state.Decision) {
	s.Helper()
	var got []state.Decision
	for {
		page, err := s.Decisions(s.ctx, q)
		if err != nil {
			s.Fatal(err)
		}
		got = append(got, page...)
		if len(page) < q.Limit || len(got) > len(want) {
			break
		}
		q.Before, q.Past = page[len(page)-1].At, page[len(page)-1].ID
	}
	if d := cmp.Diff(want, got); d != "" {
		s.Errorf("pages of %+v (-want +got):\n%s", q, d)
	}
}
