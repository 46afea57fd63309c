package rules

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"
)

// pieces finds which of several lists of phrases has one in a text. Of all pieces of
// four bytes in the text only those at every step-th place are looked at; of each
// phrase so many are known, one beside the other, that one of them is hit.
type pieces struct {
	step   int
	reach  int                          // how far behind the beginning of its phrase a piece is, at most
	bits   [1 << (pieceBits - 6)]uint64 // one for each piece, by its hash
	places map[uint32][]place           // by piece
}

// place is where a piece stands.
type place struct {
	phrase string
	behind int // the phrase's beginning
	list   lists
}

// lists is a set of lists of phrases; bit 0 is the first.
type lists uint8

const (
	pieceLen  = 4
	pieceBits = 16
	mostStep  = 5

	// shortest is the length in bytes of a phrase that has, with the byte before it, one piece.
	shortest = pieceLen - 1
)

// newPieces takes lists of folded phrases that begin with a letter or digit.
func newPieces(all ...[]string) *pieces {
	p := &pieces{step: mostStep, places: map[uint32][]place{}}
	for _, phrase := range slices.Concat(all...) {
		p.step = min(p.step, len(phrase)-shortest+1)
	}
	for i, list := range all {
		for _, phrase := range list {
			p.add(phrase, 1<<i)
		}
	}
	return p
}

// add files the rarest step pieces of a phrase.
func (p *pieces) add(phrase string, list lists) {
	n := p.step + pieceLen - 1
	if len(phrase) < n { // the first one begins with what may stand before a word
		n--
		for before := range wordBytes {
			if !wordBytes[before] {
				p.file(string([]byte{byte(before)})+phrase[:pieceLen-1], place{phrase, -1, list})
			}
		}
	}
	first := rarest(phrase, n)
	for i := first; i <= first+n-pieceLen; i++ {
		p.file(phrase[i:i+pieceLen], place{phrase, i, list})
	}
}

func (p *pieces) file(piece string, at place) {
	x := binary.LittleEndian.Uint32([]byte(piece))
	h := hashPiece(x)
	p.bits[h>>6] |= 1 << (h & 63)
	p.places[x] = append(p.places[x], at)
	p.reach = max(p.reach, at.behind)
}

func hashPiece(x uint32) uint32 { return x * 0x9e3779b1 >> (32 - pieceBits) } // 2^32 by the golden ratio

// rarest is where the n bytes in a row begin that are least like other text: few of
// them are of common words, or common letters.
func rarest(phrase string, n int) int {
	const letters = "bpmcdluorntsiae" // of English and French, the most common ones last
	cost := make([]int, len(phrase))
	for from, end := 0, 0; from < len(phrase); from = end + 1 {
		end = from + max(0, strings.IndexByte(phrase[from:]+" ", ' '))
		for i := from; i < end; i++ {
			if cost[i] = strings.IndexByte(letters, phrase[i]) + 1; slices.Contains(commonWords, phrase[from:end]) {
				cost[i] = 40
			}
		}
		if end < len(phrase) {
			cost[end] = 20
		}
	}
	best, least := 0, math.MaxInt
	for i := range len(phrase) - n + 1 {
		sum := 0
		for _, c := range cost[i : i+n] {
			sum += c
		}
		if sum < least {
			best, least = i, sum
		}
	}
	return best
}

// commonWords are those among the words of phrases which are in most letters.
var commonWords = strings.Fields("a are as at be cette de for from have is la le les list mail message mes mon no not nos notre of our " +
	"pour que tant the this to us vos votre vous was why with you your")

// scan tells of phrases in the text that begin at or behind from: of which lists they
// are, and where a piece of one of them stands; until it is enough. Each is told of
// where a text has no phrase before.
func (p *pieces) scan(folded []byte, from int, enough func(at int, of lists) bool) {
	for i := max(0, from-1); i+pieceLen <= len(folded); i += p.step {
		x := binary.LittleEndian.Uint32(folded[i:])
		if h := hashPiece(x); p.bits[h>>6]>>(h&63)&1 == 0 {
			continue
		}
		if of := p.standing(folded, from, i, x); of != 0 && enough(i, of) {
			return
		}
	}
}

// standing says of which lists there are phrases that the piece at i is part of.
func (p *pieces) standing(folded []byte, from, i int, piece uint32) (of lists) {
	for _, at := range p.places[piece] {
		begin := i - at.behind
		begins := begin >= from && (begin == 0 || !wordBytes[folded[begin-1]])
		if begins && beginsWith(folded[begin:], at.phrase) {
			of |= at.list
		}
	}
	return of
}

// lists says which of the lists have a phrase in the text.
func (p *pieces) lists(folded []byte) (met lists) {
	p.scan(folded, 0, func(_ int, of lists) bool {
		met |= of
		return false
	})
	return met
}
