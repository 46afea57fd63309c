// Package monitoring checks what operators watch the daemon by: /metrics, the
// dashboard and the alerts of docs/monitoring, and the log.
package monitoring

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	program "o2n-milter/tests/daemon"
	"o2n-milter/tests/mta"
)

const root = "../.."

func TestMain(m *testing.M) { program.Main(m) }

// settings let each part of the daemon have something to count.
const settings = `
[accounts]
hosts = ["submit.host.example"]
[account."alice@client-a.example"]
customer = "C-1001"
domains = ["client-a.example"]
[account."bob@client-b.example"]
customer = "C-1002"
domains = ["client-b.example"]
[limit.first]
max = 1
window = "1h"
[limit.local]
subject = "host"
max = 1
window = "1h"
[limit.there]
subject = "domain"
max = 2
window = "1h"
action = "shadow"
[block]
strikes = 2
[content]
url = "http://127.0.0.1:1"
[notify]
operator = ["ops@provider.example"]
smtp = "127.0.0.1:1"
[hold]
agent = "hold.sock"
`

// mail is a letter and the code of its answer.
type mail struct {
	mta.Letter
	name string // of the client
	port uint16
	want int
}

func letter(client, login, sender, from string) mta.Letter {
	return mta.Letter{
		Client: client, Login: login, Sender: sender, Recipients: []string{"friend@remote.example"},
		Header: []string{"From: " + from, "To: friend@remote.example", "Subject: hello"}, Body: "Hello\r\n",
	}
}

// traffic is mail of every kind: what passes, is refused, deferred and held, by
// accounts, a script and strangers.
func traffic() []mail {
	const alice, bob = "alice@client-a.example", "bob@client-b.example"
	script := "www-data@submit.host.example"
	list := []mail{
		{letter("198.51.100.7", "", "stranger@else.example", "stranger@else.example"), "mx.else.example", 40001, 250},
		{letter("203.0.113.9", bob, bob, bob), "home.example", 40001, 250},
		{letter("203.0.113.9", bob, bob, bob), "home.example", 40001, 451},
		{letter("127.0.0.1", "", script, script), "localhost", 0, 250},
		{letter("127.0.0.1", "", script, script), "localhost", 0, 250}, // held
	}
	for range 2 {
		list = append(list, mail{letter("203.0.113.8", alice, alice, "boss@bank.example"), "home.example", 40002, 550})
	}
	return list
}

func deliver(t *testing.T, addr string, m mail) mta.Outcome {
	t.Helper()
	f, err := mta.DialFilter("unix", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Connect(m.name, m.Client, m.port); err != nil {
		t.Fatal(err)
	}
	out, err := f.Deliver(m.Letter)
	if err != nil {
		t.Fatal(err)
	}
	if out.Reply.Code != m.want {
		t.Errorf("%+v: answered %v, want %d", m, out.Reply, m.want)
	}
	return out
}

func page(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v\n%s", url, resp.Status, err, text)
	}
	return string(text)
}

// busy starts a daemon once and gives its metrics after traffic.
func busy(t *testing.T) string {
	t.Helper()
	once.Do(func() {
		d := program.Start(t, []string{"unix:milter.sock"}, settings)
		held := false
		for _, m := range traffic() {
			held = deliver(t, filepath.Join(d.Dir, "milter.sock"), m).Quarantine != "" || held
		}
		if !held {
			t.Error("nothing is held")
		}
		mta.Poll(t, "the keeper and the notifier have seen it", func() bool {
			metrics = page(t, d.URL+"/metrics")
			return strings.Contains(metrics, "o2n_milter_held_by_rule{") && strings.Contains(metrics, `o2n_milter_blocks_active{kind="account"} 1`)
		})
	})
	if metrics == "" {
		t.Fatal("no metrics")
	}
	return metrics
}

var (
	once    sync.Once
	metrics string
)

var (
	typeLine   = regexp.MustCompile(`(?m)^# TYPE (\S+) (\S+)$`)
	sampleLine = regexp.MustCompile(`(?m)^([a-z0-9_]+)(?:\{(.*)\})? \S+$`)
	labelName  = regexp.MustCompile(`([a-z_]+)=`)
)

// series are the names of samples with the names of their labels, sorted.
func series(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, m := range sampleLine.FindAllStringSubmatch(busy(t), -1) {
		labels := []string{}
		for _, l := range labelName.FindAllStringSubmatch(m[2], -1) {
			labels = append(labels, l[1])
		}
		slices.Sort(labels)
		if before, seen := all[m[1]]; seen && !slices.Equal(before, labels) {
			t.Errorf("%s has labels %v and %v", m[1], before, labels)
		}
		all[m[1]] = labels
	}
	return all
}

