package config

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// source is one file, read and decoded, unchecked.
type source struct {
	name    string // as faults name it
	dir     string // absolute; relative paths in the file start here
	entries []entry
	sum     [sha256.Size]byte // of its bytes
}

// entry is one key or table header, in document order.
type entry struct {
	path []string
	mark
	value any // a map for a table
}

// readSource reads one file. The fault is about the file as a whole or its syntax.
func readSource(name string) (source, *Fault) {
	abs, err := filepath.Abs(name)
	if err != nil {
		return source{}, fileFault(name, err)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return source{}, fileFault(name, err)
	}
	src := source{name: name, dir: filepath.Dir(abs), sum: sha256.Sum256(data)}
	var fault *Fault
	src.entries, fault = parse(name, string(data))
	return src, fault
}

func fileFault(name string, err error) *Fault {
	return &Fault{File: name, Key: keyFile, Problem: fileProblem(err).Error(), Want: "a file of TOML"}
}

// parse decodes a document and finds the place of each of its keys.
func parse(name, doc string) ([]entry, *Fault) {
	if bad := firstBadByte(doc); bad >= 0 {
		// The library has these too, but for some of them at another line.
		return nil, syntaxFault(name, lineAt(doc, bad), fmt.Sprintf("the byte 0x%02x is no UTF-8 text", doc[bad]))
	}
	var root map[string]any
	md, err := toml.Decode(doc, &root)
	if err != nil {
		return nil, syntaxFault(name, errorLine(doc, err), errorText(err))
	}
	keys, at := md.Keys(), marks(doc)
	if len(keys) != len(at) {
		// Never seen; better said than a wrong line.
		return nil, syntaxFault(name, 1, fmt.Sprintf("%d keys stand in %d places", len(keys), len(at)))
	}
	entries := make([]entry, len(keys))
	for i, k := range keys {
		entries[i] = entry{path: k, mark: at[i], value: lookUp(root, k)}
	}
	return entries, nil
}

func syntaxFault(name string, line int, problem string) *Fault {
	return &Fault{File: name, Line: line, Key: keySyntax, Problem: problem, Want: "TOML"}
}

// firstBadByte is the offset of the first NUL or byte outside UTF-8, -1 for none.
func firstBadByte(doc string) int {
	for i, r := range doc {
		if r == 0 {
			return i
		}
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(doc[i:]); size == 1 {
				return i
			}
		}
	}
	return -1
}

func lineAt(doc string, offset int) int {
	return 1 + strings.Count(doc[:min(max(offset, 0), len(doc))], "\n")
}

// errorLine is where the library stopped. When it stopped at the end of a line
// it counts that line as read already; the earlier of the two is meant.
func errorLine(doc string, err error) int {
	var parse toml.ParseError
	if !errors.As(err, &parse) {
		return 1
	}
	text := strings.TrimPrefix(doc, "\ufeff")
	line := min(parse.Position.Line, lineAt(text, parse.Position.Start))
	return min(max(line, 1), lineAt(text, len(text)))
}

// errorText is the library's message on one line of printable text.
func errorText(err error) string {
	text := err.Error()
	var parse toml.ParseError
	if errors.As(err, &parse) {
		text = parse.Message
	}
	text = strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	return strings.TrimRight(text, ". ")
}

// lookUp follows a path through tables; nil inside arrays, whose keys are not
// looked at one by one.
func lookUp(root map[string]any, path []string) any {
	var v any = root
	for _, name := range path {
		table, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = table[name]
	}
	return v
}

// keyString writes a path as in TOML, foreign bytes quoted.
func keyString(path []string) string {
	parts := make([]string, len(path))
	for i, p := range path {
		if p == "" || strings.ContainsFunc(p, notBare) {
			p = strconv.QuoteToGraphic(p)
		}
		parts[i] = p
	}
	return strings.Join(parts, ".")
}

func notBare(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-'
}
