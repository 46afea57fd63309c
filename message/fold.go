package message

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Fold makes text comparable: lower case, no accents, wide and styled letters as
// plain ones, Cyrillic and Greek letters that look Latin as Latin ones,
// typographic quotes and dashes as ASCII, any white space as one blank, nothing
// of what cannot be seen. Phrases are looked for in folded text, folded themselves.
func Fold(text string) string {
	out := make([]byte, 0, len(text))
	blank := false
	for i := 0; i < len(text); {
		c := text[i]
		r, n := rune(c), 1
		if c >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(text[i:])
		}
		whole := text[i : i+n]
		i += n
		visible := ' ' < c && c < 0x7f
		switch {
		case visible:
		case isWhite(r):
			blank = true
			continue
		case isUnseen(r), r >= 0x300 && unicode.Is(unicode.Mn, r):
			continue
		}
		if blank && len(out) > 0 {
			out = append(out, ' ')
		}
		blank = false
		if visible {
			out = append(out, lower(c))
		} else {
			out = appendFolded(out, r, whole)
		}
	}
	return string(out)
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c |= 0x20
	}
	return c
}

// appendFolded adds the plain form of one visible character beyond ASCII: what it
// looks like, or what it is made of (Unicode's compatibility decomposition).
func appendFolded(out []byte, r rune, whole string) []byte {
	if plain, known := lookAlike[unicode.ToLower(r)]; known {
		return append(out, plain...)
	}
	parts := norm.NFKD.PropertiesString(whole).Decomposition()
	if parts == nil {
		return utf8.AppendRune(out, unicode.ToLower(r))
	}
	for len(parts) > 0 {
		part, n := utf8.DecodeRune(parts)
		parts = parts[n:]
		switch plain, known := lookAlike[unicode.ToLower(part)]; {
		case part < utf8.RuneSelf && part > ' ':
			out = append(out, lower(byte(part)))
		case known:
			out = append(out, plain...)
		case isWhite(part) || unicode.Is(unicode.Mn, part):
		default:
			out = utf8.AppendRune(out, unicode.ToLower(part))
		}
	}
	return out
}

// lookAlike has the characters that compatibility decomposition leaves alone and
// a reader takes for others.
var lookAlike = func() map[rune]string {
	table := map[rune]string{'œ': "oe", 'æ': "ae", 'ß': "ss", 'ø': "o", 'đ': "d", 'ł': "l", 'ħ': "h", 'þ': "th", 'ð': "d", '…': "..."}
	for plain, others := range map[string]string{
		"'": "\u2018\u2019\u201a\u201b\u2032\u2035\u00b4\u02b9\u02bb\u02bc\u02c8\uff07`",
		`"`: "\u201c\u201d\u201e\u201f\u2033\u2036\u00ab\u00bb",
		"-": "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2043",
		"a": "аαɑᴀ", "b": "ьвʙ", "c": "сϲᴄ", "d": "ԁᴅ", "e": "еєεᴇҽɛ", "f": "ꜰ", "g": "ɡɢ", "h": "һнʜ", "i": "іıιӏɪɩ", "j": "јᴊ", "k": "кκᴋ", "l": "ⅼʟ",
		"m": "мᴍ", "n": "ոɴ", "o": "оοσօᴏ", "p": "рρᴘ", "q": "ԛ", "r": "ʀ", "s": "ѕꜱ", "t": "тτᴛ", "u": "υսᴜ", "v": "ѵνᴠ", "w": "ԝᴡ", "x": "хχ", "y": "уүγʏ", "z": "ᴢ",
	} {
		for _, r := range others {
			table[r] = plain
		}
	}
	return table
}()
