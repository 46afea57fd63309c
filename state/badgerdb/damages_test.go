package badgerdb

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// what says what becomes of the content.
type what int

const (
	all    what = iota // nothing is lost, and nothing need be said
	kept               // nothing is lost, and it may be told
	mended             // nothing is lost, and it is told that something was damaged
	told               // something is lost, and told
	none               // the database is new
)

type damage struct {
	name string
	want what
	do   func(t *testing.T, dir string) // to the store's folder
}

// last is the file of this kind with the highest number, or the lowest for first.
func numbered(t *testing.T, dir, ext string, first bool) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "badger", "*"+ext))
	if err != nil || len(names) == 0 {
		t.Fatalf("no %s in %s: %v", ext, dir, err)
	}
	slices.Sort(names)
	if first {
		return names[0]
	}
	return names[len(names)-1]
}

// written is how much of a file holds anything: Badger's are longer.
func written(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.TrimRight(b, "\x00")
}

func flip(ext string, at float64, first bool) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		path := numbered(t, dir, ext, first)
		b := written(t, path)
		i := int(at * float64(len(b)-1))
		poke(t, path, int64(i), b[i]^0x10)
	}
}

func cut(ext string, at float64) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		path := numbered(t, dir, ext, false)
		if err := os.Truncate(path, int64(at*float64(len(written(t, path))-1))); err != nil {
			t.Fatal(err)
		}
	}
}

func gone(pattern string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		names, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(names) == 0 {
			t.Fatalf("no %s in %s: %v", pattern, dir, err)
		}
		for _, name := range names {
			if err := os.RemoveAll(name); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func junk(names ...string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		for _, name := range names {
			if err := os.WriteFile(filepath.Join(dir, "badger", name), []byte("junk"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// shorter cuts n bytes off a file.
func shorter(name string, n int64) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		path := filepath.Join(dir, name)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, info.Size()-n); err != nil {
			t.Fatal(err)
		}
	}
}

func dead(n string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		if err := os.WriteFile(filepath.Join(dir, "opening"), []byte(n), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func damages() []damage {
	list := []damage{
		{"nothing", all, func(*testing.T, string) {}},
		{".mem empty", told, cut(".mem", 0)},
		{".mem gone", told, gone("badger/*.mem")},
		{".mem head flipped", told, flip(".mem", 0, false)},
		{".vlog empty", all, cut(".vlog", 0)},
		{".vlog gone", all, gone("badger/*.vlog")},
		{".vlog head flipped", mended, flip(".vlog", 0, false)},
		{".vlog end flipped", all, flip(".vlog", 1, false)},
		{".sst empty", told, cut(".sst", 0)},
		{".sst gone", told, func(t *testing.T, dir string) {
			if err := os.Remove(numbered(t, dir, ".sst", false)); err != nil {
				t.Fatal(err)
			}
		}},
		{"all .sst gone", told, gone("badger/*.sst")},
		{"MANIFEST 1 byte short", kept, shorter("badger/MANIFEST", 1)},
		{"MANIFEST 40 bytes short", kept, shorter("badger/MANIFEST", 40)},
		{"MANIFEST empty", mended, cut("MANIFEST", 0)},
		{"MANIFEST gone", mended, gone("badger/MANIFEST")},
		{"KEYREGISTRY gone", all, gone("badger/KEYREGISTRY")},
		{"KEYREGISTRY empty", mended, cut("KEYREGISTRY", 0)},
		{"DISCARD gone", all, gone("badger/DISCARD")},
		{"DISCARD empty", all, cut("DISCARD", 0)},
		{"junk tables", all, junk("x.sst", "-1.sst", "1.sst", "999999.sst", "LOST")},
		{"junk .mem", all, junk("99999.mem")},
		{"junk value log", mended, junk("99999.vlog")},
		{"MANIFEST gone, junk tables", mended, func(t *testing.T, dir string) {
			gone("badger/MANIFEST")(t, dir)
			junk("x.sst", "-1.sst", "1.sst", "999999.sst")(t, dir)
		}},
		{"database's folder empty", none, gone("badger/*")},
		{"database's folder gone", none, gone("badger")},
		{"database is a file", none, func(t *testing.T, dir string) {
			gone("badger")(t, dir)
			junk("")(t, dir)
		}},
		{"one start died", all, dead("1\n")},
		{"two starts died", none, dead("2\n")},
		{"a start died in its first moment", all, dead("")},
		{"progress gone", all, gone("progress")},
		{"progress empty", all, func(t *testing.T, dir string) {
			if err := os.Truncate(filepath.Join(dir, "progress"), 0); err != nil {
				t.Fatal(err)
			}
		}},
		{"journal 1 byte short", mended, shorter("journal", 1)},
		{"journal a line short", mended, func(t *testing.T, dir string) {
			path := filepath.Join(dir, "journal")
			b := bytes.TrimSuffix(written(t, path), []byte("\n"))
			if err := os.Truncate(path, int64(bytes.LastIndexByte(b, '\n')+1)); err != nil {
				t.Fatal(err)
			}
		}},
		{"journal gone", mended, gone("journal")},
		{"journal flipped", mended, func(t *testing.T, dir string) {
			path := filepath.Join(dir, "journal")
			b := written(t, path)
			poke(t, path, int64(len(b)/2), b[len(b)/2]^1)
		}},
	}
	for _, at := range []float64{0.1, 0.5, 0.9, 1} {
		list = append(list,
			damage{fmt.Sprintf(".mem cut at %g", at), told, cut(".mem", at)},
			damage{fmt.Sprintf(".mem flipped at %g", at), told, flip(".mem", at, false)},
			damage{fmt.Sprintf(".sst cut at %g", at), told, cut(".sst", at)},
			damage{fmt.Sprintf(".sst flipped at %g", at), told, flip(".sst", at, false)},
			damage{fmt.Sprintf("first .sst flipped at %g", at), told, flip(".sst", at, true)},
			damage{fmt.Sprintf("MANIFEST flipped at %g", at), mended, flip("MANIFEST", at, false)},
		)
	}
	return list
}
