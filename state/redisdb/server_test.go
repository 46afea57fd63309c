package redisdb

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"o2n-milter/state"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if shared != nil {
		shared.end()
	}
	// A goroutine that outlives its store is a fault.
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// server is a redis-server of a test's own.
type server struct {
	dir      string
	port     string
	args     []string
	sentinel bool // not a server of its own: args are all
	cmd      *exec.Cmd
	exited   chan struct{}
}

func (s *server) url() string { return "redis://127.0.0.1:" + s.port }

// needRedis skips loudly, and fails where everything must be tested.
func needRedis(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("redis-server is missing: apt-get install redis-server")
	}
	t.Skip("SKIPPED, NOTHING TESTED: redis-server is missing: apt-get install redis-server")
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// newServer starts one with these arguments behind the usual ones (PORT and DIR stand
// for its own), and stops it when the test ends.
func newServer(t testing.TB, args ...string) *server {
	t.Helper()
	needRedis(t)
	dir, err := os.MkdirTemp("", "o2n-redis")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{dir: dir, port: freePort(t), args: args}
	t.Cleanup(s.end)
	s.start(t)
	return s
}

func (s *server) start(t testing.TB) {
	t.Helper()
	if err := s.launch(); err != nil {
		t.Fatal(err)
	}
	s.wait(t)
}

func (s *server) launch() error {
	args := slices.Clone(s.args)
	if !s.sentinel {
		own := strings.NewReplacer("PORT", s.port, "DIR", s.dir)
		for i, a := range args {
			args[i] = own.Replace(a)
		}
		args = append([]string{"--port", s.port, "--bind", "127.0.0.1", "--dir", s.dir, "--save", "", "--logfile", s.dir + "/log"}, args...)
	}
	s.cmd = exec.Command("redis-server", args...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.exited = make(chan struct{})
	go func(cmd *exec.Cmd, exited chan struct{}) {
		_ = cmd.Wait()
		close(exited)
	}(s.cmd, s.exited)
	return nil
}

// wait until it listens.
func (s *server) wait(t testing.TB) {
	t.Helper()
	eventually(t, "the server listens", func() error {
		c, err := net.Dial("tcp", "127.0.0.1:"+s.port)
		if err == nil {
			c.Close()
		}
		return err
	})
}

func (s *server) signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

func (s *server) kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		<-s.exited
	}
}

func (s *server) end() {
	s.kill()
	os.RemoveAll(s.dir)
}

// do runs a command on the server, as an admin would.
func (s *server) do(t testing.TB, args ...any) any {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + s.port, Protocol: 2, DisableIdentity: true, MaxRetries: -1})
	defer c.Close()
	v, err := c.Do(context.Background(), args...).Result()
	if err != nil && err != redis.Nil {
		t.Fatalf("%v: %v", args, err)
	}
	return v
}

var (
	shared     *server
	sharedOnce sync.Once
)

// common is the server that tests share which leave it as it is. It is emptied.
func common(t testing.TB) *server {
	t.Helper()
	needRedis(t)
	sharedOnce.Do(func() {
		dir, err := os.MkdirTemp("", "o2n-redis")
		if err != nil {
			t.Fatal(err)
		}
		shared = &server{dir: dir, port: freePort(t), args: []string{"--appendonly", "no"}}
		shared.start(t)
	})
	shared.do(t, "FLUSHALL")
	shared.do(t, "SCRIPT", "FLUSH")
	return shared
}

// eventually tries for half a minute: the machine may be busy with other things, and
// Sentinel asks its master for replicas every ten seconds.
func eventually(t testing.TB, what string, try func() error) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// journal of what a store logs.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) has(s string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.b.String(), s)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// short is the budget of a store that is to be away.
const short = defaultBudget

func testLog(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
}

// open opens a store and closes it when the test ends. Calls get more time than an
// operator would give them: the machine may be busy. Tests of being away say short.
func open(t testing.TB, o Options) *Store {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Budget == 0 {
		o.Budget = 3 * time.Second
	}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func window(limit, subject string, length time.Duration, most int64) state.Window {
	return state.Window{Limit: limit, Subject: subject, Length: length, Max: most}
}

func one(subject string, most int64) []state.Charge {
	return []state.Charge{{Window: window("hour", subject, time.Hour, most), Cost: 1}}
}

// passes wants the charges to be taken, or not.
func passes(t testing.TB, s state.Store, want bool, charges []state.Charge) state.Answer {
	t.Helper()
	a, err := s.Take(context.Background(), time.Now(), state.Ask{Charges: charges})
	if err != nil {
		t.Fatalf("take: %v", err)
	}
	if got := len(a.Full) == 0; got != want {
		t.Fatalf("take: full %v; want it to pass: %v", a.Full, want)
	}
	return a
}

func used(t testing.TB, s state.Store, w state.Window) int64 {
	t.Helper()
	u, err := s.Usage(context.Background(), time.Now(), []state.Window{w})
	if err != nil {
		t.Fatal(err)
	}
	return u[0].Used
}

func wants(t testing.TB, what string, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: %v; want %v", what, got, want)
	}
}
