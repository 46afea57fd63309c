package message

import "unicode"

// isWhite: what shows as a blank, however wide.
func isWhite(r rune) bool {
	switch r {
	case ' ', '\t', '\n', '\v', '\f', '\r', 0x85, 0xa0, 0x1680, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000,
		0x2800, 0x3164, 0xffa0, 0x115f, 0x1160: // Braille's empty cell and the Hangul fillers are as wide as a letter
		return true
	}
	return 0x2000 <= r && r <= 0x200a
}

// isUnseen: what takes no place on the screen, and so breaks a word for programs
// only: controls, soft hyphens, joiners, direction marks, variation selectors,
// tags, and what stands for bytes that are no character.
func isUnseen(r rune) bool {
	switch {
	case r < 0xa0:
		return r < ' ' || r >= 0x7f
	case r < 0x300:
		return r == 0xad
	}
	switch r {
	case 0x34f, 0x17b4, 0x17b5, 0x180b, 0x180c, 0x180d, 0x180f, 0xfffd:
		return true
	}
	return 0xfe00 <= r && r <= 0xfe0f || 0xe0000 <= r && r <= 0xe0fff || unicode.Is(unicode.Cf, r)
}

// isJoining: a mark that is drawn onto the Latin, Greek or Cyrillic letter before it.
func isJoining(r rune) bool {
	return 0x300 <= r && r <= 0x36f && r != 0x34f || 0x483 <= r && r <= 0x489 ||
		0x1ab0 <= r && r <= 0x1aff || 0x1dc0 <= r && r <= 0x1dff || 0x20d0 <= r && r <= 0x20ff || 0xfe20 <= r && r <= 0xfe2f
}
