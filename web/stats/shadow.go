package stats

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"o2n-milter/rules"
	"o2n-milter/state"
)

// What rules in shadow would have hit is counted by rule and subject, and flushed
// with the rest into docs of kind "shadow", one for each host and day.

// shadowKind is those docs' kind.
const shadowKind = "shadow"

const (
	// mostShadow bounds the pairs of rule and subject of a day in this process's
	// memory; those that come later are counted together, by rule.
	mostShadow = 4096
	// mostSubject bounds a subject in a doc, in bytes.
	mostSubject = 200
	// keepShadow is the longest that those docs stay.
	keepShadow = 30 * 24 * time.Hour
	dayFormat  = "20060102"
)

// ShadowCount is how many messages a rule in shadow would have hit.
type ShadowCount struct {
	Rule    string    `json:"rule"`
	Subject string    `json:"subject"` // empty: of so many subjects that these have no count of their own
	Count   int64     `json:"count"`
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
}

func (s ShadowCount) plus(more ShadowCount) ShadowCount {
	if s.Count == 0 {
		return more
	}
	s.Count += more.Count
	if more.First.Before(s.First) {
		s.First = more.First
	}
	if more.Last.After(s.Last) {
		s.Last = more.Last
	}
	return s
}

// hits are counts by rule and subject.
type hits map[rules.Hit]ShadowCount

func (h hits) add(c ShadowCount) {
	key := rules.Hit{Rule: c.Rule, Subject: c.Subject}
	h[key] = h[key].plus(c)
}

// list is the counts, most first.
func (h hits) list() []ShadowCount {
	return slices.SortedFunc(maps.Values(h), func(a, b ShadowCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Subject, b.Subject))
	})
}

// shadows are the hits of days that are not in the store yet.
type shadows struct {
	mu   sync.Mutex
	days map[time.Time]hits
}

// count adds a verdict's.
func (s *shadows) count(v *rules.Verdict) {
	if len(v.Hits) == 0 {
		return
	}
	at := v.At.UTC().Truncate(time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range v.Hits {
		subject := strings.ToValidUTF8(h.Subject[:min(len(h.Subject), mostSubject)], "?")
		s.add(at.Truncate(24*time.Hour), ShadowCount{h.Rule, subject, 1, at, at})
	}
}

// add is for who holds mu.
func (s *shadows) add(day time.Time, c ShadowCount) {
	if s.days == nil {
		s.days = map[time.Time]hits{}
	}
	list := s.days[day]
	if list == nil {
		list = hits{}
		s.days[day] = list
	}
	if _, known := list[rules.Hit{Rule: c.Rule, Subject: c.Subject}]; !known && len(list) >= mostShadow {
		c.Subject = ""
	}
	list.add(c)
}

// take empties the days; what cannot be kept comes back by giveBack.
func (s *shadows) take() map[time.Time]hits {
	s.mu.Lock()
	defer s.mu.Unlock()
	days := s.days
	s.days = nil
	return days
}

func (s *shadows) giveBack(days map[time.Time]hits) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for day, list := range days {
		for _, c := range list {
			s.add(day, c)
		}
	}
}

// since adds the hits of days from first on, which are not in the store yet.
func (s *shadows) since(first time.Time, into hits) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for day, list := range s.days {
		if !day.Before(first) {
			for _, c := range list {
				into.add(c)
			}
		}
	}
}

// KeepShadow says how long counts of shadow stay, in whole days; at most keepShadow.
func (c *Counter) KeepShadow(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shadowFor = min(d, keepShadow)
}

// firstShadow is the first day that is shown; mu is held.
func (c *Counter) firstShadow(now time.Time) time.Time {
	return now.UTC().Add(-cmp.Or(c.shadowFor, keepShadow)).Truncate(24 * time.Hour)
}

// Shadow sums what rules in shadow would have hit on all hosts, most first.
func (c *Counter) Shadow(ctx context.Context, now time.Time) ([]ShadowCount, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	docs, err := c.store.Docs(ctx, shadowKind)
	if err != nil {
		return nil, err
	}
	sum, first := hits{}, c.firstShadow(now)
	for _, doc := range docs {
		if dayAt(doc.ID).Before(first) {
			continue
		}
		if err := decodeShadow(doc, sum); err != nil {
			return nil, err
		}
	}
	c.shadows.since(first, sum)
	return append([]ShadowCount{}, sum.list()...), nil
}

// flushShadow adds what was counted to the store's docs; mu is held.
func (c *Counter) flushShadow(ctx context.Context) error {
	days := c.shadows.take()
	for day, list := range days {
		if err := c.putShadow(ctx, day.Format(dayFormat)+"."+c.host, list); err != nil {
			c.shadows.giveBack(days)
			return fmt.Errorf("shadow of %s: %w", day.Format(time.DateOnly), err)
		}
		delete(days, day)
	}
	return nil
}

func (c *Counter) putShadow(ctx context.Context, id string, list hits) error {
	for {
		docs, err := c.store.Docs(ctx, shadowKind)
		if err != nil {
			return err
		}
		sum, rev := maps.Clone(list), int64(0)
		for _, doc := range docs {
			if doc.ID != id {
				continue
			}
			if err := decodeShadow(doc, sum); err != nil {
				return err
			}
			rev = doc.Rev
		}
		_, err = c.store.PutDoc(ctx, state.Doc{Kind: shadowKind, ID: id, Rev: rev, Data: sum.encode()})
		if !errors.Is(err, state.ErrConflict) {
			return err
		}
	}
}

// encode counts those with the fewest hits together, by rule, where all take too much.
func (h hits) encode() json.RawMessage {
	for {
		list := h.list()
		data, err := json.Marshal(list)
		if err != nil {
			panic(err) // plain strings, numbers and times always marshal
		}
		if len(data) <= mostDoc || len(list) <= mostRules {
			return data
		}
		h = hits{}
		for i, c := range list {
			if i >= len(list)*3/4 {
				c.Subject = ""
			}
			h.add(c)
		}
	}
}

func decodeShadow(doc state.Doc, into hits) error {
	var list []ShadowCount
	if err := json.Unmarshal(doc.Data, &list); err != nil {
		return fmt.Errorf("shadow %s: %w", doc.ID, err)
	}
	for _, c := range list {
		into.add(c)
	}
	return nil
}

// dayAt reads the day from a doc's id; the zero time when it holds none.
func dayAt(id string) time.Time {
	day, _, _ := strings.Cut(id, ".")
	t, err := time.Parse(dayFormat, day)
	if err != nil {
		return time.Time{}
	}
	return t
}
