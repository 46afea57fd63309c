//go:build mta

package soak

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"o2n-milter/tests/daemon"
	"o2n-milter/tests/mta"
)

func TestMain(m *testing.M) { daemon.Main(m) }

// settings has somebody for each kind of mail, and limits that only they meet.
const settings = `
[milter]
shutdown_timeout = "3s"
[state]
retention = "1h"
[accounts]
hosts = ["submit.host.example"]
[account."alice@client-a.example"]
customer = "C-1001"
domains = ["client-a.example"]
[account."info@client-a.example"]
customer = "C-1003"
plan = "small"
domains = ["client-a.example"]
[account."bob@client-b.example"]
customer = "C-1002"
plan = "slow"
domains = ["client-b.example"]
[account."alice@client.fr"]
customer = "C-1004"
domains = ["client.fr"]
[limit.month]
subject = "account"
max = 1000000000
window = "30d"
[limit.small]
subject = "account"
max = 1000000000
plans = { small = 5 }
window = "10s"
[limit.slow]
subject = "account"
max = 1000000000
plans = { slow = 5 }
window = "10s"
action = "quarantine"
[limit.all]
subject = "host"
max = 1000000000
window = "30d"
[limit.script]
subject = "script"
max = 10
window = "10s"
action = "quarantine"
[block]
strikes = 20
durations = ["15s", "30s"]
weights = { limit = 0 }
`

// place is a server with the daemon and its agent.
type place struct {
	*mta.Postfix
	*daemon.Daemon
	sink  *mta.Sink
	agent *mta.Proc
	// file is what both run: with the race detector, until they run as they are shipped.
	file string
	// What the test has seen of all: letters, and what operators were told.
	book *book
}

func open(t *testing.T) *place {
	t.Helper()
	sink := mta.NewSink(t)
	p := &place{Postfix: mta.NewPostfix(t, sink), sink: sink, book: newBook(), file: raced(t)}
	hold := fmt.Sprintf("[hold]\nagent = %q\nconfig_directory = %q\n[notify]\nsmtp = %q\n",
		filepath.Join(p.Postfix.Dir, "run/hold.sock"), filepath.Join(p.Postfix.Dir, "etc"), p.Loopback())
	if err := os.WriteFile(p.agentConfig(), []byte(hold), 0o600); err != nil {
		t.Fatal(err)
	}
	races := t.TempDir()
	t.Setenv("GORACE", "atexit_sleep_ms=0 log_path="+filepath.Join(races, "race"))
	t.Cleanup(func() { noRaces(t, races) }) // after all have ended
	p.startAgent(t)
	p.Daemon = daemon.New(t, []string{"unix:" + p.Milter}, settings, hold)
	p.Daemon.Program = p.file
	p.Daemon.Start(t)
	mta.Poll(t, "o2n-milter is ready", func() bool { return p.Get("/readyz") == http.StatusOK })
	return p
}

// raced builds o2n-milter with the race detector.
func raced(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "o2n-milter")
	if out, err := exec.Command("go", "build", "-race", "-o", file, "o2n-milter/cmd/o2n-milter").CombinedOutput(); err != nil {
		t.Fatalf("go build -race: %v\n%s", err, out)
	}
	return file
}

// asShipped goes on without the race detector: its own memory grows by some MB a minute.
func asShipped(t *testing.T, p *place) {
	p.stop(t)
	p.agent.Kill()
	p.file = daemon.Program(t)
	p.Daemon.Program = p.file
	p.startAgent(t)
	p.Daemon.Start(t)
}

func (p *place) agentConfig() string { return filepath.Join(p.Postfix.Dir, "agent.toml") }

func (p *place) startAgent(t *testing.T) {
	t.Helper()
	p.agent = mta.Start(t, exec.Command(p.file, "hold-agent", "--config", p.agentConfig()))
}

// noRaces wants no report of the race detector in the folder.
func noRaces(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "race.*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		t.Errorf("a data race (%v):\n%s", err, text)
	}
}

// trouble is one of the things that happen to servers.
type trouble struct {
	name string
	do   func(t *testing.T, p *place)
	// ends says that the daemon that is at work afterwards is another process.
	ends bool
}

var troubles = []trouble{
	{"kill -9", func(t *testing.T, p *place) { p.Proc.Kill(); p.Daemon.Start(t) }, true},
	{"SIGHUP", func(t *testing.T, p *place) { p.Reload(t) }, false},
	{"Postfix again", func(t *testing.T, p *place) { p.restartPostfix(t) }, false},
	{"SIGTERM", func(t *testing.T, p *place) { p.stop(t); p.Daemon.Start(t) }, true},
	{"agent kill -9", func(t *testing.T, p *place) { p.agent.Kill(); p.startAgent(t) }, false},
}

// stop ends the daemon as an operator would. It must end well.
func (p *place) stop(t *testing.T) {
	t.Helper()
	p.Proc.Stop()
	if err := p.Proc.Err(); err != nil {
		t.Errorf("the daemon ended with: %v", err)
	}
}

// restartPostfix also tells the book: what is on its way then may arrive twice, as
// Postfix does not know that the sink has it.
func (p *place) restartPostfix(t *testing.T) {
	t.Helper()
	p.book.restarting()
	p.Postfix.Stop()
	p.Postfix.Start(t)
}
