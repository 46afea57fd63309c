package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"
)

func TestMarks(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string // "line key"
	}{
		{"plain", "a = 1\n\n# a comment = 2\nb = 2", []string{"1 a", "4 b"}},
		{"headers", "[a] # [x]\n\n[ b . \"c]\" ] # ' \"\nd = 1\n", []string{"1 a", "3 b.\"c]\"", "4 b.\"c]\".d"}},
		{"dotted and quoted keys", "a.'=#'.\"\\\"=\" = 1\n'' = 2\n", []string{`1 a."=#"."\"="`, `2 ""`}},
		{"carriage returns", "a = 1\r\n\r\nb = 2\r\n", []string{"1 a", "3 b"}},
		{"byte order mark", "\ufeffa = 1\nb = 1\n", []string{"1 a", "2 b"}},
		{"strings", `a = "x\"#]="` + "\nb = 'C:\\'\nc = ''\nd = \"\"\ne = 1\n", []string{"1 a", "2 b", "3 c", "4 d", "5 e"}},
		{"long strings", "a = \"\"\"\nb = 1\n\\\"\"\" x \\\\\"\"\"\nc = '''\nd = 2\\'''\ne = \"\"\"x\"\"\"\"\"\nf = ''''a'''''\ng = \"\"\"\"\"\"\nh=1",
			[]string{"1 a", "4 c", "6 e", "7 f", "8 g", "9 h"}},
		{"arrays", "a = [\n 1, # ]\n [2,\n 3],\n \"]\", ]\nb = []\nc = [[],[]]\nd=1", []string{"1 a 2 3 5", "6 b", "7 c 7 7", "8 d"}},
		{"inline tables", "a = { b = 1, c.d = [\n1\n], e = {f=2} }\ng = {}\nh = {\n  i = 1, # }\n  j = 2,\n}\nk = 1",
			[]string{"1 a", "1 a.b", "1 a.c.d 2", "3 a.e", "3 a.e.f", "4 g", "5 h", "6 h.i", "7 h.j", "9 k"}},
		{"arrays of tables", "[[a]]\nb = 1\n[[a]]\nb = 1\n[a.c]\nd = [{e=1},\n{e=2}]",
			[]string{"1 a", "2 a.b", "3 a", "4 a.b", "5 a.c", "6 a.c.d 6 7", "6 a.c.d.e", "7 a.c.d.e"}},
		{"dates and numbers", "a = 1979-05-27 07:32:00\nb = [ 1979-05-27 07:32:00, -inf ]\nc = 0x1F # x\nd = true", []string{"1 a", "2 b 2 2", "3 c", "4 d"}},
		{"nothing", " \n# x", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var root map[string]any
			md, err := toml.Decode(c.text, &root)
			if err != nil {
				t.Fatal(err)
			}
			found := marks(c.text)
			if len(found) != len(md.Keys()) {
				t.Fatalf("%d marks, %d keys", len(found), len(md.Keys()))
			}
			var got []string
			for i, k := range md.Keys() {
				line := fmt.Sprintf("%d %s", found[i].line, keyString(k))
				for _, e := range found[i].elems {
					line += fmt.Sprintf(" %d", e)
				}
				got = append(got, line)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// refuser makes the library name the place of the value that it would be given.
type refuser struct{}

func (*refuser) UnmarshalTOML(any) error { return errors.New("here") }

// libraryLine asks the library for the line of a key: it decodes once more into
// a struct that holds nothing but this key, which refuses its value. The answer
// is 0 where a struct cannot name the key.
func libraryLine(text string, path []string) int {
	typ := reflect.TypeFor[refuser]()
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == "" || path[i] == "-" || strings.ContainsAny(path[i], ",\"`\\") || strings.ContainsFunc(path[i], func(r rune) bool { return !strconv.IsPrint(r) }) {
			return 0
		}
		typ = reflect.StructOf([]reflect.StructField{{Name: "X", Type: typ, Tag: reflect.StructTag("toml:" + strconv.Quote(path[i]))}})
	}
	_, err := toml.Decode(text, reflect.New(typ).Interface())
	var place toml.ParseError
	if !errors.As(err, &place) {
		return 0
	}
	return place.Position.Line
}

// sameLines compares the scanner with the library on a document that it accepts.
// It returns how many keys were compared.
func sameLines(t *testing.T, text string) int {
	t.Helper()
	entries, fault := parse("x", text)
	if fault != nil {
		return 0
	}
	times := map[string]int{}
	for _, e := range entries {
		times[fold(e.path)]++
	}
	compared := 0
	for _, e := range entries {
		// The library keeps one place for each name, folds case where a name is
		// missing, and knows none inside arrays.
		if times[fold(e.path)] > 1 || e.value == nil {
			continue
		}
		if line := libraryLine(text, e.path); line != 0 {
			compared++
			if line != e.line {
				t.Errorf("%s: line %d, the library has %d, of %q", keyString(e.path), e.line, line, text)
			}
		}
	}
	return compared
}

func TestLinesAreTheLibrarys(t *testing.T) {
	files, err := filepath.Glob("testdata/*.toml")
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, file := range append(files, "../packaging/o2n-milter.toml") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		compared += sameLines(t, string(text))
	}
	if compared < 200 {
		t.Errorf("%d keys compared", compared)
	}
}

func seeds(f *testing.F) {
	files, err := filepath.Glob("testdata/*.toml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add("a=[[{b=1,c='''\n'''},{}],\n\"\"\"\"\"\"]\n[x.\"y]\"]\nz.'=' = {q=[\n1]}")
}

// Whatever the library accepts, the scanner finds each key of, at the same line.
func FuzzMarks(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, text string) {
		marks(text) // it must end on what is no TOML too
		if _, fault := parse("x", text); fault != nil && strings.Contains(fault.Problem, "places") {
			t.Fatalf("%v of %q", fault, text)
		}
		if len(text) < 4096 {
			sameLines(t, text)
		}
	})
}

// Every fault names a line of its file, and is one line itself.
func FuzzLoad(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, text string) {
		file := filepath.Join(t.TempDir(), "main.toml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, faults := Load(file, true)
		if (c == nil) == (len(faults) == 0) {
			t.Fatalf("config %v beside %d faults", c, len(faults))
		}
		if c != nil {
			faults = c.Notes
		}
		last := 1 + strings.Count(text, "\n")
		for _, fault := range faults {
			if fault.Line < 1 || fault.Line > last || fault.Key == "" || fault.Want == "" {
				t.Errorf("fault %+v of a file with %d lines", fault, last)
			}
			if strings.ContainsFunc(strings.TrimPrefix(fault.Error(), file), func(r rune) bool { return !strconv.IsGraphic(r) }) {
				t.Errorf("fault %q is not printable", fault.Error())
			}
		}
	})
}
