//go:build nspawn

package pkgtest

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
)

var transcript = flag.String("transcript", "", "file that becomes the transcript of the tests")

const heading = `# The package, tried

What the tests of the package do (` + "`make test-package`" + `), and what they see: written by them, each command with what it printed. Each
system is a fresh Debian with its mail server, where an operator has made logins (at client-a.example) and relays all mail; systemd is
its first process, and it has no network but loopback.
`

// told are the chapters of this run, in the order of the tests.
var told struct {
	mu       sync.Mutex
	chapters []*chapter
}

// chapter is what happens in one machine.
type chapter struct{ text strings.Builder }

func newChapter(title string) *chapter {
	c := &chapter{}
	fmt.Fprintf(&c.text, "\n## %s\n", title)
	told.mu.Lock()
	defer told.mu.Unlock()
	told.chapters = append(told.chapters, c)
	return c
}

func (c *chapter) section(title, words string) {
	fmt.Fprintf(&c.text, "\n### %s\n", title)
	if words != "" {
		fmt.Fprintf(&c.text, "%s\n", words)
	}
}

// longest output that is told whole, in lines; of more the middle is left out.
const longest = 24

func (c *chapter) command(line, output string, code int) {
	lines := strings.Split(output, "\n")
	if left := len(lines) - longest; left > 0 {
		lines = append(append(lines[:longest/2:longest/2], fmt.Sprintf("[... %d lines]", left)), lines[len(lines)-longest/2:]...)
	}
	fmt.Fprintf(&c.text, "\n```console\n# %s\n", line)
	for _, l := range lines {
		if l = strings.TrimRight(l, " \t\r"); l != "" {
			fmt.Fprintln(&c.text, l)
		}
	}
	if code != 0 {
		fmt.Fprintf(&c.text, "(exit code %d)\n", code)
	}
	fmt.Fprint(&c.text, "```\n")
}

// table is what was measured, as rows of what and how much.
func (c *chapter) table(rows ...[2]string) {
	fmt.Fprint(&c.text, "\n| | |\n|---|---|\n")
	for _, row := range rows {
		fmt.Fprintf(&c.text, "| %s | %s |\n", row[0], row[1])
	}
}

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if *transcript != "" {
		text := heading
		for _, c := range told.chapters {
			text += c.text.String()
		}
		if err := os.WriteFile(*transcript, []byte(text), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}
