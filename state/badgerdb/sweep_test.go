package badgerdb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"o2n-milter/state"
)

// has says whether the database holds a key.
func has(t *testing.T, s *Store, key string) bool {
	t.Helper()
	return slices.Contains(keys(t, s), key)
}

// sweepAt moves the store's line to now and sweeps all.
func sweepAt(t *testing.T, s *Store, now time.Time) {
	t.Helper()
	if _, err := s.Take(t.Context(), now, state.Ask{}); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		s.sweep()
	}
}

// A subject goes when its windows have been empty for as long as they are, and whom it
// sent to is forgotten: not a moment before. Its pages follow.
func TestSweepTimes(t *testing.T) {
	s := openAt(t, t.TempDir())
	take(t, s, charges(5, "account:window"))
	set := charges(5, "account:set")
	set[0].Set, set[0].Members, set[0].Remember = "recipients", []string{"r1"}, 6*time.Hour
	take(t, s, set)
	l := letter("account:letter")
	l.Remember = 6 * time.Hour
	for i := range 20 {
		l.Members = append(l.Members, fmt.Sprint("r", i))
	}
	send(t, s, l)
	// Start is the beginning of a slot of all: each leaves a slot after its length.
	emptied, gone := start.Add(61*time.Minute), start.Add(6*time.Hour+6*time.Minute)
	for _, step := range []struct {
		now            time.Time
		window, member bool
	}{
		{start, true, true}, {emptied, true, true}, {emptied.Add(time.Hour - 1), true, true}, {emptied.Add(time.Hour), false, true},
		{gone.Add(-1), false, true}, {gone, false, false},
	} {
		sweepAt(t, s, step.now)
		for key, want := range map[string]bool{
			"subject/account:window": step.window, "subject/account:set": step.member, "subject/account:letter": step.member,
			"subject-members/account:letter/0/0": step.member,
		} {
			if has(t, s, key) != want {
				t.Errorf("%s: %s there: %v", step.now.Sub(start), key, !want)
			}
		}
	}
}

