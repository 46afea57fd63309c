package main

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
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
