package desk

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// recipe is the program of this language in docs/customer-area.md.
func recipe(t *testing.T, language string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/customer-area.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)```" + language + "\n(.*?)```").FindSubmatch(text)
	if found == nil {
		t.Fatalf("no %s in docs/customer-area.md", language)
	}
	if n := strings.Count(string(found[1]), "\n"); n > 12 {
		t.Errorf("%d lines of %s; a recipe is short", n, language)
	}
	return string(found[1])
}

// TestRecipes: links that the documented programs make open with the same key
// file, whatever form it has.
func TestRecipes(t *testing.T) {
	keys := map[string]string{
		"hex":     strings.Repeat("0aF9", 16) + "\n",
		"longer":  strings.Repeat("0a", 40) + "\r\n",
		"odd hex": strings.Repeat("a", 65),
		"63 hex":  strings.Repeat("a", 63) + "\n",
		"raw":     strings.Repeat("\xffk\n\x00", 10) + "k\n\n",
	}
	for _, c := range []struct{ language, program, before, call string }{
		{"python", "python3", "", "import sys; print(customer_link(*sys.argv[1:]))"},
		{"php", "php", "<?php ", "echo customer_link($argv[1], $argv[2], $argv[3]);"},
	} {
		t.Run(c.language, func(t *testing.T) {
			program, err := exec.LookPath(c.program)
			if err != nil {
				if os.Getenv("CI") == "true" {
					t.Fatalf("%s is missing: tests/install installs it", c.program)
				}
				t.Skipf("SKIPPED: no %s here; the recipe in docs/customer-area.md is not tried", c.program)
			}
			file := filepath.Join(t.TempDir(), "recipe")
			if err := os.WriteFile(file, []byte(c.before+recipe(t, c.language)+c.call), 0o600); err != nil {
				t.Fatal(err)
			}
			for name, key := range keys {
				tryRecipe(t, name, key, []string{program, file})
			}
		})
	}
}

func tryRecipe(t *testing.T, name, content string, command []string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "link.key")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	const account = "zo\u00eb+x@client-a.example"
	out, err := exec.Command(command[0], append(command[1:], account, file, "https://sending.example")...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	token, ok := strings.CutPrefix(strings.TrimSpace(string(out)), "https://sending.example/c/")
	if !ok {
		t.Fatalf("%s: printed %s", name, out)
	}
	key, err := ParseKey([]byte(content))
	if err != nil {
		t.Fatal(err)
	}
	links, err := NewLinks(key)
	if err != nil {
		t.Fatal(err)
	}
	got, scope, err := links.Open(token, time.Now())
	if got != account || scope != ScopeFull || err != nil {
		t.Errorf("%s: %q, %v, %v", name, got, scope, err)
	}
	if _, _, err = links.Open(token, time.Now().Add(time.Hour+time.Second)); err == nil {
		t.Errorf("%s: good for more than an hour", name)
	}
}
