//go:build mta

package hold

import (
	"context"
	"errors"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"o2n-milter/hold"
	"o2n-milter/tests/mta"
)

func TestAgentPostfix(t *testing.T)  { exerciseAgent(t, postfix(t)) }
func TestAgentSendmail(t *testing.T) { exerciseAgent(t, sendmail(t)) }

// Long ids are hashed by another rule.
func TestAgentPostfixLongIDs(t *testing.T) {
	p := postfix(t)
	// Its daemons read it as they start, with the first message.
	if out, err := exec.Command("postconf", "-c", p.config, "-e", "enable_long_queue_ids=yes").CombinedOutput(); err != nil {
		t.Fatalf("postconf: %v\n%s", err, out)
	}
	exerciseAgent(t, p)
}

// What the unit leaves of root's powers is enough for Postfix.
func TestAgentPostfixUnit(t *testing.T) {
	p := postfix(t)
	p.asUnit(t, "--no-new-privs", "o2n-milter-hold.service")
	exerciseAgent(t, p)
}

func TestAgentSendmailUnit(t *testing.T) {
	p := sendmail(t)
	p.asUnit(t, "", "o2n-milter-hold.service", "o2n-milter-hold-sendmail.conf")
	exerciseAgent(t, p)
}

// asUnit has the agent started as its unit and what is dropped in have it: by the
// powers, and with the socket handed over. The rest of the sandbox needs systemd.
func (p *place) asUnit(t *testing.T, options string, files ...string) {
	t.Helper()
	powers := "-all"
	for _, name := range files {
		unit, err := os.ReadFile(filepath.Join("../../systemd", name))
		if err != nil {
			t.Fatal(err)
		}
		_, rest, found := strings.Cut(string(unit), "\nCapabilityBoundingSet=")
		list, _, _ := strings.Cut(rest, "\n")
		if !found {
			t.Fatalf("%s has no CapabilityBoundingSet:\n%s", name, unit)
		}
		for _, power := range strings.Fields(strings.ToLower(list)) {
			powers += ",+" + strings.TrimPrefix(power, "cap_")
		}
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(p.dir, "run/hold.sock"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	handed, err := ln.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { handed.Close() })
	run := p.run
	p.run = func(args ...string) *exec.Cmd {
		set := append(strings.Fields("setpriv "+options), "--bounding-set", powers, "--",
			"sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=hold exec "$@"`, "sh")
		cmd := run(append(set, args...)...)
		cmd.ExtraFiles = []*os.File{handed} // number 3, the first that systemd hands over
		return cmd
	}
}

// exerciseAgent has the five verbs done to real mail.
func exerciseAgent(t *testing.T, p *place) {
	p.holdEverything(t)
	p.startAgent(t)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("agent:\n%s\nmail log:\n%s", p.agentLog(), p.Log())
		}
	})
	host, err := p.agent.Host(t.Context())
	if want := (hold.Host{MTA: p.mta, Name: mta.Host}); err != nil || host != want {
		t.Fatalf("host %+v, %v; want %+v", host, err, want)
	}
	before := time.Now().Add(-time.Second).Truncate(time.Second)
	ids := map[string]string{} // by sender
	p.send(t, "one@remote.example", "two@remote.example", "")
	all := p.list(t)
	for _, q := range all {
		ids[q.From] = q.ID
		if q.Queue != hold.QueueHold || q.Arrived.Before(before) || q.Arrived.After(time.Now()) || q.Size < 10 || q.Count != 2 ||
			!slices.Equal(slices.Sorted(slices.Values(q.Recipients)), []string{"a@remote.example", "b@remote.example"}) {
			t.Errorf("listed: %+v", q)
		}
	}
	if got := slices.Sorted(maps.Keys(ids)); !slices.Equal(got, []string{"", "one@remote.example", "two@remote.example"}) {
		t.Fatalf("senders listed: %q", got)
	}
	one, two := ids["one@remote.example"], ids["two@remote.example"]
	p.find(t, one, hold.QueueHold)
	absent := absentID(one)
	p.find(t, absent, hold.QueueNone)

	t.Run("release", func(t *testing.T) {
		got := p.must(t, p.agent.Release, one, absent)
		if got[one] != nil || !errors.Is(got[absent], hold.ErrNotQueued) {
			t.Errorf("got %v", got)
		}
		mta.Poll(t, "the released mail arrives", func() bool { return len(p.sink.All()) == 1 })
		if d := p.sink.All()[0]; d.From != "one@remote.example" {
			t.Errorf("arrived: %+v", d)
		}
		mta.Poll(t, "it is in no queue", func() bool { return p.where(t, one) == hold.QueueNone })
		if got := p.must(t, p.agent.Release, one); !errors.Is(got[one], hold.ErrNotQueued) {
			t.Errorf("again: %v", got)
		}
	})
	t.Run("delete", func(t *testing.T) {
		if got := p.must(t, p.agent.Delete, two); got[two] != nil {
			t.Errorf("got %v", got)
		}
		p.find(t, two, hold.QueueNone)
		if got := p.must(t, p.agent.Delete, two); !errors.Is(got[two], hold.ErrNotQueued) {
			t.Errorf("again: %v", got)
		}
	})
	if left := p.list(t, hold.QueueHold); len(left) != 1 || left[0].ID != ids[""] {
		t.Errorf("left: %+v", left)
	}
	t.Run("hold again what was released and waits", func(t *testing.T) {
		id := ids[""]
		p.sink.Refuse(true)
		if got := p.must(t, p.agent.Release, id); got[id] != nil {
			t.Errorf("release: %v", got)
		}
		mta.Poll(t, "the sink has refused it", func() bool { return p.where(t, id) == hold.QueueDeferred })
		if got := p.list(t, hold.QueueDeferred); len(got) != 1 || got[0].ID != id || !strings.Contains(got[0].Reason, "not now") {
			t.Errorf("deferred: %+v", got)
		}
		for range 2 { // the second time it is on hold already
			if got := p.must(t, p.agent.Hold, id); got[id] != nil {
				t.Errorf("hold: %v", got)
			}
			p.find(t, id, hold.QueueHold)
		}
		p.sink.Refuse(false)
		if got := p.must(t, p.agent.Release, id); got[id] != nil {
			t.Errorf("release: %v", got)
		}
		mta.Poll(t, "it arrives", func() bool { return len(p.sink.All()) == 2 })
	})
	if n := len(p.list(t)); n != 0 {
		t.Errorf("%d left", n)
	}
	for _, want := range []string{`"hold agent: release" uid=0`, "done=" + one, `"hold agent: delete" uid=0`, "done=" + two} {
		if !strings.Contains(p.agentLog(), want) {
			t.Errorf("the log does not hold %q", want)
		}
	}
}

