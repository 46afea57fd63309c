package desk

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"o2n-milter/state"
)

// record stores a decision of alice's.
func (f *fixture) record(t *testing.T, id string, at time.Time, action string) {
	t.Helper()
	err := f.Store.Record(t.Context(), state.Decision{ID: id, At: at, Action: action, Rule: "limit.minute", Account: aliceLogin, Rcpts: 2, Subjects: []string{"account:" + aliceLogin}})
	if err != nil {
		t.Fatal(err)
	}
}

func TestVolume(t *testing.T) {
	f := newDesk(t) // it is 12:00 sharp
	f.record(t, "now", start, "accept")
	f.record(t, "tag", start, "tag")
	f.record(t, "before", start.Add(-time.Nanosecond), "tempfail")
	f.record(t, "first hour", start.Add(-47*time.Hour), "reject")
	f.record(t, "no hour", start.Add(-47*time.Hour-time.Nanosecond), "quarantine")
	f.record(t, "first day", time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC), "accept")
	f.record(t, "no day", time.Date(2026, 1, 30, 23, 59, 59, 0, time.UTC), "accept")
	f.record(t, "future", start.Add(25*time.Hour), "accept") // another host's clock
	v, err := f.Customer(t.Context(), aliceLogin)
	if err != nil {
		t.Fatal(err)
	}
	vol := v.Volume
	hours := map[int]Sent{47: {start, 2, 0}, 46: {start.Add(-time.Hour), 0, 1}, 0: {start.Add(-47 * time.Hour), 0, 1}}
	for i, h := range vol.Hours {
		want, ok := hours[i]
		if !ok {
			want = Sent{At: start.Add(time.Duration(i-47) * time.Hour)}
		}
		if h != want {
			t.Errorf("hour %d: %+v, want %+v", i, h, want)
		}
	}
	midnight := start.Truncate(24 * time.Hour)
	days := map[int]Sent{29: {midnight, 2, 1}, 27: {midnight.Add(-48 * time.Hour), 0, 2}, 0: {midnight.Add(-29 * 24 * time.Hour), 1, 0}}
	for i, d := range vol.Days {
		want, ok := days[i]
		if !ok {
			want = Sent{At: midnight.Add(time.Duration(i-29) * 24 * time.Hour)}
		}
		if d != want {
			t.Errorf("day %d: %+v, want %+v", i, d, want)
		}
	}
	if len(v.Seen) != 3 || v.Seen[0].ID != "before" || !vol.Since.Equal(vol.Days[0].At) {
		t.Errorf("seen %+v, since %s", v.Seen, vol.Since)
	}
}

// More than a page, many in the same millisecond at its edge: each is counted once.
func TestVolumeOfMany(t *testing.T) {
	f := newDesk(t)
	const all = 2*page + 10
	for i := range all {
		at := start.Add(-time.Duration(i/7) * time.Millisecond)
		f.record(t, fmt.Sprint("D", i), at, "reject")
	}
	v, err := f.Customer(t.Context(), aliceLogin)
	if err != nil {
		t.Fatal(err)
	}
	sum := int64(0)
	for _, h := range v.Volume.Hours {
		sum += h.Refused
	}
	if sum != all || len(v.Seen) != mostSeen || v.Volume.Since.After(v.Volume.Days[0].At) {
		t.Errorf("%d of %d, %d seen, since %s", sum, all, len(v.Seen), v.Volume.Since)
	}
}

// counts is what the page says was accepted and refused in these 30 days.
func (f *fixture) counts(t *testing.T) (accepted, refused int64) {
	t.Helper()
	v, err := f.Customer(t.Context(), aliceLogin)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range v.Volume.Days {
		accepted += d.Accepted
		refused += d.Refused
	}
	return accepted, refused
}

