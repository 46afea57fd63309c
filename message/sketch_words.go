package message

import "math/bits"

// fnvOffset and fnvPrime are those of FNV-1a with 64 bits.
const (
	fnvOffset = 0xcbf29ce484222325
	fnvPrime  = 0x100000001b3
)

// hashLetters hashes the word of letters a to z that s begins with, and says how many
// there are. Eight bytes follow it.
func hashLetters(s []byte) (h uint64, n int) {
	x := eight(s)
	n = firstOf(otherThanLetters(x))
	h = hashEight(wordSeed, x, n)
	if n == 8 {
		return hashMore(h, s)
	}
	return h, n
}

// hashMore goes on with a word of eight letters or more.
func hashMore(h uint64, s []byte) (uint64, int) {
	for n := 8; ; n += 8 {
		x := eight(s[n:])
		more := firstOf(otherThanLetters(x))
		h = hashEight(h, x, more)
		if more < 8 {
			return h, n + more
		}
	}
}

// hashEight takes the first n of eight letters, or all.
func hashEight(h, x uint64, n int) uint64 { return fold(h^x&(1<<(8*uint(n))-1), golden) }

// wordSeed is mix(1). Seeds differ in their luck with one letter or another; with this one
// about as much honest mail of docs/accuracy.md is refused as ever.
const wordSeed = 0x5692161d100b05e5

func otherThanLetters(x uint64) uint64 { return ^lettersIn(x) & highs }

// fold makes 64 bits of the product, of which each hangs on most bits of x.
func fold(x, by uint64) uint64 {
	high, low := bits.Mul64(x, by)
	return high ^ low
}

// maxWord is in letters; German knows longer ones, but few.
const maxWord = 24

// unspeakable says of a word of the letters a to z, up to maxWord, that nobody can
// speak it: it is there to make two letters differ. No word is of no letters.
func unspeakable(letters []byte) bool {
	if len(letters) < 3 {
		return false
	}
	consonants, odd, last := uint32(0), uint32(0), uint8(0)
	for _, c := range letters {
		c = (c - 'a' + 1) & 31
		consonants = consonants<<1 | ^uint32(vowels)>>c&1
		odd |= oddPairs[last] >> c & 1 // stand together and hardly ever do
		last = c
	}
	two := consonants & (consonants << 1)
	inRow := two & (two << 2) & (consonants << 4) // five
	return inRow != 0 || consonants == 1<<len(letters)-1 || odd != 0 && len(letters) >= 5
}

// vowels has bit 1 for a, 5 for e and so on.
const vowels = 1<<1 | 1<<5 | 1<<9 | 1<<15 | 1<<21 | 1<<25

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

// oddPairs has for each letter, from 1 for a, those which follow it in less than one
// of a thousand words of French, English, German, Spanish, Italian, Dutch and
// Portuguese (Debian's word lists, accents dropped). Such a pair is in 1 % or less of
// these words and in 78 % of random ones.
var oddPairs = func() (table [32]uint32) {
	for _, pairs := range []string{"bcnpqvx", "cbdfgjmnpvwxz", "dfqx", "fcqx", "gcqx", "hchjpqvx", "iwy", "jbchjqrwxy", "kcqx",
		"lqx", "mcjqx", "pcqx", "qabcdefghijklmnopqrstvwxyz", "rx", "sx", "tqx", "uy", "vbcdfghjkmnpqtwxyz", "wcfgjkmpqvwxyz",
		"xbdfghjklmnqrsvwxz", "yfghjkqvxyz", "zdfhjkmpqrsvxy"} {
		for i := 1; i < len(pairs); i++ {
			table[pairs[0]-'a'+1] |= 1 << (pairs[i] - 'a' + 1)
		}
	}
	return table
}()
