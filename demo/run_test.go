package demo

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"o2n-milter/config"
)

// script is a program that stands in for the daemon.
func script(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "o2n-milter")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return file
}

// shortDir is a folder whose sockets' paths are within 108 bytes.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "o2n-demo-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestDaemonThatDoesNotStart(t *testing.T) {
	nothing := func(string, string, any, any) error { return errors.New("nobody asks") }
	err := Run(t.Context(), Options{Program: script(t, "echo no room; exit 3"), Dir: shortDir(t), Out: io.Discard, Ask: nothing})
	if err == nil || !strings.Contains(err.Error(), "exit status 3; the daemon's last words:\nno room") {
		t.Errorf("got %v", err)
	}
	if err := Run(t.Context(), Options{Program: "/no/such/program", Dir: shortDir(t), Out: io.Discard, Ask: nothing}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no program: %v", err)
	}
}

func TestLongFolder(t *testing.T) {
	for n, want := range map[int]string{longestDir - 1: "exit status 3", longestDir: "exit status 3", longestDir + 1: "set TMPDIR"} {
		dir := shortDir(t)
		dir += "/" + strings.Repeat("x", n-len(dir)-1)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		err := Run(t.Context(), Options{Program: script(t, "exit 3"), Dir: dir, Out: io.Discard})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d bytes: %v; want %s", n, err, want)
		}
	}
}

func TestDaemon(t *testing.T) {
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	d, err := StartDaemon(script(t, "exec sleep 60"), "x.toml", log)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Await(t.Context(), ln.Addr().String()); err != nil {
		t.Errorf("somebody listens: %v", err)
	}
	ln.Close()
	over := errors.New("over")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, over)
	defer cancel()
	if err := d.Await(ctx, ln.Addr().String()); !errors.Is(err, over) {
		t.Errorf("nobody listens: %v", err)
	}
	d.Stop()
	d.Stop() // once more does no harm
	<-d.Ended()
	if err := d.Err(); !strings.Contains(err.Error(), "terminated") {
		t.Errorf("ended: %v", err)
	}
}

func TestListen(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	other, err := free(port)
	if err != nil || other == taken.Addr().String() || !strings.HasPrefix(other, "127.0.0.1:") {
		t.Errorf("beside a taken port: %q, %v", other, err)
	}
	taken.Close()
	if same, err := free(port); err != nil || same != taken.Addr().String() {
		t.Errorf("a free port: %q, %v", same, err)
	}
}

// TestConfiguration: what the daemon is given has no fault.
func TestConfiguration(t *testing.T) {
	d := &demo{Options: Options{Dir: shortDir(t)}, place: place{SMTP: "127.0.0.1:2525"}}
	if err := d.write(); err != nil {
		t.Fatal(err)
	}
	cfg, faults := config.Load(d.Config, true)
	if len(faults) > 0 || len(cfg.Notes) > 0 {
		t.Fatalf("faults %v", faults)
	}
	for _, addr := range append(cfg.Milter.Listen, cfg.Web.Listen) {
		if !strings.HasPrefix(strings.TrimPrefix(addr, "tcp:"), "127.0.0.1:") {
			t.Errorf("listens on %s", addr)
		}
	}
	err := filepath.WalkDir(d.Dir, func(path string, e os.DirEntry, err error) error {
		if info, infoErr := e.Info(); infoErr != nil || !e.IsDir() && info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", path, info.Mode(), infoErr)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
