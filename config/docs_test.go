package config

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"

	"o2n-milter/rules"
)

const example = "../packaging/o2n-milter.toml"

// A key behind # without a blank is an example; "# " begins a comment.
var commented = regexp.MustCompile(`(?m)^#(\[|\]|    "|[a-z_]+ = )`)

func TestExampleLoads(t *testing.T) {
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	c := good(t, string(text))
	var got []rules.Limit
	for _, l := range c.Rules.Limits {
		l.Action -= rules.Tempfail // all of them are tempfail
		got = append(got, l)
	}
	const minute, hour = 60e9, 3600e9
	want := []rules.Limit{
		{Name: "minute", Subject: "account", Unit: "messages", Max: 10, Window: minute},
		{Name: "hour", Subject: "account", Unit: "messages", Max: 200, Window: hour},
		{Name: "day", Subject: "account", Unit: "messages", Max: 1000, Window: 24 * hour},
		{Name: "host", Subject: "host", Unit: "messages", Max: 60, Window: minute},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(c.Notes) > 0 || len(c.Accounts.Table) > 0 {
		t.Errorf("notes %v, accounts %v", c.Notes, c.Accounts.Table)
	}
}

// With every # taken away the example names each key of the schema, the ones
// without a free name once, and gives its default.
func TestExampleShowsDefaults(t *testing.T) {
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	full := commented.ReplaceAllString(string(text), "$1")
	entries, fault := parse(example, full)
	if fault != nil {
		t.Fatal(fault)
	}
	defaults := map[string]string{}
	for _, k := range Keys() {
		defaults[k.Name] = k.Default
	}
	shown := map[string]int{}
	for _, e := range entries {
		name := schemaName(e.path)
		std, isKey := defaults[name]
		if !isKey {
			continue
		}
		shown[name]++
		if e.path[0] == "limit" { // the limits are the example's own
			continue
		}
		var doc map[string]any
		if _, err := toml.Decode("v = "+std, &doc); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(doc["v"], e.value); diff != "" {
			t.Errorf("line %d: %s is not the default: %s", e.line, name, diff)
		}
	}
	for name := range defaults {
		if n := shown[name]; n < 1 || (n > 1 && !strings.Contains(name, ".NAME.")) {
			t.Errorf("%s stands there %d times", name, n)
		}
	}
}

// Without its # the example is accepted, where the files that it names exist.
func TestExampleUncommentedLoads(t *testing.T) {
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	full := commented.ReplaceAllString(string(text), "$1")
	full = strings.Replace(full, "/etc/o2n-milter/link.key", "link.key", 1)
	_, faults := loadFaults(t, map[string]string{
		"main.toml": full, "accounts.toml": "", "link.key": strings.Repeat("k", 32),
	})
	if len(faults) > 0 {
		t.Error(faults)
	}
}

// Each paragraph of the manual page is named after its key.
func TestManualNamesEveryKey(t *testing.T) {
	text, err := os.ReadFile("../docs/man/o2n-milter.toml.5.pod")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range regexp.MustCompile(`(?m)^=item B<([^>]+)> = (.*)$`).FindAllStringSubmatch(string(text), -1) {
		got = append(got, m[1]+" = "+m[2])
	}
	var want []string
	for _, k := range Keys() {
		std := k.Default
		if std == "" {
			std = "I<" + k.Kind + ">"
		}
		want = append(want, k.Name+" = "+std)
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Defaults pass their own checks, unless those look at the disk.
func TestDefaultsPassTheirChecks(t *testing.T) {
	names := map[string]bool{}
	for _, k := range Keys() {
		if names[k.Name] || k.Kind == "" || k.check == nil || k.set == nil {
			t.Errorf("%s is there twice, or half", k.Name)
		}
		names[k.Name] = true
		if k.Default != "" {
			_ = k.defaultValue() // panics
		}
	}
}
