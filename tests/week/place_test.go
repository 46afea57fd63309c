//go:build mta

package week

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"o2n-milter/tests/daemon"
	"o2n-milter/tests/mta"
)

func TestMain(m *testing.M) { daemon.Main(m) }

// place is a server in its first week: Postfix, the daemon and its agent, and an
// operator who writes down what he does.
type place struct {
	*mta.Postfix
	sink *mta.Sink
	*daemon.Daemon
}

// open starts Postfix, the agent, and the daemon with these files of conf.d.
func open(t *testing.T, toml ...string) *place {
	t.Helper()
	sink := mta.NewSink(t)
	p := &place{Postfix: mta.NewPostfix(t, sink), sink: sink}
	t.Cleanup(func() {
		if t.Failed() {
			lines := strings.Split(p.Postfix.Log(), "\n")
			t.Logf("mail log:\n%s", strings.Join(lines[max(0, len(lines)-20):], "\n"))
		}
	})
	// Web servers of the customers' submit without login. Postfix' daemons read it as
	// they start, with the first message.
	config := filepath.Join(p.Postfix.Dir, "etc")
	if out, err := exec.Command("postconf", "-c", config, "-e", "mynetworks=127.0.0.0/8 198.51.100.0/24").CombinedOutput(); err != nil {
		t.Fatalf("postconf: %v\n%s", err, out)
	}
	socket := filepath.Join(p.Postfix.Dir, "run/hold.sock")
	agent := filepath.Join(p.Postfix.Dir, "agent.toml")
	hold := fmt.Sprintf("[hold]\nagent = %q\nconfig_directory = %q\n", socket, config)
	if err := os.WriteFile(agent, []byte(hold), 0o600); err != nil {
		t.Fatal(err)
	}
	mta.Start(t, exec.Command(daemon.Program(t), "hold-agent", "--config", agent))
	mta.Poll(t, "the agent listens", func() bool { _, err := os.Stat(socket); return err == nil })
	p.Daemon = daemon.Start(t, []string{"unix:" + p.Milter}, append([]string{hold}, toml...)...)
	return p
}

// o2n is a command of the operator's: what it prints goes into the story. It must end
// with this exit code.
func (p *place) o2n(t *testing.T, code int, args ...string) (out, talk string) {
	t.Helper()
	out, talk = p.quietly(t, code, args...)
	t.Logf("$ o2n-milter %s\n%s%s", typed(args), out, talk)
	return out, talk
}

// typed are arguments as one types them in a shell.
func typed(args []string) string {
	var list []string
	for _, a := range args {
		if a == "" || strings.ContainsAny(a, " '") {
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		list = append(list, a)
	}
	return strings.Join(list, " ")
}

func (p *place) quietly(t *testing.T, code int, args ...string) (out, talk string) {
	t.Helper()
	cmd := exec.Command(daemon.Program(t), append(args, "--config", "o2n-milter.toml")...)
	cmd.Dir = p.Daemon.Dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != code {
		t.Fatalf("o2n-milter %s: %v, want exit code %d\n%s%s", strings.Join(args, " "), err, code, stdout.String(), stderr.String())
	}
	return stdout.String(), stderr.String()
}

// asked is o2n-milter with --json, read into v, without a word.
func (p *place) asked(t *testing.T, v any, args ...string) {
	t.Helper()
	out, _ := p.quietly(t, 0, append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), v); err != nil {
		t.Fatalf("o2n-milter %s: %v in %s", strings.Join(args, " "), err, out)
	}
}

// write puts a file where the configuration is.
func (p *place) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(p.Daemon.Dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// reload brings the configuration into force.
func (p *place) reload(t *testing.T) {
	t.Helper()
	p.Reload(t)
	t.Log("$ kill -HUP $(pidof o2n-milter)")
}

// door is one SMTP session, by which letters come in as long as they come in by it.
type door struct {
	name string
	c    *mta.Client
}

func (p *place) enter(t *testing.T, name string) *mta.Client {
	t.Helper()
	if strings.Contains(name, "@") {
		return mta.Login(t, p.Submission(), name)
	}
	c := mta.Dial(t, p.Loopback())
	c.Must(250, "EHLO web.example")
	c.Must(220, "XCLIENT ADDR="+name+" NAME=web.example")
	c.Must(250, "EHLO web.example")
	return c
}

// later is how long after another letter one comes that is to come well after it: two
// and a half windows of three seconds.
const later = 7500 * time.Millisecond

// dayTakes is the most that a day may take: less than the minute of the limits, so that
// no place comes free meanwhile.
const dayTakes = 50 * time.Second

// send has all letters come in, one after the other, and gives the server's replies.
// After each one that the server took it waits for sent, if there is one.
func (p *place) send(t *testing.T, letters []letter, sent func(letter)) []mta.Reply {
	t.Helper()
	begun := time.Now()
	at := map[string]time.Time{}
	var d door
	var replies []mta.Reply
	for _, l := range letters {
		if l.after != "" {
			time.Sleep(time.Until(at[l.after].Add(later)))
		}
		at[l.id] = time.Now()
		if l.door != d.name {
			if d.c != nil {
				d.c.Quit()
			}
			d = door{name: l.door}
			if l.door != byHand {
				d.c = p.enter(t, l.door)
			}
		}
		r := p.sendOne(t, d, l)
		replies = append(replies, r)
		if r.Code < 400 && sent != nil {
			sent(l)
		}
	}
	if d.c != nil {
		d.c.Quit()
	}
	took := time.Since(begun).Round(time.Millisecond)
	if t.Logf("%d letters in %v", len(letters), took); took > dayTakes {
		t.Fatalf("the day took %v; want less than %v, or places come free in the middle of it", took, dayTakes)
	}
	return replies
}

func (p *place) sendOne(t *testing.T, d door, l letter) mta.Reply {
	t.Helper()
	if d.c == nil {
		return p.Submit(t, l.sender, l.rcpts, l.text())
	}
	d.c.Must(250, "MAIL FROM:<"+l.sender+">")
	for _, rcpt := range l.rcpts {
		d.c.Must(250, "RCPT TO:<"+rcpt+">")
	}
	d.c.Must(354, "DATA")
	return d.c.Data(l.text())
}
