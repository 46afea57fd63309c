package stats

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"o2n-milter/state"
)

// kind is the docs' kind.
const kind = "stats"

const (
	// mostKept bounds the senders of a doc: some 14 KB, which every host has in
	// memory, 192 times for each host.
	mostKept = 200
	// mostName bounds a sender's name in a doc, in bytes.
	mostName = 100
	// mostDoc bounds a doc, in bytes; the store takes 64 KiB.
	mostDoc = 60_000
	// mostRules bounds the pairs of rule and action of a doc: some 20 rules with an
	// action each, and as many limits as somebody writes.
	mostRules = 200
)

// record is an hour of one host, as a doc keeps it.
type record struct {
	At      time.Time        `json:"at"`
	Host    string           `json:"host"`
	Counts  map[string]int64 `json:"counts"`  // by "rule action"
	Senders []SenderCount    `json:"senders"` // the most active ones
}

// SenderCount is what a sender has sent; at least, where many more senders came
// than are counted.
type SenderCount struct {
	Subject  string `json:"subject"`
	Messages int64  `json:"messages"`
	Refused  int64  `json:"refused"` // of these: refused, deferred or held
}

const hourFormat = "2006010215"

func (r *record) id() string { return r.At.UTC().Format(hourFormat) + "." + r.Host }

// hourOf reads the hour from a doc's id; the zero time when it holds none.
func hourOf(id string) time.Time {
	hour, _, _ := strings.Cut(id, ".")
	t, err := time.Parse(hourFormat, hour)
	if err != nil {
		return time.Time{}
	}
	return t
}

func decode(doc state.Doc) (record, error) {
	var r record
	if err := json.Unmarshal(doc.Data, &r); err != nil {
		return r, fmt.Errorf("statistics %s: %w", doc.ID, err)
	}
	return r, nil
}

// encode gives up the lesser senders where their names take too much.
func (r record) encode() json.RawMessage {
	for {
		data, err := json.Marshal(r)
		if err != nil {
			panic(err) // plain strings and numbers always marshal
		}
		if len(data) <= mostDoc || len(r.Senders) == 0 {
			return data
		}
		r.Senders = r.Senders[:len(r.Senders)/2]
	}
}

// add takes what a shard has counted.
func (r *record) add(b *bucket) {
	if b.passed > 0 {
		r.count(passed.key(), b.passed)
	}
	for k, n := range b.rules {
		r.count(k.key(), n)
	}
	list := make([]SenderCount, len(b.senders.list))
	for i, s := range b.senders.list {
		list[i] = s.SenderCount
		list[i].Subject = strings.ToValidUTF8(s.Subject[:min(len(s.Subject), mostName)], "?")
	}
	r.Senders = top(mostKept, r.Senders, list)
}

func (k ruleAction) key() string { return k.rule + " " + k.action.String() }

func (r *record) count(key string, n int64) {
	if _, seen := r.Counts[key]; seen || len(r.Counts) < mostRules {
		r.Counts[key] += n
	}
}

// plus is the sum; r and more stay as they are.
func (r *record) plus(more *record) record {
	sum := *r
	sum.Counts = make(map[string]int64, len(r.Counts))
	maps.Copy(sum.Counts, r.Counts)
	for key, n := range more.Counts {
		sum.count(key, n)
	}
	sum.Senders = top(mostKept, r.Senders, more.Senders)
	return sum
}

// top adds lists up and keeps the n who sent most, most first.
func top(n int, lists ...[]SenderCount) []SenderCount {
	sums := map[string]SenderCount{}
	for _, list := range lists {
		for _, s := range list {
			sum := sums[s.Subject]
			sums[s.Subject] = SenderCount{s.Subject, sum.Messages + s.Messages, sum.Refused + s.Refused}
		}
	}
	all := slices.SortedFunc(maps.Values(sums), func(a, b SenderCount) int {
		return cmp.Or(cmp.Compare(b.Messages, a.Messages), cmp.Compare(b.Refused, a.Refused), cmp.Compare(a.Subject, b.Subject))
	})
	return all[:min(len(all), n)]
}
