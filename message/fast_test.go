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

// unspeakablePlainly is unspeakable.
func unspeakablePlainly(word string) bool {
	odd, row, most, vowels := false, 0, 0, 0
	for i := range len(word) {
		row++
		if strings.IndexByte("aeiouy", word[i]) >= 0 {
			row = 0
			vowels++
		}
		most = max(most, row)
		odd = odd || i > 0 && oddPairs[int(word[i-1]-'a'+1)|int(word[i]-'a'+1)<<5] != 0
	}
	return len(word) >= 3 && (most >= 5 || vowels == 0 || odd && len(word) >= 5)
}

func FuzzUnspeakable(f *testing.F) {
	for _, s := range []string{"", "a", "bc", "bcd", "bonjour", "aaaaaaaq", "aaaaaaaqb", "xkqzwf", "rhythm", "anticonstitutionnellement", "strengthslengths", "bcdfabcdf", "aaaabcdfg"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		word := strings.Map(func(r rune) rune { return 'a' + r%26 }, s)
		word = word[:min(len(word), maxWord)]
		for _, behind := range []string{padding, "zzzzzzzz", "aeiouaei"} {
			if got, want := unspeakable([]byte(word+behind), len(word)), unspeakablePlainly(word); got != want {
				t.Fatalf("%q: got %v, want %v", word, got, want)
			}
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
