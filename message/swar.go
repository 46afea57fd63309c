package message

import (
	"encoding/binary"
	"math/bits"
)

// Most of mail is ASCII. Here are questions about eight bytes of it at once: a byte of
// an answer has its high bit set where the byte in its place is what was asked for,
// the first byte in the lowest place.
const (
	ones  = 0x0101010101010101
	highs = 0x80 * ones
	lows  = 0x7f * ones
)

// eight are the eight bytes that s begins with; it has as many.
func eight(s []byte) uint64 { return binary.LittleEndian.Uint64(s) }

// eightOf is eight for strings, too.
func eightOf[T string | []byte](s T) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// blanksIn are the blanks among eight bytes of ASCII.
func blanksIn(x uint64) uint64 { return ^(x ^ ' '*ones + lows) & highs }

// capitalsIn are the bytes from A to Z.
func capitalsIn(x uint64) uint64 {
	y := x & lows
	return (y + (0x80-'A')*ones) &^ (y + (0x80-'Z'-1)*ones) &^ x & highs
}

// strangeIn are the bytes that are neither blank nor visible ASCII.
func strangeIn(x uint64) uint64 {
	y := x & lows
	return (x | ^(y + (0x80-' ')*ones) | (y + (0x80-0x7f)*ones)) & highs
}

// asciiRun is how many bytes at the beginning of s are ASCII.
func asciiRun(s []byte) int {
	i := 0
	for i+32 <= len(s) && (eight(s[i:])|eight(s[i+8:])|eight(s[i+16:])|eight(s[i+24:]))&highs == 0 {
		i += 32
	}
	for ; i+8 <= len(s); i += 8 {
		if high := eight(s[i:]) & highs; high != 0 {
			return i + firstOf(high)
		}
	}
	for i < len(s) && s[i] < 0x80 {
		i++
	}
	return i
}

// firstOf is the place of the first of the bytes found; 8 for none.
func firstOf(found uint64) int { return bits.TrailingZeros64(found) / 8 }
