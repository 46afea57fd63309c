package badgerdb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"o2n-milter/state"
	"o2n-milter/state/statetest"
	"o2n-milter/tests/campaign"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestMain(m *testing.M) {
	if damageChild() {
		return
	}
	if path := os.Getenv(childFull); path != "" {
		fullChild(path)
		return
	}
	if path := os.Getenv(childDecisions); path != "" {
		decisionsChild(path)
		return
	}
	if path := os.Getenv(childPath); path != "" {
		child(path, os.Getenv(childSync) != "")
		return
	}
	if os.Getenv(inMounts) != "" { // a database on a disk that failed is left open
		os.Exit(m.Run())
	}
	goleak.VerifyTestMain(m)
}

// testLog shows the store's log with the test's.
func testLog(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func openAt(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(Options{Path: path, Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestStore(t *testing.T) {
	statetest.Run(t, func(t *testing.T) state.Store { return openAt(t, t.TempDir()) })
}

func TestStoreSync(t *testing.T) {
	if !campaign.Long() {
		t.Skip("O2N_CAMPAIGN=long runs the suite with fsync too")
	}
	statetest.Run(t, func(t *testing.T) state.Store {
		s, err := Open(Options{Path: t.TempDir(), Sync: true, Log: testLog(t)})
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

func TestReopen(t *testing.T) {
	path := t.TempDir()
	open := func(t *testing.T) state.Store { return openAt(t, path) }
	statetest.Reopen(t, open, open)
}

func charges(limitMax int64, subjects ...string) []state.Charge {
	var c []state.Charge
	for _, s := range subjects {
		c = append(c, state.Charge{Cost: 1, Window: state.Window{Limit: "hour", Subject: s, Length: time.Hour, Max: limitMax}})
	}
	return c
}

func take(t *testing.T, s *Store, c []state.Charge) {
	t.Helper()
	if answer, err := s.Take(t.Context(), start, state.Ask{Charges: c}); err != nil || len(answer.Full) > 0 {
		t.Fatalf("take: full %v, error %v", answer.Full, err)
	}
}

func used(t *testing.T, s *Store, subject string) int64 {
	t.Helper()
	u, err := s.Usage(t.Context(), start, []state.Window{charges(1, subject)[0].Window})
	if err != nil {
		t.Fatal(err)
	}
	return u[0].Used
}

func keys(t *testing.T, s *Store) []string {
	t.Helper()
	var found []string
	err := s.base.use(func(db *badger.DB) error {
		return scan(db, "", false, func(item *badger.Item) error {
			if !hasPrefix(item.Key(), markPrefix) { // one for each second with commits
				found = append(found, string(item.Key()))
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// until waits for something that other goroutines bring about.
func until(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited for 20 seconds")
		}
	}
}

// queued is how many calls wait for the writer.
func queued(s *Store) int {
	s.writer.mu.Lock()
	defer s.writer.mu.Unlock()
	return len(s.writer.queue)
}

// keepAll has all decisions that were recorded written now.
func keepAll(t testing.TB, s *Store) {
	t.Helper()
	s.history.flush()
	for deadline := time.Now().Add(20 * time.Second); s.history.busy(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited for 20 seconds")
		}
	}
}

// busy says that something of it is on its way to the writer.
func (h *history) busy() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.waiting) > 0 || slices.ContainsFunc(h.drafts, func(d *draft) bool { return d.taken })
}

// update writes to the database behind the store's back.
func update(t *testing.T, s *Store, f func(txn *badger.Txn) error) {
	t.Helper()
	if err := s.base.use(func(db *badger.DB) error { return db.Update(f) }); err != nil {
		t.Fatal(err)
	}
}

func TestKeysAreReadable(t *testing.T) {
	s := openAt(t, t.TempDir())
	take(t, s, charges(5, "account:alice@client-a.example", "account:a/../%\x00\xe9"))
	if err := s.AddBlock(t.Context(), state.Block{ID: "7K3QF2M9", Subject: "ip:2001:db8::/64", Since: start}); err != nil {
		t.Fatal(err)
	}
	if err := s.Record(t.Context(), state.Decision{ID: "9M2FQ3K7", At: start, Subjects: []string{"ip:2001:db8::/64"}}); err != nil {
		t.Fatal(err)
	}
	news := charges(5, "account:é")
	news[0].Set, news[0].Members, news[0].Remember = "recipients", []string{"r1"}, time.Hour
	take(t, s, news)
	send(t, s, letter("account:a/b", "r1"))
	take(t, s, charges(5, "account:b"))
	keepAll(t, s)
	var many []string
	for i := range 20 {
		many = append(many, fmt.Sprint("r", i))
	}
	send(t, s, letter("account:a/c", many...))
	want := []string{
		"doc/block/7K3QF2M9",
		"draft/0000000000000001",
		"subject/account:a%2F..%2F%25%00%E9",
		"subject/account:a%2Fb",
		"subject/account:a%2Fc",
		"subject-members/account:a%2Fc/0/0",
		"subject/account:alice@client-a.example",
		"subject/account:b",
		"subject/account:%C3%A9",
		"meta/commit",
		"meta/format",
		"meta/key",
	}
	slices.Sort(want)
	if d := cmp.Diff(want, keys(t, s)); d != "" {
		t.Errorf("keys (-want +got):\n%s", d)
	}
}

// letter is of one campaign of subject.
func letter(subject string, recipients ...string) state.Letter {
	return state.Letter{Subject: subject, Sketch: state.Sketch{0xf8 << 56, 0, 0, 1}, Max: 1 << 40, Members: recipients, Remember: 24 * time.Hour}
}

// send returns how many recipients the campaign had.
func send(t testing.TB, s *Store, l state.Letter) int64 {
	t.Helper()
	a, err := s.Take(t.Context(), start, state.Ask{Letters: []state.Letter{l}})
	if err != nil {
		t.Fatal(err)
	}
	return a.Campaigns[0].Known
}

// Recipients in a page that cannot be read are as good as forgotten; the others count.
func TestDamagedPage(t *testing.T) {
	path := t.TempDir()
	s := openAt(t, path)
	var first, second []string
	for i := range 20 {
		first, second = append(first, fmt.Sprint("a", i)), append(second, fmt.Sprint("b", i))
	}
	send(t, s, letter("account:a", first...))
	send(t, s, letter("account:a", second...))
	send(t, s, letter("account:a", "c"))
	pages := slices.DeleteFunc(keys(t, s), func(key string) bool { return !strings.HasPrefix(key, membersPrefix) })
	if len(pages) != 2 {
		t.Fatalf("pages %v; want two", pages)
	}
	var junk []record
	for _, key := range []string{membersPrefix, membersPrefix + "x", membersPrefix + "account:a/x/0", membersPrefix + "account:a/0/9/1", "subject/x"} {
		junk = append(junk, record{key: []byte(key), value: []byte{1, 60, 1}})
	}
	if err := s.writer.write(append(junk, record{key: []byte(pages[0]), value: []byte("junk")}), nil); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = openAt(t, path)
	if n := send(t, s, letter("account:a", "c")); n != 21 {
		t.Errorf("%d recipients; want those of the other page, and the newest", n)
	}
	sweepAt(t, s, start.Add(48*time.Hour)) // which must bear it too
	if _, err := s.Reset(t.Context(), "account:a"); err != nil {
		t.Fatal(err)
	}
}

// prepared makes a database in the store's folder without the store.
func prepared(t *testing.T, path, key, value string) {
	t.Helper()
	db, err := badger.Open(badgerOptions(filepath.Join(path, "badger"), false, nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(func(txn *badger.Txn) error { return txn.Set([]byte(key), []byte(value)) }); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// What is no damage is refused with a sentence, and nothing is changed or set aside.
func TestOpenRefusals(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(t *testing.T, path string)
		want    string
	}{
		{"newer", func(t *testing.T, path string) { prepared(t, path, formatKey, "3") }, "format 3 (this version reads up to 2): written by a newer o2n-milter"},
		{"no number", func(t *testing.T, path string) { prepared(t, path, formatKey, "x") }, `meta/format: found "x"`},
		{"another program's", func(t *testing.T, path string) { prepared(t, path, "k", "v") }, "a Badger database of another program"},
		{"in use", func(t *testing.T, path string) { openAt(t, path) }, "in use: another o2n-milter runs on this folder"},
		{"newer Badger", func(t *testing.T, path string) {
			prepared(t, path, formatKey, "1")
			poke(t, filepath.Join(path, "badger", manifestName), 7, badgerVersion+1)
		}, "written by a newer o2n-milter"},
		{"newer, and damaged as it seems", func(t *testing.T, path string) {
			openAt(t, path).Close()
			if text, err := os.ReadFile(filepath.Join(path, "format")); err != nil || string(text) != "2\n" {
				t.Fatalf("file format: %q, %v", text, err)
			}
			for name, text := range map[string]string{"format": "3\n", "badger/000009.sst": "a table that nobody can read"} {
				if err := os.WriteFile(filepath.Join(path, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}, "format 3 (this version reads up to 2): written by a newer o2n-milter"},
		{"newer journal", func(t *testing.T, path string) {
			text := `{"journal":"o2n-milter","format":2,"seq":0}`
			if err := os.WriteFile(filepath.Join(path, "journal"), []byte(sum([]byte(text))+text+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "format 2 (this version reads up to 1): written by a newer o2n-milter"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := t.TempDir()
			test.prepare(t, path)
			for range deadStarts + 1 { // refusing is not dying
				s, err := Open(Options{Path: path, Log: slog.New(slog.DiscardHandler)})
				if err == nil {
					s.Close()
					t.Fatal("opened")
				}
				if newer := strings.HasPrefix(test.name, "newer"); errors.Is(err, state.ErrNewer) != newer {
					t.Errorf("%v: is ErrNewer %v, want %v", err, !newer, newer)
				}
				if !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) {
					t.Errorf("error %q; want %q and the folder in it", err, test.want)
				}
			}
			if bad, _ := filepath.Glob(filepath.Join(path, "badger.bad-*")); len(bad) > 0 {
				t.Errorf("set aside: %v", bad)
			}
		})
	}
	for _, o := range []Options{{}, {Path: t.TempDir(), MinFree: -1}, {Path: t.TempDir(), Cache: -1}} {
		if s, err := Open(o); err == nil {
			s.Close()
			t.Errorf("opened with %+v", o)
		}
	}
}

// poke overwrites one byte of a file.
func poke(t *testing.T, path string, at int64, b byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{b}, at); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// A window that cannot be read is an error that names its key, until it is reset.
func TestDamagedWindow(t *testing.T) {
	for _, value := range []string{"", "junk", "\x01", "\x02\x01"} {
		s := openAt(t, t.TempDir())
		update(t, s, func(txn *badger.Txn) error { return txn.Set(subjectKey("account:a/b"), []byte(value)) })
		if _, err := s.Take(t.Context(), start, state.Ask{Charges: charges(5, "account:b", "account:a/b")}); err == nil ||
			!strings.Contains(err.Error(), "subject/account:a%2Fb") {
			t.Fatalf("take with window %q: %v; want an error that names the key", value, err)
		}
		if n := used(t, s, "account:b"); n != 0 {
			t.Errorf("the other window holds %d; want 0", n)
		}
		if n, err := s.Reset(t.Context(), "account:a/b"); n != 1 || err != nil {
			t.Errorf("reset: %d, %v; want 1", n, err)
		}
		take(t, s, charges(5, "account:b", "account:a/b"))
	}
}

func TestClosed(t *testing.T) {
	s := openAt(t, t.TempDir())
	if err := s.Record(t.Context(), state.Decision{ID: "D1", At: start}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Take(context.Background(), start, state.Ask{Charges: charges(5, "account:a")}); !errors.Is(err, errClosed) {
		t.Errorf("take: %v; want %v", err, errClosed)
	}
	if _, err := s.Decision(context.Background(), "D1"); !errors.Is(err, errClosed) {
		t.Errorf("decision: %v; want %v", err, errClosed)
	}
}

// No test that kills a process can see an fsync that is missing: the page cache
// outlives it. So what Badger is told is looked at.
func TestDurabilityReachesBadger(t *testing.T) {
	for _, sync := range []bool{false, true} {
		if got := badgerOptions(t.TempDir(), sync, nil).SyncWrites; got != sync {
			t.Errorf("Sync %v: SyncWrites %v", sync, got)
		}
	}
}
