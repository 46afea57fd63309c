//go:build mta

package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"o2n-milter/tests/campaign"
	"o2n-milter/tests/mta"
)

// TestAccountsLie: whatever becomes of the file of accounts while mail is sent, those that
// were read last stay in force, nobody writes in another's name, and it is said. When the
// file is whole again, it counts.
func TestAccountsLie(t *testing.T) {
	const alice = "[account.\"alice@client-a.example\"]\ndomains = [\"client-a.example\"]\naddresses = [\"alice@client-a.example\"]\n"
	held := campaign.Counting(t, "faults", "files of accounts that are gone, cut, wrong or huge")
	d := newDaemon(t, badger, "[accounts]\nfile = \"../accounts.toml\"\nunknown = \"reject\"\n[identity]\nheader_from = \"reject\"\n"+limitOf("month", 1<<30, "30d"))
	path := filepath.Join(d.Dir, "accounts.toml")
	write(t, path, alice)
	d.Start(t)
	readings := func(result string) float64 {
		return d.Metric(t, fmt.Sprintf("o2n_milter_config_reloads_total{result=%q}", result))
	}
	for name, spoil := range map[string]func(){
		"gone":         func() {},
		"empty":        func() { place(t, path, "") },
		"half written": func() { place(t, path, alice[:len(alice)/2]) },
		"junk":         func() { place(t, path, "\x00\xff junk = [") },
		"a loop of symbolic links": func() {
			if err := os.Symlink("accounts.toml", path); err != nil {
				t.Fatal(err)
			}
		},
		"a folder": func() {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		},
		"twice the same": func() {
			place(t, path, alice+strings.ReplaceAll(alice, "alice@client-a.example\"]\nd", "ALICE@client-a.example\"]\nd"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			refused, said := readings("refused"), strings.Count(d.Log(), "level=ERROR")
			os.RemoveAll(path)
			spoil()
			d.signal(syscall.SIGHUP)
			if name == "empty" { // which is a table without accounts, as good as any
				mta.Poll(t, "nobody has an account", func() bool { return one(t, d, login) == 550 })
			} else {
				mta.Poll(t, "it is refused", func() bool { return readings("refused") > refused })
				mta.Poll(t, "it is said", func() bool { return strings.Count(d.Log(), "level=ERROR") > said })
				if code := one(t, d, login); code != 250 {
					t.Errorf("her letter: %d; want 250 by the accounts of before", code)
				}
			}
			if code := foreign(t, d); code != 550 {
				t.Errorf("a letter in another's name: %d; want 550", code)
			}
			taken := readings("ok")
			os.RemoveAll(path)
			place(t, path, alice)
			d.signal(syscall.SIGHUP)
			mta.Poll(t, "the whole file is read", func() bool { return readings("ok") > taken })
			mta.Poll(t, "the whole file is in force", func() bool { return one(t, d, login) == 250 })
			held.Held()
		})
	}
	summary(t, "accounts that are gone, empty, cut, junk, a loop, a folder, ambiguous: the last whole ones stayed in force, and it was said")
}

// place puts a file there in one step: a reading that is still under way never finds it
// opened and empty, which would be a table without accounts.
func place(t testing.TB, path, text string) {
	t.Helper()
	write(t, path+".new", text)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// foreign is the reply code for alice's letter in another's name.
func foreign(t testing.TB, d *daemon) int {
	t.Helper()
	f, err := mta.DialFilter("unix", d.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Connect("client.example", "203.0.113.9", 40001); err != nil {
		t.Fatal(err)
	}
	l := letter(login, 1)
	l.Header[0] = "From: service@bank.example"
	out, err := f.Deliver(l)
	if err != nil {
		t.Fatal(err)
	}
	return out.Reply.Code
}

// TestLogDiskFull: a log that cannot be written to holds up no mail, and loses no count.
func TestLogDiskFull(t *testing.T) {
	d := newDaemon(t, badger, limitOf("month", 1<<30, "30d"))
	d.Under = []string{"/bin/sh", "-c", `exec "$@" >/dev/full 2>&1`, "sh"}
	d.Start(t)
	load := startLoad(d, 4)
	time.Sleep(time.Duration(times(1, 20)) * time.Second)
	load.end()
	if code := one(t, d, login); code != 250 || load.lost > 0 || load.slowest > time.Second {
		t.Errorf("a letter: %d; %d without answer, the slowest took %s", code, load.lost, load.slowest)
	}
	d.Command(t, "block", "add", "account:blocked@client-a.example", "--for", "1h")
	if code := one(t, d, "blocked@client-a.example"); code != 550 {
		t.Errorf("a blocked account's letter: %d; want 550", code)
	}
	if lost := d.Metric(t, "o2n_milter_log_lines_lost_total"); lost == 0 {
		t.Error("lines that were not written are not counted")
	}
	passed := load.allCounted(t, d)
	summary(t, "%d letters with a log that took nothing, the slowest %s", passed, load.slowest.Round(time.Millisecond))
}
