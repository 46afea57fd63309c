//go:build nspawn

package pkgtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"time"
)

// kill9 is kill -9. By hand it would be the shell's own process group that dies, were
// there no main process at that moment.
const kill9 = "systemctl kill --signal=KILL --kill-whom=main o2n-milter"

// disturbances are what the daemon suffers while mail goes through it.
type disturbances struct {
	every           time.Duration // from one to the next
	restarts, kills int
	upgrades        []string // packages, each later than the one before
}

// report is what load prints; its fields are load's.
type report struct {
	Seconds                                   float64
	Sent, Accepted, Deferred, Refused, Broken int
	Missing, Twice, Unasked                   int
	Median                                    int64 `json:"median_ms"`
	P99                                       int64 `json:"p99_ms"`
	Longest                                   int64 `json:"longest_ms"`
	Replies                                   map[string]int
}

// campaign sends 50 messages a second of four clients through all disturbances, and
// wants each accepted, to arrive once, and to be charged.
func (m *Machine) campaign(d disturbances) {
	m.t.Helper()
	m.step("Under load", fmt.Sprintf("Four clients, half of them with a connection for each message, half with one for twenty, send 50 messages a second in all; "+
		"meanwhile restarts: %d, upgrades: %d, kill -9: %d.", d.restarts, len(d.upgrades), d.kills))
	m.sinkOff()
	m.do(`sed -i 's/^max = .*/max = 1000000/' /etc/o2n-milter/o2n-milter.toml && systemctl reload o2n-milter`)
	r := m.underLoad(func() { m.disturb(d) })
	charged := m.charged()
	m.log.table(
		[2]string{"messages sent", strconv.Itoa(r.Sent)},
		[2]string{"accepted", strconv.Itoa(r.Accepted)},
		[2]string{"deferred, refused, connection broken", fmt.Sprintf("%d, %d, %d", r.Deferred, r.Refused, r.Broken)},
		[2]string{"accepted, but never arrived", strconv.Itoa(r.Missing)},
		[2]string{"arrived twice, or though not accepted", fmt.Sprintf("%d, %d", r.Twice, r.Unasked)},
		[2]string{"charged", strconv.Itoa(charged)},
		[2]string{"a transaction took, in ms: half, 99 %, the longest", fmt.Sprintf("%d, %d, %d", r.Median, r.P99, r.Longest)},
	)
	m.t.Logf("%+v, charged %d", r, charged)
	if r.Deferred+r.Refused+r.Broken+r.Missing+r.Twice+r.Unasked > 0 || r.Accepted == 0 {
		m.t.Errorf("under load: %+v", r)
	}
	if charged < r.Accepted {
		m.t.Errorf("%d messages charged, %d accepted", charged, r.Accepted)
	}
	m.sinkOn()
}

// underLoad sends mail while act acts.
func (m *Machine) underLoad(act func()) report {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	load := m.inside(ctx, "exec /root/load -password secret")
	stop, err := load.StdinPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	var out, talk bytes.Buffer
	load.Stdout, load.Stderr = &out, &talk
	if err := load.Start(); err != nil {
		m.t.Fatal(err)
	}
	act()
	stop.Close()
	if err := load.Wait(); err != nil {
		m.t.Fatalf("load: %v\n%s", err, talk.String())
	}
	var r report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		m.t.Fatalf("load: %v in %s", err, out.String())
	}
	return r
}

// disturb spreads the disturbances over the time; the pauses let mail flow in between.
func (m *Machine) disturb(d disturbances) {
	m.t.Helper()
	var all []string
	for range d.restarts {
		all = append(all, "systemctl restart o2n-milter")
	}
	for _, file := range d.upgrades {
		all = append(all, "apt-get install -y ./"+filepath.Base(file))
	}
	for range d.kills {
		all = append(all, kill9)
	}
	for _, line := range all {
		time.Sleep(d.every)
		m.do(line)
	}
	time.Sleep(d.every)
}

// charged sums what the windows of the load's logins hold.
func (m *Machine) charged() int {
	m.t.Helper()
	sum := 0
	for i := range 4 {
		var usage struct {
			Windows []struct {
				Limit string
				Used  int
			}
		}
		text := m.quiet(fmt.Sprintf("o2n-milter usage --json account:load%d@client-a.example", i+1))
		if err := json.Unmarshal([]byte(text), &usage); err != nil {
			m.t.Fatalf("usage: %v in %s", err, text)
		}
		for _, w := range usage.Windows {
			if w.Limit == "limit.day" || w.Limit == "day" {
				sum += w.Used
			}
		}
	}
	return sum
}
