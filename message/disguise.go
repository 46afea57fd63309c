package message

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// littleTold is how many octets of text there are to a word, on the whole, where most of
// the text is no words to us: in languages that set blanks it is six to ten.
const littleTold = 24

// readDisguised reads the lines of the letter once more, where most of the text that was
// read is no words, though there is enough of it for a letter: it may be disguised.
func (r *letterReader) readDisguised(f *Folded) {
	n, told := len(f.Text()), r.nth-r.numbers
	if n < enough*6 || n <= littleTold*told {
		return
	}
	plain := f.undisguised()
	r.reset()
	if r.readText(&plain); r.nth-r.numbers <= told {
		r.reset()
		r.readText(f)
	}
}

// undisguised is the text with words in place of what a reader takes for words and we do
// not: w0rd and word1, w o r d and w.o.r.d, letters in circles, and words without blanks,
// which a style may set apart. Else whoever writes so could send all of it to everybody: of
// what does not count, nothing makes two letters the same.
func (f *Folded) undisguised() Folded {
	var u undisguising
	from := 0
	for _, end := range f.ends {
		for word := range bytes.FieldsSeq(f.padded[from:end]) {
			u.word(word)
		}
		u.endSpelling()
		u.text.WriteByte('\n')
		from = end + 1
	}
	return FoldLines(u.text.String())
}

// unframed is the letter that a symbol shows white on black, or as half of a flag. Fold
// knows those that Unicode takes for letters.
func unframed(r rune) rune {
	for _, a := range [...]rune{'\U0001F150', '\U0001F170', '\U0001F1E6'} {
		if a <= r && r < a+26 {
			return 'a' + r - a
		}
	}
	return r
}

// undisguising writes the text anew.
type undisguising struct {
	text  strings.Builder
	spelt []byte // letters that stand alone, so far
}

// word takes what stands between two blanks.
func (u *undisguising) word(w []byte) {
	if marks := newMarks(w); marks.next(0) < len(w) { // an address
		u.endSpelling()
		u.write(w)
		return
	}
	if !isPart(w[0]) { // a sign of its own, or a quotation's
		u.sign(w[0], len(w) == 1 || w[0] == '>')
	}
	if bytes.ContainsFunc(w, func(r rune) bool { return unframed(r) != r }) {
		w = bytes.Map(unframed, w)
	}
	for len(w) > 0 {
		n := 0
		for n < len(w) && isPart(w[n]) {
			n++
		}
		u.part(w[:n])
		w = w[min(n+1, len(w)):]
	}
}

// sign keeps a character that begins a word where it may mean something.
func (u *undisguising) sign(c byte, means bool) {
	if means {
		u.endSpelling()
		u.text.Write([]byte{c, ' '})
	}
}

// part takes letters and digits in a row.
func (u *undisguising) part(p []byte) {
	switch {
	case len(p) == 0:
	case p[0] > '9' && (len(p) == 1 || len(p) <= utf8.UTFMax && utf8.RuneCount(p) == 1):
		u.spelt = append(u.spelt, p...)
	default:
		u.endSpelling()
		u.write(unnumbered(p))
	}
}

// endSpelling writes letters that stood alone as the word, or words, that they spell.
func (u *undisguising) endSpelling() {
	if len(u.spelt) > 0 {
		u.write(u.spelt)
	}
	u.spelt = u.spelt[:0]
}

// digitLetters are what digits stand for within a word.
const digitLetters = "oizeasbtbg"

// unnumbered is a word without digits before and behind it, and with letters for those
// within. What has fewer than two letters is a number.
func unnumbered(w []byte) []byte {
	bare := bytes.Clone(bytes.Trim(w, "0123456789")) // what was folded is read again by others
	letters := 0
	for i, c := range bare {
		if c < '0' || c > '9' {
			letters++
			continue
		}
		bare[i] = digitLetters[c-'0']
	}
	if letters < 2 {
		return w
	}
	return bare
}

// write writes a word, and one that is too long for a word in pieces. Where it is cut
// hangs on what stands there, so that most pieces are the same when some of it is changed.
func (u *undisguising) write(w []byte) {
	from := 0
	for i := 4; len(w) > maxWord && i < len(w); i++ {
		long := i - from
		if pair := uint64(w[i-1])<<8 | uint64(w[i]); utf8.RuneStart(w[i]) && long >= 4 && (mix(pair)%4 == 0 || long >= 12) {
			u.text.Write(w[from:i])
			u.text.WriteByte(' ')
			from = i
		}
	}
	u.text.Write(w[from:])
	u.text.WriteByte(' ')
}

// isPart says of an octet of folded text whether it is of a letter or digit.
func isPart(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || c >= utf8.RuneSelf }
