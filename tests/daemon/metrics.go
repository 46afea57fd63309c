package daemon

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"o2n-milter/tests/mta"
)

// scraper leaves no connection open, which a count of the daemon's files would show. It
// has time for a machine that is busy with other things.
var scraper = http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// Sample is a value of /metrics, by its name with its labels as they stand there. An error
// says that nobody answers, or that it is not there.
func (d *Daemon) Sample(name string) (float64, error) {
	resp, err := scraper.Get(d.URL + "/metrics")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	return 0, fmt.Errorf("no %s in /metrics", name)
}

// Memory is what the process has of it now, and has had at most, in MiB (VmRSS and VmHWM,
// proc(5)); 0 when it has ended.
func (d *Daemon) Memory() (now, most int) {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.Proc.Cmd.Process.Pid))
	for line := range strings.Lines(string(status)) {
		switch f := strings.Fields(line); f[0] {
		case "VmRSS:":
			now, _ = strconv.Atoi(f[1])
		case "VmHWM:":
			most, _ = strconv.Atoi(f[1])
		}
	}
	return now >> 10, most >> 10
}

// Metric is a Sample that must be there.
func (d *Daemon) Metric(t testing.TB, name string) float64 {
	t.Helper()
	value, err := d.Sample(name)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// Reload has the configuration read again and waits until it is in force.
func (d *Daemon) Reload(t testing.TB) {
	t.Helper()
	d.reload(t, "ok", "refused")
}

// RefusedReload has a configuration read that must be refused, and waits until it is.
func (d *Daemon) RefusedReload(t testing.TB) {
	t.Helper()
	d.reload(t, "refused", "ok")
}

func (d *Daemon) reload(t testing.TB, wanted, other string) {
	t.Helper()
	count := func(result string) float64 {
		return d.Metric(t, fmt.Sprintf("o2n_milter_config_reloads_total{result=%q}", result))
	}
	before, others := count(wanted), count(other)
	if err := d.Proc.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	mta.Poll(t, "the configuration is read: "+wanted, func() bool {
		if count(other) > others {
			t.Fatalf("the reload is %s, want %s:\n%s", other, wanted, d.lastWords())
		}
		return count(wanted) > before
	})
}
