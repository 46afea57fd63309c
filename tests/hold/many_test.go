//go:build mta

package hold

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"o2n-milter/hold"
	"o2n-milter/hold/wire"
	"o2n-milter/tests/mta"
)

// many is how many messages are on hold: HELD in the environment, else enough for
// more than one request.
func many(t *testing.T) int {
	t.Helper()
	text := os.Getenv("HELD")
	if text == "" {
		return wire.MaxIDs + 200
	}
	n, err := strconv.Atoi(text)
	if err != nil || n <= wire.MaxIDs {
		t.Fatalf("HELD=%s; want a number above %d", text, wire.MaxIDs)
	}
	return n
}

func TestManyPostfix(t *testing.T) {
	p := postfix(t)
	p.holdEverything(t)
	cmd := exec.Command("smtp-source", "-s", "8", "-m", strconv.Itoa(many(t)), "-l", "4000", "-f", "a@client.example", "-t", "b@remote.example", p.Loopback())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("smtp-source: %v\n%s", err, out)
	}
	exerciseMany(t, p)
}

func TestManySendmail(t *testing.T) {
	p := sendmail(t)
	p.holdEverything(t)
	p.send(t, "a@client.example")
	first, err := filepath.Glob(filepath.Join(p.dir, "queue/hf*"))
	if err != nil || len(first) != 1 {
		t.Fatal(first, err)
	}
	// A message has its id from its files' names.
	id := filepath.Base(first[0])[2:]
	for i := range many(t) - 1 {
		for _, letters := range []string{"hf", "df"} {
			text, err := os.ReadFile(filepath.Join(p.dir, "queue", letters+id))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(p.dir, "queue", fmt.Sprintf("%s%s%06d", letters, id[:8], 900000-i)), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	exerciseMany(t, p)
}

// exerciseMany works a long queue, and tells how long that takes.
func exerciseMany(t *testing.T, p *place) {
	p.startAgent(t)
	n := many(t)
	var ids []string
	timed := func(what string, do func()) {
		begun := time.Now()
		do()
		t.Logf("%s, %d on hold: %s: %v", p.mta, n, what, time.Since(begun).Round(10*time.Microsecond))
	}
	timed("list", func() {
		for _, q := range p.list(t, hold.QueueHold) {
			ids = append(ids, q.ID)
		}
	})
	if len(ids) != n {
		t.Fatalf("%d listed, want %d", len(ids), n)
	}
	timed("find, 100 times", func() {
		for _, id := range ids[:100] {
			p.find(t, id, hold.QueueHold)
		}
	})
	timed("find all", func() {
		found, err := p.agent.Find(t.Context(), ids...)
		if err != nil || len(found) != n {
			t.Fatalf("%d found, %v", len(found), err)
		}
	})
	timed("release, 10 times", func() {
		for _, id := range ids[:10] {
			p.allDone(t, p.agent.Release, id)
		}
	})
	timed("release 100", func() { p.allDone(t, p.agent.Release, ids[10:110]...) })
	timed("delete all others", func() { p.allDone(t, p.agent.Delete, ids[110:]...) })
	mta.Poll(t, "what was released arrives", func() bool { return len(p.sink.All()) == 110 })
	if left := p.list(t, hold.QueueHold); len(left) > 0 {
		t.Errorf("%d left", len(left))
	}
	t.Logf("%s, %d on hold: most memory: %s", p.mta, n, peak(t, p.proc.Cmd.Process.Pid))
}

func (p *place) allDone(t testing.TB, do verb, ids ...string) {
	t.Helper()
	for id, err := range p.must(t, do, ids...) {
		if err != nil {
			t.Fatalf("%s: %v", id, err)
		}
	}
}

// peak is the most memory that a process has had.
func peak(t testing.TB, pid int) string {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	line, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(line)
}
