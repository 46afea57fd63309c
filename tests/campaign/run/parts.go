package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// part is one of what a campaign is made of.
type part struct {
	name string
	// folder is what it tries; without it the part is missing.
	folder  string
	command []string
	// most is how long it may take: some times what it takes on a machine that does nothing else.
	most  time.Duration
	fuzz  bool
	short bool // as the ordinary tests, not in full
}

// isolated runs tests in a network of their own, with this tag, of these packages.
func isolated(tag, more string, folders ...string) []string {
	args := []string{"tests/isolated", "go", "test", "-count=1", "-v", "-timeout=30m", "-tags=" + tag}
	args = append(args, strings.Fields(more)...)
	return append(args, folders...)
}

// covered are the packages whose statements are counted.
const covered = "o2n-milter/milter/...,o2n-milter/message/...,o2n-milter/rules/...,o2n-milter/state/..."

// profile is where Go says which statements were run.
const profile = logs + "/cover"

// parts are those that are no fuzz targets. What takes longest comes first.
var parts = []part{
	{name: "soak", folder: "tests/soak", most: 20 * time.Minute,
		command: append([]string{"env", "SOAK=5m"}, isolated("mta", "", "./tests/soak")...)},
	{name: "faults of disks, stores and processes", folder: "tests/faults", most: 20 * time.Minute,
		command: append([]string{"env", "FAULTS=long"}, isolated("mta", "", "./tests/faults")...)},
	{name: "stores that are killed, damaged and filled", folder: "state/badgerdb", most: 20 * time.Minute,
		command: strings.Fields("go test -count=1 -v -timeout=30m ./state/...")},
	{name: "rules, milter and messages", folder: "rules", most: 20 * time.Minute,
		command: strings.Fields("go test -count=1 -v -timeout=30m ./milter/... ./message/... ./rules/... ./tests")},
	{name: "ways round the rules", folder: "tests/bypass", most: 20 * time.Minute, command: isolated("browser", "", "./tests/bypass")},
	{name: "the filter among people, faults and restarts, simulated", folder: "tests/simulation", most: 20 * time.Minute,
		command: strings.Fields("go test -count=1 -v -timeout=30m ./tests/simulation")},
	{name: "dialogues of the milter protocol and of SMTP", folder: "tests/dialogs", most: 20 * time.Minute, command: isolated("mta", "", "./tests/dialogs")},
	{name: "hostile peers, and mail that is meant to be dear", folder: "tests/peers", most: 20 * time.Minute, command: isolated("none", "", "./tests/peers")},
	{name: "large mail through Postfix", folder: "tests/bombs", most: 20 * time.Minute, command: isolated("mta", "", "./tests/bombs")},
	{name: "attacks on the pages", folder: "tests/web", most: 20 * time.Minute,
		command: isolated("none", "-run=Attack", "./web/...", "./tests/web")},
	{name: "attacks on the pages in a browser", folder: "tests/browser", most: 20 * time.Minute, command: isolated("browser", "-run=Attack", "./tests/browser")},
	{name: "which statements the ordinary tests run", folder: "tests", most: 20 * time.Minute, short: true,
		command: strings.Fields("go test -count=1 -v -timeout=30m -coverpkg=" + covered + " -coverprofile=" + profile + " ./milter/... ./message/... ./rules/... ./state/... ./tests")},
	{name: "gosec", folder: "tests/gosec.json", most: 10 * time.Minute, command: []string{"make", "--no-print-directory", "gosec"}},
	{name: "govulncheck", folder: "tests/govulncheck", most: 10 * time.Minute, command: []string{"make", "--no-print-directory", "govulncheck"}},
}

// partsOf are all parts of the tree at root, each fuzz target for so long.
func partsOf(root string, fuzz time.Duration) ([]part, error) {
	list := parts[:len(parts):len(parts)]
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		targets, err := targetsOf(path)
		for _, target := range targets {
			list = append(list, fuzzing(filepath.Dir(path), target, fuzz))
		}
		return err
	})
	return list, err
}

var fuzzTarget = regexp.MustCompile(`(?m)^func (Fuzz[A-Za-z0-9_]*)\(`)

func targetsOf(file string) ([]string, error) {
	text, err := os.ReadFile(file)
	var list []string
	for _, m := range fuzzTarget.FindAllSubmatch(text, -1) {
		list = append(list, string(m[1]))
	}
	return list, err
}

// fuzzing is the part of one fuzz target. What it finds goes to testdata, as always.
func fuzzing(dir, target string, long time.Duration) part {
	return part{name: "fuzz " + dir + " " + target, folder: dir, fuzz: true, most: long + 4*time.Minute, // building takes most of it
		command: []string{"go", "test", "./" + dir, "-run=^$", "-fuzz=^" + target + "$", fmt.Sprintf("-fuzztime=%v", long), "-fuzzminimizetime=1x"}}
}