// The names and labels are a promise to those who have rules of their own.
func TestContract(t *testing.T) {
	got := series(t)
	for name, want := range map[string][]string{
		"o2n_milter_decisions_total":         {"action", "rule"},
		"o2n_milter_decision_seconds_bucket": {"le"},
		"o2n_milter_decision_seconds_count":  {},
		"o2n_milter_sessions":                {},
		"o2n_milter_store_seconds_bucket":    {"le", "op"},
		"o2n_milter_store_seconds_count":     {"op"},
		"o2n_milter_store_errors_total":      {"op"},
		"o2n_milter_blocks_active":           {"kind"},
		"o2n_milter_held_messages":           {},
		"o2n_milter_config_reloads_total":    {"result"},
		"o2n_milter_loop_panics_total":       {"loop"},
	} {
		if labels, there := got[name]; !there || !slices.Equal(labels, want) {
			t.Errorf("%s: %v (there: %v), want %v", name, labels, there, want)
		}
	}
	types := map[string]string{}
	for _, m := range typeLine.FindAllStringSubmatch(busy(t), -1) {
		types[m[1]] = m[2]
	}
	for name, want := range map[string]string{
		"o2n_milter_decisions_total": "counter", "o2n_milter_decision_seconds": "histogram", "o2n_milter_sessions": "gauge",
		"o2n_milter_store_seconds": "histogram", "o2n_milter_blocks_active": "gauge", "o2n_milter_held_messages": "gauge",
	} {
		if types[name] != want {
			t.Errorf("%s is a %s, want %s", name, types[name], want)
		}
	}
}

// TestDocumented: what docs/operations.md lists, a daemon at work has.
func TestDocumented(t *testing.T) {
	there := series(t)
	listed := regexp.MustCompile("(?m)^\\| `(o2n_milter_[a-z_]+)(?:\\{(.*)\\})?` \\|").FindAllStringSubmatch(read(t, "docs/operations.md"), -1)
	if len(listed) < 30 {
		t.Fatalf("only %d are listed", len(listed))
	}
	for _, m := range listed {
		name, want := m[1], []string{}
		if m[2] != "" {
			want = strings.Split(m[2], ",")
		}
		slices.Sort(want)
		if strings.HasSuffix(name, "_seconds") && there[name] == nil {
			name += "_count"
		}
		if got, is := there[name]; !is || !slices.Equal(got, want) {
			t.Errorf("%s has labels %v (there: %v), the document says %v", name, got, is, want)
		}
	}
}

// TestLoopsAreGuarded: the document names the loops of a daemon at work that outlive a panic.
func TestLoopsAreGuarded(t *testing.T) {
	_, row, _ := strings.Cut(read(t, "docs/operations.md"), "| `o2n_milter_loop_panics_total{loop}` |")
	row, _, _ = strings.Cut(row, "\n")
	listed := regexp.MustCompile("`([a-z]+)`").FindAllStringSubmatch(row, -1)
	if len(listed) < 9 {
		t.Fatalf("only %d are listed", len(listed))
	}
	for _, m := range listed {
		if want := `o2n_milter_loop_panics_total{loop="` + m[1] + `"} 0`; !strings.Contains(busy(t), want+"\n") {
			t.Errorf("no %s", want)
		}
	}
}

func TestNobodyIsInALabel(t *testing.T) {
	text := busy(t)
	people := regexp.MustCompile(`(?i)@|alice|bob|stranger|friend|boss|www-data|client-|remote\.|\.example|C-100|\b\d{1,3}(?:\.\d{1,3}){3}\b|submit`)
	for _, line := range strings.Split(text, "\n") {
		if people.MatchString(line) {
			t.Errorf("somebody: %s", line)
		}
	}
	for _, want := range []string{ // so there was something to betray
		`rule="identity.header_from"`, `rule="limit.first"`, `rule="limit.local"`, `action="quarantine"`, `o2n_milter_strikes_total`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
}

func TestMetricsPleasePromtool(t *testing.T) {
	cmd := exec.Command(promtool(t), "check", "metrics")
	cmd.Stdin = strings.NewReader(busy(t))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// promtool is Prometheus' own checker, that tests/install unpacks.
func promtool(t *testing.T) string {
	t.Helper()
	if file, err := exec.LookPath("promtool"); err == nil {
		return file
	}
	cache, err := os.UserCacheDir()
	file := filepath.Join(cache, "o2n-milter/prometheus/usr/bin/promtool")
	if err == nil {
		_, err = os.Stat(file)
	}
	if err != nil {
		mta.SkipOrFail(t, "promtool")
	}
	return file
}
