package bypass

import (
	"encoding/base64"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/unicode/norm"
)

// The scanner knows no grammar: whatever follows an @, however it is written or
// encoded, is a domain to it, if there is a dot in it.

// encodedWord is RFC 2047's, wherever it stands.
var encodedWord = regexp.MustCompile(`=\?([^?"\s]*)\?([bBqQ])\?([^?]*)\?=`)

// betweenWords goes away where two encoded words are decoded (RFC 2047 6.2).
var betweenWords = regexp.MustCompile(`(\?=)[ \t\r\n]+(=\?)`)

// decoded is the text with its encoded words decoded.
func decoded(text string) string {
	text = betweenWords.ReplaceAllString(text, "$1$2")
	return encodedWord.ReplaceAllStringFunc(text, func(word string) string {
		m := encodedWord.FindStringSubmatch(word)
		var raw []byte
		if m[2] == "b" || m[2] == "B" {
			run, _, _ := strings.Cut(noBase64.ReplaceAllString(m[3], ""), "=")
			raw, _ = base64.RawStdEncoding.DecodeString(run[:len(run)&^3])
			if tail, err := base64.RawStdEncoding.DecodeString(run[len(run)&^3:]); err == nil {
				raw = append(raw, tail...)
			}
		} else {
			raw = hexEscape.ReplaceAllFunc([]byte(strings.ReplaceAll(m[3], "_", " ")), func(hex []byte) []byte {
				n, _ := strconv.ParseUint(string(hex[1:]), 16, 8) // two hex digits, by the expression
				return []byte{byte(n)}
			})
		}
		name, _, _ := strings.Cut(m[1], "*")
		if enc, err := htmlindex.Get(name); err == nil && (enc != charmap.Windows1252 || strings.HasPrefix(name, "windows")) { // others' UTF-8 is read as what it is
			if text, err := enc.NewDecoder().Bytes(raw); err == nil {
				return string(text)
			}
		}
		return string(raw)
	})
}

var noBase64 = regexp.MustCompile(`[^A-Za-z0-9+/=]`)

var hexEscape = regexp.MustCompile(`=[0-9A-Fa-f]{2}`)

// plainText is the text as a reader sees it: wide letters as plain ones, nothing that is
// not seen, in lower case.
func plainText(text string) string {
	text = norm.NFKC.String(strings.ToValidUTF8(text, "?"))
	return strings.ToLower(strings.Map(func(r rune) rune {
		if r == '\u3002' {
			return '.' // UTS 46 2.3
		}
		if r == 0 || unicode.In(r, unicode.Cf, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point) {
			return -1
		}
		return r
	}, text))
}

// foreignIn is a foreign domain behind an @ of the text, as it stands or decoded;
// empty where all are the account's.
func foreignIn(text string) string {
	if !utf8.ValidString(text) {
		text = latin1(text)
	}
	for _, form := range []string{text, decoded(text)} {
		for _, seen := range []string{plainText(form), plainText(strings.ReplaceAll(form, `\`, ""))} {
			for i, r := range seen {
				if r != '@' {
					continue
				}
				if d := domainAt(seen[i+1:]); strings.Contains(d, ".") && !isOwn(d) {
					return d
				}
			}
		}
	}
	return ""
}

// latin1 reads bytes that are no UTF-8 as Latin-1.
func latin1(text string) string {
	var b strings.Builder
	for i, r := range text {
		if r == utf8.RuneError {
			r = rune(text[i])
		}
		b.WriteRune(r)
	}
	return b.String()
}

// isOwn is the account's domain and what is below it.
func isOwn(domain string) bool {
	return domain == ownDomain || strings.HasSuffix(domain, "."+ownDomain)
}

// domainAt is what a reader may take for the domain at the beginning of the text:
// labels with blanks, quotes and comments around their dots.
func domainAt(text string) string {
	domain, text := "", gap(text)
	if strings.Contains(text, "]") {
		text = strings.TrimPrefix(text, "[")
	}
	for {
		end := strings.IndexFunc(text, func(r rune) bool {
			return !unicode.IsLetter(r) && !unicode.IsNumber(r) && !unicode.IsMark(r) && r != '-' && r != '_' && r != '.'
		})
		if end < 0 {
			end = len(text)
		}
		domain += text[:end]
		rest := gap(text[end:])
		if end == 0 || rest == text[end:] || rest == "" || !strings.HasPrefix(rest, ".") && !strings.HasSuffix(domain, ".") {
			return strings.Trim(domain, ".")
		}
		text = rest
	}
}

// gap takes blanks, quotes and comments off the front.
func gap(text string) string {
	for {
		short := strings.TrimLeftFunc(text, func(r rune) bool { return unicode.IsSpace(r) || r == '"' })
		if strings.HasPrefix(short, "(") {
			end := closing(short)
			if end < 0 {
				return short
			}
			short = short[end+1:]
		}
		if short == text {
			return text
		}
		text = short
	}
}

// closing is where the comment that begins the text ends; -1 where it never does.
func closing(text string) int {
	depth := 0
	for i := range len(text) {
		switch text[i] {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// bare is what stands in neither quotes, comments nor encoded words: there only the
// account's own addresses may stand, whatever is said of names. A wide @ is a letter of
// a name to every program, and no blank that might stand in a domain.
func bare(text string) string {
	text = wideAt.Replace(encodedWord.ReplaceAllString(text, " "))
	var b strings.Builder
	quoted, depth := false, 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && (quoted || depth > 0):
			i++
		case c == '"' && depth == 0 && (quoted || !strings.HasSuffix(b.String(), "@")): // a domain in quotes is no name
			quoted = !quoted
			b.WriteByte(' ')
		case c == '(' && !quoted:
			depth++
			b.WriteByte(' ')
		case c == ')' && depth > 0:
			depth--
		case !quoted && depth == 0:
			b.WriteByte(c)
		}
	}
	if quoted || depth > 0 {
		return text // what is never closed hides nothing
	}
	return b.String()
}

var wideAt = strings.NewReplacer("\uff20", "|", "\ufe6b", "|")

// The scanner's own table: what it must find, and what is no address of others.
func TestScanner(t *testing.T) {
	for text, want := range map[string]string{
		"alice@client-a.example": "", "A <alice@news.CLIENT-A.example>": "", "Alice @ Client": "", "a@home": "",
		"ceo@bank.example": "bank.example", "x (ceo@bank.example) <alice@client-a.example>": "bank.example",
		"ceo\uff20bank\u3002example": "bank.example", "ceo @ bank . example": "bank.example", "@(x)bank.example": "bank.example",
		"=?utf-8?q?ceo=40bank.example?=": "bank.example", "=?utf-8?b?Y2VvQGJhbmsuZXhhbXBsZQ==?=": "bank.example",
		"=?utf-8?q?ceo=40?= =?utf-8?q?bank.example?=": "bank.example", "ceo\\@bank.example": "bank.example",
		"alice@client-a.example.bank.example": "client-a.example.bank.example", "alice@client-a.example (x).evil": "client-a.example.evil",
		"a@evilclient-a.example": "evilclient-a.example", "a@[192.0.2.1]": "192.0.2.1", "a@b\u0430nk.example": "b\u0430nk.example",
	} {
		if got := foreignIn(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got := foreignIn(bare(`"a@b.c" (d@e.f) =?utf-8?q?g=40h.i?= <alice@client-a.example>`)); got != "" {
		t.Errorf("in the open: %q", got)
	}
	if got := foreignIn(bare("@k.\uff20e<alice@client-a.example")); got != "" {
		t.Errorf("beside a wide @: %q", got)
	}
}
