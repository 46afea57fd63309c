package accounts

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// report is one call of the hook.
type report struct {
	accounts int
	err      error
}

// following is a Directory over a file of one login a line, in which the word
// "bad" is a fault, with its reports.
type following struct {
	*Directory
	path    string
	reports chan report
}

func follow(t *testing.T, path string) *following {
	t.Helper()
	f := &following{path: path, reports: make(chan report, 100)}
	read := func() ([]*Account, error) {
		text, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		var list []*Account
		for login := range strings.FieldsSeq(string(text)) {
			if login == "bad" {
				return nil, errors.New("bad line")
			}
			list = append(list, &Account{Login: login})
		}
		return list, nil
	}
	var err error
	f.Directory, err = Open(path, read, func(n int, err error) { f.reports <- report{n, err} })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// wait takes reports until one is as wanted: a change may be seen half done.
func (f *following) wait(t *testing.T, accounts int, fault bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case r := <-f.reports:
			if r.accounts == accounts && (r.err != nil) == fault {
				if got := f.Table().Len(); got != accounts {
					t.Fatalf("%d accounts in force, %d reported", got, accounts)
				}
				return
			}
			t.Logf("passed over: %d accounts, %v", r.accounts, r.err)
		case <-deadline:
			t.Fatalf("no report of %d accounts, fault %v; %d in force", accounts, fault, f.Table().Len())
		}
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// replace puts a new file in the old one's place, as editors do.
func replace(t *testing.T, path, text string) {
	t.Helper()
	put(t, path+".new", text)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func TestDirectoryFollowsTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts.toml")
	put(t, path, "a b")
	f := follow(t, path)
	if n := f.Table().Len(); n != 2 {
		t.Fatalf("%d accounts at first", n)
	}
	put(t, path, "a b c") // in place
	f.wait(t, 3, false)
	replace(t, path, "a b c d")
	f.wait(t, 4, false)

	replace(t, path, "a bad")
	f.wait(t, 4, true)
	if a, err := f.ByLogin(t.Context(), "d"); a == nil || err != nil {
		t.Errorf("after a bad version login d is %v, %v", a, err)
	}
	put(t, path, "a a") // a clash is a fault like any other
	f.wait(t, 4, true)

	put(t, path, "z")
	f.wait(t, 1, false)
	if a, err := f.ByLogin(t.Context(), "d"); a != nil || err != nil {
		t.Errorf("after a good version login d is %v, %v", a, err)
	}
}

func TestDirectoryWaitsForTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts.toml")
	f := follow(t, path)
	if n := f.Table().Len(); n != 0 {
		t.Fatalf("%d accounts without a file", n)
	}
	replace(t, path, "a")
	f.wait(t, 1, false)
}

// Configuration managers keep the file elsewhere and change a link to it, or
// what is behind the link.
func TestDirectoryFollowsLinks(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	put(t, filepath.Join(other, "one"), "a")
	put(t, filepath.Join(other, "two"), "a b")
	path := filepath.Join(dir, "accounts.toml")
	link := func(name string) {
		t.Helper()
		if err := os.Symlink(filepath.Join(other, name), path+".new"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	link("one")
	f := follow(t, path)
	replace(t, filepath.Join(other, "one"), "a b c")
	f.wait(t, 3, false)
	link("two")
	f.wait(t, 2, false)
	put(t, filepath.Join(other, "two"), "a b c d")
	f.wait(t, 4, false)
}

// Other files of the folder do not make it read.
func TestDirectoryMindsItsOwnFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts.toml")
	put(t, path, "a")
	f := follow(t, path)
	for i := range 50 {
		put(t, fmt.Sprintf("%s.%d", path, i), "x")
	}
	put(t, path, "a b")
	f.wait(t, 2, false)
	if n := len(f.reports); n > 0 {
		t.Errorf("%d reads more than wanted", n)
	}
}

func TestDirectoryReloads(t *testing.T) {
	var n atomic.Int32
	var told atomic.Int32
	fault := errors.New("away")
	d, err := Open("", func() ([]*Account, error) {
		switch n.Add(1) {
		case 1:
			return []*Account{{Login: "a"}}, nil
		case 2:
			return nil, fault
		}
		return []*Account{{Login: "a"}, {Login: "b"}}, nil
	}, func(int, error) { told.Add(1) })
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Reload(); !errors.Is(err, fault) || d.Table().Len() != 1 {
		t.Errorf("%v, %d accounts", err, d.Table().Len())
	}
	if err := d.Reload(); err != nil || d.Table().Len() != 2 || told.Load() != 2 {
		t.Errorf("%v, %d accounts, told %d times", err, d.Table().Len(), told.Load())
	}
	d.Close() // twice is fine
}

func TestDirectoryDoesNotOpenOnAFault(t *testing.T) {
	fault := errors.New("bad")
	d, err := Open("", func() ([]*Account, error) { return nil, fault }, func(int, error) { t.Error("told") })
	if d != nil || !errors.Is(err, fault) {
		t.Errorf("%v, %v", d, err)
	}
}

// A file over which the reading panics is a faulty file: the accounts stay, the watching goes on.
func TestDirectoryOutlivesAPanic(t *testing.T) {
	fails := false
	var faults []error
	d, err := Open("", func() ([]*Account, error) {
		if fails {
			panic("a record")
		}
		return []*Account{{Login: "alice@client-a.example"}}, nil
	}, func(_ int, err error) { faults = append(faults, err) })
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, fails = range []bool{true, false} {
		err := d.Reload()
		if (err != nil) != fails || d.Table().Len() != 1 {
			t.Errorf("panics %v: %v, %d accounts; want the fault, and one account", fails, err, d.Table().Len())
		}
		if fails && (!strings.Contains(err.Error(), "panic: a record") || !strings.Contains(err.Error(), "directory_test.go")) {
			t.Errorf("%v; want what it was, and where", err)
		}
	}
	if len(faults) != 2 || faults[0] == nil || faults[1] != nil {
		t.Errorf("told of %v; want the fault, then none", faults)
	}
}

// Where changes are not told of, the accounts are read all the same, and it is said: here of a
// folder that is none.
func TestDirectoryIsNotWatched(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var faults []error
	d, err := Open(filepath.Join(file, "folder", "accounts.toml"), func() ([]*Account, error) {
		return []*Account{{Login: "alice@client-a.example"}}, nil
	}, func(_ int, err error) { faults = append(faults, err) })
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if len(faults) != 1 || !errors.Is(faults[0], ErrNotWatched) || d.Table().Len() != 1 {
		t.Errorf("told of %v, %d accounts", faults, d.Table().Len())
	}
}
