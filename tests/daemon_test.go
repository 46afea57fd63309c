//go:build mta

package tests

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"o2n-milter/tests/mta"
)

// built is where the daemon is once a test wanted it.
var built string

// builtDaemon builds the daemon once for all tests.
var builtDaemon = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "o2n-bin-")
	if err != nil {
		return "", err
	}
	built = dir
	file := filepath.Join(dir, "o2n-milter")
	if out, err := exec.Command("go", "build", "-o", file, "o2n-milter/cmd/o2n-milter").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return file, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if built != "" {
		os.RemoveAll(built)
	}
	os.Exit(code)
}

// daemon is a running o2n-milter with the store of its own folder.
type daemon struct {
	file, config, web string
	stderr            string // file
	proc              *mta.Proc
}

// startDaemon starts the daemon on these milter addresses and waits until it is ready.
func startDaemon(t testing.TB, toml string, listen ...string) *daemon {
	t.Helper()
	file, err := builtDaemon()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "o2n-case-") // short: socket paths end at 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := &daemon{file: file, web: fmt.Sprintf("127.0.0.1:%d", mta.FreePort(t)), stderr: filepath.Join(dir, "stderr")}
	// The servers' own users must reach the socket, whatever group they are in.
	d.config = writeConfig(t, dir, fmt.Sprintf("[milter]\nlisten = [%s]\nsocket_mode = \"0666\"\n"+
		"[state]\npath = %q\n[admin]\nsocket = %q\n[web]\nlisten = %q\n",
		quoted(listen), filepath.Join(dir, "state"), filepath.Join(dir, "admin.sock"), d.web), toml)
	d.start(t)
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := os.ReadFile(d.stderr)
			t.Logf("o2n-milter:\n%s", out)
		}
	})
	return d
}

func quoted(list []string) string {
	var b []string
	for _, s := range list {
		b = append(b, fmt.Sprintf("%q", s))
	}
	return strings.Join(b, ", ")
}

func (d *daemon) start(t testing.TB) {
	t.Helper()
	out, err := os.OpenFile(d.stderr, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close() // the child has its own
	cmd := exec.Command(d.file, "serve", "--config", d.config)
	cmd.Stdout, cmd.Stderr = out, out
	d.proc = mta.Start(t, cmd)
	client := http.Client{Timeout: time.Second}
	mta.Poll(t, "o2n-milter is ready", func() bool {
		if !d.proc.Running() {
			text, _ := os.ReadFile(d.stderr)
			t.Fatalf("o2n-milter ended: %v\n%s", d.proc.Err(), text)
		}
		resp, err := client.Get("http://" + d.web + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// command runs one of the operator's commands.
func (d *daemon) command(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.Command(d.file, append(args, "--config", d.config)...).CombinedOutput()
	if err != nil {
		t.Fatalf("o2n-milter %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}
