package main

import (
	"fmt"
	"slices"
	"time"
)

// Report is what all transactions came to.
type Report struct {
	Seconds  float64 `json:"seconds"`
	Sent     int     `json:"sent"`
	Accepted int     `json:"accepted"`
	Deferred int     `json:"deferred"` // 4xx
	Refused  int     `json:"refused"`  // 5xx
	Broken   int     `json:"broken"`   // no reply: the connection broke, or was not to be had

	// Of the accepted messages: those that never arrived, and those that did more
	// than once. Unasked arrived though they were not accepted.
	Missing int `json:"missing"`
	Twice   int `json:"twice"`
	Unasked int `json:"unasked"`

	// Milliseconds from the connection or MAIL to the last reply.
	Median  int64 `json:"median_ms"`
	P99     int64 `json:"p99_ms"`
	Longest int64 `json:"longest_ms"`

	// Replies counts what was said in place of 250.
	Replies map[string]int `json:"replies,omitempty"`
}

// report compares what was sent with what is here.
func (s *sink) report(all []Result) Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := Report{Sent: len(all), Replies: map[string]int{}}
	took := make([]time.Duration, 0, len(all))
	for _, one := range all {
		took = append(took, one.Took)
		r.add(one, s.times[one.ID])
	}
	if len(took) > 0 {
		slices.Sort(took)
		r.Median = took[len(took)/2].Milliseconds()
		r.P99 = took[len(took)*99/100].Milliseconds()
		r.Longest = took[len(took)-1].Milliseconds()
	}
	return r
}

// add counts a transaction whose message arrived so many times.
func (r *Report) add(one Result, times int) {
	if one.Code != 250 {
		r.Replies[fmt.Sprintf("%d %s", one.Code, one.Text)]++
		if times > 0 {
			r.Unasked++
		}
	}
	switch one.Code / 100 {
	case 2:
		r.Accepted++
		if times == 0 {
			r.Missing++
		}
		if times > 1 {
			r.Twice++
		}
	case 4:
		r.Deferred++
	case 5:
		r.Refused++
	default:
		r.Broken++
	}
}
