package message

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// fnvOffset and fnvPrime are those of FNV-1a with 64 bits.
const (
	fnvOffset = 0xcbf29ce484222325
	fnvPrime  = 0x100000001b3
)

// wordHash cuts text into words and values as they are read: letters in lower case
// without accents, look-alikes of other alphabets as the Latin letter they look like.
type wordHash struct {
	hash     uint64
	letters  int // of the word so far
	vowels   int
	run, max int // consonants in a row, and the longest row
	digit    bool
	foreign  bool // has letters beyond a to z
}

// tokenKind is what was read.
type tokenKind int

const (
	nothing tokenKind = iota
	aWord
	aShort // word
	aValue
)

// maxWord is in letters; German knows longer ones, but few.
const maxWord = 24

// add takes a letter or digit, foldTable.
func (w *wordHash) add(r rune) {
	for c := uint32(r); ; c >>= 8 {
		w.hash = (w.hash ^ uint64(c&0xff)) * fnvPrime
		if c < 0x100 {
			break
		}
	}
	w.letters++
	switch {
	case '0' <= r && r <= '9':
		w.digit = true
	case r == 'a', r == 'e', r == 'i', r == 'o', r == 'u', r == 'y':
		w.vowels++
		w.run = 0
	case 'a' <= r && r <= 'z':
		w.run++
		w.max = max(w.max, w.run)
	default:
		w.foreign = true
	}
}

// end is what was read since the last end, and its hash.
func (w *wordHash) end() (uint64, tokenKind) {
	was := *w
	*w = wordHash{hash: fnvOffset}
	h := mix(was.hash)
	switch {
	case was.digit:
		return h, aValue
	case was.letters < 2 || was.letters > maxWord || was.random():
		return h, nothing
	case was.letters < 4 && !was.foreign:
		return h, aShort
	}
	return h, aWord
}

// random says of a word that nobody can speak it.
func (w *wordHash) random() bool {
	return !w.foreign && (w.max >= 5 || w.vowels == 0 && w.letters >= 3)
}

// ideograph is of a script that sets no blanks between words.
func ideograph(r rune) bool {
	return 0x2e80 <= r && r <= 0x2fff || 0x3040 <= r && r <= 0x9fff || 0xac00 <= r && r <= 0xd7af || 0xf900 <= r && r <= 0xfaff ||
		0x0e00 <= r && r <= 0x0eff || 0x20000 <= r && r <= 0x3ffff
}

// foldRune is the letter or digit that r stands for, 0 for none, and unseen for what
// stands inside of words unseen.
func foldRune(r rune) rune {
	switch {
	case r < rune(len(foldTable)):
		return foldTable[r]
	case ideograph(r):
		return r
	}
	return foldSlowly(r)
}

const unseen rune = -1

// foldTable has the answers for the alphabets of Europe and for punctuation.
var foldTable = func() (table [0x2100]rune) {
	for r := range table {
		table[r] = foldSlowly(rune(r))
	}
	return table
}()

func foldSlowly(r rune) rune {
	if unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Mn, r) || r == 0x034f || r == 0x3164 {
		return unseen
	}
	if r >= utf8.RuneSelf {
		// NFKD: the base letter comes first; the ﬁ of ligatures loses its i.
		r, _ = utf8.DecodeRuneInString(norm.NFKD.String(string(r)))
	}
	r = unicode.ToLower(r)
	if latin := looksLike[r]; latin != 0 {
		return latin
	}
	if unicode.IsLetter(r) || unicode.IsDigit(r) {
		return r
	}
	return 0
}

// looksLike has the letters that readers take for Latin ones: Cyrillic and Greek, and
// Latin ones that Unicode does not decompose.
var looksLike = func() map[rune]rune {
	pairs := []rune("аaәeеeѕsіiїiјjкkмmоoһhрpсcуyүyхxѵvԁdԛqԝwьbвbнhтtгr" +
		"αaβbεeιiκkνvοoρpτtυuχxωwγyηnёeєeđdøołlħhŧtıiȷjɡgɑaɩiœoæaßs")
	m := map[rune]rune{}
	for i := 0; i+1 < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}()
