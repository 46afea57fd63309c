package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDocumentedCommands: the commands and flags that the documents name are there.
func TestDocumentedCommands(t *testing.T) {
	var files []string
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if name := d.Name(); err == nil && d.IsDir() && (name == ".git" || name == "bin" || name == "run") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".md") {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	// In backquotes, or on a line of its own in an indented block.
	line := regexp.MustCompile("(?m)`o2n-milter ([^`]+)`|^    o2n-milter (.+)$")
	found := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range line.FindAllStringSubmatch(string(text), -1) {
			found++
			if fault := unknownCommand(strings.Fields(m[1] + m[2])); fault != "" {
				t.Errorf("%s: %s: %s", file, m[0], fault)
			}
		}
	}
	if found < 50 {
		t.Errorf("only %d commands found", found)
	}
}

// unknownCommand says what of a command line is not known; empty when all is.
func unknownCommand(words []string) string {
	root := (&app{}).rootCommand()
	root.InitDefaultCompletionCmd()
	c, rest, err := root.Find(words)
	if err != nil {
		return err.Error()
	}
	c.InheritedFlags() // adds those of its parents
	c.InitDefaultHelpFlag()
	for _, w := range rest {
		name, is := strings.CutPrefix(w, "--")
		if is && c.Flags().Lookup(name) == nil {
			return "flag " + w
		}
		if !is && c.HasSubCommands() && w == strings.ToLower(w) {
			return "command " + w
		}
	}
	return ""
}

func TestUnknownCommand(t *testing.T) {
	for line, want := range map[string]string{
		"block add SUBJECT --for 4h --json": "",
		"block":                             "",
		"block add SUBJECT --until 4h":      "flag --until",
		"block remove ID":                   "command remove",
		"blok add":                          `unknown command "blok" for "o2n-milter"`,
	} {
		if got := unknownCommand(strings.Fields(line)); !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
}
