package main

import (
	"testing"
	"time"
)

// TestReport: each way a transaction can end is counted as what it is.
func TestReport(t *testing.T) {
	s := &sink{times: map[string]int{"once": 1, "twice": 2, "deferred but here": 1}}
	got := s.report([]Result{
		{ID: "once", Code: 250, Took: 2 * time.Millisecond},
		{ID: "twice", Code: 250, Took: 3 * time.Millisecond},
		{ID: "lost", Code: 250, Took: 4 * time.Millisecond},
		{ID: "deferred", Code: 451, Text: "4.7.1 later"},
		{ID: "deferred but here", Code: 451, Text: "4.7.1 later"},
		{ID: "refused", Code: 550, Text: "5.7.1 no"},
		{ID: "broken", Text: "EOF", Took: time.Second},
	})
	want := Report{Sent: 7, Accepted: 3, Deferred: 2, Refused: 1, Broken: 1, Missing: 1, Twice: 1, Unasked: 1, Median: 2, P99: 1000, Longest: 1000}
	replies := got.Replies
	got.Replies = nil
	if !equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if len(replies) != 3 || replies["451 4.7.1 later"] != 2 || replies["0 EOF"] != 1 {
		t.Errorf("replies %v", replies)
	}
}

func equal(a, b Report) bool {
	a.Replies, b.Replies = nil, nil
	return a.Seconds == b.Seconds && a.Sent == b.Sent && a.Accepted == b.Accepted && a.Deferred == b.Deferred && a.Refused == b.Refused &&
		a.Broken == b.Broken && a.Missing == b.Missing && a.Twice == b.Twice && a.Unasked == b.Unasked &&
		a.Median == b.Median && a.P99 == b.P99 && a.Longest == b.Longest
}
