package message

import "unicode"

// isLetter is unicode.IsLetter.
func isLetter(r rune) bool {
	if r < rune(len(letterTable))*64 {
		return letterTable[r/64]>>(r%64)&1 != 0
	}
	return unicode.IsLetter(r)
}

// letterTable has a bit for each letter of the alphabets of Europe.
var letterTable = func() (table [0x2100 / 64]uint64) {
	for r := range rune(0x2100) {
		if unicode.IsLetter(r) {
			table[r/64] |= 1 << (r % 64)
		}
	}
	return table
}()

// ideograph is of a script that sets no blanks between words: Chinese, Japanese,
// Korean, Thai, Lao.
func ideograph(r rune) bool {
	return r >= 0x0e00 && (r <= 0x0eff || 0x2e80 <= r && r <= 0x2fff || 0x3040 <= r && r <= 0x9fff ||
		0xac00 <= r && r <= 0xd7af || 0xf900 <= r && r <= 0xfaff || 0x20000 <= r && r <= 0x3ffff)
}
