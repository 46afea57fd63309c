package marks

import (
	"os"
	"path/filepath"
	"testing"
)

func TestReplace(t *testing.T) {
	const begin, end = "<!-- begin of what make tables -->\n", "<!-- end of what make tables -->\n"
	file := filepath.Join(t.TempDir(), "a.md")
	for text, want := range map[string]string{
		"a\n" + begin + "old\n" + end + "b\n": "a\n" + begin + "new\n" + end + "b\n",
		"a\n" + begin + end:                   "a\n" + begin + "new\n" + end,
		"a\n" + begin:                         "",
		end + begin:                           "",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		err := Replace(file, "make tables", "new\n")
		got, _ := os.ReadFile(file)
		if want == "" && (err == nil || string(got) != text) || want != "" && string(got) != want {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
	}
}
