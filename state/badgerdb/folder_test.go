package badgerdb

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func someFolder(t *testing.T) *folder {
	t.Helper()
	f, err := openFolder(filepath.Join(t.TempDir(), "a", "b"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.close() })
	return f
}

func TestFolderIsLocked(t *testing.T) {
	f := someFolder(t)
	if _, err := openFolder(f.path, f.log); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("second: %v; want it in use", err)
	}
	if err := f.close(); err != nil {
		t.Fatal(err)
	}
	again, err := openFolder(f.path, f.log)
	if err != nil {
		t.Fatal(err)
	}
	f.lock = again.lock
	if info, err := os.Stat(f.path); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v; want 0700: it names people", info.Mode(), err)
	}
}

func TestDeadStarts(t *testing.T) {
	f := someFolder(t)
	deaths := func() int {
		t.Helper()
		n, err := f.deaths()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for want := range 3 {
		if dead := deaths(); dead != want {
			t.Errorf("start %d: %d dead", want+1, dead)
		}
		if err := f.begin(deaths() + 1); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := f.begun(); err != nil {
			t.Fatal(err)
		}
	}
	if dead := deaths(); dead != 0 {
		t.Errorf("after one that lived: %d dead", dead)
	}
	for _, text := range []string{"", "x", "-3", "0"} {
		if err := os.WriteFile(f.marker(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if dead := deaths(); dead != 1 {
			t.Errorf("mark %q: %d dead; want 1", text, dead)
		}
	}
}

// Of what was set aside the newest two are kept, also within one moment.
func TestSetAside(t *testing.T) {
	f := someFolder(t)
	var made []string
	for i := range 4 {
		if err := os.MkdirAll(f.database(), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"a", "b"} {
			if err := os.WriteFile(filepath.Join(f.database(), name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		now := start.Add(time.Duration(i/2) * time.Millisecond)
		bad, err := f.setAside(now)
		if i == 3 {
			os.RemoveAll(bad)
			if err := os.MkdirAll(f.database(), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(f.database(), "a"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			bad, err = f.setFilesAside(now, []string{"a"})
		}
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, bad)
	}
	left, err := filepath.Glob(f.database() + ".bad-*")
	if err != nil || len(left) != keptBad || left[0] != made[2] || left[1] != made[3] {
		t.Errorf("left: %v, %v; want the newest two of %v", left, err, made)
	}
	if _, err := os.Stat(filepath.Join(made[3], "a")); err != nil {
		t.Error(err)
	}
}

func TestTell(t *testing.T) {
	f := someFolder(t)
	for range 2 {
		if err := f.tell(start, "table 000003.sst is missing"); err != nil {
			t.Fatal(err)
		}
	}
	name := filepath.Join(f.path, "DAMAGE.txt")
	text, err := os.ReadFile(name)
	if want := strings.Repeat("2026-03-01T12:00:00Z  table 000003.sst is missing\n", 2); string(text) != want || err != nil {
		t.Errorf("%q, %v; want %q", text, err, want)
	}
	if err := os.Truncate(name, maxNotice); err != nil {
		t.Fatal(err)
	}
	if err := f.tell(start, "more"); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(name); err != nil || info.Size() != maxNotice {
		t.Errorf("%d bytes, %v; want no more than %d", info.Size(), err, maxNotice)
	}
}

// The size is what the disk has given, not what a sparse file looks like.
func TestFolderSize(t *testing.T) {
	f := someFolder(t)
	name := filepath.Join(f.path, "sparse")
	if err := os.WriteFile(name, make([]byte, 100_000), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, 1<<30); err != nil {
		t.Fatal(err)
	}
	if n, err := f.size(); err != nil || n < 100_000 || n > 1<<20 {
		t.Errorf("%d bytes, %v; want about 100,000", n, err)
	}
}
