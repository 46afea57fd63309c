package message

import (
	"encoding/base64"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-message/charset"
	"golang.org/x/text/encoding/charmap"
)

// TestCharsets: a charset is read as the mail library reads it, under every name that
// mail may give it.
func TestCharsets(t *testing.T) {
	names := strings.Fields("utf-8 utf8 UTF-16 utf-16le utf-16be utf-32 us-ascii iso-8859-1 latin1 l1 iso-8859-2 iso-8859-8-i iso-8859-15 windows-1250 cp1252 x-cp1252 koi8-r KOI8-U macintosh " +
		"big5 Big5-HKSCS gbk gb2312 gb18030 hz-gb-2312 euc-jp shift_jis iso-2022-jp csiso2022jp euc-kr ks_c_5601-1987 tis-620 windows-874 ansi_x3.110-1983 ANSI_X3.4-1968 x-utf_8j " +
		"x-user-defined unicode-1-1-utf-7 x-nobody ibm866 cp850")
	texts := []string{"plain", "\xe9t\xe9", "\xa4\xa2\x1b$B$\"\x1b(B", "\x81", "\x810\x81", "\x1b$", "\xff\xfea\x00", "\x00a\x00b", "~{<:Ky2;V.~}", "\xed\xa0\x80é", ""}
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

// TestCharsetHidesNothing: no name of a charset makes nonsense here of what mail programs
// show, each in its own way.
func TestCharsetHidesNothing(t *testing.T) {
	const said = "Call ceo@bank.example now"
	wide := func(first, second int) string {
		octets := make([]byte, 2*len(said))
		for i := range len(said) {
			octets[2*i+first], octets[2*i+second] = said[i], 0
		}
		return string(octets)
	}
	for _, x := range []struct{ charset, text string }{
		{"iso-2022-kr", said}, {"csISO2022KR", said}, {"iso-2022-cn", said}, {"iso-2022-cn-ext", said}, {"replacement", said},
		{"ibm037", said}, {"ibm1140", said}, {"ibm1047", said}, {"cp037", said + strings.Repeat("\xc1", len(said)-2)},
		{"utf-16", wide(0, 1)}, {"utf-16", wide(1, 0)}, {"csUTF16", wide(0, 1)}, {"utf-16le", wide(0, 1)}, {"utf-16be", wide(1, 0)},
		{"utf-16", "\xff\xfe" + wide(0, 1)}, {"utf-16", "\xfe\xff" + wide(1, 0)},
	} {
		body := ReadBody([]Field{{"Content-Type", "text/plain; charset=" + x.charset}}, []byte(x.text))
		if !strings.HasPrefix(body.Text, said) || len(body.Links) != 1 {
			t.Errorf("%s %q: text %q with links %v, want %q with one", x.charset, x.text, body.Text, body.Links, said)
		}
		word := "=?" + x.charset + "?B?" + base64.StdEncoding.EncodeToString([]byte(x.text)) + "?="
		facts := Read([]Field{{"Subject", word}, {"From", word + " <me@example.org>"}})
		if !strings.HasPrefix(facts.Subject, said) {
			t.Errorf("%s %q: Subject %q, want %q", x.charset, x.text, facts.Subject, said)
		}
		from := facts.From[0]
		if !slices.ContainsFunc(slices.Concat(from.Addresses, from.Named), func(a Address) bool { return a.Domain == "bank.example" }) {
			t.Errorf("%s %q: From is %v, want the address in the name, too", x.charset, x.text, from)
		}
	}
	ebcdic, err := charmap.CodePage037.NewEncoder().String(said)
	if err != nil {
		t.Fatal(err)
	}
	if got, known := fromCharset("ibm037", ebcdic); !known || string(got) != said {
		t.Errorf("EBCDIC: got %q, %v, want %q", got, known, said)
	}
}
