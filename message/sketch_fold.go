package message

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// unseen is foldRune's answer for what stands inside of words and shows nothing.
const unseen rune = -1

// foldRune is the letter or digit that r stands for, in lower case without accent, of
// look-alikes the Latin one; 0 where r is neither.
func foldRune(r rune) rune {
	switch {
	case r < rune(len(foldTable)):
		return foldTable[r]
	case ideograph(r):
		return r
	}
	return foldSlowly(r)
}

// foldTable has the answers for the alphabets of Europe and for punctuation.
var foldTable = func() (table [0x2100]rune) {
	for r := range table {
		table[r] = foldSlowly(rune(r))
	}
	return table
}()

func foldSlowly(r rune) rune {
	switch {
	case isWhite(r):
		return 0
	case isUnseen(r), unicode.Is(unicode.Mn, r):
		return unseen
	}
	if r >= utf8.RuneSelf { // of what NFKD gives the base letter comes first
		r, _ = utf8.DecodeRuneInString(norm.NFKD.String(string(r)))
	}
	r = unicode.ToLower(r)
	if plain := lookAlike[r]; plain != "" {
		r = rune(plain[0])
	}
	switch {
	case unicode.IsLetter(r), '0' <= r && r <= '9':
		return r
	case unicode.IsDigit(r):
		return '0' // of another script: that it is a number is enough
	}
	return 0
}

// ideograph is of a script that sets no blanks between words: Chinese, Japanese,
// Korean, Thai, Lao.
func ideograph(r rune) bool {
	return r >= 0x0e00 && (r <= 0x0eff || 0x2e80 <= r && r <= 0x2fff || 0x3040 <= r && r <= 0x9fff ||
		0xac00 <= r && r <= 0xd7af || 0xf900 <= r && r <= 0xfaff || 0x20000 <= r && r <= 0x3ffff)
}
