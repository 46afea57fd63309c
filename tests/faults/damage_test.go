//go:build mta

package faults

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"o2n-milter/tests/mta"
)

// TestDamage: whatever is wrong with the files of a store whose daemon was killed,
// the next start serves, knows the block, and says what it found.
func TestDamage(t *testing.T) {
	origin := newDaemon(t, badger, limitOf("month", 1<<30, "30d"))
	origin.Start(t)
	origin.Command(t, "block", "add", "account:blocked@client-a.example", "--for", "1h")
	newTally().session(origin.addr, login, counter(500))
	// How far the store is stands beside it a second later; what is lost of the last
	// second nobody can tell.
	last := time.Now()
	mta.Poll(t, "the store's progress is kept", func() bool {
		info, err := os.Stat(filepath.Join(origin.Dir, "state", "progress"))
		return err == nil && info.ModTime().After(last)
	})
	origin.Proc.Kill()

	for _, kind := range []struct {
		name, files string
		do          func(path string) error
	}{
		{"empty", "*.mem", func(p string) error { return os.Truncate(p, 0) }},
		{"empty", "*.vlog", func(p string) error { return os.Truncate(p, 0) }},
		{"empty", "MANIFEST", func(p string) error { return os.Truncate(p, 0) }},
		{"cut", "MANIFEST", func(p string) error { return cut(p, 1) }},
		{"cut", "*.mem", func(p string) error { return cut(p, 4<<20) }},
		{"flipped", "MANIFEST", flip},
		{"flipped", "*.mem", flip},
		{"flipped", "KEYREGISTRY", flip},
		{"gone", "*.mem", os.Remove},
		{"gone", "MANIFEST", os.Remove},
		{"gone", "*", os.RemoveAll},
	} {
		t.Run(kind.name+" "+strings.Trim(kind.files, "*."), func(t *testing.T) {
			d := newDaemon(t, badger, limitOf("month", 1<<30, "30d"))
			if err := os.CopyFS(filepath.Join(d.Dir, "state"), os.DirFS(filepath.Join(origin.Dir, "state"))); err != nil {
				t.Fatal(err)
			}
			found, err := filepath.Glob(filepath.Join(d.Dir, "state", "badger", kind.files))
			if err != nil || len(found) == 0 {
				t.Fatalf("no %s to damage: %v", kind.files, err)
			}
			for _, path := range found {
				if err := kind.do(path); err != nil {
					t.Fatal(err)
				}
			}
			for try := range 3 {
				d.Run(t)
				if waitFor(t, d) {
					break
				}
				if try == 2 {
					t.Fatal("does not start")
				}
			}
			if code := one(t, d, "blocked@client-a.example"); code != 550 {
				t.Errorf("the blocked account's letter: %d; want 550", code)
			}
			if code := one(t, d, login); code != 250 {
				t.Errorf("a letter: %d; want 250", code)
			}
			used, log := d.used(t, "account:"+login, "month"), d.Log()
			if said := strings.Contains(log, "level=ERROR") || strings.Contains(log, "level=WARN"); used < 501 && !said {
				t.Errorf("%d letters of 501 are counted, and nobody says so", used)
			}
		})
	}
	summary(t, "11 kinds of damage: the daemon served after each, the block held, what was lost was told")
}

// waitFor waits until the daemon serves or has ended.
func waitFor(t testing.TB, d *daemon) (serves bool) {
	t.Helper()
	mta.Poll(t, "o2n-milter serves or ends", func() bool {
		serves = d.Get("/healthz") == http.StatusOK
		return serves || !d.Proc.Running()
	})
	return serves
}

func cut(path string, bytes int64) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return os.Truncate(path, max(0, info.Size()-bytes))
}

// flip changes a byte in the middle of what is written.
func flip(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	n := len(strings.TrimRight(string(b), "\x00"))
	b[n/2] ^= 0xff
	return os.WriteFile(path, b, 0o600)
}
