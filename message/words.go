package message

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// unfold joins folded lines (RFC 5322 2.2.3): a line end before a blank goes
// away. A line end before anything else is none that an MTA leaves; it becomes
// a blank, so that it cannot join what stands apart.
func unfold(s string) string {
	if strings.IndexByte(s, '\n') < 0 && strings.IndexByte(s, '\r') < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\r' && s[i] != '\n' {
			b.WriteByte(s[i])
			continue
		}
		for i+1 < len(s) && (s[i+1] == '\r' || s[i+1] == '\n') {
			i++
		}
		if i+1 < len(s) && s[i+1] != ' ' && s[i+1] != '\t' {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// toUTF8 reads every byte that is no UTF-8 as Latin-1, which is what old French
// mailers send unannounced.
func toUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + len(s)/4)
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			r = rune(s[i])
		}
		b.WriteRune(r)
		i += n
	}
	return b.String()
}

// decodings are the ways in which readers may show the text: with every encoded
// word decoded, or only those that RFC 2047 2 knows, which hold no blank, have an end
// and no padding but there; adjacent ones joined, or each by itself with a blank
// behind it. There is none when nothing is encoded.
func decodings(s string) []string {
	whole := decodeWords(s)
	if whole == s {
		return nil
	}
	list := []string{whole}
	for _, other := range []string{decode(s, false, ""), decode(s, true, " "), decode(s, false, " ")} {
		if !slices.Contains(list, other) {
			list = append(list, other)
		}
	}
	return list
}

// decodeWords decodes every encoded word (RFC 2047) wherever it stands, in
// quotes and address parts too, because some readers do. It never gives up on a
// word: an unknown charset is read as Latin-1, junk in base64 is skipped, an
// unfinished word is decoded as far as it goes. Every byte is looked at once.
func decodeWords(s string) string { return decode(s, true, "") }

// decode is decodeWords for all words or only the sound ones, with this behind each.
// With nothing behind them, adjacent words of one charset are one text: a character
// may be spread over two, which RFC 2047 5 forbids and readers put together.
func decode(s string, all bool, behind string) string {
	start := strings.Index(s, "=?")
	if start < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	var run encodedRun
	for {
		if start > 0 {
			run.end(&b)
		}
		b.WriteString(s[:start])
		s = s[start:]
		w, ok := cutWord(s)
		ok = ok && (all || w.ended && !strings.ContainsAny(w.encoded, " \t"))
		if ok && !all && w.encoding == 'b' {
			w.encoded, _, _ = strings.Cut(w.encoded, "=")
		}
		if ok {
			run.take(w, &b)
			if behind != "" {
				run.end(&b)
				b.WriteString(behind)
			}
			s = w.rest
		} else {
			run.end(&b)
			b.WriteString(s[:2])
			s = s[2:]
		}
		start = strings.Index(s, "=?")
		if start < 0 {
			run.end(&b)
			b.WriteString(s)
			return b.String()
		}
		// RFC 2047 6.2: blanks between adjacent encoded words do not count.
		if ok && strings.Trim(s[:start], " \t") == "" {
			s, start = s[start:], 0
		}
	}
}

// hasOpenWord says whether an encoded word has no end.
func hasOpenWord(s string) bool {
	for {
		i := strings.Index(s, "=?")
		if i < 0 {
			return false
		}
		w, ok := cutWord(s[i:])
		switch {
		case !ok:
			s = s[i+2:]
		case !w.ended:
			return true
		default:
			s = w.rest
		}
	}
}

// encodedRun is the bytes of adjacent encoded words of one charset.
type encodedRun struct {
	charset string
	raw     []byte
}

// take adds a word, after the end of a run of another charset.
func (run *encodedRun) take(w word, b *strings.Builder) {
	if !strings.EqualFold(run.charset, w.charset) {
		run.end(b)
		run.charset = w.charset
	}
	if w.encoding == 'q' {
		run.raw = append(run.raw, decodeQ(w.encoded)...)
	} else {
		run.raw = appendBase64(run.raw, w.encoded)
	}
}

// end writes the run, valid UTF-8.
func (run *encodedRun) end(b *strings.Builder) {
	if len(run.raw) > 0 {
		b.WriteString(wordText(run.charset, string(run.raw)))
		run.raw = run.raw[:0]
	}
}

// word is one encoded word.
type word struct {
	charset  string
	encoding byte
	encoded  string
	rest     string // of the value, after the word
	ended    bool   // by "?="
}

// cutWord takes the encoded word off the front of s, which begins with "=?".
// The word ends at "?=", before the next "=?", or with the value.
func cutWord(s string) (word, bool) {
	// RFC 2978 2.3 wants charset names of at most 40; a language may follow (RFC 2231 5).
	// Some readers decode a word without a charset too.
	name := strings.IndexByte(s[2:min(len(s), 2+80)], '?')
	if name < 0 || len(s) < 2+name+3 || s[2+name+2] != '?' {
		return word{}, false
	}
	w := word{charset: s[2 : 2+name], encoding: s[2+name+1] | 0x20}
	w.charset, _, _ = strings.Cut(w.charset, "*")
	if w.encoding != 'b' && w.encoding != 'q' {
		return word{}, false
	}
	s = s[2+name+3:]
	for i := 0; ; i++ {
		next := strings.IndexByte(s[i:], '?')
		if next < 0 {
			w.encoded = s
			return w, true
		}
		i += next
		if strings.HasPrefix(s[i:], "?=") {
			w.encoded, w.rest, w.ended = s[:i], s[i+2:], true
			return w, true
		}
		if i > 0 && s[i-1] == '=' {
			w.encoded, w.rest = s[:i-1], s[i-1:]
			return w, true
		}
	}
}

// wordText makes UTF-8 of what encoded words hold.
func wordText(name, raw string) string {
	switch strings.ToLower(name) {
	case "utf-8", "us-ascii", "iso-8859-1":
		return toUTF8(raw)
	}
	decoded, known := fromCharset(name, raw)
	if !known {
		return toUTF8(raw)
	}
	return toUTF8(string(decoded))
}

func decodeQ(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '_':
			c = ' '
		case c == '=' && i+2 < len(s) && unhex(s[i+1]) < 16 && unhex(s[i+2]) < 16:
			c = unhex(s[i+1])<<4 | unhex(s[i+2])
			i += 2
		}
		b.WriteByte(c)
	}
	return b.String()
}

// unhex is the value of a hexadecimal digit, 16 for anything else.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 16
}
