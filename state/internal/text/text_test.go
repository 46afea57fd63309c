package text

import (
	"bytes"
	"strings"
	"testing"
)

func FuzzEscape(f *testing.F) {
	f.Add("account:a/b%\x00\xff")
	f.Fuzz(func(t *testing.T, s string) {
		for _, e := range []string{Escape(s), EscapeBinary(s)} {
			if got, err := Unescape(e); got != s || err != nil {
				t.Errorf("%q became %q and %q, %v", s, e, got, err)
			}
		}
		if e := Escape(s); strings.ContainsFunc(e, func(r rune) bool { return r < ' ' || r > '~' || r == '/' }) {
			t.Errorf("%q became %q", s, e)
		}
		if got, err := Unescape(s); err == nil && bytes.Count([]byte(s), []byte("%")) == 0 && got != s {
			t.Errorf("%q was unescaped to %q", s, got)
		}
	})
}
