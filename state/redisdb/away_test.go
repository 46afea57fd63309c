package redisdb

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"o2n-milter/state"
)

// within bounds every answer while the server is away.
const within = time.Second

// away wants a call of every kind to say that the store is away, each within a
// second, and Status to say why.
func away(t *testing.T, s *Store, why string) {
	t.Helper()
	w := window("hour", "account:a", time.Hour, 10)
	now := time.Now()
	calls := map[string]func(ctx context.Context) error{
		"take": func(ctx context.Context) error {
			_, err := s.Take(ctx, now, state.Ask{Charges: []state.Charge{{Window: w, Cost: 1}}})
			return err
		},
		"ask": func(ctx context.Context) error {
			_, err := s.Take(ctx, now, state.Ask{Subjects: []string{"account:a"}})
			return err
		},
		"usage":    func(ctx context.Context) error { _, err := s.Usage(ctx, now, []state.Window{w}); return err },
		"reset":    func(ctx context.Context) error { _, err := s.Reset(ctx, "account:a"); return err },
		"add":      func(ctx context.Context) error { return s.AddBlock(ctx, block("B-away", "account:b")) },
		"lift":     func(ctx context.Context) error { _, err := s.LiftBlock(ctx, "B1", now, "op", ""); return err },
		"decision": func(ctx context.Context) error { _, err := s.Decision(ctx, "D1"); return err },
		"decisions": func(ctx context.Context) error {
			_, err := s.Decisions(ctx, state.Query{Limit: 1})
			return err
		},
	}
	for name, call := range calls {
		begin := time.Now()
		if err := call(t.Context()); !errors.Is(err, state.ErrUnavailable) {
			t.Errorf("%s: %v; want %v", name, err, state.ErrUnavailable)
		}
		if took := time.Since(begin); took > within {
			t.Errorf("%s took %s; want at most %s", name, took, within)
		}
	}
	st, err := s.Status(t.Context(), now)
	if err != nil || !strings.Contains(st.Degraded, "the server is away: ") || !strings.Contains(st.Degraded, why) {
		t.Errorf("status %q, error %v; want it to say %q", st.Degraded, err, why)
	}
	nonsense(t, s)
}

// nonsense wants what is wrong with a question to be told as that, also while away.
func nonsense(t *testing.T, s *Store) {
	t.Helper()
	bad := state.Charge{Window: window("hour", "account:a", time.Millisecond, 1), Cost: 1}
	if _, err := s.Take(t.Context(), time.Now(), state.Ask{Charges: []state.Charge{bad}}); err == nil || errors.Is(err, state.ErrUnavailable) {
		t.Errorf("window of a millisecond: %v; want an error of its own", err)
	}
	if _, err := s.PutDoc(t.Context(), state.Doc{Kind: "a/b", ID: "c", Data: []byte("1")}); err == nil || errors.Is(err, state.ErrUnavailable) {
		t.Errorf("kind a/b: %v; want an error of its own", err)
	}
}

// trip makes the link notice, as traffic would.
func trip(t *testing.T, s *Store) {
	t.Helper()
	eventually(t, "the link is down", func() error {
		_, err := s.Take(context.Background(), time.Now(), state.Ask{Charges: one("account:trip", 1<<40)})
		if err == nil || s.link.fault() == nil {
			return errors.New("it is up")
		}
		return nil
	})
}

func back(t *testing.T, s *Store) {
	t.Helper()
	eventually(t, "the store is back", func() error {
		_, err := s.Take(context.Background(), time.Now(), state.Ask{Charges: one("account:back", 1<<40)})
		return err
	})
	if st, err := s.Status(t.Context(), time.Now()); err != nil || strings.Contains(st.Degraded, "away") {
		t.Errorf("status %q, error %v; want nothing of being away", st.Degraded, err)
	}
}

