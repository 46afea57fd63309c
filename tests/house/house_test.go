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
	"cmd/o2n-milter": {"accounts", "config", "content", "doctor", "hold", "hold/agent", "hold/mtaqueue", "message", "milter", "notify", "replay", "rules", "state", "state/badgerdb", "state/local", "state/memory",
		"state/redisdb", "web", "web/console", "web/customer", "web/desk", "web/page", "web/stats"},
	"config":          {"accounts", "message", "rules"},
	"content":         {"message", "rules"},
	"doctor":          {"config", "rules"},
	"hold":            {"hold/wire", "rules", "state"},
	"hold/agent":      {"hold/mtaqueue", "hold/wire"},
	"hold/mtaqueue":   {"hold/wire"},
	"milter":          {"message", "rules", "state"},
	"notify":          {"message", "rules", "state"},
	"replay":          {"accounts", "message", "rules", "state", "state/memory"},
	"web":             {"content", "hold", "notify", "state", "web/desk"},
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
	"github.com/schollz/progressbar":         {"cmd/o2n-milter"},
	"github.com/emersion/go-message":         {"message"},
	"golang.org/x/net/html":                  {"message", "web/page/pagetest"},
	"golang.org/x/net/publicsuffix":          {"rules"},
	"net/http":                               {"cmd/o2n-milter", "content", "notify", "web", "tests"},
	"github.com/coreos/go-systemd":           {"cmd/o2n-milter"},
	"github.com/fsnotify/fsnotify":           {"accounts"},
	"github.com/rogpeppe/go-internal/txtar":  {"tests"},
	"github.com/chromedp":                    {"tests"},
	"github.com/emersion/go-smtp":            {"tests"},
	"github.com/rogpeppe/go-internal/script": {"cmd/o2n-milter"},
}

// sources are our Go files but tests, by their path from the root.
func sources(t *testing.T) []string {
	t.Helper()
	var list []string
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
		rel, err := filepath.Rel(root, path)
		list = append(list, rel)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// imports lists "package folder -> imports" of all Go files but tests.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, path := range sources(t) {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, path), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			all[filepath.Dir(path)] = append(all[filepath.Dir(path)], name)
		}
	}
	return all
}

// docs are the documents in Markdown.
func docs(t *testing.T) []string {
	t.Helper()
	list := []string{"README.md", "tests/README.md"}
	found, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(found) == 0 {
		t.Fatalf("docs: %v, %v", found, err)
	}
	for _, path := range found {
		list = append(list, "docs/"+filepath.Base(path))
	}
	return list
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
	path := regexp.MustCompile("`((?:cmd|config|content|milter|message|accounts|rules|state|web|notify|tests|docs|packaging)/[a-z0-9_/.-]*)`")
	link := regexp.MustCompile(`\]\(([a-z/_.-]+)\)`)
	for _, file := range docs(t) {
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

// ofMissingFile are faults that come of files which samples name and this host lacks.
var ofMissingFile = regexp.MustCompile(`does not exist|notify.webhook_key_file is not; want`)

// TestDocumentedTOML: every TOML sample in the docs is a good configuration.
func TestDocumentedTOML(t *testing.T) {
	fenced := regexp.MustCompile("(?s)```toml\n(.*?)```")
	indented := regexp.MustCompile(`(?m)(?:^    \S.*\n|^\n)+`)
	checked := 0
	for _, file := range docs(t) {
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
			_, faults := config.Load(name, true)
			faults = slices.DeleteFunc(faults, func(f config.Fault) bool { return ofMissingFile.MatchString(f.Error()) })
			if len(faults) > 0 {
				t.Errorf("%s: %v in\n%s", file, faults, sample)
			}
		}
		checked += len(samples)
	}
	if checked < 20 {
		t.Errorf("only %d samples found", checked)
	}
}

// TestMetricsAreDocumented: the metrics that the code names are those of the docs.
func TestMetricsAreDocumented(t *testing.T) {
	name := regexp.MustCompile(`o2n_milter_[a-z_]+`)
	documented := sorted(name.FindAllString(read(t, "docs/operations.md"), -1))
	var real []string
	quoted := regexp.MustCompile(`"(o2n_milter_[a-z_]+)"`)
	for _, file := range sources(t) {
		for _, m := range quoted.FindAllStringSubmatch(read(t, file), -1) {
			real = append(real, m[1])
		}
	}
	if real = sorted(real); !slices.Equal(documented, real) {
		t.Errorf("documented %v\nthere are  %v", documented, real)
	}
}
