package house

import (
	"fmt"
	"go/scanner"
	"go/token"
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

// Each check of a document is a function from its text to the faults in it, so that
// findFaults can give it a text that has one.

// TestDocuments looks at each document by itself, and shows each check a text in which it
// must find something.
func TestDocuments(t *testing.T) {
	know := learn(t)
	t.Run("faults", func(t *testing.T) { findFaults(t, know) })
	for _, file := range append(docs(t), manuals(t)...) {
		if file == "docs/package-transcript.md" {
			continue // what a program printed, as it was
		}
		for _, fault := range know.faults(file, read(t, file)) {
			t.Errorf("%s: %s", file, fault)
		}
	}
}

// findFaults wants that each check finds what it is for.
func findFaults(t *testing.T, know *knowledge) {
	for text, want := range map[string]string{
		"see [x](docs/nosuch.md)":                                    "no such file",
		"see [x](docs/policy.md#nosuch)":                             "no heading",
		"see [x](#nosuch)":                                           "no heading",
		"in `rules/nosuch.go`":                                       "no such file",
		"in `rules/nosuch/`":                                         "no such file",
		"set `state.pathh`":                                          "neither key nor rule",
		"550 5.7.1 No. [identity.headerfrom 7K3QF2M9]":               "neither key nor rule",
		"answers on `/v1/blokcs`":                                    "no such path",
		"answers on `/metricz`":                                      "no such path",
		"run `make tests`":                                           "no such target",
		"alert `O2NMilterGone`":                                      "no such alert",
		"the unit `o2n-milter-held.socket`":                          "no such unit",
		"the log: `msg=\"all is lost\"`":                             "no such line",
		"| the log says | means |\n|---|---|\n| `all is lost` | x |": "no such line",
		"    go test -run NoSuch ./state":                            "no such test",
		"    go test ./nosuch":                                       "no such file",
		"set `O2N_NOSUCH`":                                           "no such variable",
		"see o2n-milter(5)":                                          "no such page",
	} {
		faults := know.faults("README.md", text)
		if len(faults) != 1 || !strings.Contains(faults[0], want) {
			t.Errorf("%s: %q, want one with %q", text, faults, want)
		}
	}
	if faults := sampleFaults(t, "[state]\npathh = \"x\"\n"); len(faults) != 1 {
		t.Errorf("a wrong key: %q", faults)
	}
	if got := samples("Text:\n\n    [state]\n    path = \"x\"\n\n```toml\n[web]\n```\n"); len(got) != 2 {
		t.Errorf("samples: %q", got)
	}
}

// knowledge is what documents may name.
type knowledge struct {
	keys, tables  []string // of the configuration; tables are those of rules too
	limitKeys     []string // behind limit.NAME.
	paths         []string // of HTTP
	targets       []string // of make
	alerts, units []string
	literals      []string // strings in the code
	variables     []string
	tests         []string // and benchmarks
	anchors       map[string][]string
	rooms         []string
}

func learn(t *testing.T) *knowledge {
	t.Helper()
	k := &knowledge{anchors: map[string][]string{}}
	for _, key := range config.Keys() {
		k.keys = append(k.keys, key.Name)
	}
	k.keys = append(k.keys, rules.IDs()...)
	for _, key := range k.keys {
		table, _, _ := strings.Cut(key, ".")
		k.tables = append(k.tables, table)
		if _, limit, is := strings.Cut(key, "limit.NAME."); is {
			k.limitKeys = append(k.limitKeys, limit)
		}
	}
	k.tables = sorted(k.tables)
	for _, file := range sources(t) {
		text := read(t, file)
		k.literals = append(k.literals, literals(text)...)
		if strings.HasPrefix(file, "web/") || strings.HasPrefix(file, "cmd/") {
			k.paths = append(k.paths, found(regexp.MustCompile(`"(?:GET |POST )?(/[a-z][a-z/]*)"`), text)...)
		}
	}
	// Variables of tests, of all campaigns, and those of docs/notices.md, which have a test of their own.
	for _, file := range files(t, "_test.go") {
		text := read(t, file)
		k.tests = append(k.tests, found(regexp.MustCompile(`\nfunc ((?:Test|Benchmark)\w+)\(`), text)...)
		if strings.Contains(text, "O2N_") {
			k.variables = append(k.variables, found(regexp.MustCompile(`Getenv\("(O2N_[A-Z_]+)"\)`), text)...)
		}
	}
	k.variables = append(k.variables, found(regexp.MustCompile(` = "(O2N_[A-Z_]+)"`), read(t, "tests/campaign/campaign.go"))...)
	k.variables = append(k.variables, found(regexp.MustCompile("`(O2N_[A-Z]+)`"), read(t, "docs/notices.md"))...)
	k.targets = found(regexp.MustCompile(`(?m)^([a-z][a-z-]*):`), read(t, "Makefile"))
	k.alerts = found(regexp.MustCompile(`alert: (O2NMilter\w+)`), read(t, "docs/monitoring/alerts.yml"))
	for _, file := range append(files(t, ".service"), files(t, ".socket")...) {
		k.units = append(k.units, filepath.Base(file))
	}
	for _, file := range docs(t) {
		k.anchors[file] = anchors(read(t, file))
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && e.Name() != "bin" && e.Name() != "run" { // those are made
			k.rooms = append(k.rooms, e.Name())
		}
	}
	return k
}

// literals are the strings of a Go file.
func literals(text string) (list []string) {
	var s scanner.Scanner
	file := token.NewFileSet().AddFile("", -1, len(text))
	s.Init(file, []byte(text), nil, 0)
	for {
		_, tok, lit := s.Scan()
		if tok == token.EOF {
			return list
		}
		if value, err := strconv.Unquote(lit); tok == token.STRING && err == nil {
			list = append(list, value)
		}
	}
}

// anchors are what a link may name of a document: its headings, as GitHub and others
// spell them.
func anchors(text string) (list []string) {
	drop := regexp.MustCompile(`[^\pL\pN _-]`)
	for _, heading := range found(regexp.MustCompile(`(?m)^#+ (.+)$`), text) {
		list = append(list, strings.ReplaceAll(drop.ReplaceAllString(strings.ToLower(heading), ""), " ", "-"))
	}
	return list
}

// faults are all that is wrong with what a document names.
func (k *knowledge) faults(file, text string) (list []string) {
	say := func(what, name string) { list = append(list, fmt.Sprintf("%s: %s", what, name)) }
	k.links(file, text, say)
	k.names(text, say)
	for _, path := range found(regexp.MustCompile("`([a-z]+/[A-Za-z0-9_/.-]*)`"), text) {
		room, _, _ := strings.Cut(path, "/")
		if _, err := os.Stat(filepath.Join(root, path)); err != nil && slices.Contains(k.rooms, room) {
			say("no such file", path)
		}
	}
	for _, line := range found(regexp.MustCompile(`(?m)\bgo (?:test|run)\b(.*)$`), text) {
		for _, path := range found(regexp.MustCompile(` (\./[a-z0-9_/-]+)`), line) {
			if _, err := os.Stat(filepath.Join(root, path)); err != nil {
				say("no such file", path)
			}
		}
	}
	k.logLines(text, say)
	return list
}

// links wants what a relative link leads to.
func (k *knowledge) links(file, text string, say func(what, name string)) {
	for _, m := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(text, -1) {
		if regexp.MustCompile(`^[a-z]+:`).MatchString(m[1]) {
			continue
		}
		path, anchor, named := strings.Cut(m[1], "#")
		to := file
		if path != "" {
			to = filepath.Join(filepath.Dir(file), path)
		}
		if _, err := os.Stat(filepath.Join(root, to)); err != nil {
			say("no such file", m[1])
		} else if named && !slices.Contains(k.anchors[to], anchor) {
			say("no heading", m[1])
		}
	}
}

// names wants that what looks like a name of ours is one.
func (k *knowledge) names(text string, say func(what, name string)) {
	for _, check := range []struct {
		pattern string
		known   func(string) bool
		fault   string
	}{
		{"`([a-z]+\\.[a-z_]+(?:\\.[a-z_]+)?)`", k.isKey, "neither key nor rule"},
		{`\[([a-z]+\.[a-z_]+) [0-9A-Z]{8}\]`, k.isKey, "neither key nor rule"},
		{"[`<](/(?:v1|admin|c|metric|health|ready)[a-z/]*)[`>]", func(s string) bool { return slices.Contains(k.paths, s) }, "no such path"},
		{"`make ([a-z-]+)", func(s string) bool { return slices.Contains(k.targets, s) }, "no such target"},
		{`(O2NMilter[A-Z]\w+)`, func(s string) bool { return slices.Contains(k.alerts, s) }, "no such alert"},
		{`(o2n-milter[a-z-]*\.(?:service|socket))\b`, func(s string) bool { return slices.Contains(k.units, s) }, "no such unit"},
		{`go test .*-(?:run|bench) '?(\w+)`, func(s string) bool {
			return s == "o2n" || slices.ContainsFunc(k.tests, func(name string) bool { return strings.Contains(name, s) })
		}, "no such test"},
		{`\b(O2N_[A-Z_]+)\b`, func(s string) bool { return slices.Contains(k.variables, s) }, "no such variable"},
		{`\b(o2n-milter[a-z.-]*\(\d\))`, func(s string) bool {
			return s == "o2n-milter(8)" || s == "o2n-milter.toml(5)"
		}, "no such page"},
	} {
		for _, name := range found(regexp.MustCompile(check.pattern), text) {
			if !check.known(name) {
				say(check.fault, name)
			}
		}
	}
}

// isKey says whether a name is a key of the configuration or a rule; one that is like
// neither, such as a file's, passes.
func (k *knowledge) isKey(name string) bool {
	table, rest, _ := strings.Cut(name, ".")
	if !slices.Contains(k.tables, table) || slices.Contains([]string{"go", "toml", "lua", "sock"}, rest) {
		return true
	}
	_, of, _ := strings.Cut(rest, ".")
	return slices.Contains(k.keys, name) || table == "limit" && (of == "" || slices.Contains(k.limitKeys, of))
}

// logLines wants that what the log is said to say stands in the code: msg="..." anywhere,
// and all in the first column of a table that begins with "the log says". What differs
// from line to line is "...".
func (k *knowledge) logLines(text string, say func(what, name string)) {
	list := found(regexp.MustCompile(`\bmsg="([^"]+)"`), text)
	inTable := false
	for line := range strings.Lines(text) {
		cells := strings.Split(line, "|")
		switch {
		case len(cells) < 3:
			inTable = false
		case strings.Contains(cells[1], "the log says"):
			inTable = true
		case inTable:
			list = append(list, found(regexp.MustCompile("`([^`]+)`"), cells[1])...)
		}
	}
	for _, line := range list {
		for part := range strings.SplitSeq(line, "...") {
			part = strings.TrimSpace(part)
			if !slices.ContainsFunc(k.literals, func(s string) bool { return strings.Contains(s, part) }) {
				say("no such line of the log", part)
			}
		}
	}
}
