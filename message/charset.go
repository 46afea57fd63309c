package message

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
)

// fromCharset makes UTF-8 of text in a charset: by its name in mail, else by the name
// that the Web has for it. known is false where nobody knows the charset or the text is
// none of it. A field may hold a hundred thousand encoded words: each of them costs what it
// is long, and no buffers of a stream.
func fromCharset[T string | []byte](name string, text T) (decoded []byte, known bool) {
	e := charsetNamed(name)
	if e == nil {
		return nil, false
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