// A page that is opened again counts what came since, each message once.
func TestVolumeAgain(t *testing.T) {
	f := newDesk(t)
	f.record(t, "first", start.Add(-24*time.Hour), "accept")
	f.record(t, "ahead", start.Add(time.Minute), "reject") // another host's clock
	for i, c := range []struct {
		id                string
		at                time.Time
		now               time.Time
		accepted, refused int64
	}{
		{"same time", start, start, 2, 1},
		{"straggler", start.Add(-straggling), start, 3, 1},
		{"next", start.Add(time.Hour), start.Add(time.Hour), 4, 1},
		{"late again", start.Add(time.Hour - straggling), start.Add(time.Hour), 5, 1},
		{"a day", start.Add(24 * time.Hour), start.Add(24 * time.Hour), 6, 1},
	} {
		f.record(t, c.id, c.at, "accept")
		f.now = c.now
		for range 2 {
			if accepted, refused := f.counts(t); accepted != c.accepted || refused != c.refused {
				t.Errorf("%d, %s: %d and %d, want %d and %d", i, c.id, accepted, refused, c.accepted, c.refused)
			}
		}
	}
	// They slide out, whether a page was opened meanwhile or not.
	f.now = start.Add(29 * 24 * time.Hour)
	if accepted, refused := f.counts(t); accepted != 5 || refused != 1 {
		t.Errorf("the first is a month old: %d and %d", accepted, refused)
	}
	f.now = start.Add(100 * 24 * time.Hour)
	v, err := f.Customer(t.Context(), aliceLogin)
	if err != nil || len(v.Seen) != 0 || !v.Volume.Since.Equal(v.Volume.Days[0].At) {
		t.Errorf("long after: %+v, %v", v, err)
	}
	if accepted, refused := f.counts(t); accepted != 0 || refused != 0 {
		t.Errorf("long after: %d and %d", accepted, refused)
	}
}

// lots is a store with n decisions of alice's, one a second up to start.
type lots struct {
	state.Store
	n    int
	read int
	err  error
}

func (s *lots) Decisions(_ context.Context, q state.Query) ([]state.Decision, error) {
	if s.err != nil {
		return nil, s.err
	}
	list := []state.Decision{}
	for i := range s.n {
		dec := state.Decision{ID: fmt.Sprint("D", s.n-i), At: start.Add(-time.Duration(i) * time.Second), Action: "reject", Account: aliceLogin, Subjects: []string{q.Subject}}
		if q.Wants(dec) && len(list) < q.Limit {
			list = append(list, dec)
		}
	}
	s.read += len(list)
	return list, nil
}

// Of an account that sends without end a bounded part is read, and the page says so.
func TestVolumeIsBounded(t *testing.T) {
	for _, n := range []int{mostCounted - 10, mostCounted + page} {
		f := newDesk(t)
		s := &lots{Store: f.Store, n: n}
		f.Store = s
		v, err := f.Customer(t.Context(), aliceLogin)
		if err != nil {
			t.Fatal(err)
		}
		_, refused := f.counts(t)
		whole := v.Volume.Since.Equal(v.Volume.Days[0].At)
		if whole != (n < mostCounted) || refused < min(int64(n), mostCounted) || refused > int64(n) {
			t.Errorf("%d: %d refused, since %s", n, refused, v.Volume.Since)
		}
		if !whole && (v.Volume.Since.Before(start.Add(-(mostCounted+page)*time.Second)) || v.Volume.Since.After(start.Add(-(mostCounted-1)*time.Second))) {
			t.Errorf("%d: since %s", n, v.Volume.Since)
		}
		if s.read > mostCounted+2*page {
			t.Errorf("%d: %d were read for two pages", n, s.read)
		}
	}
}

// What a store that goes away has half told is not counted twice.
func TestVolumeFails(t *testing.T) {
	f := newDesk(t)
	s := &lots{Store: f.Store, n: 10}
	f.Store = s
	f.counts(t)
	s.err = errors.New("away")
	_, err := f.Customer(t.Context(), aliceLogin)
	wants(t, err, s.err, "away")
	s.err = nil
	if _, refused := f.counts(t); refused != 10 {
		t.Errorf("%d refused", refused)
	}
}

func TestTalliesAreBounded(t *testing.T) {
	var ts tallies
	first := ts.of("0")
	for i := range mostTallies {
		if ts.of("0") != first && i < mostTallies-1 {
			t.Errorf("forgotten at %d", i)
		}
		ts.of(fmt.Sprint(i + 1))
	}
	if len(ts.list) != mostTallies {
		t.Errorf("%d tallies", len(ts.list))
	}
}

func TestVolumeRace(t *testing.T) {
	f := newDesk(t)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			err := f.Store.Record(context.Background(), state.Decision{ID: fmt.Sprint(i), At: start, Action: "reject", Account: aliceLogin, Subjects: []string{"account:" + aliceLogin}})
			if err == nil {
				_, err = f.Customer(context.Background(), aliceLogin)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	v, err := f.Customer(t.Context(), aliceLogin)
	if err != nil || v.Volume.Hours[47].Refused != 20 || len(v.Seen) != 20 {
		t.Errorf("%+v, %v", v.Volume.Hours[47], err)
	}
}
