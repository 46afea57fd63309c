package message

import (
	"math/bits"
	"strings"
)

// Sketch is what is left of a letter when all that bulk mail varies is taken out of
// it: two letters are as alike as few of its bits differ.
//
// It is a one-bit MinHash: of two letters that share the part J of what they say
// (weights of what both say, divided by weights of what either says), some
// 128*(1-J) bits differ. The same letter has the same sketch on every host; a
// change of how it is made ends the campaigns that are counted then.
type Sketch [4]uint64

// Letter is what a letter's sketch is made of.
type Letter struct {
	Subject string // decoded
	Text    string // Body.Text
	Links   []Link
	Files   []uint64
}

// Near is how many bits the sketches of two messages of one campaign differ by at most.
const Near = 40

// Weights, in half words.
const (
	weightWord  = 2
	weightShort = 1  // a word of two or three letters: most of them are in every letter
	weightValue = 1  // a number, a name in a salutation: bulk has few of them, an order many
	weightHost  = 6  // a host that links lead to
	weightFiles = 80 // all that is attached, as one
	enough      = 12 // less than this does not tell a letter from others
)

// Sketch of the letter; false when there is nothing in it to tell it by.
func (l Letter) Sketch() (Sketch, bool) {
	r := letterReader{head: make([]term, 0, 64+len(l.Text)/6)}
	r.line(withoutReply(l.Subject))
	r.startText()
	for line := range strings.Lines(l.Text) {
		r.line(line)
	}
	told := r.thinTail()
	told = append(told, hosts(l.Links)...)
	told = append(told, files(l.Files)...)
	if weigh(told) < enough {
		return Sketch{}, false
	}
	return minHash(told), true
}

// term is something that a letter says, hashed; its two lowest bits are its weight.
type term uint64

func newTerm(h uint64, weight term) term { return term(h)&^3 | weight }

func weigh(list []term) int {
	n := 0
	for _, t := range list {
		n += int(t & 3)
	}
	return n
}

// files makes one thing of all that is attached, so that a logo in each of them does
// not make two invoices alike; the order does not count.
func files(digests []uint64) []term {
	if len(digests) == 0 {
		return nil
	}
	all := uint64(0)
	for _, d := range digests {
		all += mix(d)
	}
	return heavy(all, weightFiles)
}

// heavy is a thing of more weight than a word has: several terms.
func heavy(h uint64, weight int) []term {
	var list []term
	for i := range weight / weightWord {
		list = append(list, newTerm(mix(h+uint64(i)*golden), weightWord))
	}
	return list
}

// Each term falls once into each of the rounds, there into one of the bins, and the
// least of each bin decides a bit. More rounds cost more for each word; fewer bins
// in each are better filled by short letters.
const (
	rounds = 8
	bins   = 256 / rounds
	empty  = 1<<32 - 1
)

// minHash is the sketch of the terms, each as often as it weighs; there is one at least.
func minHash(list []term) Sketch {
	var least [256]uint32
	for i := range least {
		least[i] = empty
	}
	for _, t := range list {
		for copies := t & 3; copies > 0; copies-- {
			place(&least, uint64(t&^3|copies))
		}
	}
	var s Sketch
	for i := range least {
		s[i/64] |= bit(&least, i) << (i % 64)
	}
	return s
}

// place puts one hash into its bin of every round.
func place(least *[256]uint32, h uint64) {
	for i := 0; i < rounds; i += 2 {
		hi, lo := bits.Mul64(h^seeds[i], seeds[i+1])
		x := hi ^ lo
		for j, half := range [2]uint32{uint32(x), uint32(x >> 32)} {
			at := (i+j)*bins + int(half%bins)
			least[at] = min(least[at], half>>5)
		}
	}
}

// bit is what the least of bin i decides. An empty bin takes that of another bin of
// its round, found by trying: the same one in two letters that fill the same bins.
func bit(least *[256]uint32, i int) uint64 {
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
