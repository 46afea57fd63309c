package page

import (
	"fmt"
	"html/template"
	"strings"
	"unicode"
)

// mostForeign bounds a foreign text in one place, in characters.
const mostForeign = 4000

// Foreign is a text that somebody else wrote, ready for HTML: escaped, kept apart
// from the direction of the text around it, and without anything that is not seen.
// Line ends are shown as such; style them with white-space.
func Foreign(s string) template.HTML {
	return template.HTML("<bdi>" + template.HTMLEscapeString(Visible(s)) + "</bdi>")
}

// Visible writes what a reader would not see, or what would change how the rest is
// seen, as [U+202E]: control, direction, zero-width and other invisible characters.
// Line ends and tabs stay. Piles of accents are cut down.
func Visible(s string) string {
	var out strings.Builder
	marks, left := 0, mostForeign
	for _, r := range s {
		if left--; left < 0 {
			out.WriteString(" …")
			break
		}
		if unicode.In(r, unicode.Mn, unicode.Me) {
			marks++
		} else {
			marks = 0
		}
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			if r != '\r' {
				out.WriteRune(r)
			}
		case marks > mostMarks || unicode.Is(unicode.Variation_Selector, r):
		case isHidden(r):
			fmt.Fprintf(&out, "[U+%04X]", r)
		case unicode.Is(unicode.Zs, r):
			out.WriteByte(' ')
		default:
			out.WriteRune(r)
		}
	}
	return out.String()
}

// Vietnamese and Hebrew put up to three marks on a letter.
const mostMarks = 4

// isHidden says whether r is not seen by itself. Not in Go's tables of format
// characters: the Braille blank.
func isHidden(r rune) bool {
	return unicode.In(r, unicode.C, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point) || r == 0x2800
}
