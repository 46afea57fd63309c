package badgerdb

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"o2n-milter/state"
	"o2n-milter/state/internal/ledger"
)

// having counts the keys with a prefix.
func having(t *testing.T, s *Store, prefix string) (n int) {
	t.Helper()
	for _, key := range keys(t, s) {
		if strings.HasPrefix(key, prefix) {
			n++
		}
	}
	return n
}

// shape wants so many pages, each with a filter, and drafts.
func shape(t *testing.T, s *Store, pages, drafts int) {
	t.Helper()
	keepAll(t, s)
	if p, f, d := having(t, s, decisionsPrefix), having(t, s, filterPrefix), having(t, s, draftPrefix); p != pages || f != pages || d != drafts {
		t.Errorf("%d pages, %d filters, %d drafts; want %d pages, %d drafts", p, f, d, pages, drafts)
	}
}

// numberedIDs are the ids of n decisions, the newest first.
func numberedIDs(n int) (ids []string) {
	for i := range n {
		ids = append(ids, fmt.Sprintf("D%04d", n-1-i))
	}
	return ids
}

// keeping says whether what is recorded may be written.
func keeping(s *Store, on bool) {
	s.history.mu.Lock()
	defer s.history.mu.Unlock()
	s.history.known = on
}

// atOnce has what f records written together, however long it takes.
func atOnce(t *testing.T, s *Store, f func()) {
	t.Helper()
	keeping(s, false)
	defer keeping(s, true)
	f()
	keeping(s, true)
	keepAll(t, s)
}

// recordMany records D0000, a second later D0001 and so on.
func recordMany(t *testing.T, s *Store, n int) {
	t.Helper()
	atOnce(t, s, func() {
		for i := range n {
			record1(t, s, fmt.Sprintf("D%04d", i), second(int64(i)), 0)
		}
	})
}

// Decisions are found from memory, from drafts and from pages, before and after a restart.
func TestPageIsFull(t *testing.T) {
	const bare = 300 // bytes beside what fills them
	for _, test := range []struct{ decisions, size, pages, drafts int }{
		{1, 0, 0, 1}, {pageDecisions - 1, 0, 0, 1}, {pageDecisions, 0, 1, 0}, {pageDecisions + 1, 0, 1, 1}, {3 * pageDecisions, 0, 3, 0},
		{2, pageBytes/2 - bare, 0, 1}, {3, pageBytes/2 - bare, 1, 0}, {4, pageBytes/2 - bare, 1, 1},
	} {
		path := t.TempDir()
		s := openAt(t, path)
		found := func() {
			t.Helper()
			want := numberedIDs(test.decisions)
			list, err := s.Decisions(t.Context(), state.Query{Subject: "account:a", Limit: 1000})
			if err != nil || !slices.Equal(idsOf(list), want) {
				t.Errorf("%d decisions: found %v, %v; want %v", test.decisions, idsOf(list), err, want)
			}
			for _, id := range want {
				if d, err := s.Decision(t.Context(), id); err != nil || d.ID != id {
					t.Errorf("decision %s: %v, %v", id, d.ID, err)
				}
			}
		}
		atOnce(t, s, func() {
			for i := range test.decisions {
				record1(t, s, fmt.Sprintf("D%04d", i), second(int64(i)), test.size)
			}
			found()
		})
		shape(t, s, test.pages, test.drafts)
		found()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openAt(t, path)
		shape(t, s, test.pages, test.drafts)
		found()
	}
}

func idsOf(list []state.Decision) (ids []string) {
	for _, d := range list {
		ids = append(ids, d.ID)
	}
	return ids
}

// Drafts become a page when there are enough of them, or when they are of a long time.
func TestDraftsBecomePages(t *testing.T) {
	for _, test := range []struct {
		step                   time.Duration
		each, n, pages, drafts int
	}{
		{time.Second, 1, pageDecisions - 1, 0, pageDecisions - 1},
		{time.Second, 1, pageDecisions, 1, 0},
		{time.Second, 50, 3, 1, 0},
		{time.Second, 50, 4, 1, 1},
		{defaultRetention / pageSpans, 1, 2, 0, 2},
		{defaultRetention/pageSpans + 1, 1, 2, 1, 0},
	} {
		s := openAt(t, t.TempDir())
		for i := range test.n {
			atOnce(t, s, func() {
				for n := range test.each {
					record1(t, s, fmt.Sprintf("D%d-%d", i, n), start.Add(time.Duration(i)*test.step), 0)
				}
			})
		}
		until(t, func() bool { return !s.history.busy() })
		shape(t, s, test.pages, test.drafts)
		if got := ids(t, s, ""); len(got) != test.n*test.each {
			t.Errorf("%+v: %d found", test, len(got))
		}
	}
}