// send gives the server a message from each sender, for a and b.
func (p *place) send(t testing.TB, senders ...string) {
	t.Helper()
	c := mta.Dial(t, p.Loopback())
	c.Must(250, "EHLO client.example")
	for _, from := range senders {
		c.Must(250, "MAIL FROM:<"+from+">")
		c.Must(250, "RCPT TO:<a@remote.example>")
		c.Must(250, "RCPT TO:<b@remote.example>")
		c.Must(354, "DATA")
		if r := c.Data([]byte("Subject: held\r\n\r\nsome text\r\n")); r.Code != 250 {
			t.Fatal(r)
		}
	}
	c.Quit()
}

func (p *place) list(t testing.TB, queues ...hold.Queue) []hold.Queued {
	t.Helper()
	var all []hold.Queued
	if err := p.agent.List(t.Context(), func(q hold.Queued) error { all = append(all, q); return nil }, queues...); err != nil {
		t.Fatal(err)
	}
	return all
}

func (p *place) where(t testing.TB, id string) hold.Queue {
	t.Helper()
	found, err := p.agent.Find(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return found[id]
}

func (p *place) find(t testing.TB, id string, want hold.Queue) {
	t.Helper()
	if got := p.where(t, id); got != want {
		t.Errorf("%s is in %q, want %q", id, got, want)
	}
}

type verb func(ctx context.Context, ids ...string) (map[string]error, error)

func (p *place) must(t testing.TB, do verb, ids ...string) map[string]error {
	t.Helper()
	got, err := do(t.Context(), ids...)
	if err != nil || len(got) != len(ids) {
		t.Fatalf("%v, %v", got, err)
	}
	return got
}

// absentID is an id like this one that no message has.
func absentID(id string) string {
	last := len(id) - 1
	if id[last] == '0' {
		return id[:last] + "1"
	}
	return id[:last] + "0"
}
