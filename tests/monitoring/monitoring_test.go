// Package monitoring checks what operators watch the daemon by: /metrics, the
// dashboard and the alerts of docs/monitoring, and the log.
package monitoring

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
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

func TestMain(m *testing.M) {
	code := m.Run()
	program.Remove()
	os.Exit(code)
}

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

// expressions of the dashboard, by panel.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	var board struct {
		Panels []struct {
			ID          int
			Title, Type string
			Datasource  struct{ UID string }
			GridPos     struct{ X, W int }
			Targets     []struct{ Expr string }
		}
		Annotations struct{ List []struct{ Expr string } }
	}
	if err := json.Unmarshal([]byte(read(t, "docs/monitoring/dashboard.json")), &board); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	ids := map[int]bool{}
	for _, p := range board.Panels {
		if ids[p.ID] || p.Title == "" || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %d, %q, at %+v", p.ID, p.Title, p.GridPos)
		}
		ids[p.ID] = true
		if p.Type != "row" && (len(p.Targets) == 0 || p.Datasource.UID != "${datasource}") {
			t.Errorf("%q shows nothing", p.Title)
		}
		for i, target := range p.Targets {
			all[fmt.Sprintf("%d %s %d", p.ID, p.Title, i)] = target.Expr
		}
	}
	for i, a := range board.Annotations.List {
		all[fmt.Sprintf("annotation %d", i)] = a.Expr
	}
	if len(all) < 40 {
		t.Fatalf("only %d expressions", len(all))
	}
	return all
}

var (
	metricName = regexp.MustCompile(`\b(?:o2n_milter|process|go|promhttp)_[a-z0-9_]+\b`)
	recorded   = regexp.MustCompile(`\bjob:[a-z0-9_:]+`)
	selector   = regexp.MustCompile(`([a-z0-9_]+)\{([^}]*)\}`)
	matcher    = regexp.MustCompile(`([a-z_]+)(?:=~|!~|!=|=)"`)
	grouping   = regexp.MustCompile(`(?:by|on) \(([^)]*)\)`)
)

// checkExpression wants metrics and labels that there are.
func checkExpression(t *testing.T, where, expr string, there map[string][]string) {
	t.Helper()
	known := []string{"job", "instance"} // of every target
	names := metricName.FindAllString(expr, -1)
	for _, name := range names {
		labels, is := there[name]
		if !is {
			t.Errorf("%s: there is no %s", where, name)
		}
		known = append(known, labels...)
	}
	for _, m := range selector.FindAllStringSubmatch(expr, -1) {
		for _, label := range matcher.FindAllStringSubmatch(m[2], -1) {
			if !slices.Contains(append([]string{"job", "instance"}, there[m[1]]...), label[1]) {
				t.Errorf("%s: %s has no label %s", where, m[1], label[1])
			}
		}
	}
	for _, m := range grouping.FindAllStringSubmatch(expr, -1) {
		for _, label := range strings.Split(m[1], ", ") {
			if !slices.Contains(known, label) {
				t.Errorf("%s: nothing has a label %s in %s", where, label, expr)
			}
		}
	}
}

func TestDashboard(t *testing.T) {
	there := series(t)
	var used []string
	rules := "groups:\n- name: dashboard\n  rules:\n"
	all := expressions(t)
	for i, where := range slices.Sorted(maps.Keys(all)) {
		checkExpression(t, where, all[where], there)
		used = append(used, metricName.FindAllString(all[where], -1)...)
		plain := strings.NewReplacer("$__rate_interval", "5m", "$__interval", "1m").Replace(all[where])
		quoted, err := json.Marshal(plain) // YAML reads JSON's strings
		if err != nil {
			t.Fatal(err)
		}
		rules += fmt.Sprintf("  - record: dashboard:%d\n    expr: %s\n", i, quoted)
	}
	for name := range there {
		base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_count"), "_sum")
		shown := slices.ContainsFunc(used, func(u string) bool { return strings.HasPrefix(u, base) })
		if strings.HasPrefix(name, "o2n_milter_") && !shown {
			t.Errorf("%s is nowhere on the dashboard", name)
		}
	}
	file := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(file, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(promtool(t), "check", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

const alertsFile = "docs/monitoring/alerts.yml"

// alerts are the text of each alert by its name.
func alerts(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, part := range strings.Split(read(t, alertsFile), "- alert: ")[1:] {
		name, text, _ := strings.Cut(part, "\n")
		all[name] = text
	}
	if len(all) < 20 {
		t.Fatalf("only %d alerts", len(all))
	}
	return all
}

func TestAlertsSpeakOfWhatThereIs(t *testing.T) {
	text := read(t, alertsFile)
	exprs := regexp.MustCompile(`(?m)^ +expr: (?:\|\n((?: {10,}.*\n)+)|(.*)\n)`).FindAllStringSubmatch(text, -1)
	if want := strings.Count(text, " expr:"); len(exprs) != want {
		t.Fatalf("%d expressions found of %d", len(exprs), want)
	}
	for _, m := range exprs {
		expr := m[1] + m[2]
		plain := recorded.ReplaceAllString(expr, "") // has a metric's name in it
		checkExpression(t, alertsFile, strings.ReplaceAll(plain, "up{", "up_{"), with(series(t), "up_"))
		for _, name := range recorded.FindAllString(expr, -1) {
			if !strings.Contains(text, "- record: "+name+"\n") {
				t.Errorf("nothing records %s", name)
			}
		}
	}
}

func with(there map[string][]string, name string) map[string][]string {
	there[name] = nil
	return there
}

// Each alert says what to do, is in the README, and has tests that fire it.
func TestAlertsAreComplete(t *testing.T) {
	readme := read(t, "docs/monitoring/README.md")
	tests := read(t, "tests/monitoring/testdata/alerts_test.yml") + read(t, "tests/monitoring/testdata/alerts_week_test.yml")
	all := alerts(t)
	for name, text := range all {
		for _, part := range []string{"severity: ", "summary: ", "description: ", "runbook: "} {
			if strings.Count(text, part) != 1 {
				t.Errorf("%s: no %q, or several", name, part)
			}
		}
		if !regexp.MustCompile(`severity: (critical|warning)}`).MatchString(text) {
			t.Errorf("%s: its severity is none", name)
		}
		if !strings.Contains(readme, "`"+name+"`") {
			t.Errorf("%s is not in the README", name)
		}
		if !strings.Contains(tests, `alertname="`+name+`"`) {
			t.Errorf("%s is fired by no test", name)
		}
		_, link, _ := strings.Cut(text, "runbook: ")
		link, _, _ = strings.Cut(link, "\n")
		file, anchor, _ := strings.Cut(link, "#")
		if !slices.Contains(anchors(read(t, file)), anchor) {
			t.Errorf("%s: %s has no heading #%s", name, file, anchor)
		}
	}
	for _, m := range regexp.MustCompile("`(O2NMilter[A-Za-z]+)`").FindAllStringSubmatch(readme, -1) {
		if _, is := all[m[1]]; !is {
			t.Errorf("README: there is no %s", m[1])
		}
	}
}

// anchors are the headings of a document as links name them.
func anchors(text string) []string {
	var list []string
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(text, -1) {
		plain := regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		list = append(list, strings.ReplaceAll(plain, " ", "-"))
	}
	return list
}

func TestAlertsPleasePromtool(t *testing.T) {
	tool := promtool(t)
	for _, args := range [][]string{
		{"check", "rules", filepath.Join(root, alertsFile)},
		{"test", "rules", "testdata/alerts_test.yml", "testdata/alerts_week_test.yml"},
	} {
		if out, err := exec.Command(tool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}
