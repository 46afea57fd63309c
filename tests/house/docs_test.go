package house

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"o2n-milter/config"
	"o2n-milter/rules"
)

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

// both says what is in one list only: in the document, or in the house.
func both(t *testing.T, document string, documented, real []string) {
	t.Helper()
	for _, name := range documented {
		if !slices.Contains(real, name) {
			t.Errorf("%s has %s, which is not there", document, name)
		}
	}
	for _, name := range real {
		if !slices.Contains(documented, name) {
			t.Errorf("%s is not in %s", name, document)
		}
	}
	if len(real) == 0 {
		t.Errorf("nothing found that could be in %s", document)
	}
}

// TestEveryRuleIsDocumented: docs/policy.md has one heading for each rule, no more.
func TestEveryRuleIsDocumented(t *testing.T) {
	both(t, "docs/policy.md", found(regexp.MustCompile(`(?m)^## (\S+)$`), read(t, "docs/policy.md")), sorted(rules.IDs()))
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
	both(t, "docs/operations.md", found(metricName, read(t, "docs/operations.md")), sorted(real))
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
	both(t, "SOCKETS of o2n-milter(8)", found(regexp.MustCompile(`F<(/[a-z]+/?)>`), sockets),
		found(handled, read(t, "web/public.go")+read(t, "cmd/o2n-milter/pages.go")))
}

// TestFilesAreDocumented: the manual page has each file and folder that is a default.
func TestFilesAreDocumented(t *testing.T) {
	_, listed, _ := strings.Cut(read(t, "docs/man/o2n-milter.8.pod"), "=head1 FILES")
	wanted := []string{config.DefaultFile}
	for _, k := range config.Keys() {
		if path := strings.Trim(k.Default, `"`); strings.HasPrefix(path, "/") {
			wanted = append(wanted, path)
		}
	}
	if len(wanted) < 5 {
		t.Errorf("only %v", wanted)
	}
	for _, path := range wanted {
		if !strings.Contains(listed, "F<"+path+">") && !strings.Contains(listed, "F<"+path+"/>") {
			t.Errorf("%s is not in FILES", path)
		}
	}
}

// TestVariablesAreDocumented: programs are told what docs/notices.md says, and our own
// environment is that of the manual page.
func TestVariablesAreDocumented(t *testing.T) {
	told := found(regexp.MustCompile(`\{"([A-Z]+)", `), read(t, "notify/exec.go"))
	both(t, "docs/notices.md", found(regexp.MustCompile("`O2N_([A-Z]+)`"), read(t, "docs/notices.md")), told)
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
	both(t, "the rooms of README.md", found(regexp.MustCompile("(?m)^\\| `([a-z]+)[/a-z0-9-]*` \\|"), table), rooms)
	for _, file := range docs(t) {
		if strings.HasPrefix(file, "docs/") && !strings.Contains(readme, "]("+file+")") {
			t.Errorf("the README does not lead to %s", file)
		}
	}
}

// TestFlowIsOnePage: who wants to know the way of a message reads all of it.
func TestFlowIsOnePage(t *testing.T) {
	if n := strings.Count(read(t, "docs/flow.md"), "\n"); n > 60 {
		t.Errorf("%d lines; want at most 60", n)
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
	both(t, "the contents of docs/operations.md", found(regexp.MustCompile(`\]\(#([^)]+)\)`), contents), sorted(anchors(sections)))
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
