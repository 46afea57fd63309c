//go:build mta

package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"o2n-milter/tests/campaign"
	program "o2n-milter/tests/daemon"
	"o2n-milter/tests/mta"
)

// long says that campaigns run in full.
var long = os.Getenv("FAULTS") == "long" || campaign.Long()

// times is how often a campaign does what it does.
func times(slice, full int) int {
	if long {
		return full
	}
	return slice
}

func TestMain(m *testing.M) { program.Main(m) }

// daemon is the program with its milter's address, and what its commands say.
type daemon struct {
	*program.Daemon
	addr string
}

// newDaemon writes the configuration; state stands under [state].
func newDaemon(t testing.TB, state, toml string) *daemon {
	t.Helper()
	d := &daemon{}
	d.Daemon = program.New(t, []string{"unix:milter.sock"}, "[state]\n"+state+"[block]\nstrikes = 1000000\n"+toml)
	d.addr = filepath.Join(d.Dir, "milter.sock")
	return d
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
	d.JSON(t, &u, "usage", subject)
	for _, w := range u.Windows {
		if w.Limit == limit {
			return w.Used
		}
	}
	return 0
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
	away    int // answers that the store could not be asked
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
	if strings.Contains(out.Reply.Text, "[store.unavailable ") {
		s.away++
	}
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
