// Package house checks the house as a whole: which room may know which, and that
// the docs speak of what there is.
package house

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const root = "../.."

// mayImport says which of our packages each of them may import. What is not
// listed imports none of ours.
var mayImport = map[string][]string{
	"cmd/o2n-milter": {"accounts", "config", "content", "demo", "doctor", "hold", "hold/agent", "hold/mtaqueue", "internal/chaos", "message", "milter", "milter/shelf", "notify", "replay", "rules", "state", "state/badgerdb", "state/local", "state/memory",
		"state/redisdb", "web", "web/console", "web/customer", "web/desk", "web/page", "web/stats"},
	"config":          {"accounts", "message", "rules"},
	"content":         {"message", "rules"},
	"demo":            {"hold/agent", "hold/mtaqueue", "hold/wire", "message"},
	"doctor":          {"config", "rules"},
	"hold":            {"hold/wire", "internal/chaos", "rules", "state"},
	"hold/agent":      {"hold/mtaqueue", "hold/wire"},
	"hold/mtaqueue":   {"hold/wire"},
	"milter":          {"internal/chaos", "message", "milter/shelf", "rules", "state"},
	"notify":          {"internal/chaos", "message", "rules", "state"},
	"replay":          {"accounts", "message", "rules", "state", "state/memory"},
	"web":             {"content", "hold", "internal/chaos", "notify", "state", "web/desk"},
	"web/console":     {"state", "web/desk", "web/page"},
	"web/customer":    {"rules", "state", "web/desk", "web/page"},
	"web/desk":        {"accounts", "rules", "state", "web/stats"},
	"web/page":        {"internal/chaos"},
	"web/stats":       {"rules", "state"},
	"rules":           {"accounts", "internal/appendjson", "internal/chaos", "message", "state"},
	"state":           {"state/internal/text"},
	"state/badgerdb":  {"internal/chaos", "state", "state/internal/journal", "state/internal/ledger", "state/internal/text"},
	"state/redisdb":   {"internal/chaos", "state", "state/internal/journal", "state/internal/ledger", "state/internal/text"},
	"state/local":     {"state", "state/memory"},
	"state/memory":    {"state", "state/internal/ledger"},
	"state/statetest": {"state"},

	"state/internal/ledger":  {"internal/appendjson", "state", "state/internal/text"},
	"state/internal/journal": {"state"},
}

// only says which packages alone may import these.
var only = map[string][]string{
	"github.com/emersion/go-milter":          {"demo", "milter", "tests"},
	"github.com/dgraph-io/badger":            {"state/badgerdb"},
	"github.com/klauspost/compress":          {"state/badgerdb"},
	"github.com/redis/go-redis":              {"state/redisdb"},
	"github.com/prometheus/client_golang":    {"cmd/o2n-milter", "milter", "web"},
	"github.com/BurntSushi/toml":             {"config"},
	"github.com/spf13/cobra":                 {"cmd/o2n-milter"},
	"github.com/schollz/progressbar":         {"cmd/o2n-milter"},
	"github.com/emersion/go-message":         {}, // tests hold our charsets against it
	"golang.org/x/net/html":                  {"message", "web/page/pagetest"},
	"golang.org/x/net/publicsuffix":          {"rules"},
	"golang.org/x/perf":                      {"tests"},
	"net/http":                               {"cmd/o2n-milter", "content", "notify", "web", "tests"},
	"github.com/coreos/go-systemd":           {"cmd/o2n-milter"},
	"github.com/fsnotify/fsnotify":           {"accounts"},
	"github.com/rogpeppe/go-internal/txtar":  {"tests"},
	"github.com/chromedp":                    {"tests"},
	"github.com/emersion/go-smtp":            {"demo", "tests"},
	"github.com/emersion/go-sasl":            {"demo"},
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
