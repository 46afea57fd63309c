package house

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// installed skips, by its name, a test whose program is not there.
func installed(t *testing.T, program, pkg string) {
	t.Helper()
	_, err := exec.LookPath(program)
	switch {
	case err != nil && os.Getenv("CI") == "true":
		t.Fatalf("%s is missing (package %s)", program, pkg)
	case err != nil:
		t.Skipf("SKIPPED: %s is missing (package %s)", program, pkg)
	}
}

// said runs a program and gives what it complains of; the page itself goes nowhere.
func said(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	if err := cmd.Run(); err != nil {
		t.Errorf("%s %q: %v", name, args, err)
	}
	return errOut.String()
}

// made are the pages that "make man" makes, with a zone of the one who makes them.
func made(t *testing.T, zone string) []string {
	t.Helper()
	installed(t, "make", "make")
	installed(t, "pod2man", "perl")
	dir := t.TempDir()
	if text := said(t, []string{"TZ=" + zone}, "make", "-s", "-C", root, "man", "MAN_DIR="+dir, "VERSION=1.2.3", "SOURCE_DATE_EPOCH=1764000000"); text != "" {
		t.Errorf("make man: %s", text)
	}
	pages, err := filepath.Glob(filepath.Join(dir, "o2n-milter*"))
	if err != nil || len(pages) != 2 {
		t.Fatalf("%v, %v", pages, err)
	}
	return pages
}

// TestManualsAreTheSame: the day, the zone and the folder in which they are made make no
// difference, and the date and the version are the commit's.
func TestManualsAreTheSame(t *testing.T) {
	first, second := made(t, "Pacific/Kiritimati"), made(t, "America/Los_Angeles")
	for i, page := range first {
		a, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(second[i])
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs from %s", page, second[i])
		}
		if !strings.Contains(string(a), `"2025-11-24" "1.2.3" "o2n-milter"`) {
			t.Errorf("%s: neither date nor version", page)
		}
	}
}

// TestManualsAreSound: no program that reads them has anything to say.
func TestManualsAreSound(t *testing.T) {
	pages := made(t, "UTC")
	for _, pod := range manuals(t) {
		t.Run(filepath.Base(pod), func(t *testing.T) {
			installed(t, "podchecker", "perl")
			if text := said(t, nil, "podchecker", "-warnings", filepath.Join(root, pod)); !strings.HasSuffix(text, "pod syntax OK.\n") || strings.Count(text, "\n") > 1 {
				t.Errorf("podchecker: %s", text)
			}
		})
	}
	for _, page := range pages {
		for program, args := range map[string][]string{
			"groff":   {"-man", "-ww", "-k", "-Tutf8", "-z", page},
			"man":     {"--warnings", "-E", "UTF-8", "-l", page},
			"lexgrog": {page}, // what apropos(1) finds it by
		} {
			t.Run(filepath.Base(page)+"/"+program, func(t *testing.T) {
				installed(t, program, map[string]string{"groff": "groff", "man": "man-db", "lexgrog": "man-db"}[program])
				if text := said(t, []string{"MANWIDTH=80", "LC_ALL=C.UTF-8"}, program, args...); text != "" {
					t.Errorf("%s", text)
				}
			})
		}
	}
}
