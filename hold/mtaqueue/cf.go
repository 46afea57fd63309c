package mtaqueue

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// folder is a queue folder of Sendmail's. Control files (qf, hf), bodies (df) and
// transcripts (xf) are in folders of their own below it where those exist.
type folder struct{ control, data, transcript string }

// cf is Sendmail's configuration file, from which the queue folders are taken each
// time: it may change, and with * so may the folders. To miss one would make its
// mail look sent.
type cf struct {
	path string

	mu       sync.Mutex
	read     fs.FileInfo // of the file that patterns are from; nil before
	patterns []string
}

// folders are those that there are now.
func (c *cf) folders() ([]folder, error) {
	patterns, err := c.current()
	if err != nil {
		return nil, err
	}
	var dirs []folder
	for _, pattern := range patterns {
		found, err := expand(pattern)
		if err != nil {
			return nil, fmt.Errorf("%s: queue folder %s: %w", c.path, pattern, err)
		}
		for _, dir := range found {
			dirs = append(dirs, folder{control: below(dir, "qf"), data: below(dir, "df"), transcript: below(dir, "xf")})
		}
	}
	if len(dirs) == 0 {
		return nil, fmt.Errorf("%s: no queue folder exists of %s", c.path, strings.Join(patterns, ", "))
	}
	return dirs, nil
}

// current reads the file again when it is another one, or was written.
func (c *cf) current() ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	file, err := os.Open(c.path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if c.read != nil && os.SameFile(c.read, info) && c.read.Size() == info.Size() && c.read.ModTime().Equal(info.ModTime()) {
		return c.patterns, nil
	}
	patterns, err := queuePatterns(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.path, err)
	}
	c.read, c.patterns = info, patterns
	return patterns, nil
}

// below is the part of a queue folder that is a folder of its own, or all of it.
func below(dir, part string) string {
	path := filepath.Join(dir, part)
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return path
	}
	return dir
}

// queuePatterns finds "O QueueDirectory=PATH" (OQPATH in old files; the last one
// counts) and the paths of queue groups, "Qname, Path=PATH, ...".
func queuePatterns(r io.Reader) ([]string, error) {
	var main string
	var groups []string
	in := bufio.NewScanner(r)
	for in.Scan() {
		line := in.Text()
		switch path := pathOption(line); {
		case path != "":
			main = path
		case strings.HasPrefix(line, "Q"):
			if path := groupPath(line); path != "" {
				groups = append(groups, path)
			}
		}
	}
	if err := in.Err(); err != nil {
		return nil, err
	}
	all := append(groups, main)
	slices.Sort(all)
	all = slices.Compact(all)
	for _, path := range all {
		// A macro would need Sendmail to expand it.
		if !filepath.IsAbs(path) || strings.ContainsAny(path, "$") {
			return nil, fmt.Errorf("queue folder %q; want QueueDirectory and Path= to be paths", path)
		}
	}
	return all, nil
}

func pathOption(line string) string {
	if rest, ok := strings.CutPrefix(line, "OQ"); ok {
		return strings.TrimSpace(rest)
	}
	rest, ok := strings.CutPrefix(line, "O ")
	if !ok {
		return ""
	}
	name, value, _ := strings.Cut(rest, "=")
	if !strings.EqualFold(strings.TrimSpace(name), "QueueDirectory") {
		return ""
	}
	return strings.TrimSpace(value)
}

// groupPath is a queue group's Path=, or P=: the first letter counts.
func groupPath(line string) string {
	_, equates, _ := strings.Cut(line, ",")
	for equate := range strings.SplitSeq(equates, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(equate), "=")
		if strings.HasPrefix(name, "P") {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// expand gives the folders that a path means: with a * at its end all those whose
// name begins so.
func expand(pattern string) ([]string, error) {
	start, is := strings.CutSuffix(pattern, "*")
	if !is {
		_, err := os.Stat(pattern)
		return []string{pattern}, err
	}
	parent, prefix := filepath.Split(start)
	entries, err := os.ReadDir(parent)
	if err != nil {
		return nil, err
	}
	var dirs []string
	for _, e := range entries {
		path := filepath.Join(parent, e.Name())
		if !strings.HasPrefix(e.Name(), prefix) || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if info, err := os.Stat(path); err == nil && info.IsDir() { // a link to one will do
			dirs = append(dirs, path)
		}
	}
	return dirs, nil
}
