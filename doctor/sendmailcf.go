package doctor

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// Sendmail is what a .cf file says of milters.
type Sendmail struct {
	path    string
	filters map[string]filter   // X lines by name
	order   []string            // O InputMailFilters
	daemons []map[string]string // O DaemonPortOptions, by the first letter of each name
	host    string              // D{MTAHost}: where the submission program hands over
	envfrom string              // O Milter.macros.envfrom; empty: not set
}

// filter is an X line, its equates by their first letter, which is all that counts.
type filter struct {
	name    string
	equates map[string]string
}

// maxCFLine bounds a logical line: Sendmail's own is 2 kB for most (MAXLINE).
const maxCFLine = 64 << 10

// ReadSendmail reads a .cf file. Path is for people.
func ReadSendmail(path string, r io.Reader) (*Sendmail, error) {
	s := &Sendmail{path: path, filters: map[string]filter{}}
	in := bufio.NewScanner(r)
	in.Buffer(nil, maxCFLine)
	line := ""
	for in.Scan() {
		// A line that begins with white space goes on with the one before.
		if next := in.Text(); next != "" && strings.ContainsRune(" \t", rune(next[0])) && len(line) < maxCFLine {
			line += " " + strings.TrimSpace(next)
			continue
		}
		s.take(line)
		line = in.Text()
	}
	s.take(line)
	if err := in.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

func (s *Sendmail) take(line string) {
	switch {
	case strings.HasPrefix(line, "X"):
		name, rest, _ := strings.Cut(line[1:], ",")
		name = strings.TrimSpace(name)
		s.filters[name] = filter{name: name, equates: equates(rest)}
	case strings.HasPrefix(line, "O "):
		name, value, _ := strings.Cut(line[2:], "=")
		s.option(strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value))
	case strings.HasPrefix(line, "D{MTAHost}"):
		s.host = strings.TrimSpace(strings.TrimPrefix(line, "D{MTAHost}"))
	}
}

func (s *Sendmail) option(name, value string) {
	switch name {
	case "inputmailfilters":
		s.order = words(value)
	case "daemonportoptions":
		s.daemons = append(s.daemons, equates(value))
	case "milter.macros.envfrom":
		s.envfrom = value
	}
}

// equates reads "Name=value, ..." by the first letter of the names, as Sendmail does.
func equates(text string) map[string]string {
	all := map[string]string{}
	for equate := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(equate, "=")
		if name = strings.TrimSpace(name); ok && name != "" {
			all[name[:1]] = strings.TrimSpace(value)
		}
	}
	return all
}

// words splits at commas, semicolons and spaces.
func words(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(",; \t", r) })
}

// times reads T=S:30s;R:30s;E:5m by their letters.
func times(text string) map[string]string {
	all := map[string]string{}
	for part := range strings.SplitSeq(text, ";") {
		if letter, value, ok := strings.Cut(strings.TrimSpace(part), ":"); ok {
			all[strings.TrimSpace(letter)] = strings.TrimSpace(value)
		}
	}
	return all
}
