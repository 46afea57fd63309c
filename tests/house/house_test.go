// Package house checks the house as a whole: which room may know which, and that
// the docs speak of what there is.
package house

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"o2n-milter/config"
	"o2n-milter/rules"
)

const root = "../.."

// mayImport says which of our packages each of them may import. What is not
// listed imports none of ours.
var mayImport = map[string][]string{
	"cmd/o2n-milter": {"accounts", "config", "message", "milter", "notify", "rules", "state", "state/badgerdb", "state/local", "state/memory",
		"state/redisdb", "web", "web/console", "web/customer", "web/desk", "web/page", "web/stats"},
	"config":          {"accounts", "message", "rules"},
	"milter":          {"message", "rules", "state"},
	"notify":          {"message", "rules", "state"},
	"web":             {"notify", "state", "web/desk"},
	"web/console":     {"state", "web/desk", "web/page"},
	"web/customer":    {"rules", "state", "web/desk", "web/page"},
	"web/desk":        {"accounts", "rules", "state", "web/stats"},
	"web/stats":       {"rules", "state"},
	"rules":           {"accounts", "message", "state"},
	"state":           {"state/internal/text"},
	"state/badgerdb":  {"state", "state/internal/journal", "state/internal/ledger", "state/internal/text"},
	"state/redisdb":   {"state", "state/internal/journal", "state/internal/ledger", "state/internal/text"},
	"state/local":     {"state", "state/memory"},
	"state/memory":    {"state", "state/internal/ledger"},
	"state/statetest": {"state"},

	"state/internal/ledger":  {"state", "state/internal/text"},
	"state/internal/journal": {"state"},
}

// only says which packages alone may import these.
var only = map[string][]string{
	"github.com/emersion/go-milter":          {"milter", "tests"},
	"github.com/dgraph-io/badger":            {"state/badgerdb"},
	"github.com/redis/go-redis":              {"state/redisdb"},
	"github.com/prometheus/client_golang":    {"cmd/o2n-milter", "milter", "web"},
	"github.com/BurntSushi/toml":             {"config"},
	"github.com/spf13/cobra":                 {"cmd/o2n-milter"},
	"github.com/emersion/go-message":         {"message"},
	"golang.org/x/net/publicsuffix":          {"rules"},
	"net/http":                               {"cmd/o2n-milter", "notify", "web", "tests"},
	"github.com/coreos/go-systemd":           {"cmd/o2n-milter"},
	"github.com/fsnotify/fsnotify":           {"accounts"},
	"github.com/rogpeppe/go-internal/txtar":  {"tests"},
	"github.com/chromedp":                    {"tests"},
	"github.com/emersion/go-smtp":            {"tests"},
	"github.com/rogpeppe/go-internal/script": {"cmd/o2n-milter"},
}

// imports lists "package folder -> imports" of all Go files but tests.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && path != root && (strings.HasPrefix(name, ".") || name == "run" || name == "testdata") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			all[rel] = append(all[rel], name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestImportsGoOneWay(t *testing.T) {
	all := imports(t)
	if len(all) < 10 {
		t.Fatalf("only %d packages found", len(all))
	}
	for pkg, list := range all {
		for _, name := range list {
			ours, is := strings.CutPrefix(name, "o2n-milter/")
			if is && !strings.HasPrefix(pkg, "tests") && !slices.Contains(mayImport[pkg], ours) {
				t.Errorf("%s imports %s", pkg, ours)
			}
			for prefix, may := range only {
				if name != prefix && !strings.HasPrefix(name, prefix+"/") {
					continue
				}
				if !slices.ContainsFunc(may, func(m string) bool { return pkg == m || strings.HasPrefix(pkg, m+"/") }) {
					t.Errorf("%s imports %s, which is for %v only", pkg, name, may)
				}
			}
		}
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

func sorted(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

// TestEveryRuleIsDocumented: docs/policy.md has one heading for each rule, no more.
func TestEveryRuleIsDocumented(t *testing.T) {
	var documented []string
	for _, m := range regexp.MustCompile(`(?m)^## (\S+)$`).FindAllStringSubmatch(read(t, "docs/policy.md"), -1) {
		documented = append(documented, m[1])
	}
	if got, want := sorted(documented), sorted(rules.IDs()); !slices.Equal(got, want) {
		t.Errorf("documented %v\nthere are  %v", got, want)
	}
}

// TestDocumentedPathsExist: what the docs call a file or folder of ours is one.
func TestDocumentedPathsExist(t *testing.T) {
	path := regexp.MustCompile("`((?:cmd|config|milter|message|accounts|rules|state|web|tests|docs|packaging)/[a-z0-9_/.-]*)`")
	link := regexp.MustCompile(`\]\(([a-z/_.-]+)\)`)
	for _, file := range []string{"README.md", "docs/flow.md", "docs/policy.md", "docs/operations.md", "docs/customer-area.md", "docs/customer-page.md", "tests/README.md"} {
		text := read(t, file)
		for _, m := range path.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(file), m[1])); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
}

// TestDocumentedTOML: every TOML sample in the docs is a good configuration.
func TestDocumentedTOML(t *testing.T) {
	fenced := regexp.MustCompile("(?s)```toml\n(.*?)```")
	indented := regexp.MustCompile(`(?m)(?:^    \S.*\n|^\n)+`)
	for _, file := range []string{"README.md", "docs/policy.md", "docs/operations.md"} {
		var samples []string
		text := read(t, file)
		for _, m := range fenced.FindAllStringSubmatch(text, -1) {
			samples = append(samples, m[1])
		}
		for _, block := range indented.FindAllString(text, -1) {
			if strings.HasPrefix(strings.TrimSpace(block), "[") {
				samples = append(samples, regexp.MustCompile(`(?m)^    `).ReplaceAllString(block, ""))
			}
		}
		for _, sample := range samples {
			name := filepath.Join(t.TempDir(), "o2n-milter.toml")
			if err := os.WriteFile(name, []byte(sample), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, faults := config.Load(name, true); len(faults) > 0 {
				t.Errorf("%s: %v in\n%s", file, faults, sample)
			}
		}
		if file != "docs/operations.md" && len(samples) == 0 {
			t.Errorf("%s: no sample found", file)
		}
	}
}

// TestMetricsAreDocumented: the metrics that the code names are those of the docs.
func TestMetricsAreDocumented(t *testing.T) {
	name := regexp.MustCompile(`o2n_milter_[a-z_]+`)
	documented := sorted(name.FindAllString(read(t, "docs/operations.md"), -1))
	var real []string
	for _, file := range []string{"milter/record.go", "web/metrics.go", "cmd/o2n-milter/serve.go"} {
		quoted := regexp.MustCompile(`"(o2n_milter_[a-z_]+)"`)
		for _, m := range quoted.FindAllStringSubmatch(read(t, file), -1) {
			real = append(real, m[1])
		}
	}
	if real = sorted(real); !slices.Equal(documented, real) {
		t.Errorf("documented %v\nthere are  %v", documented, real)
	}
}
