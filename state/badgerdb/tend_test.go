package badgerdb

import (
	"context"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"o2n-milter/state"
)

// toldBy is how far the database itself says that it is.
func toldBy(t *testing.T, s *Store) (st stand) {
	t.Helper()
	err := s.base.use(func(db *badger.DB) (err error) {
		st, _, err = readStand(db)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// How far the database is goes with what is told to be on the disk: not with each charge,
// and never behind the progress file.
func TestStandIsWrittenBySecond(t *testing.T) {
	// The test is the one that looks once a second.
	idle := func(ctx context.Context, _ string, _ func(context.Context)) func() { return func() {} }
	s, err := Open(Options{Path: t.TempDir(), Log: testLog(t), Loop: idle})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.secure()
	first := s.writer.standing()
	for range 3 {
		take(t, s, charges(9, "account:a"))
	}
	if s.writer.stand.Commit != first.Commit+3 || toldBy(t, s) != first {
		t.Errorf("after three charges %+v, and the database says %+v; want three commits more than %+v, which it says", s.writer.stand, toldBy(t, s), first)
	}
	s.secure()
	if got := toldBy(t, s); got.Commit != first.Commit+4 || got.At != start || s.progress.known().Commit != got.Commit {
		t.Errorf("a second later the database says %+v, the progress file %d; want both four commits after %d", got, s.progress.known().Commit, first.Commit)
	}
	s.secure()
	if got := s.writer.standing().Commit; got != first.Commit+4 {
		t.Errorf("nothing was written, and it is commit %d; want %d", got, first.Commit+4)
	}
	if err := s.AddBlock(t.Context(), state.Block{ID: "B1", Subject: "account:b", Since: start}); err != nil {
		t.Fatal(err)
	}
	if got := toldBy(t, s); got.Commit != first.Commit+5 || got.Journal != s.journal.Seq() {
		t.Errorf("after a block the database says %+v; want commit %d, journal %d", got, first.Commit+5, s.journal.Seq())
	}
}
