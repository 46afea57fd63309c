package message

import (
	"encoding/binary"
	"slices"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Fold makes text comparable: lower case, no accents, wide and styled letters as
// plain ones, Cyrillic and Greek letters that look Latin as Latin ones,
// typographic quotes and dashes as ASCII, any white space as one blank, nothing
// of what cannot be seen. Phrases are looked for in folded text, folded themselves.
func Fold(text string) string {
	f := FoldLines(text)
	return string(f.Text())
}

// Folded is a text as Fold makes it, which knows where its lines were.
type Folded struct {
	// padded is the text and sixteen blanks, so that as many bytes can be read anywhere.
	padded []byte
	ends   []int // of its lines: the blanks between them, and the end of the last one
}

// Text is what Fold makes; it must not be changed.
func (f *Folded) Text() []byte { return f.padded[:max(0, len(f.padded)-len(padding))] }

const padding = "                "

// FoldLines is Fold that remembers the lines.
func FoldLines(text string) (f Folded) {
	f.Fold(text)
	return f
}

// Fold makes f the folded text, in the room that f has already.
func (f *Folded) Fold(text string) { foldInto(f, text) }

// foldInto is Fold.
func foldInto[T string | []byte](f *Folded, text T) {
	f.padded = slices.Grow(f.padded[:0], len(text)+2*len(padding))
	f.ends = slices.Grow(f.ends[:0], 4+len(text)/64)
	i := foldRun(f, text)
	for i < len(text) {
		i += f.one(string(text[i:min(i+utf8.UTFMax, len(text))]))
		i += foldRun(f, text[i:])
	}
	if n := len(f.padded); n > 0 && f.padded[n-1] == ' ' {
		f.padded = f.padded[:n-1]
	}
	f.end(len(f.padded))
	f.padded = append(f.padded, padding...)
}

// foldRun takes ASCII and letters of two bytes at the beginning of text, eight bytes at a
// time, as long as no blank follows another one.
func foldRun[T string | []byte](f *Folded, text T) int {
	blankBefore := f.isBlank()
	n := len(f.padded) // what is written is never longer than what is read
	out := slices.Grow(f.padded, len(text)+len(padding))
	out = out[:cap(out)]
	i := 0
	last := uint64(0x80) // the answer of blanksIn for the end of out
	if !blankBefore {
		last = 0
	}
	for i+8 <= len(text) {
		x := eightOf(text[i:])
		blank := blanksIn(x)
		found := strangeIn(x) | blank&(blank<<8|last)
		binary.LittleEndian.PutUint64(out[n:], x|capitalsIn(x)>>2) // 0x20 makes a letter small
		if found == 0 {
			i, n, last = i+8, n+8, blank>>56
			continue
		}
		some := firstOf(found)
		i, n = i+some, n+some
		if text[i] == '\n' && n > 0 && out[n-1] != ' ' {
			out[n] = ' '
			f.ends = append(f.ends, n)
			i, n, last = i+1, n+1, 0x80
			continue
		}
		if i+1 == len(text) || !isLetterOfTwo(text[i], text[i+1]) {
			break
		}
		plain := foldedForms[rune(text[i]&0x1f)<<6|rune(text[i+1]&0x3f)]
		if plain <= ' ' {
			break
		}
		out[n] = plain
		i, n, last = i+2, n+1, 0
	}
	f.padded = out[:n]
	return i
}

// isBlank says whether one more blank would be one too many.
func (f *Folded) isBlank() bool { return len(f.padded) == 0 || f.padded[len(f.padded)-1] == ' ' }

// one takes the first character of text, and says how long it is.
func (f *Folded) one(text string) int {
	c := text[0]
	if ' ' < c && c < 0x7f {
		f.padded = append(f.padded, lower(c))
		return 1
	}
	r, n := rune(c), 1
	if c >= utf8.RuneSelf {
		r, n = utf8.DecodeRuneInString(text)
	}
	switch plain := foldedForm(r); plain {
	case formNothing:
	case formSame:
		f.padded = append(f.padded, text[:n]...)
	case formOther:
		f.padded = appendFolded(f.padded, r, text[:n])
	case ' ':
		f.blank(c == '\n')
	default:
		f.padded = append(f.padded, plain)
	}
	return n
}

// blank takes white space, which may end a line.
func (f *Folded) blank(ends bool) {
	if !f.isBlank() {
		f.padded = append(f.padded, ' ')
	}
	if ends {
		f.end(len(f.padded) - 1)
	}
}

// end notes where a line ends; there are no empty ones.
func (f *Folded) end(at int) {
	if n := len(f.ends); at > 0 && (n == 0 || f.ends[n-1] < at) {
		f.ends = append(f.ends, at)
	}
}

// What a character is folded to: one of ASCII, which is that, or these.
const (
	formOther   = iota // appendFolded knows
	formNothing        // it is left out
	formSame           // it stays as it is
)

// foldedForm is what r is folded to.
func foldedForm(r rune) byte {
	switch {
	case r < rune(len(foldedForms)):
		return foldedForms[r]
	case 0x3400 <= r && r <= 0x9fff: // Chinese
		return formSame
	}
	return findForm(r)
}

// foldedForms has the answers for the alphabets of Europe and for punctuation.
var foldedForms = func() (table [0x2100]byte) {
	for r := range table {
		table[r] = findForm(rune(r))
	}
	return table
}()

func findForm(r rune) byte {
	switch {
	case isWhite(r):
		return ' '
	case isUnseen(r), r >= 0x300 && unicode.Is(unicode.Mn, r):
		return formNothing
	case r < utf8.RuneSelf:
		return lower(byte(r))
	}
	one := string(r)
	switch plain := appendFolded(nil, r, one); {
	case len(plain) == 0:
		return formNothing
	case len(plain) == 1:
		return plain[0]
	case string(plain) == one:
		return formSame
	}
	return formOther
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
