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

// unspeakable says of the word of n letters a to z that s begins with, up to maxWord, that
// nobody can speak it: it is there to make two letters differ. No word is of no letters.
// Eight bytes follow it.
func unspeakable(s []byte, n int) bool {
	if n < 3 {
		return false
	}
	x := eight(s) & (1<<(8*uint(n)) - 1) // of eight or more: all
	consonants := consonantsIn(x)
	odd := oddPairIn(fiveBits(x) << 5) // a pair that hardly ever stands together
	for i := 8; i < n; i += 8 {
		x := eight(s[i:]) & (1<<(8*uint(n-i)) - 1)
		consonants |= consonantsIn(x) << uint(i)
		odd |= oddPairIn(fiveBits(x)<<5 | uint64(s[i-1])&31)
	}
	all := uint64(1)<<uint(n) - 1
	consonants &= all
	two := consonants & (consonants << 1)
	inRow := two & (two << 2) & (consonants << 4) // five
	return inRow != 0 || consonants == all || odd != 0 && n >= 5
}

// fiveBits are the lowest five bits of each of eight bytes.
func fiveBits(x uint64) uint64 {
	x &= 31 * ones
	x = x&0x001f001f001f001f | x>>3&0x03e003e003e003e0
	x = x&0x000003ff000003ff | x>>6&0x000ffc00000ffc00
	return x&0xfffff | x>>32<<20
}

// oddPairIn is 1 where an odd pair is among nine letters of five bits each.
func oddPairIn(x uint64) uint8 {
	return oddPairs[x&1023] | oddPairs[x>>5&1023] | oddPairs[x>>10&1023] | oddPairs[x>>15&1023] |
		oddPairs[x>>20&1023] | oddPairs[x>>25&1023] | oddPairs[x>>30&1023] | oddPairs[x>>35&1023]
}

// consonantsIn has a bit for each of eight bytes of ASCII that is no vowel, the first one
// the lowest.
func consonantsIn(x uint64) uint64 {
	other := (x ^ 'a'*ones) + lows // the high bit of each byte that is another one
	other &= (x ^ 'e'*ones) + lows
	other &= (x ^ 'i'*ones) + lows
	other &= (x ^ 'o'*ones) + lows
	other &= (x ^ 'u'*ones) + lows
	other &= (x ^ 'y'*ones) + lows
	return bitOf(other & highs)
}

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

// oddPairs has each letter, from 1 for a, with those which follow it, by 32, in less than one
// of a thousand words of French, English, German, Spanish, Italian, Dutch and
// Portuguese (Debian's word lists, accents dropped). Such a pair is in 1 % or less of
// these words and in 78 % of random ones.
var oddPairs = func() (table [32 * 32]uint8) {
	for _, pairs := range []string{"bcnpqvx", "cbdfgjmnpvwxz", "dfqx", "fcqx", "gcqx", "hchjpqvx", "iwy", "jbchjqrwxy", "kcqx",
		"lqx", "mcjqx", "pcqx", "qabcdefghijklmnopqrstvwxyz", "rx", "sx", "tqx", "uy", "vbcdfghjkmnpqtwxyz", "wcfgjkmpqvwxyz",
		"xbdfghjklmnqrsvwxz", "yfghjkqvxyz", "zdfhjkmpqrsvxy"} {
		for i := 1; i < len(pairs); i++ {
			table[int(pairs[0]-'a'+1)|int(pairs[i]-'a'+1)<<5] = 1
		}
	}
	return table
}()
