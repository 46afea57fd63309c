package badgerdb

import (
	"encoding/base64"
	"encoding/binary"
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

	"o2n-milter/state"
	"o2n-milter/state/internal/text"
)

// earlier makes the records of a store of format 1.
type earlier struct{ records []record }

func (x *earlier) put(key string, value []byte) {
	x.records = append(x.records, record{key: []byte(key), value: value})
}

func (x *earlier) window(limit, subject string, n int64) {
	var slots state.Slots
	slots.Advance(time.Hour, start.UnixNano())
	slots.Charge(n, start.UnixNano())
	x.put("limit/"+text.Escape(limit)+"/"+text.Escape(subject), slots.Append(nil))
}

// member is one of a day, as it was written in format 1.
func member() []byte {
	b := binary.AppendUvarint([]byte{1}, uint64(24*time.Hour))
	return binary.AppendUvarint(b, uint64(start.UnixNano()/int64(24*time.Hour/60)))
}

// fill makes those of a store of format 1 with so many of all, some of them unreadable.
func (x *earlier) fill(s *Store, subjects int) {
	r := s.key.Hashes([]string{"r1", "r2"})
	sketch := make([]byte, 32)
	sketch[0], sketch[31] = 0xf8, 1
	for i := range subjects {
		subject := fmt.Sprintf("account:é/%d", i)
		x.window("hour", subject, int64(i+1))
		x.window("a/b", subject, 7)
		for _, hash := range r {
			x.put(fmt.Sprintf("known/recipients/%s/%016x", text.Escape(subject), hash), member())
			x.put(fmt.Sprintf("letter/%s/%s/%016x", text.Escape(subject), base64.RawURLEncoding.EncodeToString(sketch), hash), member())
		}
	}
	for _, key := range []string{"limit/x", "limit/a/b/c", "limit/hour/account:%zz", "limit/hour/account:junk", "known/x", "known/a/b/c", "letter/a/b/c", "letter/a"} {
		x.put(key, []byte("junk"))
	}
}

// write puts them into a closed store's database, and makes it one of format 1.
func (x *earlier) write(t *testing.T, path string) {
	t.Helper()
	db, err := badger.Open(badgerOptions(filepath.Join(path, "badger"), false, nil))
	if err != nil {
		t.Fatal(err)
	}
	x.put(formatKey, []byte("1"))
	for part := range slices.Chunk(x.records, 500) {
		if err := db.Update(func(txn *badger.Txn) error {
			for _, r := range part {
				if err := r.set(txn); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(db.Close(), os.WriteFile(filepath.Join(path, "format"), []byte("1\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// converted wants all that fill wrote, in this format.
func converted(t *testing.T, s *Store, subjects int) {
	t.Helper()
	for i := range subjects {
		subject := fmt.Sprintf("account:é/%d", i)
		other := charges(1, subject)[0].Window
		other.Limit = "a/b"
		if n := used(t, s, subject); n != int64(i+1) {
			t.Fatalf("%s: used %d; want %d", subject, n, i+1)
		}
		if u, err := s.Usage(t.Context(), start, []state.Window{other}); err != nil || u[0].Used != 7 {
			t.Fatalf("%s: %v, %v; want 7", other.Limit, u, err)
		}
		ask := state.Ask{Charges: charges(1<<40, subject), Letters: []state.Letter{letter(subject, "r2", "r3")}, Dry: true}
		ask.Charges[0].Set, ask.Charges[0].Members, ask.Charges[0].Remember = "recipients", []string{"r1", "r3"}, 24*time.Hour
		a, err := s.Take(t.Context(), start, ask)
		if err != nil || a.Costs[0] != 1 || a.Campaigns[0].Known != 2 || a.Campaigns[0].New != 1 {
			t.Fatalf("%s: %+v, %v; want r3 new to both", subject, a, err)
		}
	}
	for _, key := range keys(t, s) {
		for _, old := range []string{limitPrefix, knownPrefix, letterPrefix} {
			if strings.HasPrefix(key, old) {
				t.Errorf("%s is left", key)
			}
		}
	}
}

// A store of format 1 goes on with all that it knew, and an earlier version refuses it
// from then on.
func TestConvert(t *testing.T) {
	const subjects = 1500 // more than one go
	path := t.TempDir()
	s := openAt(t, path)
	var x earlier
	x.fill(s, subjects)
	s.Close()
	x.write(t, path)
	for again := range 2 {
		s, err := Open(Options{Path: path, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if again == 0 {
			if d := degraded(t, s); !strings.Contains(d, "8 of 9008 windows and known recipients could not be read") {
				t.Errorf("degraded %q", d)
			}
		}
		converted(t, s, subjects)
		s.Close()
	}
	if text, err := os.ReadFile(filepath.Join(path, "format")); err != nil || string(text) != "2\n" {
		t.Errorf("file format: %q, %v", text, err)
	}
}

// What one commit of a conversion has done is not done again by the next start.
func TestConvertDies(t *testing.T) {
	const subjects = 1500
	for die := range 8 { // commits that get through
		path := t.TempDir()
		s := openAt(t, path)
		var x earlier
		x.fill(s, subjects)
		s.Close()
		x.write(t, path)
		halfConverted(t, path, die)
		s, err := Open(Options{Path: path, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		converted(t, s, subjects)
		s.Close()
	}
}

// halfConverted opens a store whose conversion ends after so many commits.
func halfConverted(t *testing.T, path string, commits int) {
	t.Helper()
	s := &Store{options: Options{Path: path, Log: slog.New(slog.DiscardHandler)}}
	db, err := badger.Open(badgerOptions(filepath.Join(path, "badger"), false, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	s.log, s.base = s.options.Log, &base{db: db}
	s.writer = newWriter(s.base, s.log)
	s.writer.write = func(records []record, _ []corpse) error {
		if commits--; commits < 0 {
			return errDisk
		}
		return db.Update(func(txn *badger.Txn) error {
			for _, r := range records {
				if err := r.set(txn); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if _, err := s.convert(); !errors.Is(err, errDisk) {
		t.Fatalf("conversion: %v; want it to end in mid-way", err)
	}
}
