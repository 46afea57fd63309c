package main

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const root = "../../.."

// TestNothingIsLeftOut: whatever has a long form is in a part, and so is each fuzz target.
func TestNothingIsLeftOut(t *testing.T) {
	var folders []string
	targets := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		targets += strings.Count(string(text), "\nfunc Fuzz")
		if dir, _ := filepath.Rel(root, filepath.Dir(path)); strings.Contains(string(text), "\"o2n-milter/tests/campaign\"\n") {
			folders = append(folders, dir)
		}
		return err
	})
	if err != nil || len(folders) < 10 {
		t.Fatalf("%v, %v", folders, err)
	}
	for _, dir := range slices.Compact(folders) {
		if !slices.ContainsFunc(parts, func(p part) bool { return p.tries(dir) }) {
			t.Errorf("no part runs the tests of %s", dir)
		}
	}
	list, err := partsOf(root, time.Second)
	if fuzzed := len(list) - len(parts); err != nil || fuzzed != targets || fuzzed < 40 {
		t.Errorf("%d of %d fuzz targets are parts, %v", fuzzed, targets, err)
	}
}

// tries says whether the command names the folder, or one above it with all below.
func (p part) tries(dir string) bool {
	return slices.ContainsFunc(p.command, func(arg string) bool {
		above, all := strings.CutSuffix(arg, "/...")
		return arg == "./"+dir || all && strings.HasPrefix("./"+dir+"/", above+"/")
	})
}

func TestFoldersAreThere(t *testing.T) {
	for _, p := range parts {
		if _, err := os.Stat(filepath.Join(root, p.folder)); err != nil {
			t.Errorf("%s: %v", p.name, err)
		}
	}
}

