package message

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
)

// split is a text cut at all that is no letter from a to z. It is cut as a whole: of 64
// bytes at once it costs little to know where words end, and of one word after the other much.
//
// A word is letters a to z in a row, or a part of a longer one that has other characters too.
type split struct {
	edges  []int32    // where words begin and end, in turns, and of one more word far behind the text
	hashes []uint64   // of the words
	sorts  []wordSort // of the words
	odd    []uint64   // a bit for each byte that is a digit, or of a character beyond ASCII
	doubts []int32    // places in words that may be unspeakable, and one far behind the text
}

// from and to are where a word, or the one far behind the text, begins and ends.
func (p *split) from(word int) int { return int(p.edges[2*word]) }
func (p *split) to(word int) int   { return int(p.edges[2*word+1]) }

// wordSort says whether a word counts.
type wordSort uint8

const (
	counts      wordSort = iota
	unspeakable          // only when it was met before
	countsNever          // too short or too long
)

// nowhere is a place behind every text.
const nowhere = math.MaxInt32

// of cuts a text that is padded.
func (p *split) of(text []byte) {
	p.odd, p.doubts = p.odd[:0], p.doubts[:0]
	p.edges = slices.Grow(p.edges[:0], len(text)+mostEdges)
	edges, n, before := p.edges[:cap(p.edges)], 0, row{}
	for at := 0; at < len(text); at += 64 {
		b := rowOf(text[at:])
		p.odd = append(p.odd, b.odd)
		n += takeEdges(edges[n:], at, b.letters^behind(1, b.letters, before.letters))
		for doubt := b.doubts(before); doubt != 0; doubt &= doubt - 1 {
			p.doubts = append(p.doubts, int32(at+bits.TrailingZeros64(doubt)))
		}
		before = b
	}
	p.edges, p.doubts = append(edges[:n], nowhere, nowhere), append(p.doubts, nowhere)
	p.spell(text)
}

// mostEdges is how many edges 64 bytes of text have at most, nearly always.
const mostEdges = 24

// takeEdges writes where the edges are, as numbers, and says how many. How many there are
// would be guessed wrong as often as not, so some more are written.
func takeEdges(edges []int32, at int, edge uint64) int {
	n := bits.OnesCount64(edge)
	for i := range edges[:mostEdges] {
		edges[i] = int32(at + bits.TrailingZeros64(edge))
		edge &= edge - 1
	}
	for i := mostEdges; edge != 0; i++ {
		edges[i] = int32(at + bits.TrailingZeros64(edge))
		edge &= edge - 1
	}
	return n
}

// row has a bit for each of 64 bytes.
type row struct {
	letters, consonants uint64
	odd                 uint64 // digits, and what is beyond ASCII
	rare                uint64 // letters that hardly ever stand before the next one
}

// rowOf tells of the first 64 bytes of the text, or of its end.
func rowOf(text []byte) row {
	if len(text) <= 64 {
		var whole [65]byte
		copy(whole[:], text)
		text = whole[:]
	}
	letters, consonants := uint64(0), uint64(0)
	for i := 0; i < 64; i += 8 {
		s := (*[9]byte)(text[i : i+9])
		x := uint64(pairs[two(s[7:])])
		x = x<<1 + uint64(pairs[two(s[6:])])
		x = x<<1 + uint64(pairs[two(s[5:])])
		x = x<<1 + uint64(pairs[two(s[4:])])
		x = x<<1 + uint64(pairs[two(s[3:])])
		x = x<<1 + uint64(pairs[two(s[2:])])
		x = x<<1 + uint64(pairs[two(s[1:])])
		x = x<<1 + uint64(pairs[two(s[0:])])
		letters |= x & 0xff << i
		consonants |= x >> 8 << i
	}
	r := row{letters: letters, consonants: consonants}
	if strange := consonants &^ letters; strange != 0 {
		r.look(text, strange)
	}
	return r
}

// two are the two bytes that s begins with.
func two(s []byte) uint16 { return binary.LittleEndian.Uint16(s) }

// look looks at the bytes that are not what most are.
func (r *row) look(text []byte, strange uint64) {
	for ; strange != 0; strange &= strange - 1 {
		i := bits.TrailingZeros64(strange)
		bit := uint64(1) << i
		if !isLatin(text[i]) {
			r.odd |= bit
			r.consonants &^= bit
			continue
		}
		r.rare |= bit
		r.letters |= bit
		if isVowel(text[i]) {
			r.consonants &^= bit
		}
	}
}

// behind moves bits so many places on, from the row before, too.
func behind(places uint, x, before uint64) uint64 { return x<<(places&63) | before>>(-places&63) }

// doubts has a bit in each word that unspeakable is true of, and in few others.
func (b *row) doubts(before row) uint64 {
	one := behind(1, b.consonants, before.consonants)
	three := b.consonants & one & behind(2, b.consonants, before.consonants)
	four := three & behind(3, b.consonants, before.consonants)
	five := four & behind(4, b.consonants, before.consonants)
	whole := three&^behind(3, b.letters, before.letters) | four&^behind(4, b.letters, before.letters)
	return b.rare | five | whole&^(b.letters>>1)
}

// firstOfEight and nextEight are the bytes that the first and the second eight of a word
// of so many letters have of it.
var firstOfEight, nextEight = func() (first, next [16]uint64) {
	for n := range first {
		first[n] = 1<<(8*min(n, 8)) - 1
		next[n] = 1<<(8*max(0, n-8)) - 1
	}
	return first, next
}()

// spell hashes the words, and says whether they count.
func (p *split) spell(text []byte) {
	n := len(p.edges)/2 - 1
	p.hashes, p.sorts = slices.Grow(p.hashes[:0], n)[:n], slices.Grow(p.sorts[:0], n)[:n]
	hashes, sorts, edges := p.hashes, p.sorts[:n], p.edges
	doubts, doubt := p.doubts, int32(-1)
	for i := range hashes {
		from, to := edges[2*i], edges[2*i+1]
		s := (*[16]byte)(text[from:])
		n := uint(to - from)
		if n < 16 { // as most have; it costs less to hash sixteen than to guess which has eight
			short := fold(wordSeed^binary.LittleEndian.Uint64(s[:])&firstOfEight[n], golden)
			h := fold(short^binary.LittleEndian.Uint64(s[8:])&nextEight[n], golden)
			if n < 8 {
				h = short
			}
			hashes[i] = h
		} else {
			hashes[i] = hashLong(text[from:to])
		}
		sort := counts
		if n-2 > maxWord-2 {
			sort = countsNever
		}
		if to > doubt {
			for doubt < from {
				doubt, doubts = doubts[0], doubts[1:]
			}
			if doubt < to && sort == counts && isUnspeakable(text[from:to]) {
				sort = unspeakable
			}
		}
		sorts[i] = sort
	}
}
