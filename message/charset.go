package message

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/unicode"
)

// fromCharset makes UTF-8 of text in a charset: by its name in mail, else by the name
// that the Web has for it. known is false where nobody knows the charset or the text is
// none of it. A field may hold a hundred thousand encoded words: each of them costs what it
// is long, and no buffers of a stream.
func fromCharset[T string | []byte](name string, text T) (decoded []byte, known bool) {
	e := charsetNamed(name)
	switch e {
	case nil, encoding.Replacement: // all of it one U+FFFD, to browsers; others read ISO-2022-KR, or its ASCII
		return nil, false
	case anyUTF16:
		e = utf16Of(text)
	case charmap.CodePage037, charmap.CodePage1047, charmap.CodePage1140:
		if isMostlyASCII(text) { // which is no EBCDIC, and shown as it is where nobody knows that
			return nil, false
		}
	}
	decoded, err := e.NewDecoder().Bytes([]byte(text))
	return decoded, err == nil
}

// charsetNamed is nil where there is none of this name.
func charsetNamed(name string) encoding.Encoding {
	if strings.EqualFold(name, "ansi_x3.110-1983") { // RFC 1345: mostly more than ISO 8859-1
		return charmap.ISO8859_1
	}
	for _, alias := range []string{name, "cs" + name} {
		if e, err := ianaindex.MIME.Encoding(alias); err == nil && e != nil {
			return e
		}
	}
	e, err := htmlindex.Get(name)
	if err != nil {
		return nil
	}
	return e
}

// anyUTF16 says by a mark at its beginning in which order its octets are.
var anyUTF16 = charsetNamed("utf-16")

// utf16Of goes by where the zeros of ASCII are where there is no mark: RFC 2781 4.3 reads the
// high octet first then, and browsers the low one.
func utf16Of[T string | []byte](text T) encoding.Encoding {
	var zeros [2]int
	for i := range len(text) {
		if text[i] == 0 {
			zeros[i%2]++
		}
	}
	order := unicode.BigEndian
	if zeros[1] > zeros[0] {
		order = unicode.LittleEndian
	}
	return unicode.UTF16(order, unicode.UseBOM)
}

// isMostlyASCII: the letters and digits of EBCDIC are all beyond ASCII.
func isMostlyASCII[T string | []byte](text T) bool {
	beyond := 0
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			beyond++
		}
	}
	return beyond < len(text)/2
}

// charsetReader is fromCharset as package mime wants it.
func charsetReader(name string, text io.Reader) (io.Reader, error) {
	raw, err := io.ReadAll(text)
	if err != nil {
		return nil, err
	}
	decoded, known := fromCharset(name, raw)
	if !known {
		return nil, fmt.Errorf("charset %.100q", name)
	}
	return bytes.NewReader(decoded), nil
}
