// Package marks writes what programs measure into documents: tables that stand between
// two marks, which are comments in Markdown.
package marks

import (
	"fmt"
	"os"
	"strings"
)

// Replace puts the text between the marks of what, as in
// "<!-- begin of what make accuracy writes -->" of "make accuracy writes".
func Replace(file, what, text string) error {
	begin, end := fmt.Sprintf("<!-- begin of what %s -->\n", what), fmt.Sprintf("<!-- end of what %s -->\n", what)
	document, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(document), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return fmt.Errorf("%s: no marks %q and %q", file, begin, end)
	}
	return os.WriteFile(file, []byte(before+begin+text+end+after), 0o644)
}
