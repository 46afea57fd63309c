// Package daemon builds o2n-milter and runs it for tests, as it is shipped: a
// process of its own with its configuration, store and sockets in a scratch folder.
package daemon

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"o2n-milter/tests/mta"
)

// program is where the daemon is once a test wanted it.
var program string

var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "o2n-bin-")
	if err != nil {
		return "", err
	}
	program = filepath.Join(dir, "o2n-milter")
	if out, err := exec.Command("go", "build", "-o", program, "o2n-milter/cmd/o2n-milter").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return program, nil
})

// Program builds o2n-milter and says where it is.
func Program(t testing.TB) string {
	t.Helper()
	file, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// File is where the program is, for who has no test at hand; empty before a test wanted it.
func File() string { return program }

// Main is a TestMain that removes what was built.
func Main(m *testing.M) {
	code := m.Run()
	if program != "" {
		os.RemoveAll(filepath.Dir(program))
	}
	os.Exit(code)
}

// Daemon is an o2n-milter with a folder of its own.
type Daemon struct {
	// Dir is its folder: o2n-milter.toml with conf.d, state, admin.sock, link.key.
	Dir string
	// URL is where its pages are, without a slash at the end.
	URL string
	// Proc is the process that was started last.
	Proc *mta.Proc
	// Program is what is run, where it is not the one that is shipped.
	Program string
	// Under is a command, with its arguments, that runs it.
	Under []string
	// Env is added to its environment.
	Env []string
}

// key signs customers' links, in every daemon alike.
const key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"

// Start starts a daemon on these milter addresses and waits until it is ready. Each
// text of TOML becomes a file of conf.d. It ends with the test.
func Start(t testing.TB, listen []string, toml ...string) *Daemon {
	t.Helper()
	d := New(t, listen, toml...)
	d.Start(t)
	mta.Poll(t, "o2n-milter is ready", func() bool { return d.Get("/readyz") == http.StatusOK })
	return d
}

// New writes what Start would start.
func New(t testing.TB, listen []string, toml ...string) *Daemon {
	t.Helper()
	dir, err := os.MkdirTemp("", "o2n-milter-") // short: socket paths end at 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	web := fmt.Sprintf("127.0.0.1:%d", mta.FreePort(t))
	d := &Daemon{Dir: dir, URL: "http://" + web}
	quoted, err := json.Marshal(listen) // TOML's strings are JSON's
	if err != nil {
		t.Fatal(err)
	}
	// The servers' own users must reach the socket, whatever group they are in.
	d.write(t, "o2n-milter.toml", fmt.Sprintf("[milter]\nlisten = %s\nsocket_mode = \"0666\"\n[state]\npath = \"state\"\n"+
		"[admin]\nsocket = \"admin.sock\"\n[web]\nlisten = %q\npublic_url = %q\nlink_key_file = \"link.key\"\n", quoted, web, d.URL))
	d.write(t, "link.key", key)
	for i, text := range toml {
		d.write(t, fmt.Sprintf("conf.d/%d.toml", i), text)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("o2n-milter:\n%s", d.lastWords())
		}
	})
	return d
}

func (d *Daemon) write(t testing.TB, name, text string) {
	t.Helper()
	path := filepath.Join(d.Dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Start starts it, again after it has ended, and waits until it takes connections.
func (d *Daemon) Start(t testing.TB) {
	t.Helper()
	d.Run(t)
	mta.Poll(t, "o2n-milter listens", func() bool {
		if !d.Proc.Running() {
			t.Fatalf("o2n-milter ended: %v\n%s", d.Proc.Err(), d.lastWords())
		}
		return d.Get("/healthz") == http.StatusOK
	})
}

// Run starts it, whatever becomes of it.
func (d *Daemon) Run(t testing.TB) {
	t.Helper()
	file := Program(t)
	out, err := os.OpenFile(filepath.Join(d.Dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close() // the child has its own
	line := append(slices.Clone(d.Under), cmp.Or(d.Program, file), "serve", "--config", filepath.Join(d.Dir, "o2n-milter.toml"))
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Env = append(os.Environ(), d.Env...)
	cmd.Stdout, cmd.Stderr = out, out
	d.Proc = mta.Start(t, cmd)
}

// Get returns the status of a page; 0 when nobody answers.
func (d *Daemon) Get(path string) int {
	client := http.Client{Timeout: 2 * time.Second}
	resp, err := client.Get(d.URL + path)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

// Log is what the daemon has said so far.
func (d *Daemon) Log() string {
	b, err := os.ReadFile(filepath.Join(d.Dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// lastWords is the end of the log: of a daemon under load it is long.
func (d *Daemon) lastWords() string {
	lines := strings.Split(d.Log(), "\n")
	return strings.Join(lines[max(0, len(lines)-200):], "\n")
}

// Command runs one of the operator's commands and gives what it prints on standard
// output, without the last newline.
func (d *Daemon) Command(t testing.TB, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, append(args, "--config", filepath.Join(d.Dir, "o2n-milter.toml"))...)
	var talk bytes.Buffer
	cmd.Stderr = &talk
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("o2n-milter %s: %v\n%s", strings.Join(args, " "), err, talk.String())
	}
	return strings.TrimSuffix(string(out), "\n")
}

// JSON is Command with --json, read into v.
func (d *Daemon) JSON(t testing.TB, v any, args ...string) {
	t.Helper()
	out := d.Command(t, append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), v); err != nil {
		t.Fatalf("o2n-milter %s: %v in %s", strings.Join(args, " "), err, out)
	}
}
