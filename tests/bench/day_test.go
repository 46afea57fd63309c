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
	const messages, half = 3_000, 12 * time.Hour
	s := newSimulation(t, t.TempDir(), messages)
	s.after(t, half, messages/2)
	early := octetsIn(t, s.folder)
	s.after(t, half, messages/2)
	if n := s.refused.Load(); n > 0 {
		t.Fatalf("%d messages did not pass", n)
	}
	// What is written anew now and then makes some of it; what is never
	// deleted would make it twice.
	late := octetsIn(t, s.folder)
	for end := time.Now().Add(20 * time.Second); late > early*14/10 && time.Now().Before(end); late = octetsIn(t, s.folder) {
		time.Sleep(time.Second) // the sweeper comes again
	}
	if early < messages/6*100 || late > early*14/10 {
		t.Errorf("%d octets of records after 12 hours, %d after 24; want no more, but for what comes and goes", early, late)
	}
}

// octetsIn is how long all records are in the database of a store that is at rest, by a
// copy of it.
func octetsIn(t *testing.T, folder string) (n int64) {
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
			n += it.Item().EstimatedSize()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