// historySize is what decisions take in the database.
func historySize(t *testing.T, s *Store) (n int64) {
	t.Helper()
	err := s.base.use(func(db *badger.DB) error {
		return scan(db, "", true, func(item *badger.Item) error {
			for _, prefix := range []string{decisionsPrefix, filterPrefix, draftPrefix} {
				if hasPrefix(item.Key(), prefix) {
					n += int64(len(item.Key())) + item.ValueSize()
				}
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// counted wants what is counted to be what there is.
func counted(t *testing.T, s *Store) int64 {
	t.Helper()
	keepAll(t, s)
	got, want := s.writer.standing().History, historySize(t, s)
	if got != want {
		t.Errorf("counted %d bytes; there are %d", got, want)
	}
	return got
}

// Over MaxSize the oldest pages go, until what is left fits, and drafts when that is not
// enough; what is counted is what there is.
func TestMaxSize(t *testing.T) {
	path := t.TempDir()
	s := openAt(t, path)
	const n = 5*pageDecisions + 7
	rnd := rand.New(rand.NewPCG(1, 1))
	atOnce(t, s, func() {
		for i := range n {
			d := state.Decision{ID: fmt.Sprintf("D%04d", i), At: second(int64(i)), Subjects: []string{"account:a"}, From: fmt.Sprintf("%0500x", rnd.Uint64())}
			if err := s.Record(t.Context(), d); err != nil {
				t.Fatal(err)
			}
		}
	})
	whole, want := counted(t, s), numberedIDs(n)
	for _, test := range []struct {
		most int64
		left int
	}{{whole, n}, {whole - 1, n - pageDecisions}, {whole / 2, 2*pageDecisions + 7}, {100, 0}} {
		s.options.MaxSize = test.most
		sweepAt(t, s, start)
		if got := ids(t, s, ""); !slices.Equal(got, want[:test.left]) {
			t.Errorf("at most %d bytes: %d left; want the newest %d", test.most, len(got), test.left)
		}
		if left := counted(t, s); left > test.most {
			t.Errorf("%d bytes left; want at most %d", left, test.most)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openAt(t, path)
		counted(t, s)
	}
}

// What is over its retention is not shown, though it is on a page with what is not; the
// page goes with its newest.
func TestRetentionOfPages(t *testing.T) {
	path := t.TempDir()
	s := openAt(t, path)
	recordMany(t, s, pageDecisions)
	shape(t, s, 1, 0)
	want := numberedIDs(pageDecisions)
	at := func(now time.Time, left, pages int) {
		t.Helper()
		sweepAt(t, s, now)
		if got := ids(t, s, ""); !slices.Equal(got, want[:left]) {
			t.Errorf("%s after: %d left; want %d", now.Sub(start)-defaultRetention, len(got), left)
		}
		for i, id := range want {
			if _, err := s.Decision(t.Context(), id); (err == nil) != (i < left) {
				t.Errorf("%s after: decision %s: %v", now.Sub(start)-defaultRetention, id, err)
			}
		}
		shape(t, s, pages, 0)
	}
	over := start.Add(defaultRetention)
	at(over, pageDecisions, 1)
	at(over.Add(1), pageDecisions-1, 1)
	at(over.Add(100*time.Second), pageDecisions-100, 1)
	at(over.Add((pageDecisions-1)*time.Second), 1, 1)
	at(over.Add((pageDecisions-1)*time.Second+1), 0, 0)
	if n := counted(t, s); n != 0 {
		t.Errorf("%d bytes are left", n)
	}
}

// A page that cannot be read is told by its key; what is on others is found.
func TestDamagedDecision(t *testing.T) {
	s := openAt(t, t.TempDir())
	recordMany(t, s, 3*pageDecisions)
	shape(t, s, 3, 0)
	bad := keys(t, s)[1]
	update(t, s, func(txn *badger.Txn) error { return txn.Set([]byte(bad), []byte("junk")) })
	if _, err := s.Decisions(t.Context(), state.Query{Limit: 1000}); err == nil || !strings.Contains(err.Error(), bad) {
		t.Errorf("all decisions: %v; want an error that names %s", err, bad)
	}
	if _, err := s.Decision(t.Context(), fmt.Sprintf("D%04d", pageDecisions)); err == nil || !strings.Contains(err.Error(), bad) {
		t.Errorf("one on the page: %v; want an error that names %s", err, bad)
	}
	if list, err := s.Decisions(t.Context(), state.Query{Limit: pageDecisions - 1}); err != nil || len(list) != pageDecisions-1 {
		t.Errorf("the newest: %d, %v", len(list), err)
	}
	if d, err := s.Decision(t.Context(), "D0000"); err != nil || d.ID != "D0000" {
		t.Errorf("one on another page: %v, %v", d.ID, err)
	}
	// A filter that is damaged costs time, and nothing else; a page that is gone, itself.
	filter := filterPrefix + strings.TrimPrefix(keys(t, s)[0], decisionsPrefix)
	update(t, s, func(txn *badger.Txn) error {
		return errors.Join(txn.Set([]byte(filter), []byte("junk")), txn.Delete([]byte(bad)))
	})
	if got := ids(t, s, ""); len(got) != 2*pageDecisions {
		t.Errorf("%d found; want those of two pages", len(got))
	}
	sweepAt(t, s, start.Add(2*defaultRetention))
	shape(t, s, 0, 0)
}

// A draft that cannot be read is told when the store is opened, once.
func TestDamagedDraft(t *testing.T) {
	path := t.TempDir()
	s := openAt(t, path)
	record1(t, s, "D1", start, 0)
	keepAll(t, s)
	record1(t, s, "D2", start, 0)
	keepAll(t, s)
	update(t, s, func(txn *badger.Txn) error {
		return errors.Join(txn.Set(draftKey(1), []byte("junk")), txn.Set([]byte("draft/x"), encodePage([]*entry{entryOf(t, state.Decision{ID: "D3", At: start})})))
	})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := Open(Options{Path: path, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if d := degraded(t, s); !strings.Contains(d, string(draftKey(1))) || !strings.Contains(d, "draft/x") {
		t.Errorf("degraded %q; want both keys in it", d)
	}
	if got := ids(t, s, ""); !slices.Equal(got, []string{"D2"}) {
		t.Errorf("found %v; want D2", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if d := degraded(t, openAt(t, path)); d != "" {
		t.Errorf("the next start: %q", d)
	}
}

// What the database does not take is dropped and counted, and found no more; drafts that
// could not become a page stay drafts.
func TestDecisionsNotWritten(t *testing.T) {
	var fault error
	s := faulty(t, func(next func([]record) error, records []record) error {
		if fault != nil {
			return fault
		}
		return next(records)
	})
	record1(t, s, "D1", start, 0)
	keepAll(t, s)
	s.writer.turn <- struct{}{} // what is recorded now waits for the writer
	record1(t, s, "D2", start.Add(1), 0)
	s.history.flush()
	if list, err := s.Decisions(t.Context(), state.Query{Limit: 9}); err != nil || len(list) != 2 {
		t.Errorf("while it waits: %v, %v; want both", idsOf(list), err)
	}
	fault = errDisk
	<-s.writer.turn
	until(t, func() bool { return !s.history.busy() })
	if list, err := s.Decisions(t.Context(), state.Query{Limit: 9}); err != nil || !slices.Equal(idsOf(list), []string{"D1"}) {
		t.Errorf("after it failed: %v, %v; want D1", idsOf(list), err)
	}
	if n := s.writer.dropped.Load(); n != 1 {
		t.Errorf("%d dropped; want 1", n)
	}
	// Enough for a page, but that cannot be written.
	fault = nil
	for i := range pageDecisions - 2 {
		record1(t, s, fmt.Sprint("E", i), start.Add(2), 0)
	}
	keepAll(t, s)
	once := false // written to in the writer's turn
	next := s.writer.write
	s.writer.write = func(records []record, dead []corpse) error {
		if !once && slices.ContainsFunc(records, func(r record) bool { return hasPrefix(r.key, filterPrefix) }) {
			once = true
			return errDisk
		}
		return next(records, dead)
	}
	record1(t, s, "F1", start.Add(3), 0)
	keepAll(t, s)
	until(t, func() bool { return once && !s.history.busy() })
	if got, n := ids(t, s, ""), s.writer.dropped.Load(); len(got) != pageDecisions || n != 1 {
		t.Errorf("%d found, %d dropped; want all, and none but the one before", len(got), n)
	}
	record1(t, s, "F2", start.Add(4), 0)
	keepAll(t, s)
	until(t, func() bool { return !s.history.busy() })
	shape(t, s, 1, 1)
	if got := ids(t, s, ""); len(got) != pageDecisions+1 {
		t.Errorf("%d found; want all", len(got))
	}
}

// In a transaction that is too big each draft and page stands for itself.
func TestTooBigForOne(t *testing.T) {
	path := t.TempDir()
	s := openAt(t, path)
	rnd := rand.New(rand.NewPCG(1, 1))
	s.writer.turn <- struct{}{}
	const n = 14
	for i := range n {
		noise := make([]byte, ledger.MaxDecision/2-1000)
		for j := range noise {
			noise[j] = 'a' + byte(rnd.IntN(26))
		}
		d := state.Decision{ID: fmt.Sprint("D", i), At: second(int64(i)), Detail: fmt.Appendf(nil, "%q", noise)}
		if err := s.Record(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	s.history.flush()
	<-s.writer.turn
	keepAll(t, s)
	if got := ids(t, s, ""); len(got) != n {
		t.Errorf("found %v; want %d", got, n)
	}
	if s.writer.dropped.Load() != 0 {
		t.Error("some were dropped")
	}
	counted(t, s)
}
