package badgerdb

import (
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"o2n-milter/state"
	"o2n-milter/state/internal/ledger"
	"o2n-milter/state/internal/text"
)

// old1 is a decision of a store of format 1.
func old1(n int) state.Decision {
	return state.Decision{
		ID: fmt.Sprintf("D%04d", n), At: second(int64(n)), Rule: "limit.day", Action: "reject", From: "50%\xe9/{x}",
		Subjects: []string{"account:a/%", fmt.Sprint("account:", n)}, To: []string{fmt.Sprintf("r%d@x.example", n)}, Detail: []byte(`{"n":1}`),
	}
}

// format1 makes a database of format 1 with n decisions; from how many on some are
// damaged is said by bad.
func format1(t *testing.T, path string, n int, bad ...int) {
	t.Helper()
	prepared(t, path, formatKey, "1")
	changed(t, path, func(txn *badger.Txn) error {
		for i := range n {
			d := old1(i)
			value, err := ledger.EncodeDecision(d)
			if err != nil {
				return err
			}
			if slices.Contains(bad, i) {
				value = value[1:]
			}
			place := timeText(d.At) + "/" + text.Escape(d.ID)
			if err := txn.Set([]byte(oldDecisions+place), value); err != nil {
				return err
			}
			if err := txn.Set([]byte(oldIDs+text.Escape(d.ID)), []byte(timeText(d.At))); err != nil {
				return err
			}
			for _, name := range ledger.Histories(d) {
				if err := txn.Set([]byte(oldHistories+text.Escape(name)+"/"+place), nil); err != nil {
					return err
				}
			}
		}
		return txn.Set([]byte(standKey), []byte(`{"commit":7,"at":"2026-03-01T12:00:00Z","journal":0,"history":123456789}`))
	})
}

// changed writes to a database that no store has open.
func changed(t *testing.T, path string, f func(*badger.Txn) error) {
	t.Helper()
	db, err := badger.Open(badgerOptions(filepath.Join(path, "badger"), false, nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(f); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// convertedAll wants a store to hold the first n of them but for the missing, and no old key.
func convertedAll(t *testing.T, s *Store, n int, missing ...int) {
	t.Helper()
	for _, key := range keys(t, s) {
		for _, prefix := range []string{oldDecisions, oldIDs, oldHistories, convertDecisionsKey} {
			if strings.HasPrefix(key, prefix) {
				t.Fatalf("%s is left", key)
			}
		}
	}
	var want []string
	for i := range n {
		d := old1(n - 1 - i)
		got, err := s.Decision(t.Context(), d.ID)
		if slices.Contains(missing, n-1-i) {
			if err == nil {
				t.Errorf("%s is there", d.ID)
			}
			continue
		}
		want = append(want, d.ID)
		if err != nil || got.From != d.From || !got.At.Equal(d.At) || !slices.Equal(got.Subjects, d.Subjects) {
			t.Errorf("decision %s: %+v, %v", d.ID, got, err)
		}
	}
	for _, q := range []state.Query{{}, {Subject: "account:a/%"}, {Rule: "limit.day"}} {
		q.Limit = n + 1
		if list, err := s.Decisions(t.Context(), q); err != nil || !slices.Equal(idsOf(list), want) {
			t.Errorf("%+v: %d found, %v; want %d", q, len(list), err, len(want))
		}
	}
	if got, err := s.Decisions(t.Context(), state.Query{Recipient: "r1@x.example", Limit: 9}); err != nil || len(got) != 1 || got[0].ID != "D0001" {
		t.Errorf("by recipient: %v, %v", idsOf(got), err)
	}
	counted(t, s)
}

// The decisions of an older version are all there, once, and its program is refused.
func TestConvertDecisions(t *testing.T) {
	for _, n := range []int{2, pageDecisions - 1, pageDecisions, pageDecisions + 1, 3*pageDecisions + 5} {
		path := t.TempDir()
		format1(t, path, n)
		s := openAt(t, path)
		if d := degraded(t, s); d != "" {
			t.Errorf("%d: degraded %q", n, d)
		}
		convertedAll(t, s, n)
		shape(t, s, (n+pageDecisions-1)/pageDecisions, 0)
		record1(t, s, "new", second(int64(n)), 0)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(filepath.Join(path, "format")); err != nil || string(text) != "2\n" {
			t.Errorf("file format: %q, %v", text, err)
		}
		s = openAt(t, path)
		if got := ids(t, s, ""); len(got) != n+1 {
			t.Errorf("after a restart %d; want %d", len(got), n+1)
		}
	}
}

// What is damaged is told once, and the rest is there.
func TestConvertDamagedDecisions(t *testing.T) {
	path := t.TempDir()
	format1(t, path, 200, 0, 150, 199)
	s, err := Open(Options{Path: path, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if d := degraded(t, s); !strings.Contains(d, "3 decisions of an older version cannot be read") || !strings.Contains(d, "D0199") {
		t.Errorf("degraded %q", d)
	}
	convertedAll(t, s, 200, 0, 150, 199)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if d := degraded(t, openAt(t, path)); d != "" {
		t.Errorf("the next start: %q", d)
	}
}

// A start that dies between any two steps of it loses nothing and does nothing twice.
func TestConvertDecisionsDies(t *testing.T) {
	const n = 3*pageDecisions + 5
	for step := range 7 { // format, 4 pages, nothing more, old keys gone
		path := t.TempDir()
		format1(t, path, n)
		db, err := badger.Open(badgerOptions(filepath.Join(path, "badger"), false, nil))
		if err != nil {
			t.Fatal(err)
		}
		if err := writeFormat(db); err != nil {
			t.Fatal(err)
		}
		c := decisionConverter{db: db}
		for i := range min(step, 5) {
			if more, err := c.page(); err != nil || more != (i < 4) {
				t.Fatalf("page %d: more %v, %v", i, more, err)
			}
		}
		if step == 6 {
			if err := db.DropPrefix([]byte(oldDecisions), []byte(oldHistories)); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		s := openAt(t, path)
		convertedAll(t, s, n)
		shape(t, s, 4, 0)
		if _, err := os.Stat(filepath.Join(path, "DAMAGE.txt")); err == nil || !os.IsNotExist(err) {
			t.Errorf("step %d: DAMAGE.txt: %v; want %v", step, err, fs.ErrNotExist)
		}
	}
}
