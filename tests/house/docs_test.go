package house

import (
	"fmt"
	"go/scanner"
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

// Each check of a document is a function from its text to the faults in it, so that
// TestChecksFindFaults can give it a text that has one.

// docs are the documents in Markdown, by their path from the root.
func docs(t *testing.T) []string {
	t.Helper()
	list := files(t, ".md")
	if len(list) < 10 {
		t.Fatalf("only %v found", list)
	}
	return list
}

// manuals are the sources of the manual pages.
func manuals(t *testing.T) []string {
	t.Helper()
	list := files(t, ".pod")
	if len(list) != 2 {
		t.Fatalf("%v found", list)
	}
	return list
}

// files are those of the repository whose names end so; what is made, and what others
// have written for tests, is not ours.
func files(t *testing.T, end string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || slices.Contains([]string{"bin", "run", "testdata"}, d.Name())) {
			return filepath.SkipDir
		}
		if !d.IsDir() && strings.HasSuffix(path, end) {
			rel, err := filepath.Rel(root, path)
			list = append(list, rel)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
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

// found are the different first groups of a pattern in a text, in order.
func found(pattern *regexp.Regexp, text string) []string {
	var list []string
	for _, m := range pattern.FindAllStringSubmatch(text, -1) {
		list = append(list, m[1])
	}
	return sorted(list)
}

// both says what is in one list only.
func both(t *testing.T, documented, real []string) {
	t.Helper()
	for _, name := range documented {
		if !slices.Contains(real, name) {
			t.Errorf("%s is documented, and is not there", name)
		}
	}
	for _, name := range real {
		if !slices.Contains(documented, name) {
			t.Errorf("%s is there, and not documented", name)
		}
	}
	if len(real) == 0 {
		t.Error("nothing found")
	}
}

// TestEveryRuleIsDocumented: docs/policy.md has one heading for each rule, no more.
func TestEveryRuleIsDocumented(t *testing.T) {
	both(t, found(regexp.MustCompile(`(?m)^## (\S+)$`), read(t, "docs/policy.md")), sorted(rules.IDs()))
}

// TestRepliesAreDocumented: the codes in a rule's part of docs/policy.md are those of its
// reply.
func TestRepliesAreDocumented(t *testing.T) {
	details := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\t"([a-z_.]+)": \{"(\d\.\d)",$`).FindAllStringSubmatch(read(t, "rules/replies.go"), -1) {
		details[strings.Replace(m[1], "limit.messages", "limit.NAME", 1)] = m[2]
	}
	code := regexp.MustCompile(`\b(\d)\d\d (\d)\.(\d\.\d)\b`)
	for _, part := range strings.Split(read(t, "docs/policy.md"), "\n## ")[1:] {
		rule, text, _ := strings.Cut(part, "\n")
		codes := code.FindAllStringSubmatch(text, -1)
		if len(codes) == 0 || details[rule] == "" {
			t.Errorf("%s: %d codes documented, its detail is %q", rule, len(codes), details[rule])
		}
		for _, m := range codes {
			if m[1] != m[2] || m[3] != details[rule] {
				t.Errorf("%s: %s is documented, its detail is %s", rule, m[0], details[rule])
			}
		}
	}
}

// TestMetricsAreDocumented: the metrics that the code names are those of the docs.
func TestMetricsAreDocumented(t *testing.T) {
	var real []string
	for _, file := range sources(t) {
		real = append(real, found(regexp.MustCompile(`"(o2n_milter_[a-z_]+)"`), read(t, file))...)
	}
	both(t, found(metricName, read(t, "docs/operations.md")), sorted(real))
	for _, file := range append(docs(t), manuals(t)...) {
		for _, name := range found(metricName, read(t, file)) {
			if !slices.Contains(real, name) {
				t.Errorf("%s: there is no metric %s", file, name)
			}
		}
	}
}

var metricName = regexp.MustCompile(`(o2n_milter_[a-z_]+)`)

// TestPathsAreDocumented: what answers by HTTP on TCP is what the manual page names.
func TestPathsAreDocumented(t *testing.T) {
	handled := regexp.MustCompile(`\bHandle(?:Func)?\("(?:GET )?(/[a-z]+/?)"`)
	_, sockets, _ := strings.Cut(read(t, "docs/man/o2n-milter.8.pod"), "=head1 SOCKETS")
	sockets, _, _ = strings.Cut(sockets, "=head1")
	both(t, found(regexp.MustCompile(`F<(/[a-z]+/?)>`), sockets),
		found(handled, read(t, "web/public.go")+read(t, "cmd/o2n-milter/pages.go")))
}

// TestVariablesAreDocumented: programs are told what docs/notices.md says, and our own
// environment is that of the manual page.
func TestVariablesAreDocumented(t *testing.T) {
	told := found(regexp.MustCompile(`\{"([A-Z]+)", `), read(t, "notify/exec.go"))
	both(t, found(regexp.MustCompile("`O2N_([A-Z]+)`"), read(t, "docs/notices.md")), told)
	manual := read(t, "docs/man/o2n-milter.8.pod")
	for _, file := range sources(t) {
		if strings.HasPrefix(file, "tests/") {
			continue
		}
		for _, name := range found(regexp.MustCompile(`os\.(?:Getenv|LookupEnv)\("([A-Z_]+)"\)`), read(t, file)) {
			if !strings.Contains(manual, "B<"+name+">") {
				t.Errorf("%s looks at %s, and the manual page does not say so", file, name)
			}
		}
	}
}

// TestEveryRoomIsInTheREADME: its table has each folder, and links each document.
func TestEveryRoomIsInTheREADME(t *testing.T) {
	readme := read(t, "README.md")
	_, table, _ := strings.Cut(readme, "## Rooms of the house")
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	var rooms []string
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") && !slices.Contains([]string{"bin", "run"}, e.Name()) {
			rooms = append(rooms, e.Name())
		}
	}
	both(t, found(regexp.MustCompile("(?m)^\\| `([a-z]+)[/a-z0-9-]*` \\|"), table), rooms)
	for _, file := range docs(t) {
		if strings.HasPrefix(file, "docs/") && !strings.Contains(readme, "]("+file+")") {
			t.Errorf("the README does not lead to %s", file)
		}
	}
}

// TestREADMEShowsDefaults: what it calls the defaults is them, but for limits and accounts.
func TestREADMEShowsDefaults(t *testing.T) {
	defaults := map[string]string{}
	for _, k := range config.Keys() {
		defaults[k.Name] = k.Default
	}
	line := regexp.MustCompile(`^([a-z_]+) = (.*?)\s*(?:#.*)?$`)
	table, seen := "", 0
	for text := range strings.Lines(fenced.FindStringSubmatch(read(t, "README.md"))[1]) {
		text = strings.TrimSpace(text)
		if strings.HasPrefix(text, "[") {
			table, _, _ = strings.Cut(strings.Trim(text, "["), "]")
		}
		m := line.FindStringSubmatch(text)
		if m == nil || strings.HasPrefix(table, "limit.") || strings.HasPrefix(table, "account") {
			continue
		}
		seen++
		if want := defaults[table+"."+m[1]]; m[2] != want {
			t.Errorf("%s.%s = %s: the default is %s", table, m[1], m[2], want)
		}
	}
	if seen < 20 {
		t.Errorf("only %d lines seen", seen)
	}
}

// TestOperationsHasContents: its first lines lead to each of its sections.
func TestOperationsHasContents(t *testing.T) {
	contents, rest, _ := strings.Cut(read(t, "docs/operations.md"), "\n## ")
	sections := regexp.MustCompile(`(?m)^#{3,} .*$`).ReplaceAllString("## "+rest, "")
	both(t, found(regexp.MustCompile(`\]\(#([^)]+)\)`), contents), sorted(anchors(sections)))
}

// ofMissingFile are faults that come of files which samples name and this host lacks.
var ofMissingFile = regexp.MustCompile(`does not exist|notify.webhook_key_file is not; want`)

// TestDocumentedTOML: every TOML sample in the docs is a good configuration.
func TestDocumentedTOML(t *testing.T) {
	checked := 0
	for _, file := range append(docs(t), manuals(t)...) {
		for _, sample := range samples(read(t, file)) {
			for _, fault := range sampleFaults(t, sample) {
				t.Errorf("%s: %s in\n%s", file, fault, sample)
			}
			checked++
		}
	}
	if checked < 30 {
		t.Errorf("only %d samples found", checked)
	}
}

var (
	fenced   = regexp.MustCompile("(?s)```toml\n(.*?)```")
	indented = regexp.MustCompile(`(?m)(?:^ +\S.*\n|^\n)+`)
)

// samples are the TOML in a document: fenced, or indented and beginning with a table.
func samples(text string) (list []string) {
	for _, m := range fenced.FindAllStringSubmatch(text, -1) {
		list = append(list, m[1])
	}
	for _, block := range indented.FindAllString(fenced.ReplaceAllString(text, ""), -1) {
		block = strings.Trim(block, "\n")
		if strings.HasPrefix(strings.TrimSpace(block), "[") {
			list = append(list, regexp.MustCompile(`(?m)^ +`).ReplaceAllString(block, "")+"\n")
		}
	}
	return list
}

func sampleFaults(t *testing.T, sample string) (faults []string) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "o2n-milter.toml")
	if err := os.WriteFile(name, []byte(sample), 0o600); err != nil {
		t.Fatal(err)
	}
	_, all := config.Load(name, true)
	for _, f := range all {
		if !ofMissingFile.MatchString(f.Error()) {
			faults = append(faults, f.Error())
		}
	}
	return faults
}

// TestDocuments looks at each document by itself.
func TestDocuments(t *testing.T) {
	know := learn(t)
	for _, file := range append(docs(t), manuals(t)...) {
		for _, fault := range know.faults(file, read(t, file)) {
			t.Errorf("%s: %s", file, fault)
		}
	}
}

// TestChecksFindFaults: each check finds what it is for.
func TestChecksFindFaults(t *testing.T) {
	know := learn(t)
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
		k.paths = append(k.paths, found(regexp.MustCompile(`"(?:GET |POST )?(/[a-z][a-z/]*)"`), text)...)
	}
	// Variables of tests, and those of docs/notices.md, which have a test of their own.
	for _, file := range files(t, ".go") {
		k.variables = append(k.variables, found(regexp.MustCompile(`Getenv\("(O2N_[A-Z_]+)"\)`), read(t, file))...)
	}
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
		if e.IsDir() {
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
	for _, m := range regexp.MustCompile("`([a-z]+)(/[A-Za-z0-9_/.-]*)`").FindAllStringSubmatch(text, -1) {
		if _, err := os.Stat(filepath.Join(root, m[1]+m[2])); err != nil && slices.Contains(k.rooms, m[1]) {
			say("no such file", m[1]+m[2])
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
