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

// Of one time the order is that of the ids, and who asks page by page, each up to
// the last time of the page before, misses none: also where many are of one
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
	for _, subject := range []string{"account:a", ""} {
		s.finds(state.Query{Subject: subject, Limit: 100}, want...)
		var got []state.Decision
		q := state.Query{Subject: subject, Limit: 5}
		for len(got) < len(want) {
			page, err := s.Decisions(s.ctx, q)
			if err != nil {
				s.Fatal(err)
			}
			n := len(got)
			for _, d := range page {
				if !slices.ContainsFunc(got, func(o state.Decision) bool { return o.ID == d.ID }) {
					got = append(got, d)
				}
			}
			if len(got) == n {
				s.Fatalf("a page before %s brought nothing new: %v", q.Before, page)
			}
			q.Before = got[len(got)-1].At.Add(1)
		}
		if d := cmp.Diff(want, got); d != "" {
			s.Errorf("pages of subject %q (-want +got):\n%s", subject, d)
		}
	}
}
