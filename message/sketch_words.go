package message

// fnvOffset and fnvPrime are those of FNV-1a with 64 bits.
const (
	fnvOffset = 0xcbf29ce484222325
	fnvPrime  = 0x100000001b3
)

// wordHash is a word as far as it is read.
type wordHash struct {
	hash    uint64
	letters int   // and digits
	vowels  int   // among a to z
	row     int   // of consonants, up to here
	last    uint8 // letter, from 1 for a; 0 for none of a to z
	odd     bool  // letters stand together that hardly ever do
	row5    bool  // five consonants stood in a row
	foreign bool  // has letters beyond a to z
	digit   bool
	number  int  // what it begins with, in digits
	letter  byte // that follows these; 0 for none
	rest    int  // the digits after it
}

// vowels has bit 1 for a, 5 for e and so on.
const vowels = 1<<1 | 1<<5 | 1<<9 | 1<<15 | 1<<21 | 1<<25

// addLetters takes the letters a to z, of either case, that s begins with, and says how
// many there are. Most of all letters come through here.
func (w *wordHash) addLetters(s string) int {
	hash, last, row, odd, row5, vowelsMet := w.hash, w.last, w.row, w.odd, w.row5, w.vowels
	n := 0
	for ; n < len(s); n++ {
		c := (s[n] | 0x20) - 'a' + 1
		if c < 1 || c > 26 {
			break
		}
		hash = (hash ^ uint64(c)) * fnvPrime
		odd = odd || oddPairs[last&31]>>c&1 != 0
		last = c
		row++
		if vowels>>c&1 != 0 {
			vowelsMet++
			row = 0
		}
		row5 = row5 || row >= 5
	}
	if n > 0 && w.digit && w.letter == 0 {
		w.letter = s[0] | 0x20
	}
	w.hash, w.last, w.row, w.odd, w.row5, w.vowels = hash, last, row, odd, row5, vowelsMet
	w.letters += n
	return n
}

// maxNumber is more than any day, hour or minute.
const maxNumber = 10_000

func (w *wordHash) addDigit(d int) {
	w.hash = (w.hash ^ uint64(0x30+d)) * fnvPrime
	w.letters++
	w.last, w.row, w.digit = 0, 0, true
	if w.letter != 0 {
		w.rest = min(w.rest*10+d, maxNumber)
	} else {
		w.number = min(w.number*10+d, maxNumber)
	}
}

// addForeign takes any other letter.
func (w *wordHash) addForeign(r rune) {
	w.hash = (w.hash ^ uint64(r)<<8) * fnvPrime
	w.letters++
	w.last, w.row, w.foreign = 0, 0, true
}

// add takes a letter or digit as foldRune gives it.
func (w *wordHash) add(r rune) {
	switch {
	case 'a' <= r && r <= 'z':
		w.addLetters(string(r))
	case '0' <= r && r <= '9':
		w.addDigit(int(r - '0'))
	default:
		w.addForeign(r)
	}
}

// reset begins another word.
func (w *wordHash) reset() { *w = wordHash{hash: fnvOffset} }

// sum is the hash of the whole word.
func (w *wordHash) sum() uint64 { return mix(w.hash) }

// tokenKind is what a word counts as.
type tokenKind int

const (
	nothing tokenKind = iota
	aWord
	aValue
)

// maxWord is in letters; German knows longer ones, but few.
const maxWord = 24

func (w *wordHash) kind() tokenKind {
	switch {
	case w.digit:
		return aValue
	case w.letters < 2 || w.letters > maxWord || w.random():
		return nothing
	}
	return aWord
}

// random says of a word that nobody can speak it: it is there to make two letters differ.
func (w *wordHash) random() bool {
	return !w.foreign && (w.row5 || w.vowels == 0 && w.letters >= 3 || w.odd && w.letters >= 5)
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