func TestRead(t *testing.T) {
	t.Setenv("CI", "")
	tests := part{command: []string{"go"}}
	for _, c := range []struct {
		what string
		part part
		out  string
		want result
	}{
		{"all passed", tests, "--- PASS: TestA (0.1s)\n    --- PASS: TestA/b (0.1s)\nok\n", result{passed: 2}},
		{"one failed", tests, "--- PASS: TestA (0.1s)\n--- FAIL: TestB (0.1s)\n", result{passed: 1, failed: 1, fault: "TestB"}},
		{"skipped", tests, "    a_test.go:7: SKIPPED: root is missing\n--- SKIP: TestRoot (0.0s)\n    b_test.go:8: SKIPPED: root is missing\n--- SKIP: TestB (0.0s)\n", result{skipped: []string{"root is missing"}}},
		{"for another place", tests, "    a_test.go:7: runs in-process\n--- SKIP: TestKill (0.0s)\n--- PASS: TestA (0.1s)\n", result{passed: 1}},
		{"nothing there", tests, "ok  \to2n-milter/x [no tests to run]\n", result{fault: "no test ran"}},
		{"no database", part{command: []string{"make"}}, "== SKIPPED: no network\n", result{skipped: []string{"no network"}}},
		{"fuzzed", part{fuzz: true, command: []string{"go"}}, "fuzz: elapsed: 0s, gathering baseline coverage: 0/7 completed\nfuzz: elapsed: 0s, execs: 1 (2/sec), new interesting: 0 (total: 7)\nfuzz: elapsed: 5s, execs: 1208 (69/sec), new interesting: 3 (total: 207)\nPASS\n",
			result{fuzzed: fuzzed{1208, 3, 207}}},
		{"no such target", part{fuzz: true, command: []string{"go"}}, "ok  \to2n-milter/x [no tests to run]\n", result{fault: "nothing was fuzzed"}},
	} {
		c.want.part = c.part
		if diff := cmp.Diff(c.want, c.part.read([]byte(c.out)), cmp.AllowUnexported(result{}, part{}, fuzzed{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.what, diff)
		}
	}
	t.Setenv("CI", "true")
	if r := tests.read([]byte("    a_test.go:7: SKIPPED: root is missing\n--- SKIP: TestRoot (0.0s)\n")); r.fault == "" {
		t.Error("CI=true takes a test that was skipped")
	}
}

func TestRunEndsAPart(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.MkdirAll(logs, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		part part
		want string
	}{
		{part{name: "too long", folder: ".", command: []string{"sleep", "60"}, most: 50 * time.Millisecond}, "did not end within 50ms; see bin/campaign/too-long.log"},
		{part{name: "fails", folder: ".", command: []string{"sh", "-c", "echo '--- PASS: TestA'; exit 3"}, most: time.Minute}, "exit status 3; see bin/campaign/fails.log"},
		{part{name: "gone", folder: "nowhere", command: []string{"true"}, most: time.Minute}, "nowhere is not there"},
		{part{name: "short", folder: ".", command: []string{"sh", "-c", "echo \"--- PASS: :$O2N_CAMPAIGN$O2N_CAMPAIGN_TALLY:\" | grep '::'"}, most: time.Minute, short: true}, ""},
		{part{name: "works", folder: ".", command: []string{"sh", "-c", "echo --- PASS: $O2N_CAMPAIGN $O2N_CAMPAIGN_TALLY | grep 'PASS: long tally'"}, most: time.Minute}, ""},
	} {
		if r := c.part.run(t.Context(), "tally"); r.fault != c.want {
			t.Errorf("%s: %q; want %q", c.part.name, r.fault, c.want)
		}
	}
}

// TestInterrupted: what did not run any more is said, with what came of the rest.
func TestInterrupted(t *testing.T) {
	t.Chdir(t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r, err := runAll(ctx, []part{{name: "a", folder: ".", command: []string{"true"}, most: time.Minute}, {name: "b", folder: "."}})
	if err != nil || len(r.parts) != 2 || r.parts[0].fault != "did not run" || r.parts[1].fault != "did not run" {
		t.Errorf("%+v, %v", r.parts, err)
	}
}

func TestTally(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tally")
	for text, want := range map[string][]count{
		"web\tforms\t1000\t0\nbypass\tFrom\t3\t0\nweb\tforms\t500\t1\nweb\tlinks\t2\t0\n": {{"bypass", "From", 3, 0}, {"web", "forms", 1500, 1}, {"web", "links", 2, 0}},
		"web\tforms\t1000\n":    nil,
		"web\tforms\tmany\t0\n": nil,
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := readTally(file)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(count{})); diff != "" || (err == nil) != (want != nil) {
			t.Errorf("%q: %v (-want +got):\n%s", text, err, diff)
		}
	}
}

// TestTell: what failed is named, in whatever table it stands.
func TestTell(t *testing.T) {
	t.Chdir(t.TempDir())
	r := results{
		parts: []result{{part: part{name: "soak"}, passed: 1}, {part: part{name: "fuzz x FuzzA", folder: "x", fuzz: true}, fault: "crash", fuzzed: fuzzed{1000, 1, 20}}},
		tally: []count{{"web", "forms", 1500, 1}},
	}
	text, bad := r.tell(time.Minute)
	if diff := cmp.Diff([]string{"web", "fuzz x FuzzA"}, bad); diff != "" {
		t.Errorf("bad (-want +got):\n%s", diff)
	}
	for _, line := range []string{"| web | forms | 1,500 | 1,499 | 1 |", "| soak | 0s | 1 |  | held |", "| x | 1 | 0s | 1,000 | 20 | 1 | fuzz x FuzzA: crash |"} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no %q in:\n%s", line, text)
		}
	}
}

func TestCover(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cover")
	profile := "mode: set\no2n-milter/rules/a.go:1.2,3.4 3 0\no2n-milter/rules/a.go:5.2,6.4 1 0\no2n-milter/rules/a.go:1.2,3.4 3 1\no2n-milter/state/b.go:1.1,2.2 2 7\n"
	if err := os.WriteFile(file, []byte(profile), 0o600); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := tellCover(&b, file); err != nil {
		t.Fatal(err)
	}
	if _, rows, _ := strings.Cut(b.String(), "--:|\n"); rows != "| rules | 4 | 75.0 % |\n| state | 2 | 100.0 % |\n" {
		t.Errorf("%s", rows)
	}
}
