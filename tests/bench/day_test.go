package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// TestDay: what a day's traffic leaves behind goes when it is too old: there is no more of
// it at the end than after half of the day. What that is on the disk, where Badger merges
// tables now and then, only many more messages show: "make bench-day".
func TestDay(t *testing.T) {
	const messages, half = 2_400, 12 * time.Hour
	s := newSimulation(t, t.TempDir(), messages)
	s.after(t, half, messages/2)
	early := keysIn(t, s.folder)
	s.after(t, half, messages/2)
	late := keysIn(t, s.folder)
	if n := s.refused.Load(); n > 0 {
		t.Fatalf("%d messages did not pass", n)
	}
	if early < messages/6 || late > early*11/10 {
		t.Errorf("%d records after 12 hours, %d after 24; want no more, but for a tenth", early, late)
	}
}

// keysIn counts what is in the database of a store that is at rest, by a copy of it.
func keysIn(t *testing.T, folder string) (n int) {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(folder, "badger"))); err != nil {
		t.Fatal(err)
	}
	db, err := badger.Open(badger.DefaultOptions(dir).WithLogger(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			n++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
