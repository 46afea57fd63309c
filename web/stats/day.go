package stats

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"
)

// Hour is what was decided in an hour, on all hosts.
type Hour struct {
	At     time.Time        `json:"at"`     // its begin
	Counts map[string]int64 `json:"counts"` // messages by "rule action"
}

// RuleCount is how often a rule decided with an action.
type RuleCount struct {
	Rule   string `json:"rule"`
	Action string `json:"action"`
	Count  int64  `json:"count"`
}

// Day is the last 24 hours, on all hosts.
type Day struct {
	Hours   []Hour        `json:"hours"` // 24, oldest first, the one that runs last
	Rules   []RuleCount   `json:"rules"` // most first
	Senders []SenderCount `json:"senders"`
}

// mostSenders are shown.
const mostSenders = 20

// Day sums what every host has flushed and what this one has counted since.
func (c *Counter) Day(ctx context.Context, now time.Time) (Day, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.collect()
	records := slices.Collect(maps.Values(c.waiting))
	docs, err := c.store.Docs(ctx, kind)
	if err != nil {
		return Day{}, err
	}
	first := now.UTC().Truncate(time.Hour).Add(-23 * time.Hour)
	for _, doc := range docs {
		if hourOf(doc.ID).Before(first) {
			continue
		}
		r, err := decode(doc)
		if err != nil {
			return Day{}, err
		}
		records = append(records, &r)
	}
	return dayOf(first, records), nil
}

func dayOf(first time.Time, records []*record) Day {
	day := Day{Hours: make([]Hour, 24), Rules: []RuleCount{}}
	for i := range day.Hours {
		day.Hours[i] = Hour{At: first.Add(time.Duration(i) * time.Hour), Counts: map[string]int64{}}
	}
	sums := map[string]int64{}
	var lists [][]SenderCount
	for _, r := range records {
		i := int(r.At.Sub(first) / time.Hour)
		if r.At.Before(first) || i >= len(day.Hours) {
			continue // another host's clock, or what has waited too long
		}
		for key, n := range r.Counts {
			day.Hours[i].Counts[key] += n
			sums[key] += n
		}
		lists = append(lists, r.Senders)
	}
	for key, n := range sums {
		rule, action, _ := strings.Cut(key, " ")
		day.Rules = append(day.Rules, RuleCount{rule, action, n})
	}
	slices.SortFunc(day.Rules, func(a, b RuleCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Action, b.Action))
	})
	day.Senders = top(mostSenders, lists...)
	return day
}
