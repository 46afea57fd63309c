package monitoring

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

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
