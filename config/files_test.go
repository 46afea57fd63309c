package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWrittenFilesMustExist(t *testing.T) {
	key := strings.Repeat("k", 32)
	for _, c := range []struct {
		name, main, key string
		mode            os.FileMode
		want            string
	}{
		{"no map file", "accounts.file = 'no.toml'", "", 0, `1: accounts.file: "no.toml" does not exist; want a file that exists`},
		{"no MTA folder", "hold.config_directory = 'mta'", "", 0, `1: hold.config_directory: "mta" does not exist; want a file or folder that exists`},
		{"no key", "web.link_key_file = 'no'", "", 0, `1: web.link_key_file: "no" does not exist; want ` + wantLinkKey},
		{"a key of 31 bytes", "web.link_key_file = 'key'", key[:31], 0o600, `1: web.link_key_file: "key" holds a key of 31 bytes; want ` + wantLinkKey},
		{"a key of 32 bytes", "web.link_key_file = 'key'", key[:32], 0o640, ""},
		{"a newline is none of them", "web.link_key_file = 'key'", key[:31] + "\n", 0o600, `1: web.link_key_file: "key" holds a key of 31 bytes; want ` + wantLinkKey},
		{"32 bytes in hex", "web.link_key_file = 'key'", strings.Repeat("aF", 32) + "\n", 0o600, ""},
		{"31 bytes in hex", "web.link_key_file = 'key'", strings.Repeat("af", 31), 0o600, `1: web.link_key_file: "key" holds a key of 31 bytes; want ` + wantLinkKey},
		{"readable by others", "web.link_key_file = 'key'", key, 0o604, `1: web.link_key_file: "key" is open to every user (mode 0604); want ` + wantLinkKey},
		{"writable by others", "web.link_key_file = 'key'", key, 0o602, `1: web.link_key_file: "key" is open to every user (mode 0602); want ` + wantLinkKey},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := write(t, map[string]string{"main.toml": c.main, "key": c.key})
			if err := os.Chmod(filepath.Join(dir, "key"), c.mode); err != nil {
				t.Fatal(err)
			}
			_, faults := Load(filepath.Join(dir, "main.toml"), true)
			got := ""
			for _, f := range faults {
				got += strings.TrimPrefix(f.Error(), dir+"/main.toml:")
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// A map file that was there must stay there; one that comes is read.
func TestMapFileComesAndGoes(t *testing.T) {
	dir := write(t, map[string]string{"main.toml": "[account.a]\n"})
	path := filepath.Join(dir, "accounts.toml")
	c, faults := Load(filepath.Join(dir, "main.toml"), true)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	read := func() string {
		list, err := c.Accounts.Read()
		if err != nil {
			return strings.ReplaceAll(err.Error(), dir+"/", "")
		}
		return fmt.Sprint(len(list))
	}
	var got []string
	got = append(got, read())
	if err := os.WriteFile(path, []byte("[account.b]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got = append(got, read())
	if err := os.WriteFile(path, []byte("[account.b]\nplan=1\n[account.A]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got = append(got, read())
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	got = append(got, read())
	want := []string{"1", "2",
		"accounts.toml:2: account.b.plan: is the integer 1; want printable text\n" +
			"accounts.toml:3: account.A: is an account at main.toml:1 too; want it in one place",
		"accounts.toml:0: file: does not exist; want a file of TOML"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNamedFileMustExist(t *testing.T) {
	file := filepath.Join(t.TempDir(), "none.toml")
	_, faults := Load(file, true)
	want := []Fault{{File: file, Key: "file", Problem: "does not exist", Want: "a file of TOML"}}
	if diff := cmp.Diff(want, faults); diff != "" {
		t.Error(diff)
	}
}

func TestDropInsMerge(t *testing.T) {
	c, faults := loadFaults(t, map[string]string{
		"main.toml":            "[limit.one]\nmax = 1\nwindow = '1m'\n[account.a]\nplan = 'p'\n",
		"conf.d/20-b.toml":     "[limit.two]\nmax = 1\nwindow = '1m'\n",
		"conf.d/10-a.toml":     "[limit.one]\nplans.p = 5\n[limit.zero]\nmax = 1\nwindow = '1m'\n[account.a]\ncustomer = 'c'\n",
		"conf.d/README":        "nothing",
		"conf.d/x.toml.backup": "nothing",
	})
	if faults != nil {
		t.Fatal(faults)
	}
	var names []string
	for _, l := range c.Rules.Limits {
		names = append(names, l.Name)
	}
	if diff := cmp.Diff([]string{"one", "zero", "two"}, names); diff != "" {
		t.Error(diff)
	}
	if got := c.Rules.Limits[0].Plans["p"]; got != 5 {
		t.Errorf("plan p has %d", got)
	}
	a := c.Accounts.Table["a"]
	if a.Plan != "p" || a.Customer != "c" {
		t.Errorf("account is %+v", a)
	}
}

func TestClashesAcrossFiles(t *testing.T) {
	for _, c := range []struct {
		name, main, dropIn, accounts string
		want                         []string
	}{
		{"a key twice", "[reply]\nlanguage='fr'\n", "[reply]\n\nlanguage='fr'\n", "",
			[]string{"conf.d/a.toml:3: reply.language: is set again; it is first set at main.toml:2; want it in one place"}},
		{"an inline table's key twice", "[limit.x]\nmax=1\nwindow='1s'\nplans={p=1,q=2}\n", "[limit.x]\nplans={q=2}\n", "",
			[]string{"conf.d/a.toml:2: limit.x.plans.q: is set again; it is first set at main.toml:4; want it in one place"}},
		{"logins equal but for case", "[account.alice]\n", "[account.Alice]\nplan='p'\n", "",
			[]string{"conf.d/a.toml:1: account.Alice: is the same key as account.alice at main.toml:1 but for case; want it in one place"}},
		{"a login in the map file too", "[account.alice]\n", "", "\n[account.Alice]\nplan='p'\n",
			[]string{"accounts.toml:2: account.Alice: is an account at main.toml:1 too; want it in one place"}},
		{"one script of two accounts", "[account.a]\nscripts=['w@x.example']\n", "", "[account.b]\nscripts=['W@x.example']\n",
			[]string{`accounts.toml:2: account.b.scripts: "w@x.example" is of account "a" too, at main.toml:2; want each script in one account`}},
		{"one ip of two accounts", "[accounts]\nnetworks=['192.0.2.0/24']\n[account.a]\nips=['192.0.2.1']\n[account.b]\nips=['192.0.2.0/25','192.0.2.1/32']\n", "", "",
			[]string{`main.toml:6: account.b.ips: "192.0.2.1/32" is of account "a" too, at main.toml:4; want each ip in one account`}},
		{"a table and a value", "[limit.x]\nmax=1\nwindow='1s'\n", "[limit]\nx=1\n", "",
			[]string{"conf.d/a.toml:2: limit.x: is set again; it is first set at main.toml:1; want it in one place"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, got := loadFaults(t, map[string]string{"main.toml": c.main, "conf.d/a.toml": c.dropIn, "accounts.toml": c.accounts})
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
