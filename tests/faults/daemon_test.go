//go:build mta

package faults

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"o2n-milter/tests/mta"
)

// long says that campaigns run in full.
var long = os.Getenv("FAULTS") == "long"

// times is how often a campaign does what it does.
func times(slice, full int) int {
	if long {
		return full
	}
	return slice
}

var bin string // where the daemon is once a test wanted it

var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "o2n-bin-")
	if err != nil {
		return "", err
	}
	bin = dir
	file := filepath.Join(dir, "o2n-milter")
	if out, err := exec.Command("go", "build", "-o", file, "o2n-milter/cmd/o2n-milter").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return file, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if bin != "" {
		os.RemoveAll(bin)
	}
	os.Exit(code)
}

// daemon is a running o2n-milter.
type daemon struct {
	file, dir, config, web, addr, stderr string
	proc                                 *mta.Proc
}

// newDaemon writes the configuration; state stands under [state].
func newDaemon(t testing.TB, state, toml string) *daemon {
	t.Helper()
	file, err := build()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "o2n-fault-") // short: socket paths end at 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := &daemon{
		file: file, dir: dir, config: filepath.Join(dir, "o2n-milter.toml"), stderr: filepath.Join(dir, "stderr"),
		web: fmt.Sprintf("127.0.0.1:%d", mta.FreePort(t)), addr: filepath.Join(dir, "milter.sock"),
	}
	text := fmt.Sprintf("[milter]\nlisten = [%q]\n[state]\n%s\n[admin]\nsocket = %q\n[web]\nlisten = %q\n[block]\nstrikes = 1000000\n%s",
		"unix:"+d.addr, strings.ReplaceAll(state, "DIR", dir), filepath.Join(dir, "admin.sock"), d.web, toml)
	if err := os.WriteFile(d.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := os.ReadFile(d.stderr)
			t.Logf("o2n-milter:\n%s", tail(string(out), 40))
		}
	})
	return d
}

func tail(s string, lines int) string {
	all := strings.Split(s, "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// start starts the daemon and waits until it listens.
func (d *daemon) start(t testing.TB) {
	t.Helper()
	d.run(t)
	mta.Poll(t, "o2n-milter listens", func() bool {
		if !d.proc.Running() {
			text, _ := os.ReadFile(d.stderr)
			t.Fatalf("o2n-milter ended: %v\n%s", d.proc.Err(), tail(string(text), 40))
		}
		return d.get("/healthz") == http.StatusOK
	})
}

// run starts the daemon, whatever becomes of it.
func (d *daemon) run(t testing.TB) {
	t.Helper()
	out, err := os.OpenFile(d.stderr, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close() // the child has its own
	cmd := exec.Command(d.file, "serve", "--config", d.config)
	cmd.Stdout, cmd.Stderr = out, out
	d.proc = mta.Start(t, cmd)
}

// get returns the status of a page; 0 when nobody answers.
func (d *daemon) get(path string) int {
	client := http.Client{Timeout: 2 * time.Second}
	resp, err := client.Get("http://" + d.web + path)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

// command runs one of the operator's commands and gives its output.
func (d *daemon) command(t testing.TB, args ...string) string {
	t.Helper()
	cmd := exec.Command(d.file, append(args, "--config", d.config)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("o2n-milter %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}

// used is what a window of the subject holds.
func (d *daemon) used(t testing.TB, subject, limit string) int64 {
	t.Helper()
	var u struct {
		Windows []struct {
			Limit string `json:"limit"`
			Used  int64  `json:"used"`
		} `json:"windows"`
	}
	if err := json.Unmarshal([]byte(d.command(t, "usage", subject, "--json")), &u); err != nil {
		t.Fatal(err)
	}
	for _, w := range u.Windows {
		if w.Limit == limit {
			return w.Used
		}
	}
	return 0
}

// degraded is what status says of the store.
func (d *daemon) degraded(t testing.TB) bool {
	t.Helper()
	var s struct {
		Degraded bool `json:"degraded"`
	}
	if err := json.Unmarshal([]byte(d.command(t, "status", "--json")), &s); err != nil {
		t.Fatal(err)
	}
	return s.Degraded
}

// log is what the daemon has said so far.
func (d *daemon) log(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile(d.stderr)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

const login = "alice@client-a.example"

// letter number n of a login.
func letter(login string, n int) mta.Letter {
	return mta.Letter{
		Login: login, Sender: login, Recipients: []string{"bob@remote.example"},
		Header: []string{"From: " + login, "To: bob@remote.example", fmt.Sprintf("Message-ID: <%d@client>", n), "Subject: hello"},
		Body:   "hello\r\n",
	}
}

// tally is what became of letters.
type tally struct {
	sync.Mutex
	passed  map[string]int // by login
	codes   map[int]int
	lost    int // no answer
	slowest time.Duration
}

func newTally() *tally { return &tally{passed: map[string]int{}, codes: map[int]int{}} }

func (s *tally) add(login string, out mta.Outcome, took time.Duration, err error) {
	s.Lock()
	defer s.Unlock()
	s.slowest = max(s.slowest, took)
	if err != nil {
		s.lost++
		return
	}
	s.codes[out.Reply.Code]++
	if out.Reply.Code == 250 && out.Quarantine == "" {
		s.passed[login]++
	}
}

// session delivers letters of a login in one session until next says no or the
// filter is gone.
func (s *tally) session(addr, login string, next func() (n int, ok bool)) {
	f, err := mta.DialFilter("unix", addr)
	if err == nil {
		defer f.Close()
		err = f.Connect("client.example", "203.0.113.9", 40001)
	}
	for err == nil {
		n, ok := next()
		if !ok {
			return
		}
		begin := time.Now()
		var out mta.Outcome
		out, err = f.Deliver(letter(login, n))
		s.add(login, out, time.Since(begin), err)
	}
}

// counter gives each number once, below most.
func counter(most int) func() (int, bool) {
	var mu sync.Mutex
	n := 0
	return func() (int, bool) {
		mu.Lock()
		defer mu.Unlock()
		n++
		return n, n <= most
	}
}

func summary(t testing.TB, format string, args ...any) {
	t.Helper()
	fmt.Printf("== faults: %s: %s\n", t.Name(), fmt.Sprintf(format, args...))
}

// limitOf is a table for one limit.
func limitOf(name string, most int, window string) string {
	return fmt.Sprintf("[limit.%s]\nmax = %d\nwindow = %q\n", name, most, window)
}

// rss is the resident memory of a process in bytes.
func rss(t testing.TB, pid int) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	var size, resident int64
	fmt.Sscan(string(b), &size, &resident)
	return resident * int64(syscall.Getpagesize())
}
