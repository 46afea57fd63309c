package badgerdb

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"
)

// After parts of the database were lost, pages whose filters are gone are found again, and
// go when they are old; what belongs to nothing goes; what is counted is what is there.
func TestMend(t *testing.T) {
	path := t.TempDir()
	s := openAt(t, path)
	recordMany(t, s, 4*pageDecisions)
	shape(t, s, 4, 0)
	record1(t, s, "draft", second(9999), 0)
	shape(t, s, 4, 1)
	var places []string
	for _, key := range keys(t, s) {
		if place, ok := strings.CutPrefix(key, decisionsPrefix); ok {
			places = append(places, place)
		}
	}
	update(t, s, func(txn *badger.Txn) error {
		for _, key := range [][]byte{filterKey(places[0]), decisionsKey(places[1]), filterKey(places[2])} {
			if err := txn.Delete(key); err != nil {
				return err
			}
		}
		return txn.Set(decisionsKey(places[2]), []byte("junk"))
	})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(path, "badger", manifestName)); err != nil { // so that there is damage
		t.Fatal(err)
	}
	s, err := Open(Options{Path: path, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if d := degraded(t, s); !strings.Contains(d, "decisions/"+places[2]) {
		t.Errorf("degraded %q; want the page that cannot be read in it", d)
	}
	shape(t, s, 2, 1)
	want := append([]string{"draft"}, numberedIDs(4 * pageDecisions)[:pageDecisions]...)
	want = append(want, numberedIDs(pageDecisions)...)
	if got := ids(t, s, "account:a"); !slices.Equal(got, want) {
		t.Errorf("found %d: %v; want those of the first and the last page, and the draft", len(got), got)
	}
	counted(t, s)
	sweepAt(t, s, second(9999).Add(2*defaultRetention))
	shape(t, s, 0, 0)
	if n := counted(t, s); n != 0 {
		t.Errorf("%d bytes are left", n)
	}
}
