package message

import (
	"io"
	"strings"
	"testing"

	"github.com/emersion/go-message/charset"
)

// TestCharsets: a charset is read as the mail library reads it, under every name that
// mail may give it.
func TestCharsets(t *testing.T) {
	names := strings.Fields("utf-8 utf8 UTF-16 utf-16le utf-16be utf-32 us-ascii iso-8859-1 latin1 l1 iso-8859-2 iso-8859-8-i iso-8859-15 windows-1250 cp1252 x-cp1252 koi8-r KOI8-U macintosh " +
		"big5 Big5-HKSCS gbk gb2312 gb18030 hz-gb-2312 euc-jp shift_jis iso-2022-jp csiso2022jp iso-2022-kr euc-kr ks_c_5601-1987 tis-620 windows-874 ansi_x3.110-1983 ANSI_X3.4-1968 x-utf_8j " +
		"x-user-defined replacement unicode-1-1-utf-7 x-nobody ibm866 cp850")
	texts := []string{"plain", "\xe9t\xe9", "\xa4\xa2\x1b$B$\"\x1b(B", "\x81", "\x810\x81", "\x1b$", "\xff\xfea\x00", "a\x00b", "~{<:Ky2;V.~}", "\xed\xa0\x80é", ""}
	for _, name := range names {
		for _, text := range texts {
			got, known := fromCharset(name, text)
			r, err := charset.Reader(name, strings.NewReader(text))
			var want []byte
			if err == nil {
				want, err = io.ReadAll(r)
			}
			if name == "x-utf_8j" { // what is no UTF-8 is found out later
				want, err = nil, io.EOF
			}
			if known != (err == nil) || known && string(got) != string(want) {
				t.Errorf("%s %q: got %q, %v, want %q, %v", name, text, got, known, want, err)
			}
		}
	}
}
