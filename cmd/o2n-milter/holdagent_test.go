package main

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"o2n-milter/config"
)

func TestAgentGroup(t *testing.T) {
	mine, err := user.LookupGroupId(strconv.Itoa(os.Getgid()))
	if err != nil {
		t.Fatal(err)
	}
	std := -1
	if g, err := user.LookupGroup(daemonGroup); err == nil {
		if std, err = strconv.Atoi(g.Gid); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]int{"": std, "0": 0, "4321": 4321, mine.Name: os.Getgid()} {
		if got, err := agentGroup(name); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", name, got, err, want)
		}
	}
	if got, err := agentGroup("no-such-group"); err == nil {
		t.Errorf("an unknown group is %d", got)
	}
}

func TestOpenAgent(t *testing.T) {
	for gid, mode := range map[int]fs.FileMode{-1: 0o600, os.Getgid(): 0o660} {
		path := filepath.Join(t.TempDir(), "run", "hold.sock")
		ln, err := openAgent(path, gid)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("group %d: mode %v, %v; want %v", gid, info.Mode(), err, mode)
		}
		if _, err := openAgent(path, gid); err == nil || !strings.Contains(err.Error(), "hold.agent") {
			t.Errorf("a second one: %v", err)
		}
		ln.Close()
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("left behind: %v", err)
		}
	}
}

func TestOnlySocket(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	unix, err := net.Listen("unix", filepath.Join(t.TempDir(), "x.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close()
	for _, c := range []struct {
		list []net.Listener
		want bool
	}{{nil, false}, {[]net.Listener{nil}, false}, {[]net.Listener{tcp}, false}, {[]net.Listener{unix, unix}, false}, {[]net.Listener{unix}, true}} {
		if _, ok := only(c.list); ok != c.want {
			t.Errorf("%v: %v", c.list, ok)
		}
	}
}

// What root does on a file's word is written by root alone, up to the root folder.
func TestOnlyRoots(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root can own what root trusts")
	}
	for name, c := range map[string]struct {
		spoil func(file, dir string) error
		good  bool
	}{
		"root's":             {func(string, string) error { return nil }, true},
		"the group reads it": {func(file, _ string) error { return os.Chmod(file, 0o640) }, true},
		"another owner":      {func(file, _ string) error { return os.Chown(file, 77, -1) }, false},
		"the group's":        {func(file, _ string) error { return os.Chmod(file, 0o660) }, false},
		"everybody's":        {func(file, _ string) error { return os.Chmod(file, 0o602) }, false},
		"its folder's owner": {func(_, dir string) error { return os.Chown(dir, 77, -1) }, false},
		"its folder's group": {func(_, dir string) error { return os.Chmod(dir, 0o770) }, false},
		"a link's folder": {func(file, dir string) error {
			if err := errors.Join(os.Rename(file, dir+".real"), os.Symlink(dir+".real", file)); err != nil {
				return err
			}
			return os.Chown(dir, 77, -1)
		}, false},
		"what a link names": {func(file, dir string) error {
			return errors.Join(os.Rename(file, dir+".real"), os.Symlink(dir+".real", file), os.Chown(dir+".real", 77, -1))
		}, false},
		"a link to root's": {func(file, dir string) error {
			return errors.Join(os.Rename(file, dir+".real"), os.Symlink(dir+".real", file))
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "etc")
			file := filepath.Join(dir, "o2n-milter.toml")
			if err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(file, nil, 0o644), c.spoil(file, dir)); err != nil {
				t.Fatal(err)
			}
			if err := onlyRoots(file); (err == nil) != c.good {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestAgentTrusts(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, folder := range []string{"conf.d", "postfix"} {
		if err := os.Mkdir(at(folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"o2n-milter.toml", "accounts.toml", "postfix/main.cf"} {
		if err := os.WriteFile(at(file), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cfg := &config.Config{File: at("o2n-milter.toml"), Files: []string{at("o2n-milter.toml"), at("accounts.toml")}}
	cfg.Accounts.File = at("accounts.toml")
	if got, want := agentTrusts(cfg), []string{at("o2n-milter.toml"), at("conf.d")}; !slices.Equal(got, want) {
		t.Errorf("%q; want %q", got, want)
	}
	cfg.Hold.ConfigDirectory = at("postfix")
	if got, want := agentTrusts(cfg), []string{at("o2n-milter.toml"), at("conf.d"), at("postfix"), at("postfix/main.cf")}; !slices.Equal(got, want) {
		t.Errorf("%q; want %q", got, want)
	}
}
