package message

import (
	"math/bits"
	"strings"
	"unicode"
	"unicode/utf8"
)

// fnvOffset and fnvPrime are those of FNV-1a with 64 bits.
const (
	fnvOffset = 0xcbf29ce484222325
	fnvPrime  = 0x100000001b3
)

// wordSeed is mix(1). Seeds differ in their luck with one letter or another; with this one
// about as much honest mail of docs/accuracy.md is refused as ever.
const wordSeed = 0x5692161d100b05e5

// fold makes 64 bits of the product, of which each hangs on most bits of x.
func fold(x, by uint64) uint64 {
	high, low := bits.Mul64(x, by)
	return high ^ low
}

// hashLong hashes a word of any length, eight letters after the other, and what is left.
func hashLong(word []byte) uint64 {
	h := uint64(wordSeed)
	for ; len(word) >= 8; word = word[8:] {
		h = fold(h^eight(word), golden)
	}
	var rest [8]byte
	copy(rest[:], word)
	return fold(h^eight(rest[:]), golden)
}

// seenWords counts the words met, each in the two lowest bits beside a part of its hash:
// the second "parcel" is a term of its own, the fourth none any more. Of two words
// in one place the later one counts from one again, which adds no term.
type seenWords [1 << seenBits]uint16

// times is how often the word was met before, maxSeen at most, and where that is counted.
func (s *seenWords) times(h uint64) (at *uint16, times uint16) {
	at = &s[h>>seenBits%uint64(len(s))]
	if met := *at; met&^maxSeen == uint16(h)&^maxSeen {
		times = met & maxSeen
	}
	return at, times
}

// metAgain is what is counted of a word that was met so often before.
func metAgain(h uint64, times uint16) uint16 {
	return uint16(h)&^maxSeen | min(times+1, maxSeen)
}

// newTerm is what a word says that was met so often before; n is 0 where that is nothing any more.
func newTerm(h uint64, times uint16) (t term, n int) {
	return term(mix(h + uint64(times+1)*golden)), int((uint64(times) - maxSeen) >> 63)
}

// maxWord is in letters; German knows longer ones, but few.
const maxWord = 24

// isUnspeakable says of a word of two letters and more that nobody can speak it: it is there to
// make two letters differ.
func isUnspeakable(word []byte) bool {
	odd, row, most, vowels := false, 0, 0, 0
	for i, c := range word {
		row++
		if isVowel(c) {
			row = 0
			vowels++
		}
		most = max(most, row)
		odd = odd || i > 0 && pairs[uint16(word[i-1])|uint16(c)<<8] == aStranger
	}
	return len(word) >= 3 && (most >= 5 || vowels == 0 || odd && len(word) >= 5)
}

// continues says whether a word goes on with the character that s begins with: a
// digit, or a letter beyond ASCII.
func continues(s []byte) bool {
	if s[0] < utf8.RuneSelf {
		return '0' <= s[0] && s[0] <= '9'
	}
	c, _ := utf8.DecodeRune(s)
	return !ideograph(c) && (isLetter(c) || unicode.IsDigit(c))
}

func isLatin(c byte) bool { return 'a' <= c && c <= 'z' }

func isVowel(c byte) bool { return strings.IndexByte("aeiouy", c) >= 0 }

// oddWord is a word that has digits, or letters beyond a to z.
type oddWord struct {
	hash    uint64
	letters int // and digits
	digit   bool
	number  int  // what it begins with, in digits
	letter  byte // that follows these; 0 for none
	rest    int  // the digits after it
}

func (w *oddWord) addLetter(c byte) {
	w.hash = (w.hash ^ uint64(c)) * fnvPrime
	w.letters++
	if w.digit && w.letter == 0 {
		w.letter = c
	}
}

// maxNumber is more than any day, hour or minute.
const maxNumber = 10_000

func (w *oddWord) addDigit(d int) {
	w.hash = (w.hash ^ uint64(0x30+d)) * fnvPrime
	w.letters++
	w.digit = true
	if w.letter != 0 {
		w.rest = min(w.rest*10+d, maxNumber)
	} else {
		w.number = min(w.number*10+d, maxNumber)
	}
}

// addForeign takes any other letter.
func (w *oddWord) addForeign(r rune) {
	w.hash = (w.hash ^ uint64(r)<<8) * fnvPrime
	w.letters++
}

// oddPairs has each letter with those which follow it in less than one
// of a thousand words of French, English, German, Spanish, Italian, Dutch and
// Portuguese (Debian's word lists, accents dropped). Such a pair is in 1 % or less of
// these words and in 78 % of random ones.
var oddPairs = []string{"bcnpqvx", "cbdfgjmnpvwxz", "dfqx", "fcqx", "gcqx", "hchjpqvx", "iwy", "jbchjqrwxy", "kcqx",
	"lqx", "mcjqx", "pcqx", "qabcdefghijklmnopqrstvwxyz", "rx", "sx", "tqx", "uy", "vbcdfghjkmnpqtwxyz", "wcfgjkmpqvwxyz",
	"xbdfghjklmnqrsvwxz", "yfghjkqvxyz", "zdfhjkmpqrsvxy"}

// What a character is, as the one behind it has it. What is no letter and a consonant all the
// same has to be looked at: a digit, what is beyond ASCII, and a letter that hardly ever
// stands before the next one.
const (
	aLetter    = 1
	aConsonant = 1 << 8
	aStranger  = aConsonant
)

// pairs has what the first of two characters is, which is in the lower byte. Of eight of these
// there is room in one number, each moved on by a bit.
var pairs = func() (table [1 << 16]uint16) {
	for i := range table {
		switch c := byte(i); {
		case isLatin(c) && isVowel(c):
			table[i] = aLetter
		case isLatin(c):
			table[i] = aLetter | aConsonant
		case '0' <= c && c <= '9', c >= utf8.RuneSelf:
			table[i] = aStranger
		}
	}
	for _, letters := range oddPairs {
		for _, next := range []byte(letters[1:]) {
			table[int(letters[0])|int(next)<<8] = aStranger
		}
	}
	return table
}()
