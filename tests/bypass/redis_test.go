package bypass

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"o2n-milter/rules"
	"o2n-milter/state"
	"o2n-milter/state/local"
	"o2n-milter/state/redisdb"
	"o2n-milter/tests/campaign"
)

// redisServer is one of the test's own, on a socket in a folder of its own.
type redisServer struct {
	testing.TB
	dir string
	cmd *exec.Cmd
}

// startRedis skips loudly where there is none, and fails where everything must be tested.
func startRedis(t testing.TB) *redisServer {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("redis-server is missing: apt-get install redis-server")
		}
		t.Skip("SKIPPED, NOTHING TESTED: redis-server is missing: apt-get install redis-server")
	}
	dir, err := os.MkdirTemp("", "o2n-bypass") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	s := &redisServer{TB: t, dir: dir}
	t.Cleanup(func() { os.RemoveAll(dir) })
	t.Cleanup(s.kill)
	s.start()
	return s
}

func (s *redisServer) socket() string { return filepath.Join(s.dir, "redis.sock") }

func (s *redisServer) start() {
	s.Helper()
	s.cmd = exec.Command("redis-server", "--port", "0", "--unixsocket", s.socket(), "--dir", s.dir, "--save", "", "--appendonly", "yes",
		"--appendfsync", "always", "--logfile", filepath.Join(s.dir, "log"))
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		s.Fatal(err)
	}
	s.poll("redis-server listens", func() bool {
		conn, err := net.Dial("unix", s.socket())
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

func (s *redisServer) kill() {
	if s.cmd.ProcessState == nil {
		_ = s.cmd.Process.Kill() // it may be gone
		_ = s.cmd.Wait()
	}
}

// poll tries for ten seconds: the machine may be busy with other things.
func (s *redisServer) poll(what string, done func() bool) {
	s.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.Fatalf("not within 10 s: %s", what)
		}
	}
}

// open is the store of one host, which counts by the test's clock.
func (s *redisServer) open() state.Store {
	s.Helper()
	store, err := redisdb.Open(redisdb.Options{URL: "unix://" + s.socket(), HostTime: true, Budget: 3 * time.Second, Log: quiet})
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		if err := store.Close(); err != nil {
			s.Error(err)
		}
	})
	return store
}

// Two hosts on one Redis are one, whichever of them a spammer's sessions are on.
func TestWindowsOnRedis(t *testing.T) {
	g := forge{campaign.Rand(t)}
	count := campaign.Counting(t, "windows", "mail against limits on two hosts that share a Redis")
	for range campaign.Pick(1, 30) {
		server := startRedis(t) // of the game's own: hosts put back what a server has lost
		gm := newGame(t, g, count, server.open(), server.open())
		gm.parallel = true
		limits := slices.Clone(gm.settings.Limits)
		for i := range limits { // shorter ones Redis may forget before a slow test is done with them
			limits[i].Window = max(limits[i].Window, time.Minute)
		}
		gm.reload(limits)
		gm.play(campaign.Pick(80, 150))
	}
}

// A Redis that dies leaves each of two hosts half of a limit, and what it had counted is
// there when it comes back.
func TestRedisAway(t *testing.T) {
	count := campaign.Counting(t, "windows", "mail to two hosts whose Redis dies")
	server := startRedis(t)
	first, second := server.open(), server.open()
	p := newProvider(t, func(s *rules.Settings) {
		s.Limits = []rules.Limit{{Name: "hour", Subject: "account", Unit: rules.Messages, Max: 11, Window: time.Hour, Action: rules.Tempfail}}
		s.Blocking.Automatic = rules.Off
	}, local.New(first, quiet), local.New(second, quiet))
	fill := func(host, want int, when string) {
		t.Helper()
		n := 0
		for n <= 20 && passes(p.engines[host].Decide(t.Context(), ofAlice())) {
			n++
		}
		if n != want {
			count.Failed()
			t.Errorf("%s host %d let %d through; want %d", when, host, n, want)
		}
		count.Held()
	}
	for n := range 4 {
		if v := p.engines[n%2].Decide(t.Context(), ofAlice()); !passes(v) {
			t.Fatalf("%s by %s: %v", v.Action, v.Rule, v.Err)
		}
	}
	server.kill()
	fill(0, 6, "without Redis")
	fill(1, 6, "without Redis")
	server.start()
	for _, s := range []state.Store{first, second} {
		server.poll("the store is back", func() bool {
			_, err := s.Take(t.Context(), p.at, state.Ask{Dry: true, Subjects: []string{"account:x"}})
			if err != nil && !errors.Is(err, state.ErrUnavailable) {
				t.Fatal(err)
			}
			return err == nil
		})
	}
	fill(1, 7, "with Redis again")
	fill(0, 0, "with Redis again")
	p.at = p.at.Add(61*time.Minute + time.Second)
	fill(0, 11, "an hour later")
}

// ofAlice is a mail of hers.
func ofAlice() *rules.Mail {
	a := &attempt{mail: &rules.Mail{Host: "mx.example", Login: login, Sender: login, QueueID: "Q1", Size: 1000, CanHold: true}}
	a.mail.Recipients = []rules.Recipient{{Address: victim}}
	a.from(login)
	return a.mail
}
