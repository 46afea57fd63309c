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
