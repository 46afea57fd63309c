package message

import "math/bits"

// Sketch is what is left of a letter when all that bulk mail varies is taken out of
// it: two letters are as alike as few of its bits differ.
//
// It is a one-bit MinHash: of two letters that share the part J of what they say
// (what both say, divided by what either says), some 128*(1-J) bits differ. The same
// letter has the same sketch on every host; a change of how it is made ends the
// campaigns that are counted then. docs/accuracy.md has what it was chosen among,
// and how often it is right.
type Sketch [4]uint64

// Letter is what a letter's sketch is made of.
type Letter struct {
	Subject string  // decoded
	Text    string  // Body.Text
	Folded  *Folded // what FoldLines makes of Text; nil where that is not there yet
	Links   []Link
	Files   []uint64

	Pictures []uint64 // Body.Pictures
}

// Near is how many bits the sketches of two messages of one campaign differ by at most:
// they share two thirds of what they say.
const Near = 40

// What counts for more than one word, in words; the figures of docs/accuracy.md hold
// for these.
const (
	weightHost        = 3  // a host that links lead to
	weightAppointment = 11 // a reminder says little else
	weightPictures    = 3  // those shown in the text: in most letters they are the firm's logo
	weightFiles       = 20 // all that is attached, as one: the letter with an invoice is the same each time
)

// enough is the least, in words, that tells a letter without link or file from others.
const enough = 8

// mostTerms are about as many as 256 bits can tell apart; of a longer letter so many
// are picked.
const mostTerms = 2048

// Sketch of the letter; false when there is nothing in it to tell it by.
func (l Letter) Sketch() (Sketch, bool) {
	text := l.Folded
	if text == nil {
		folded := FoldLines(l.Text)
		text = &folded
	}
	r := newLetterReader()
	defer r.free()
	r.readSubject(l.Subject)
	r.readText(text)
	words := r.told()
	told := appendFiles(appendHosts(words, l.Links), l.Files, weightFiles)
	told = appendFiles(told, l.Pictures, pictureWeight(len(words)))
	if len(words) < enough && len(told) == len(words) {
		return Sketch{}, false
	}
	return minHash(thinned(told, mostTerms, golden)), true
}

// term is something that a letter says, hashed.
type term uint64

// appendFiles makes one thing of all that is attached, so that a logo in each of them
// does not make two invoices alike; the order does not count.
func appendFiles(list []term, digests []uint64, weight int) []term {
	if len(digests) == 0 {
		return list
	}
	all := uint64(0)
	for _, d := range digests {
		all += mix(d)
	}
	return appendHeavy(list, all, weight)
}

// pictureWeight is what a letter's pictures count beside so many words: where these
// tell nothing, the pictures are the letter.
func pictureWeight(words int) int {
	if words < enough {
		return weightFiles
	}
	return weightPictures
}

// appendHeavy adds a thing that counts for several words.
func appendHeavy(list []term, h uint64, weight int) []term {
	for i := range weight {
		list = append(list, term(mix(h+uint64(i)*golden)))
	}
	return list
}

// Each term falls once into each of 16 rounds, there into one of 16 bins, and the
// least of each bin decides a bit. More rounds cost more for each word; fewer bins in
// each are better filled by short letters.
const (
	rounds = 16
	bins   = 16
	empty  = 1<<32 - 1
)

// minHash is the sketch of the terms; there is one at least.
func minHash(list []term) Sketch {
	var least [rounds * bins]uint32
	for i := range least {
		least[i] = empty
	}
	for _, t := range list {
		place(&least, uint64(t))
	}
	var s Sketch
	for i := range least {
		s[i/64] |= bit(&least, i) << (i % 64)
	}
	return s
}

// place puts one hash into its bin of every round, two rounds at a time.
func place(least *[rounds * bins]uint32, h uint64) {
	for i := uint8(0); i < rounds; i += 2 {
		hi, lo := bits.Mul64(h^seeds[i], seeds[i+1])
		x := hi ^ lo
		one, other := uint32(x), uint32(x>>32)
		at := i*bins | uint8(one%bins)
		least[at] = min(least[at], one/bins)
		at = (i+1)*bins | uint8(other%bins)
		least[at] = min(least[at], other/bins)
	}
}

// bit is what the least of bin i decides. An empty bin takes that of another bin of
// its round, found by trying: the same one in two letters that fill the same bins.
func bit(least *[rounds * bins]uint32, i int) uint64 {
	first := i - i%bins
	at := i
	for try := uint64(0); least[at] == empty; try++ {
		at = first + int(mix(uint64(i)<<32+try)%bins)
	}
	return mix(uint64(least[at])<<8|uint64(i)) & 1
}

// golden is 2^64 divided by the golden ratio.
const golden = 0x9e3779b97f4a7c15

// seeds are odd and fixed for ever: what they make is kept and compared across hosts.
var seeds = func() (s [rounds]uint64) {
	for i := range s {
		s[i] = mix(uint64(i+1)*golden) | 1
	}
	return s
}()

// mix makes every bit of h count for every bit of the answer (the finalizer of
// splitmix64; Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
func mix(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
