package load

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"o2n-milter/tests/mta"
)

// Answer is what became of one message.
type Answer struct {
	At   time.Duration // since the beginning
	Took time.Duration // from MAIL to the answer at the end of the message
	Late time.Duration // from when it should have begun
	Kind string
}

// Passed is the Kind of mail that passes.
const Passed = "250"

// kind is the code of an answer with the rule, by which it is not 250.
func kind(out mta.Outcome) string {
	switch {
	case out.Quarantine != "":
		return "held"
	case out.Reply.Code == 250:
		return Passed
	}
	rule := out.Reply.Text[strings.LastIndexByte(out.Reply.Text, '[')+1:]
	rule, _, _ = strings.Cut(rule, " ")
	return fmt.Sprintf("%d %s", out.Reply.Code, rule)
}

// Result is what became of all.
type Result struct {
	Took    time.Duration // until the last answer
	Answers []Answer
	// Faults counts messages without an answer, and sessions that could not begin, by
	// what was wrong.
	Faults map[string]int
}

func (r *Result) fault(err error) {
	if r.Faults == nil {
		r.Faults = map[string]int{}
	}
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner // the last one says what is wrong without saying to which port
	}
	r.Faults[err.Error()]++
}

func merge(parts []Result, took time.Duration) *Result {
	all := &Result{Took: took, Faults: map[string]int{}}
	for _, p := range parts {
		all.Answers = append(all.Answers, p.Answers...)
		for what, n := range p.Faults {
			all.Faults[what] += n
		}
	}
	return all
}

// PerSecond is how many messages were answered in a second.
func (r *Result) PerSecond() float64 { return float64(len(r.Answers)) / r.Took.Seconds() }

// Quantile is the time that this share of the answers did not take longer than, by any
// measure of an answer.
func (r *Result) Quantile(share float64, of func(Answer) time.Duration) time.Duration {
	if len(r.Answers) == 0 {
		return 0
	}
	times := make([]time.Duration, len(r.Answers))
	for i, a := range r.Answers {
		times[i] = of(a)
	}
	slices.Sort(times)
	return times[min(len(times)-1, int(share*float64(len(times))))]
}

// Took and Late are measures.
func Took(a Answer) time.Duration { return a.Took }
func Late(a Answer) time.Duration { return a.Late }

// Kinds counts answers by their kind.
func (r *Result) Kinds() map[string]int {
	n := map[string]int{}
	for _, a := range r.Answers {
		n[a.Kind]++
	}
	return n
}

// Only are the answers of one kind.
func (r *Result) Only(kind string) *Result {
	one := &Result{Took: r.Took}
	for _, a := range r.Answers {
		if a.Kind == kind {
			one.Answers = append(one.Answers, a)
		}
	}
	return one
}

// Within are the answers of the first d, in which all messages of a Plan for d begin: what
// is waited for afterwards is no part of a rate.
func (r *Result) Within(d time.Duration) *Result {
	some := &Result{Took: d, Faults: r.Faults}
	for _, a := range r.Answers {
		if a.At < d {
			some.Answers = append(some.Answers, a)
		}
	}
	return some
}

// Odd are the answers that are none of these kinds, and the faults, in words; empty when
// there are none.
func (r *Result) Odd(kinds ...string) string {
	var list []string
	counts := r.Kinds()
	maps.Copy(counts, r.Faults)
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		if !slices.Contains(kinds, what) {
			list = append(list, fmt.Sprintf("%d x %s", counts[what], what))
		}
	}
	return strings.Join(list, ", ")
}

// Seconds is how many answers there were in each whole second, in the first one at least.
func (r *Result) Seconds() []int {
	seconds := make([]int, max(1, int(r.Took.Seconds())))
	for _, a := range r.Answers {
		if s := int(a.At.Seconds()); s < len(seconds) {
			seconds[s]++
		}
	}
	return seconds
}
