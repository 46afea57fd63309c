package message

import (
	"fmt"
	"strings"
	"testing"
)

func TestUndisguised(t *testing.T) {
	for text, want := range map[string]string{
		"H3llo w0rd, 4ll y0u g3t":          "hello word ll you get",
		"Hello1 world22 3all":              "hello world all",
		"Hello\u00b9 world\u00b2":          "hello world",
		"h e l l o\nw o r l d":             "hello world",
		"h.e.l.l.o w'o'r'l'd":              "helloworld",
		"p a y: 25 now":                    "pay 25 now",
		"\U0001F157\U0001F15A \U0001F170b": "hk ab",
		"5g a4 b2b 2026 17h30":             "5g a4 bzb 2026 17h30",
		"> quoted - w0rd":                  "> quoted - word",
		"see https://a.example/x1 a1@b.c":  "see https://a.example/x1 a1@b.c",
		"":                                 "",
	} {
		f := FoldLines(text)
		before := string(f.Text())
		plain := f.undisguised()
		if got := string(plain.Text()); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
		if after := string(f.Text()); after != before { // in which phrases are looked for
			t.Errorf("%q: folded it was %q and is %q", text, before, after)
		}
	}
}

// Of a long word most pieces are the same when something in it is changed.
func TestLongWordsAreCut(t *testing.T) {
	const long = "ourjoineryopensitsdoorsnextsaturdaycomeandseeournewkitchensofsolidoakmadeinthevalley"
	pieces := func(s string) map[string]bool {
		f := FoldLines(s)
		f = f.undisguised()
		list := map[string]bool{}
		for word := range strings.FieldsSeq(string(f.Text())) {
			list[word] = true
			if n := len(word); n > maxWord || strings.Contains(s, "é") && !strings.Contains(s, word) {
				t.Errorf("piece %q", word)
			}
		}
		return list
	}
	whole, same := pieces(long), 0
	for piece := range pieces(strings.Replace(long, "comeand", "goand", 1)) {
		if whole[piece] {
			same++
		}
	}
	if len(whole) < 10 || same < len(whole)*2/3 {
		t.Errorf("%d pieces, %d of them the same", len(whole), same)
	}
	pieces(strings.Repeat("щ", 60))
}

// What a reader reads is one letter, however its words are disguised; another text is
// another letter, and ordinary ones are left as they are.
func TestDisguisedLetters(t *testing.T) {
	const text = "Our joinery opens its doors next Saturday. Come and see our new kitchens of solid oak, made in the valley by our own " +
		"people, with drawers that close by themselves and worktops that a lifetime of cooking will not wear out."
	const other = "Good news: the loan that you asked about has been granted without any further proof of income, and the money can be on " +
		"your account tomorrow morning; nobody will ask what you want it for."
	each := func(change func(string) string) func(string) string {
		return func(s string) string {
			words := strings.Fields(s)
			for i := range words {
				words[i] = change(words[i])
			}
			return strings.Join(words, " ")
		}
	}
	for name, disguise := range map[string]func(string) string{
		"digits for letters": strings.NewReplacer("o", "0", "e", "3", "i", "1", "a", "4").Replace,
		"a digit to each":    each(func(w string) string { return w + "\u00b9" }),
		"letter by letter":   each(func(w string) string { return strings.Join(strings.Split(w, ""), " ") }),
		"thin blanks":        each(func(w string) string { return strings.Join(strings.Split(w, ""), "\u200a") }),
		"points":             each(func(w string) string { return strings.Join(strings.Split(w, ""), ".") }),
		"no blanks":          func(s string) string { return strings.ReplaceAll(s, " ", "") },
		"circles":            func(s string) string { return strings.Map(framed, strings.ToLower(s)) },
	} {
		letter := func(n int, text string) Letter {
			return Letter{Subject: fmt.Sprint("another one ", n), Text: names[n] + "\n" + disguise(text)}
		}
		for n := range names {
			if d := distance(t, letter(0, text), letter(n, text)); d > Near {
				t.Errorf("%s: number %d is %d bits from the first", name, n, d)
			}
		}
		if distance(t, letter(0, text), letter(1, other)) <= Near {
			t.Errorf("%s: another text is the same letter", name)
		}
	}
	for _, s := range []string{text, other, parcel, reminder + disclaimer, strings.Repeat(parcel, 99), strings.Repeat("12 34 ", 99), strings.Repeat("您的", 99)} {
		f := FoldLines(s)
		if read(&f, false) != read(&f, true) {
			t.Errorf("taken for disguised: %.80q", s)
		}
	}
}

// read says what a text tells, as it is or once more if that is little.
func read(f *Folded, again bool) string {
	r := newLetterReader()
	defer r.free()
	r.readText(f)
	if again {
		r.readDisguised(f)
	}
	return fmt.Sprint(r.head, r.values, r.tail, r.met)
}

var names = []string{"Alice", "Bruno", "Camille", "Denis", "Elise"}

func framed(r rune) rune {
	if 'a' <= r && r <= 'z' {
		return '\U0001F150' + r - 'a'
	}
	return r
}
