//go:build mta

// Package hold holds mail in real servers and has it released: by the agent alone,
// and by the daemon with the agent, as they are shipped.
package hold

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/emersion/go-milter"

	"o2n-milter/hold"
	"o2n-milter/tests/daemon"
	"o2n-milter/tests/mta"
)

func TestMain(m *testing.M) { daemon.Main(m) }

// place is a real server with an agent for its queue.
type place struct {
	mta.Server
	milter string // the socket where it looks for the filter
	sink   *mta.Sink
	// What the agent's process sees: Sendmail's scratch folder is elsewhere for it.
	run    func(args ...string) *exec.Cmd
	dir    string // scratch, as seen by us
	inside string // the same, as seen by the agent
	config string // hold.config_directory
	mta    string
	// sendmail(1) with the arguments that make it submit here.
	submit []string

	proc  *mta.Proc
	agent *hold.Agent
}

func postfix(t testing.TB) *place {
	t.Helper()
	sink := mta.NewSink(t)
	p := mta.NewPostfix(t, sink)
	return &place{Server: p, milter: p.Milter, sink: sink, dir: p.Dir, inside: p.Dir, config: filepath.Join(p.Dir, "etc"), mta: "postfix",
		submit: []string{"/usr/sbin/sendmail", "-C", filepath.Join(p.Dir, "etc"), "-i"},
		run:    func(args ...string) *exec.Cmd { return exec.Command(args[0], args[1:]...) }}
}

func sendmail(t testing.TB) *place {
	t.Helper()
	sink := mta.NewSink(t)
	s := mta.NewSendmail(t, sink)
	return &place{Server: s, milter: s.Milter, sink: sink, dir: s.Dir, inside: "/mnt", config: "/mnt/mail/sendmail.cf", mta: "sendmail", run: s.Inside,
		submit: []string{"/usr/sbin/sendmail", "-C", "/mnt/mail/submit.cf", "-Ac", "-odi", "-i"}}
}

// startAgent starts the agent, again after it was killed.
func (p *place) startAgent(t testing.TB) {
	t.Helper()
	p.runAgent(t, p.run(p.agentCommand(t)...))
}

// agentCommand writes the agent's configuration and gives its command line.
func (p *place) agentCommand(t testing.TB) []string {
	t.Helper()
	text := fmt.Sprintf("[hold]\nagent = %q\nconfig_directory = %q\n", p.inside+"/run/hold.sock", p.config)
	if err := os.WriteFile(filepath.Join(p.dir, "agent.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{daemon.Program(t), "hold-agent", "--config", filepath.Join(p.inside, "agent.toml")}
}

func (p *place) runAgent(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	log, err := os.OpenFile(filepath.Join(p.dir, "agent.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close() // the child has its own
	cmd.Stdout, cmd.Stderr = log, log
	p.proc = mta.Start(t, cmd)
	p.agent = hold.NewAgent(filepath.Join(p.dir, "run/hold.sock"))
	mta.Poll(t, "the agent answers", func() bool {
		if !p.proc.Running() {
			t.Fatalf("the agent ended: %v\n%s", p.proc.Err(), p.agentLog())
		}
		_, err := p.agent.Host(t.Context())
		return err == nil
	})
}

func (p *place) agentLog() string {
	b, err := os.ReadFile(filepath.Join(p.dir, "agent.log"))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// everything has all mail put on hold.
type everything struct{ milter.NoOpMilter }

func (everything) Body(m *milter.Modifier) (milter.Response, error) {
	return milter.RespContinue, m.Quarantine("for the test")
}

func (everything) Abort(*milter.Modifier) error { return nil }

// holdEverything is a filter where the server looks for one.
func (p *place) holdEverything(t testing.TB) {
	t.Helper()
	l, err := net.Listen("unix", p.milter)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(p.milter, 0o666); err != nil { // the servers' own users
		t.Fatal(err)
	}
	s := &milter.Server{NewMilter: func() milter.Milter { return everything{} }, Actions: milter.OptQuarantine}
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(l) }()
	t.Cleanup(func() { l.Close(); <-done })
}
