package message

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// What is here reads text a character at a time. What reads it eight bytes at a time
// must make the same of it.

// writePlainly is write.
func (p *page) writePlainly(s []byte) {
	for len(s) > 0 {
		r, n := utf8.DecodeRune(s)
		switch {
		case isWhite(r):
			p.blank = true
		case isJoining(r):
			p.join(r)
		case isUnseen(r):
		default:
			p.add(s[:n])
		}
		s = s[n:]
	}
}

// plainPlainly is plain, but for the links.
func (p *page) plainPlainly(text []byte) {
	p.block()
	for len(text) > 0 && !p.cut {
		var line []byte
		line, text = cutLine(text)
		if len(bytes.TrimSpace(line)) == 0 {
			p.block()
			continue
		}
		p.writePlainly(line)
		p.line()
	}
	p.block()
}

func FuzzPlainText(f *testing.F) {
	addOddTexts(f)
	f.Add("one\r\n two \r\n\r\n \r\nthree\r\r\nfo\rur\n\n\u2003\nfive\r", uint(70))
	f.Fuzz(func(t *testing.T, s string, room uint) {
		befores := [][]byte{nil, []byte("a\n")}
		if room < 64 {
			befores = append(befores, bytes.Repeat([]byte("x"), MaxText-int(room)))
		}
		for _, before := range befores {
			fast, plain := page{text: slices.Clone(before)}, page{text: slices.Clone(before)}
			fast.plain([]byte(s))
			plain.plainPlainly([]byte(s))
			linksCut := len(fast.links) == MaxLinks
			if !bytes.Equal(fast.text, plain.text) || !slices.Equal(fast.blocks, plain.blocks) || fast.cut != plain.cut && !linksCut {
				t.Fatalf("%q behind %d bytes: got %q %v %v, want %q %v %v", s, len(before), tail(fast.text), fast.blocks, fast.cut, tail(plain.text), plain.blocks, plain.cut)
			}
		}
	})
}

// plainMark is marks.next.
func plainMark(text []byte, from int) int {
	for i := from; i < len(text); i++ {
		isWWW := i+4 <= len(text) && bytes.EqualFold(text[i:i+4], []byte("www.")) && (i == 0 || !isWord(text[i-1]))
		if text[i] == '@' || bytes.HasPrefix(text[i:], []byte("://")) || isWWW {
			return i
		}
	}
	return len(text)
}

// oddTexts have what text of mail has, at all places of eight bytes.
var oddTexts = []string{
	"Votre colis est en attente", "a  b", " a", "a ", "       a", "        a b       ", "aaaaaaa bbbbbbb  c", "été à Noël, où ?", "aaaaaaé bbbbbb é  é",
	"\u00a0a\u00a0\u00a0b", "e\u0301t\u0336", "co\u00adlis \u200b", "“x” – ’", "\x7f\x80\xc3", "aaaaaaa\xc3", "\xc3\xa9\xc3", "\xc2\xa0\xca\xbf\xcb\x80", "a\tb\r\n\nc",
	"www.a.fr wwww. WwW.b x@y.fr http://www.a ://", "....www.", "包裹 ﬁ œ ＠ \U0001f600", "ÀÉÎ ǅ İ ı ſ", "abcdefgh\u0130",
}

func addOddTexts(f *testing.F) {
	for _, s := range oddTexts {
		for shift := range 8 {
			f.Add(s[:min(shift, len(s))]+s, uint(shift))
		}
	}
}

func FuzzWrite(f *testing.F) {
	addOddTexts(f)
	f.Fuzz(func(t *testing.T, s string, room uint) {
		befores := [][]byte{nil, []byte("a"), []byte("a\n")}
		if room < 64 {
			befores = append(befores, bytes.Repeat([]byte("x"), MaxText-int(room)))
		}
		for _, before := range befores {
			fast, plain := page{text: slices.Clone(before)}, page{text: slices.Clone(before)}
			fast.write([]byte(s))
			plain.writePlainly([]byte(s))
			sameBlank := fast.blank == plain.blank || fast.cut
			if !bytes.Equal(fast.text, plain.text) || len(fast.text) > MaxText || !sameBlank || fast.shown != plain.shown || fast.cut != plain.cut {
				t.Fatalf("%q behind %d bytes: got %q %v %v %v, want %q %v %v %v", s, len(before), tail(fast.text), fast.blank, fast.shown, fast.cut,
					tail(plain.text), plain.blank, plain.shown, plain.cut)
			}
		}
	})
}

func tail(b []byte) []byte { return b[max(0, len(b)-100):] }

func FuzzMarks(f *testing.F) {
	addOddTexts(f)
	f.Fuzz(func(t *testing.T, s string, step uint) {
		text := []byte(s)
		m := newMarks(text)
		for from := 0; from < len(text); from += 1 + int(step%16) {
			if got, want := m.next(from), plainMark(text, from); got != want {
				t.Fatalf("%q from %d: got %d, want %d", s, from, got, want)
			}
		}
		if got, want := isUTF8(text), utf8.Valid(text); got != want {
			t.Errorf("%q is UTF-8: got %v, want %v", s, got, want)
		}
	})
}

