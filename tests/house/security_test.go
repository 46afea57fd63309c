package house

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestThreatsAreTested: each threat in docs/security.md has tests, and each of them is
// where the table says.
func TestThreatsAreTested(t *testing.T) {
	tests := testsByFolder(t)
	for row, want := range map[string]string{
		"| a | b | c |":                              "no test",
		"| a | b | `rules`: `TestNoSuch` |":          "no such test",
		"| a | b | `rules`: `TestStageOrders` |":     "no such test", // it is milter's
		"| a | b | `TestIdentity` |":                 "no such test", // of no package
		"| a | b | `rules` |":                        "no test",
		"| a | b | `tests/cases/nosuch.txt` |":       "no such file",
		"| a | b | `nosuch`: `TestIdentity` |":       "no such file",
		"| a | b | `rules`: `TestIdentity`; TestX |": "TestX",
	} {
		if faults := rowFaults(row, tests); !slices.ContainsFunc(faults, func(s string) bool { return strings.Contains(s, want) }) {
			t.Errorf("%s: %q, want one with %q", row, faults, want)
		}
	}
	rows := threats(read(t, "docs/security.md"))
	if len(rows) < 50 {
		t.Fatalf("%d threats; want all of them", len(rows))
	}
	for _, row := range rows {
		for _, fault := range rowFaults(row, tests) {
			t.Errorf("docs/security.md: %s: %s", row, fault)
		}
	}
}

// testsByFolder lists the tests and fuzz targets of each folder.
func testsByFolder(t *testing.T) map[string][]string {
	t.Helper()
	list := map[string][]string{}
	for _, file := range files(t, "_test.go") {
		dir := filepath.Dir(file)
		list[dir] = append(list[dir], found(regexp.MustCompile(`\nfunc ((?:Test|Fuzz)\w+)\(`), read(t, file))...)
	}
	return list
}

// threats are the rows of the table that begins with "| threat |"; the rows that are
// headings have no other cell.
func threats(text string) (rows []string) {
	inTable := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case !strings.HasPrefix(line, "|"):
			inTable = false
		case strings.HasPrefix(line, "| threat |"):
			inTable = true
		case inTable && !strings.HasPrefix(line, "|---") && !strings.HasSuffix(line, "| | |"):
			rows = append(rows, line)
		}
	}
	return rows
}

// rowFaults looks at the last cell of a row: folders, each with its tests behind it, and
// files, all of them in backquotes.
func rowFaults(row string, tests map[string][]string) (faults []string) {
	say := func(what, name string) { faults = append(faults, fmt.Sprintf("%s: %s", what, name)) }
	cells := strings.Split(strings.Trim(row, "|"), "|")
	last := cells[len(cells)-1]
	quoted := regexp.MustCompile("`([^`]*)`")
	folder, proofs := "", 0
	for _, m := range quoted.FindAllStringSubmatch(last, -1) {
		name := m[1]
		if regexp.MustCompile(`^(Test|Fuzz)\w*$`).MatchString(name) {
			proofs++
			if !slices.Contains(tests[folder], name) {
				say("no such test in "+folder, name)
			}
			continue
		}
		info, err := os.Stat(filepath.Join(root, name))
		switch {
		case err != nil:
			say("no such file", name)
		case info.IsDir():
			folder = name
		default:
			folder = ""
			proofs++
		}
	}
	if proofs == 0 {
		say("no test", row)
	}
	if rest := strings.Trim(quoted.ReplaceAllString(last, ""), " ,:;"); strings.ContainsFunc(rest, func(r rune) bool { return !strings.ContainsRune(" ,:;", r) }) {
		say("stands outside of backquotes", rest)
	}
	return faults
}

// TestExceptionsAreTested: each file that tests/gosec.json passes over is there, and each
// test that a reason goes by.
func TestExceptionsAreTested(t *testing.T) {
	var conf struct {
		Rules []struct{ Path, Reason string } `json:"exclude-rules"`
	}
	if err := json.Unmarshal([]byte(read(t, "tests/gosec.json")), &conf); err != nil || len(conf.Rules) < 10 {
		t.Fatalf("%d exceptions, %v", len(conf.Rules), err)
	}
	tests := slices.Concat(slices.Collect(maps.Values(testsByFolder(t)))...)
	sources := files(t, ".go")
	choice := regexp.MustCompile(`\(([^()]*)\)`) // of files, in a path
	for _, rule := range conf.Rules {
		paths := []string{rule.Path}
		if m := choice.FindStringSubmatch(rule.Path); m != nil {
			paths = nil
			for each := range strings.SplitSeq(m[1], "|") {
				paths = append(paths, strings.Replace(rule.Path, m[0], each, 1))
			}
		}
		for _, path := range paths {
			is := regexp.MustCompile(path)
			if !slices.ContainsFunc(sources, func(file string) bool { return is.MatchString("/" + file) }) {
				t.Errorf("tests/gosec.json: %s is not there", path)
			}
		}
		for _, name := range regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w*`).FindAllString(rule.Reason, -1) {
			if !slices.Contains(tests, name) {
				t.Errorf("tests/gosec.json: no test %s", name)
			}
		}
	}
}