func TestGoneAtStart(t *testing.T) {
	srv := newServer(t)
	srv.kill()
	var log lines
	s := open(t, Options{URL: srv.url(), Budget: short, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if !log.has("redis: away at the start; going on without it") {
		t.Errorf("log: %s; want it to say so", &log)
	}
	away(t, s, "connection refused")
	// It never knew any blocks: it must not say that there are none.
	if _, err := s.Blocks(t.Context()); !errors.Is(err, state.ErrUnavailable) {
		t.Errorf("blocks: %v; want %v", err, state.ErrUnavailable)
	}
	srv.start(t)
	back(t, s)
	if list, err := s.Blocks(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("blocks: %v, %v; want none", list, err)
	}
}

func TestKilled(t *testing.T) {
	srv := newServer(t, "--appendonly", "yes", "--appendfsync", "always")
	var log lines
	s := open(t, Options{URL: srv.url(), Budget: short, Log: slog.New(slog.NewTextHandler(&log, nil))})
	add(t, s, block("B1", "account:blocked"))
	passes(t, s, true, one("account:a", 2))
	srv.kill()
	begin := time.Now()
	if _, err := s.Take(t.Context(), time.Now(), state.Ask{Charges: one("account:a", 2)}); !errors.Is(err, state.ErrUnavailable) {
		t.Errorf("first take: %v; want %v", err, state.ErrUnavailable)
	}
	if took := time.Since(begin); took > within {
		t.Errorf("first take took %s", took)
	}
	trip(t, s)
	away(t, s, "")
	refusedAtOnce(t, s)
	// What is known of blocks stays in force.
	blocked(t, s, "account:blocked", one("account:blocked", 2), "B1")
	if list, err := s.ActiveBlocks(t.Context(), time.Now(), []string{"account:blocked"}); err != nil || len(list) != 1 {
		t.Errorf("active blocks: %v, %v; want one", list, err)
	}
	srv.start(t)
	back(t, s)
	passes(t, s, true, one("account:a", 2))
	passes(t, s, false, one("account:a", 2)) // the charge before the kill is still there
	if !log.has("redis: away; calls are refused until it is back") || !log.has("redis: back") {
		t.Errorf("log: %s; want it to say away and back", &log)
	}
}

// refusedAtOnce wants no call to wait while the link is down.
func refusedAtOnce(t *testing.T, s *Store) {
	t.Helper()
	begin := time.Now()
	for range 1000 {
		if _, err := s.Take(t.Context(), time.Now(), state.Ask{Charges: one("account:a", 1)}); !errors.Is(err, state.ErrUnavailable) {
			t.Fatalf("take: %v; want %v", err, state.ErrUnavailable)
		}
	}
	if took := time.Since(begin); took > within {
		t.Errorf("1000 refusals took %s", took)
	}
}

// A server that does not answer costs each call its budget, all together, until it
// counts as away; none of the crowd waits for another's turn.
func TestSlow(t *testing.T) {
	srv := newServer(t)
	s := open(t, Options{URL: srv.url(), Budget: short})
	passes(t, s, true, one("account:a", 1<<40))
	srv.signal(t, syscall.SIGSTOP)
	var wg sync.WaitGroup
	begin := time.Now()
	for range 200 {
		wg.Go(func() {
			if _, err := s.Take(context.Background(), time.Now(), state.Ask{Charges: one("account:a", 1<<40)}); !errors.Is(err, state.ErrUnavailable) {
				t.Errorf("take: %v; want %v", err, state.ErrUnavailable)
			}
		})
	}
	wg.Wait()
	if took := time.Since(begin); took > within {
		t.Errorf("200 calls took %s; want at most %s", took, within)
	}
	trip(t, s)
	away(t, s, "")
	refusedAtOnce(t, s)
	srv.signal(t, syscall.SIGCONT)
	back(t, s)
}

// The caller's own end is his, and no sign of the server's health.
func TestCallerGivesUp(t *testing.T) {
	srv := newServer(t)
	s := open(t, Options{URL: srv.url(), Budget: 2 * time.Second})
	srv.signal(t, syscall.SIGSTOP)
	for range 2 * tries {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		_, err := s.Take(ctx, time.Now(), state.Ask{Charges: one("account:a", 1)})
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, state.ErrUnavailable) {
			t.Errorf("take: %v; want %v and not %v", err, context.DeadlineExceeded, state.ErrUnavailable)
		}
	}
	if err := s.link.fault(); err != nil {
		t.Errorf("the link is down: %v", err)
	}
	srv.signal(t, syscall.SIGCONT)
}

func TestReadOnlyReplica(t *testing.T) {
	srv := newServer(t, "--repl-timeout", "3600")
	s := open(t, Options{URL: srv.url(), Budget: short})
	srv.do(t, "REPLICAOF", "127.0.0.1", freePort(t))
	trip(t, s)
	away(t, s, "READONLY")
	srv.do(t, "REPLICAOF", "NO", "ONE")
	back(t, s)
	srv.do(t, "REPLICAOF", "127.0.0.1", freePort(t))
	srv.do(t, "CONFIG", "SET", "replica-serve-stale-data", "no")
	trip(t, s)
	away(t, s, "MASTERDOWN")
}

// Out of memory nothing is charged in part: the message's windows agree.
func TestOutOfMemory(t *testing.T) {
	srv := newServer(t)
	s := open(t, Options{URL: srv.url(), Budget: short})
	minute, hour := window("minute", "account:a", time.Minute, 100), window("hour", "account:a", time.Hour, 100)
	message := []state.Charge{{Window: minute, Cost: 1}, {Window: hour, Cost: 1}}
	passes(t, s, true, message)
	srv.do(t, "CONFIG", "SET", "maxmemory", "1")
	for range tries {
		if _, err := s.Take(t.Context(), time.Now(), state.Ask{Charges: message}); !errors.Is(err, state.ErrUnavailable) {
			t.Errorf("take: %v; want %v", err, state.ErrUnavailable)
		}
	}
	trip(t, s)
	away(t, s, "OOM")
	srv.do(t, "CONFIG", "SET", "maxmemory", "0")
	back(t, s)
	if n, m := used(t, s, minute), used(t, s, hour); n != 1 || m != 1 {
		t.Errorf("windows hold %d and %d; want 1 and 1", n, m)
	}
}

func TestEvicts(t *testing.T) {
	srv := newServer(t, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
	var log lines
	s := open(t, Options{URL: srv.url(), Budget: short, Log: slog.New(slog.NewTextHandler(&log, nil))})
	passes(t, s, true, one("account:a", 1)) // it goes on
	st, err := s.Status(t.Context(), time.Now())
	if err != nil || !strings.Contains(st.Degraded, "evicts keys") || !log.has("limits will leak") {
		t.Errorf("status %q, error %v, log %s; want both to warn", st.Degraded, err, &log)
	}
	if st.Size <= 0 {
		t.Errorf("size %d; want the server's memory", st.Size)
	}
	for _, args := range [][]string{
		{"--maxmemory", "100mb", "--maxmemory-policy", "noeviction"}, {"--maxmemory-policy", "allkeys-lru"},
	} {
		s := open(t, Options{URL: newServer(t, args...).url()})
		if st, err := s.Status(t.Context(), time.Now()); err != nil || st.Degraded != "" {
			t.Errorf("%v: status %q, error %v; want it whole", args, st.Degraded, err)
		}
	}
}

func TestWrongPassword(t *testing.T) {
	srv := newServer(t, "--requirepass", "right")
	for _, password := range []string{"", "wrong"} {
		s := open(t, Options{URL: srv.url(), Budget: short, Password: password})
		away(t, s, map[string]string{"": "NOAUTH", "wrong": "WRONGPASS"}[password])
	}
	s := open(t, Options{URL: srv.url(), Password: "right"})
	passes(t, s, true, one("account:a", 1))
}

func TestTooManyClients(t *testing.T) {
	srv := newServer(t, "--maxclients", "1")
	var first net.Conn
	eventually(t, "the only connection", func() error {
		c, err := net.Dial("tcp", "127.0.0.1:"+srv.port)
		if err != nil {
			return err
		}
		first = c
		_, _ = io.WriteString(c, "PING\r\n")
		b := make([]byte, 64)
		n, err := c.Read(b)
		if err == nil && string(b[:n]) != "+PONG\r\n" {
			c.Close()
			err = errors.New(string(b[:n]))
		}
		return err
	})
	defer first.Close()
	s := open(t, Options{URL: srv.url(), Budget: short})
	away(t, s, "")
}

func TestClosed(t *testing.T) {
	s := open(t, Options{URL: common(t).url()})
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Take(context.Background(), time.Now(), state.Ask{Charges: one("account:a", 1)}); !errors.Is(err, errClosed) {
		t.Errorf("take: %v; want %v", err, errClosed)
	}
	if _, err := s.Blocks(context.Background()); !errors.Is(err, errClosed) {
		t.Errorf("blocks: %v; want %v", err, errClosed)
	}
}