// What has changed since the sweeper saw it stays.
func TestSweepSparesTheLiving(t *testing.T) {
	s := openAt(t, t.TempDir())
	take(t, s, charges(5, "account:a", "account:b"))
	var seen []corpse
	err := s.base.use(func(db *badger.DB) error {
		return scan(db, subjectPrefix, true, func(item *badger.Item) error {
			seen = append(seen, corpse{key: item.KeyCopy(nil), version: item.Version()})
			return nil
		})
	})
	if err != nil || len(seen) != 2 {
		t.Fatalf("%d windows, %v", len(seen), err)
	}
	take(t, s, charges(5, "account:a")) // committed before the corpses come
	if err := s.bury(append(seen, corpse{key: []byte("subject/none"), version: 1})); err != nil {
		t.Fatal(err)
	}
	if !has(t, s, "subject/account:a") || has(t, s, "subject/account:b") {
		t.Errorf("left: %v; want the window of a, not of b", keys(t, s))
	}
	// In one batch with a charge the charge stands.
	take(t, s, charges(5, "account:c"))
	err = s.base.use(func(db *badger.DB) error {
		return scan(db, "subject/account:c", true, func(item *badger.Item) error {
			seen = []corpse{{key: item.KeyCopy(nil), version: item.Version()}}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.writer.write([]record{{key: seen[0].key, value: []byte("new")}}, seen); err != nil {
		t.Fatal(err)
	}
	if !has(t, s, "subject/account:c") {
		t.Error("a window written in the batch of its burial is gone")
	}
}

func record1(t *testing.T, s *Store, id string, at time.Time, size int) {
	t.Helper()
	d := state.Decision{ID: id, At: at, Subjects: []string{"account:a", "ip:192.0.2.1"}, To: []string{"r@x.example"}, Rule: "limit.day",
		From: strings.Repeat("x", size)}
	if err := s.Record(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

// ids are of the decisions there, newest first, after all that was queued is written.
func ids(t *testing.T, s *Store, subject string) (ids []string) {
	t.Helper()
	take(t, s, charges(1<<40, "account:flush"))
	keepAll(t, s)
	list, err := s.Decisions(t.Context(), state.Query{Subject: subject, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range list {
		ids = append(ids, d.ID)
	}
	return ids
}

func TestRetention(t *testing.T) {
	s, err := Open(Options{Path: t.TempDir(), Retention: 24 * time.Hour, Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	record1(t, s, "D1", start, 0)
	record1(t, s, "D2", start.Add(1), 0)
	ids(t, s, "")
	sweepAt(t, s, start.Add(24*time.Hour))
	if got := ids(t, s, ""); !slices.Equal(got, []string{"D2", "D1"}) {
		t.Errorf("at the edge of retention: %v; want both", got)
	}
	sweepAt(t, s, start.Add(24*time.Hour+1))
	if got := ids(t, s, "ip:192.0.2.1"); !slices.Equal(got, []string{"D2"}) {
		t.Errorf("after it: %v; want D2", got)
	}
	// An id that came up again leads to the newer one.
	record1(t, s, "D3", start.Add(2), 0)
	record1(t, s, "D3", start.Add(48*time.Hour), 0)
	ids(t, s, "")
	sweepAt(t, s, start.Add(48*time.Hour))
	if d, err := s.Decision(t.Context(), "D3"); err != nil || !d.At.Equal(start.Add(48*time.Hour)) {
		t.Errorf("D3: %v, %v; want the newer one", d.At, err)
	}
}

// Neither a caller's clock in 2038 nor a line there alone makes decisions old.
func TestRetentionDoubtsClocks(t *testing.T) {
	future := time.Date(2038, 1, 19, 3, 14, 8, 0, time.UTC)
	s := openAt(t, t.TempDir())
	record1(t, s, "D1", start, 0)
	ids(t, s, "")
	s.clock.At(future) // the line is there now
	s.clock.At(start)  // and the callers' clock was set right again
	for range 3 {
		s.sweep()
	}
	if got := ids(t, s, ""); !slices.Equal(got, []string{"D1"}) {
		t.Errorf("line in 2038: %v; want D1", got)
	}
	now := reading{wall: start, boot: "b1", up: time.Hour}
	path := t.TempDir()
	s = openWith(t, path, &now)
	record1(t, s, "D1", start, 0)
	ids(t, s, "")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	now = reading{wall: future, boot: "b1", up: 2 * time.Hour}
	s = openWith(t, path, &now)
	sweepAt(t, s, future)
	if got := ids(t, s, ""); !slices.Equal(got, []string{"D1"}) {
		t.Errorf("clock in 2038: %v; want D1", got)
	}
}

// Many dead are swept within few goes, and those that live are found again.
func TestSweepAll(t *testing.T) {
	s, err := Open(Options{Path: t.TempDir(), Log: slog.New(slog.DiscardHandler), Cache: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const many = 7000
	for i := 0; i < many; i += 500 {
		var c []state.Charge
		for n := range 500 {
			c = append(c, charges(5, fmt.Sprint("account:", i+n))...)
		}
		take(t, s, c)
	}
	later := start.Add(3 * time.Hour)
	if _, err := s.Take(context.Background(), later, state.Ask{Charges: charges(5, "account:alive")}); err != nil {
		t.Fatal(err)
	}
	s.sweep()
	s.sweep()
	for _, key := range keys(t, s) {
		if strings.HasPrefix(key, subjectPrefix) && key != "subject/account:alive" {
			t.Fatalf("%s is left", key)
		}
	}
	if !has(t, s, "subject/account:alive") {
		t.Error("the living was swept")
	}
}

// A page that ends among decisions of one time has the first of them by id.
func TestPageWithinOneTime(t *testing.T) {
	s := openAt(t, t.TempDir())
	for _, id := range []string{"c", "a", "e", "b", "d"} {
		record1(t, s, id, start, 0)
	}
	record1(t, s, "z", start.Add(1), 0)
	ids(t, s, "")
	for limit, want := range map[int][]string{1: {"z"}, 2: {"z", "a"}, 4: {"z", "a", "b", "c"}, 9: {"z", "a", "b", "c", "d", "e"}} {
		for _, subject := range []string{"", "account:a"} {
			list, err := s.Decisions(t.Context(), state.Query{Subject: subject, Limit: limit})
			var got []string
			for _, d := range list {
				got = append(got, d.ID)
			}
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%d of %q: %v, %v; want %v", limit, subject, got, err, want)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Decisions(ctx, state.Query{Limit: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
