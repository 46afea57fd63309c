package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"o2n-milter/state"
	"o2n-milter/state/memory"
)

// listenAsManager plays the service manager: what the daemon tells it, message by
// message.
func listenAsManager(t *testing.T) func() string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return func() string {
		t.Helper()
		if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 4096)
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func testManager() manager { return manager{quiet(), newLoops(quiet())} }

func TestManagerHears(t *testing.T) {
	heard := listenAsManager(t)
	m := testManager()
	m.opening()()
	if got, want := heard(), "STATUS=opening the store\nEXTEND_TIMEOUT_USEC=60000000"; got != want {
		t.Errorf("opening: %q, want %q", got, want)
	}
	m.reloading(func() { m.tell("STATUS=within") })
	for _, want := range []string{"RELOADING=1\nMONOTONIC_USEC=", "STATUS=within", "READY=1"} {
		if got := heard(); !strings.HasPrefix(got, want) {
			t.Errorf("reload: %q, want %q", got, want)
		}
	}
	m.stopping(time.Second)
	if got, want := heard(), "STOPPING=1\nEXTEND_TIMEOUT_USEC=1000000"; got != want {
		t.Errorf("stop: %q, want %q", got, want)
	}
}

// The first message says that the daemon is ready; a third of the watchdog's patience
// lies between the others.
func TestPulse(t *testing.T) {
	heard := listenAsManager(t)
	t.Setenv("WATCHDOG_USEC", "60000") // 60 ms
	p := testPulse(memory.New())
	p.judged.Add(7)
	stop := p.start(testManager())
	defer stop()
	const line = "STATUS=3 sessions, 7 messages judged; store memory\nWATCHDOG=1"
	if got := heard(); got != line+"\nREADY=1" {
		t.Errorf("first %q", got)
	}
	for range 3 {
		if got := heard(); got != line {
			t.Errorf("then %q, want %q", got, line)
		}
	}
}

func testPulse(s state.Store) *pulse {
	return &pulse{
		store: s, account: func(context.Context, string) error { return nil }, sessions: func() int { return 3 },
		now: time.Now, log: quiet(), trouble: func() string { return "" }, dead: func() {},
	}
}

// slowStore answers a Take when its context ends, or after delay.
type slowStore struct {
	state.Store
	delay  time.Duration
	status state.Status
	err    error
}

func (s slowStore) Take(ctx context.Context, _ time.Time, ask state.Ask) (state.Answer, error) {
	if !ask.Dry {
		panic("the daemon's own question is charged")
	}
	select {
	case <-time.After(s.delay):
		return state.Answer{}, errors.New("no")
	case <-ctx.Done():
		return state.Answer{}, ctx.Err()
	}
}

func (s slowStore) Status(context.Context, time.Time) (state.Status, error) { return s.status, s.err }

func TestBeat(t *testing.T) {
	whole, away := state.Status{Backend: "badger"}, state.Status{Backend: "redis", Degraded: "the server\nis away", Away: true}
	const serves = "STATUS=3 sessions, 0 messages judged; store "
	for _, tt := range []struct {
		name  string
		store slowStore
		want  []string
	}{
		{"at the last moment", slowStore{delay: answerTime - 1, status: whole}, []string{serves + "badger", "WATCHDOG=1"}},
		{"too late", slowStore{delay: answerTime + 1, status: whole}, []string{serves + "badger; does not answer"}},
		{"late, but the store is away", slowStore{delay: time.Hour, status: away}, []string{serves + "redis degraded: the server is away", "WATCHDOG=1"}},
		{"no status", slowStore{err: errors.New("closed")}, []string{serves + ": closed", "WATCHDOG=1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if got := testPulse(tt.store).beat(t.Context()); !slices.Equal(got, tt.want) {
					t.Errorf("got %q, want %q", got, tt.want)
				}
			})
		})
	}
}

// A loop that stays away is said, and is no reason to start the daemon anew: mail is judged.
func TestBeatTellsOfLoops(t *testing.T) {
	p := testPulse(memory.New())
	p.trouble = func() string { return "loop held is away after 3 panics" }
	want := []string{"STATUS=3 sessions, 0 messages judged; store memory; loop held is away after 3 panics", "WATCHDOG=1"}
	if got := p.beat(t.Context()); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A store that keeps nothing more, and will not, ends the daemon: another one can. One
// that is away, or cannot be asked, does not.
func TestBeatTellsOfADeadStore(t *testing.T) {
	dead := state.Status{Backend: "badger", Degraded: "the writer died", Away: true, Dead: true}
	for _, tt := range []struct {
		store slowStore
		want  bool
	}{
		{slowStore{status: dead}, true},
		{slowStore{status: state.Status{Degraded: "disk full", Away: true}}, false},
		{slowStore{status: dead, err: errors.New("closed")}, false},
	} {
		told := false
		p := testPulse(tt.store)
		p.dead = func() { told = true }
		if p.beat(t.Context()); told != tt.want {
			t.Errorf("%+v: told %v, want %v", tt.store.status, told, tt.want)
		}
	}
}

// A reload or a first beat that panics ends nothing: the manager hears that the daemon is ready.
func TestManagerHearsInSpiteOfPanics(t *testing.T) {
	heard := listenAsManager(t)
	m := testManager()
	m.reloading(func() { panic("reload") })
	for _, want := range []string{"RELOADING=1\nMONOTONIC_USEC=", "READY=1"} {
		if got := heard(); !strings.HasPrefix(got, want) {
			t.Errorf("reload: %q, want %q", got, want)
		}
	}
	p := testPulse(memory.New())
	p.account = func(context.Context, string) error { panic("account") }
	p.start(m)()
	if got := heard(); got != "READY=1" {
		t.Errorf("first %q; want no beat, but that it is ready", got)
	}
}

// A lock that nobody lets go of stops the pulse, whatever the context says.
func TestNoBeatBehindALock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		p := testPulse(memory.New())
		p.account = func(context.Context, string) error { <-stuck; return nil }
		beaten := make(chan []string, 1)
		go func() { beaten <- p.beat(t.Context()) }()
		time.Sleep(time.Hour) // in the bubble's time
		select {
		case got := <-beaten:
			t.Errorf("%q in spite of the lock", got)
		default:
		}
		close(stuck)
		<-beaten
	})
}