// foldPlainly is Fold.
func foldPlainly(text string) string {
	var out []byte
	blank := false
	for i, r := range text {
		if r == utf8.RuneError {
			continue // no character, or the one that stands for it
		}
		whole := text[i : i+utf8.RuneLen(r)]
		visible := ' ' < r && r < 0x7f
		switch {
		case visible:
		case isWhite(r):
			blank = true
			continue
		case isUnseen(r), r >= 0x300 && unicode.Is(unicode.Mn, r), len(appendFolded(nil, r, whole)) == 0:
			continue
		}
		if blank && len(out) > 0 {
			out = append(out, ' ')
		}
		blank = false
		if visible {
			out = append(out, lower(byte(r)))
		} else {
			out = appendFolded(out, r, whole)
		}
	}
	return string(out)
}

func FuzzFold(f *testing.F) {
	addOddTexts(f)
	f.Fuzz(func(t *testing.T, s string, _ uint) {
		if got, want := Fold(s), foldPlainly(s); got != want {
			t.Fatalf("%q: got %q, want %q", s, got, want)
		}
		// Its lines are the lines, folded.
		var want []string
		for line := range strings.Lines(s) {
			if line = foldPlainly(line); line != "" {
				want = append(want, line)
			}
		}
		f, from := FoldLines(s), 0
		var got []string
		for _, end := range f.ends {
			got = append(got, string(f.Text()[from:end]))
			from = end + 1
		}
		if !slices.Equal(got, want) {
			t.Errorf("lines of %q: got %q, want %q", s, got, want)
		}
	})
}

// unspeakablePlainly says of a word whether nobody can speak it.
func unspeakablePlainly(word string) bool {
	odd, row, most, vowels := false, 0, 0, 0
	for i := range len(word) {
		row++
		if strings.IndexByte("aeiouy", word[i]) >= 0 {
			row = 0
			vowels++
		}
		most = max(most, row)
		odd = odd || i > 0 && slices.ContainsFunc(oddPairs, func(s string) bool { return s[0] == word[i-1] && strings.IndexByte(s[1:], word[i]) >= 0 })
	}
	return len(word) >= 3 && (most >= 5 || vowels == 0 || odd && len(word) >= 5)
}

// sortPlainly says whether a word counts.
func sortPlainly(word string) wordSort {
	switch {
	case len(word) < 2 || len(word) > maxWord:
		return countsNever
	case unspeakablePlainly(word):
		return unspeakable
	}
	return counts
}

// hashPlainly is the hash of a word.
func hashPlainly(word string) uint64 {
	h := uint64(wordSeed)
	for {
		x, n := uint64(0), min(8, len(word))
		for i := range n {
			x |= uint64(word[i]) << (8 * i)
		}
		h = fold(h^x, golden)
		if n < 8 {
			return h
		}
		word = word[8:]
	}
}

// FuzzWords: words are where a reader of one character after the other finds them.
func FuzzWords(f *testing.F) {
	for _, s := range []string{"", "a", "bc", "bcd", "bonjour", "aaaaaaaq", "aaaaaaaqb", "xkqzwf", "rhythm", "anticonstitutionnellement", "strengthslengths", "bcdfabcdf", "aaaabcdfg",
		"a1 b\u00e9 \u20acc d4e", strings.Repeat("ab cde ", 20), strings.Repeat("z", 63), strings.Repeat("z", 64), strings.Repeat("z", 130) + "`{@[/:"} {
		f.Add(s)
		f.Add(strings.Repeat(" ", 60) + s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var got split
		got.of([]byte("1a aa aa" + padding)) // of which nothing stays
		got.of([]byte(s + padding))
		words := 0
		for i := 0; i < len(s); {
			c := s[i]
			if odd := c >= utf8.RuneSelf || '0' <= c && c <= '9'; odd != (got.odd[i/64]>>(i%64)&1 != 0) {
				t.Errorf("%q: character %d is odd: %v", s, i, !odd)
			}
			n := 0
			for i+n < len(s) && isLatin(s[i+n]) {
				n++
			}
			if n > 0 {
				if words == len(got.hashes) || got.from(words) != i || got.to(words) != i+n ||
					got.hashes[words] != hashPlainly(s[i:i+n]) || got.sorts[words] != sortPlainly(s[i:i+n]) {
					t.Fatalf("%q: got %+v, want %q at %d", s, got, s[i:i+n], i)
				}
				words++
			}
			i += max(1, n)
		}
		if words != len(got.hashes) || got.from(words) < len(s) || got.to(words) < len(s) {
			t.Errorf("%q: got more words: %+v", s, got)
		}
	})
}

// Every character by itself, and between others.
func TestFoldOfAll(t *testing.T) {
	for r := rune(0); r <= 0x2ffff; r++ {
		for _, s := range []string{string(r), "aaaaaaaa" + string(r) + " B"} {
			if got, want := Fold(s), foldPlainly(s); got != want {
				t.Fatalf("%q: got %q, want %q", s, got, want)
			}
		}
	}
}
