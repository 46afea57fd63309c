package desk

import (
	"context"
	"slices"
	"sync"
	"time"

	"o2n-milter/state"
)

// Volume is how many messages an account sent.
type Volume struct {
	Hours [48]Sent `json:"hours"` // oldest first, up to the one that runs
	Days  [30]Sent `json:"days"`
	// Since is where counting began: where an account sent too much to count it
	// all here, later than the first day.
	Since time.Time `json:"since"`
}

// Sent is what was sent in an hour or a day.
type Sent struct {
	At       time.Time `json:"at"` // its begin
	Accepted int64     `json:"accepted"`
	Refused  int64     `json:"refused"` // deferred and held too
}

const (
	day = 24 * time.Hour
	// mostCounted bounds the decisions that are read for the charts of one account:
	// 0.25 s from disk, once.
	mostCounted = 10_000
	// page is how many are read at a time.
	page = 1000
	// straggling is how late a decision may come to be seen: another host's clock is
	// behind, or its record waits.
	straggling = 2 * time.Minute
	// mostTallies bounds what is kept of accounts; some 75 KB each.
	mostTallies = 100
)

// tallies are what is known of accounts whose pages were opened, so that a page
// that is opened again and again does not read it all each time.
type tallies struct {
	mu   sync.Mutex
	list map[string]*tally // by login
}

// tally is one account's mail, up to a time.
type tally struct {
	mu    sync.Mutex
	hours map[time.Time]Sent
	seen  []state.Decision // refused, newest first
	since time.Time        // counted from then
	until time.Time        // up to then; zero: nothing is counted yet
	late  map[string]bool  // ids of what was counted and might be read again
}

// of is the account's tally. Where there is no room somebody's goes: it is counted
// anew.
func (ts *tallies) of(login string) *tally {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if t, ok := ts.list[login]; ok {
		return t
	}
	if ts.list == nil {
		ts.list = map[string]*tally{}
	}
	for other := range ts.list {
		if len(ts.list) < mostTallies {
			break
		}
		delete(ts.list, other)
	}
	t := &tally{}
	ts.list[login] = t
	return t
}

// sentBy is what an account sent, and its newest refused messages.
func (d *Desk) sentBy(ctx context.Context, h holder) (Volume, []state.Decision, error) {
	t := d.tallies.of(h.login)
	t.mu.Lock()
	defer t.mu.Unlock()
	// Who hangs up and comes back finds it done.
	ctx, cancel := carryOn(ctx)
	defer cancel()
	now := d.Now().UTC()
	v := emptyVolume(now)
	if err := d.count(ctx, now, h, t, v.Since); err != nil {
		t.until = time.Time{} // half counted
		return v, nil, err
	}
	v.fill(t)
	return v, slices.Clone(t.seen), nil
}

// count brings t up to now.
func (d *Desk) count(ctx context.Context, now time.Time, h holder, t *tally, first time.Time) error {
	from := t.until.Add(-straggling)
	if t.until.IsZero() || from.Before(first) {
		t.clear(first)
		from = first
	}
	found, reached, err := d.decisionsSince(ctx, h.subject(), from)
	if err != nil {
		return err
	}
	if reached.After(from) {
		t.clear(reached) // too many since the last time to know them all
	}
	for _, dec := range found {
		if h.sent(dec) {
			t.add(dec)
		}
	}
	t.tidy(now, first, found)
	return nil
}

func (t *tally) clear(since time.Time) {
	t.hours, t.seen, t.late, t.since = map[time.Time]Sent{}, nil, map[string]bool{}, since
}

func (t *tally) add(dec state.Decision) {
	if t.late[dec.ID] {
		return
	}
	hour := dec.At.UTC().Truncate(time.Hour)
	sent := t.hours[hour]
	if refused(dec.Action) {
		sent.Refused++
		t.seen = append(t.seen, dec)
	} else {
		sent.Accepted++
	}
	t.hours[hour] = sent
}

// tidy forgets what is too old to be shown, and notes what may be read again.
func (t *tally) tidy(now, first time.Time, found []state.Decision) {
	slices.SortStableFunc(t.seen, func(a, b state.Decision) int { return b.At.Compare(a.At) })
	t.seen = t.seen[:min(len(t.seen), mostSeen)]
	t.seen = slices.DeleteFunc(t.seen, func(dec state.Decision) bool { return dec.At.Before(first) })
	for hour := range t.hours {
		if hour.Before(first) {
			delete(t.hours, hour)
		}
	}
	if t.since.Before(first) {
		t.since = first
	}
	// Not the newest decision's time, which another host's clock may have put ahead.
	t.until = now
	clear(t.late)
	for _, dec := range found {
		if !dec.At.Before(now.Add(-straggling)) {
			t.late[dec.ID] = true
		}
	}
}

// decisionsSince are a subject's, newest first, as far back as is read at all.
func (d *Desk) decisionsSince(ctx context.Context, subject string, since time.Time) (list []state.Decision, reached time.Time, err error) {
	q := state.Query{Subject: subject, Since: since, Limit: page}
	var oldest time.Time // of the pages so far; the next one may have more of that millisecond
	for len(list) < mostCounted {
		found, err := d.Store.Decisions(ctx, q)
		if err != nil {
			return nil, since, err
		}
		for _, dec := range found {
			same := func(old state.Decision) bool { return old.ID == dec.ID }
			if dec.At.Equal(oldest) && slices.ContainsFunc(list, same) {
				continue
			}
			dec.Detail = detailOf(dec)
			list = append(list, dec)
		}
		if len(found) < page {
			return list, since, nil
		}
		oldest = found[page-1].At
		if q.Before = oldest.Add(time.Millisecond); found[0].At.Equal(oldest) {
			q.Before = oldest // a whole page at once: the rest of it is passed over
		}
	}
	return list, list[len(list)-1].At.UTC(), nil
}

// detailOf is what the page shows of it: nothing of mail that passed.
func detailOf(dec state.Decision) []byte {
	if refused(dec.Action) {
		return dec.Detail
	}
	return nil
}

func emptyVolume(now time.Time) Volume {
	var v Volume
	for i := range v.Hours {
		v.Hours[i].At = now.Truncate(time.Hour).Add(time.Duration(i-len(v.Hours)+1) * time.Hour)
	}
	for i := range v.Days {
		v.Days[i].At = now.Truncate(day).Add(time.Duration(i-len(v.Days)+1) * day)
	}
	v.Since = v.Days[0].At
	return v
}

// fill adds up the tally's hours.
func (v *Volume) fill(t *tally) {
	v.Since = t.since
	for hour, sent := range t.hours {
		for _, bars := range []struct {
			list  []Sent
			width time.Duration
		}{{v.Hours[:], time.Hour}, {v.Days[:], day}} {
			if i := int(hour.Sub(bars.list[0].At) / bars.width); !hour.Before(bars.list[0].At) && i < len(bars.list) {
				bars.list[i].Accepted += sent.Accepted
				bars.list[i].Refused += sent.Refused
			}
		}
	}
}
