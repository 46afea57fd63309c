package badgerdb

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"o2n-milter/state"
)

// puts puts docs a, b, c (twice), and deletes d.
func puts(t *testing.T, s *Store) {
	t.Helper()
	for _, d := range []state.Doc{
		{Kind: "note", ID: "a", Data: []byte("1")}, {Kind: "note", ID: "b", Data: []byte("1")}, {Kind: "note", ID: "c", Data: []byte("1")},
		{Kind: "note", ID: "c", Rev: 1, Data: []byte("2")}, {Kind: "note", ID: "d", Data: []byte("1")}, {Kind: "note", ID: "d", Rev: 1},
	} {
		if _, err := s.PutDoc(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
}

// notes are the docs, as "id=data@rev".
func notes(t *testing.T, s *Store) string {
	t.Helper()
	docs, err := s.Docs(t.Context(), "note")
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, d := range docs {
		list = append(list, d.ID+"="+string(d.Data)+"@"+string(rune('0'+d.Rev)))
	}
	return strings.Join(list, " ")
}

// stored are the same, as the database has them.
func stored(t *testing.T, s *Store) string {
	t.Helper()
	var list []string
	err := s.base.use(func(db *badger.DB) error {
		return scan(db, docPrefix, true, func(item *badger.Item) error {
			return item.Value(func(value []byte) error {
				var d state.Doc
				if err := json.Unmarshal(value, &d); err != nil {
					return err
				}
				list = append(list, d.ID+"="+string(d.Data)+"@"+string(rune('0'+d.Rev)))
				return nil
			})
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(list, " ")
}

func setDoc(t *testing.T, s *Store, id, value string) {
	t.Helper()
	update(t, s, func(txn *badger.Txn) error {
		if value == "" {
			return txn.Delete(docKey("note", id))
		}
		return txn.Set(docKey("note", id), []byte(value))
	})
}

// What the journal and the database say when they differ: a whole journal is right;
// of one that is not, the database fills the holes, and nothing is forgotten.
func TestDocsReconciled(t *testing.T) {
	const all = "a=1@1 b=1@1 c=2@2"
	lines := func(t *testing.T, path string, change func(lines []string) []string) {
		t.Helper()
		name := filepath.Join(path, "journal")
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(strings.Join(change(strings.SplitAfter(string(text), "\n")), "")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	spoil := func(word string) func([]string) []string {
		return func(lines []string) []string {
			for i, l := range lines {
				if strings.Contains(l, word) {
					lines[i] = "x" + l
				}
			}
			return lines
		}
	}
	tests := []struct {
		name    string
		store   func(t *testing.T, s *Store)      // behind its back, before it is closed
		journal func(t *testing.T, folder string) // after
		want    string
		told    bool
	}{
		{"nothing", nil, nil, all, false},
		{"the database lost some", func(t *testing.T, s *Store) { setDoc(t, s, "a", ""); setDoc(t, s, "c", "") }, nil, all, false},
		{"the database is behind", func(t *testing.T, s *Store) { setDoc(t, s, "c", `{"kind":"note","id":"c","rev":1,"data":1}`) }, nil, all, false},
		{"the database is ahead", func(t *testing.T, s *Store) { setDoc(t, s, "c", `{"kind":"note","id":"c","rev":9,"data":9}`) }, nil, all, false},
		{"the database has one deleted", func(t *testing.T, s *Store) { setDoc(t, s, "d", `{"kind":"note","id":"d","rev":1,"data":1}`) }, nil, all, false},
		{"the database has junk", func(t *testing.T, s *Store) { setDoc(t, s, "a", "junk"); setDoc(t, s, "z", "{}") }, nil, all, false},
		{"the journal is gone", nil, func(t *testing.T, f string) { lines(t, f, func([]string) []string { return nil }) }, all, true},
		{"the journal lost its end", nil, func(t *testing.T, f string) { lines(t, f, func(l []string) []string { return l[:3] }) }, all, true},
		{"the journal lost a doc", nil, func(t *testing.T, f string) { lines(t, f, spoil(`"id":"b"`)) }, all, true},
		{"the journal lost a change", nil, func(t *testing.T, f string) { lines(t, f, spoil(`"id":"c","rev":2`)) }, all, true},
		{"the journal lost a deletion", nil, func(t *testing.T, f string) { lines(t, f, spoil(`"id":"d","rev":0`)) }, all + " d=1@1", true},
		{"both lost something", func(t *testing.T, s *Store) { setDoc(t, s, "a", ""); setDoc(t, s, "c", "junk") },
			func(t *testing.T, f string) { lines(t, f, spoil(`"id":"b"`)) }, all, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := t.TempDir()
			s := openAt(t, path)
			puts(t, s)
			if test.store != nil {
				test.store(t, s)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if test.journal != nil {
				test.journal(t, path)
			}
			for start, told := range []bool{test.told, false} {
				var log bytes.Buffer
				s, err := Open(Options{Path: path, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))})
				if err != nil {
					t.Fatal(err)
				}
				if got := notes(t, s); got != test.want {
					t.Errorf("start %d: %s; want %s", start+1, got, test.want)
				}
				if got := stored(t, s); got != test.want {
					t.Errorf("start %d: in the database %s; want %s", start+1, got, test.want)
				}
				if got := degraded(t, s) != ""; got != told {
					t.Errorf("start %d: degraded %q, log %s; want told: %v", start+1, degraded(t, s), &log, told)
				}
				// What is put now is known by the next start, whatever was lost before.
				if start == 0 {
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
					continue
				}
				if _, err := s.PutDoc(t.Context(), state.Doc{Kind: "note", ID: "d", Rev: rev(s, "d"), Data: []byte("3")}); err != nil {
					t.Error(err)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if got := notes(t, openAt(t, path)); !strings.Contains(got, " d=3@") {
					t.Errorf("put after it: %s", got)
				}
				return
			}
		})
	}
}

func rev(s *Store, id string) int64 {
	d, _ := s.docs.Get("note", id)
	return d.Rev
}

// Recipients stay known though one place of their key is lost.
func TestMemberKeySurvives(t *testing.T) {
	news := charges(5, "account:a")
	news[0].Set, news[0].Members, news[0].Remember = "recipients", []string{"r1"}, 1000*start.Sub(start.AddDate(0, 0, -1))
	cost := func(s *Store) int64 {
		t.Helper()
		a, err := s.Take(t.Context(), start, state.Ask{Charges: news})
		if err != nil {
			t.Fatal(err)
		}
		return a.Costs[0]
	}
	path := t.TempDir()
	s := openAt(t, path)
	if cost(s) != 1 || cost(s) != 0 {
		t.Fatal("the recipient did not become known")
	}
	for _, lose := range []func(s *Store){
		func(s *Store) { update(t, s, func(txn *badger.Txn) error { return txn.Delete([]byte(memberKey)) }) },
		func(s *Store) {
			update(t, s, func(txn *badger.Txn) error { return txn.Set([]byte(memberKey), []byte("x")) })
		},
		func(*Store) {
			if err := os.Remove(filepath.Join(path, "journal")); err != nil {
				t.Fatal(err)
			}
		},
		func(*Store) {},
	} {
		lose(s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openAt(t, path)
		if n := cost(s); n != 0 {
			t.Errorf("costs %d; want 0, for it is known", n)
		}
	}
	if _, err := s.PutDoc(t.Context(), state.Doc{Kind: keyKind, ID: keyID, Data: []byte("1")}); err == nil {
		t.Error("a doc of the kind that the store keeps for itself: no error")
	}
	if docs, err := s.Docs(t.Context(), keyKind); err != nil || len(docs) != 0 {
		t.Errorf("the key is shown as a doc: %v, %v", docs, err)
	}
}

// Where the journal does not take a doc the call fails, and nothing has changed; the
// charges of the same batch are kept.
func TestJournalFails(t *testing.T) {
	path := t.TempDir()
	s := openAt(t, path)
	puts(t, s)
	if err := s.journal.Close(); err != nil {
		t.Fatal(err)
	}
	errs := make(chan error)
	s.writer.turn <- struct{}{}
	go func() {
		_, err := s.PutDoc(t.Context(), state.Doc{Kind: "note", ID: "a", Rev: 1, Data: []byte("9")})
		errs <- err
	}()
	go func() {
		_, err := s.Take(t.Context(), start, state.Ask{Charges: charges(5, "account:a")})
		errs <- err
	}()
	until(t, func() bool { return queued(s) == 2 })
	<-s.writer.turn
	got := []error{<-errs, <-errs}
	slices.SortFunc(got, func(a, b error) int { return len(words(a)) - len(words(b)) })
	if got[0] != nil || got[1] == nil || !strings.Contains(got[1].Error(), "journal") {
		t.Errorf("%v; want the doc to fail, the charge not", got)
	}
	if n := notes(t, s); n != "a=1@1 b=1@1 c=2@2" {
		t.Errorf("%s; want them as before", n)
	}
	if d := degraded(t, s); !strings.Contains(d, "journal") {
		t.Errorf("degraded %q", d)
	}
	s.Close()
	s = openAt(t, path)
	if n := used(t, s, "account:a"); n != 1 || notes(t, s) != "a=1@1 b=1@1 c=2@2" {
		t.Errorf("after a restart: used %d, %s", n, notes(t, s))
	}
}

func words(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
