package badgerdb

import (
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/dgraph-io/badger/v4"
	"github.com/google/go-cmp/cmp"

	"o2n-milter/state"
)

func tables(levels map[uint64]uint8) map[uint64]badger.TableManifest {
	m := make(map[uint64]badger.TableManifest)
	for id, level := range levels {
		m[id] = badger.TableManifest{Level: level}
	}
	return m
}

func TestPlan(t *testing.T) {
	tests := []struct {
		name          string
		shelf         shelf
		keep          map[uint64]uint8
		aside         []string
		faults, notes int
	}{
		{"whole", shelf{listed: tables(map[uint64]uint8{1: 0, 2: 6}), faults: map[uint64]string{1: "", 2: ""}}, map[uint64]uint8{1: 0, 2: 6}, nil, 0, 0},
		{"a leftover", shelf{listed: tables(map[uint64]uint8{1: 0}), faults: map[uint64]string{1: "", 2: "", 3: "bad"}}, map[uint64]uint8{1: 0}, nil, 0, 0},
		{"one is bad", shelf{listed: tables(map[uint64]uint8{1: 0, 2: 6}), faults: map[uint64]string{1: "", 2: "bad", 3: ""}},
			map[uint64]uint8{1: 0}, []string{"000002.sst"}, 1, 0},
		{"one is missing", shelf{listed: tables(map[uint64]uint8{1: 0, 2: 6}), faults: map[uint64]string{2: "", 3: "", 4: "bad"}},
			map[uint64]uint8{2: 6, 3: 0}, []string{"000004.sst"}, 2, 1},
		{"end torn, nothing else", shelf{listed: tables(map[uint64]uint8{1: 0}), torn: true, faults: map[uint64]string{1: ""}}, map[uint64]uint8{1: 0}, nil, 0, 0},
		{"end torn", shelf{listed: tables(map[uint64]uint8{1: 0}), torn: true, faults: map[uint64]string{1: "", 2: ""}}, map[uint64]uint8{1: 0, 2: 0}, nil, 0, 1},
		{"no list", shelf{fault: "is missing", faults: map[uint64]string{1: "", 2: "bad"}}, map[uint64]uint8{1: 0}, []string{"000002.sst"}, 2, 1},
		{"nothing", shelf{}, map[uint64]uint8{}, nil, 0, 0},
	}
	for _, test := range tests {
		p := test.shelf.plan()
		if d := cmp.Diff(tables(test.keep), p.tables); d != "" {
			t.Errorf("%s: tables (-want +got):\n%s", test.name, d)
		}
		if !slices.Equal(p.aside, test.aside) || len(p.faults) != test.faults || len(p.notes) != test.notes {
			t.Errorf("%s: aside %v, faults %q, notes %q; want %v, %d, %d", test.name, p.aside, p.faults, p.notes, test.aside, test.faults, test.notes)
		}
	}
}

// Badger reads the list that is written, whatever is in it.
func TestManifestIsBadgers(t *testing.T) {
	for _, want := range []map[uint64]badger.TableManifest{
		{}, tables(map[uint64]uint8{1: 0}), tables(map[uint64]uint8{1: 6, 127: 0, 128: 1, 300: 2, 1 << 40: 6}),
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, manifestName), encodeManifest(want), 0o600); err != nil {
			t.Fatal(err)
		}
		var sh shelf
		if err := sh.readManifest(dir); err != nil || sh.fault != "" || sh.torn || !maps.Equal(sh.listed, want) {
			t.Errorf("%v: read as %v, torn %v, fault %q, %v", want, sh.listed, sh.torn, sh.fault, err)
		}
	}
}

func TestTableID(t *testing.T) {
	for name, want := range map[string]string{
		"000001.sst": "1 true false", "1234567.sst": "1234567 true false", "1.sst": "0 false true", "-1.sst": "0 false true", "+00001.sst": "0 false true",
		"x.sst": "0 false false", ".sst": "0 false false", "000001.mem": "0 false false", "99999999999999999999.sst": "0 false false",
	} {
		if got := fmt.Sprint(tableID(name)); got != want {
			t.Errorf("%s: %s; want %s", name, got, want)
		}
	}
}

// A table that Badger made is whole; with any byte flipped it is not, and nothing dies.
func TestCheckTable(t *testing.T) {
	path := t.TempDir()
	prepared(t, path, "k", "v")
	list, err := filepath.Glob(filepath.Join(path, "badger", "*.sst"))
	if err != nil || len(list) != 1 {
		t.Fatalf("tables %v, %v; want one", list, err)
	}
	if err := checkTable(list[0], 1); err != nil {
		t.Fatal(err)
	}
	whole := written(t, list[0])
	odd := filepath.Join(path, "000009.sst")
	for i := range whole {
		b := slices.Clone(whole)
		b[i] ^= 0x10
		if err := os.WriteFile(odd, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if checkTable(odd, 9) == nil {
			t.Errorf("byte %d of %d flipped: taken for whole", i, len(b))
		}
		if err := os.WriteFile(odd, whole[:i], 0o600); err != nil {
			t.Fatal(err)
		}
		if checkTable(odd, 9) == nil {
			t.Errorf("cut at %d of %d: taken for whole", i, len(b))
		}
	}
	if checkTable(filepath.Join(path, "none"), 1) == nil {
		t.Error("no file: taken for whole")
	}
}

// Whatever a MANIFEST holds, it is read, or has a fault, or is newer.
func FuzzManifest(f *testing.F) {
	whole := encodeManifest(tables(map[uint64]uint8{1: 0, 2: 6}))
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add([]byte("Bdgr"))
	f.Fuzz(func(t *testing.T, b []byte) {
		fo := &folder{path: t.TempDir(), log: slog.New(slog.DiscardHandler)}
		if err := os.Mkdir(fo.database(), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(fo.database(), manifestName), b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := fo.repair(start); err != nil {
			if err != state.ErrNewer {
				t.Fatal(err)
			}
			return
		}
		if faults, err := fo.repair(start); err != nil || len(faults) > 0 {
			t.Fatalf("the second time: %q, %v; want it repaired", faults, err)
		}
	})
}
