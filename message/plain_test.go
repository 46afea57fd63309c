package message

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What ordinary mail has is read in one go; the rest is not taken for it.
func TestPlainList(t *testing.T) {
	for value, want := range map[string]int{
		"alice@client.fr": 1, " alice@client.fr\t": 1, "Alice Durand <alice@client.fr>": 1, `"Durand, Alice (Paris)" <alice@client.fr>`: 1,
		"<alice@client.fr>": 1, "J. R. O'Neill-Smith <jr@client.fr> ,b@x.example": 2, "a@b,c@d , E <e@f>": 3, `"A"B<x@y.example>`: 1,
		`"a@b" <c@d>`: 1, "a%b <x@y.example>": 1, "bounce+x=y.example@client.fr": 1,

		"": 0, " ": 0, ",": 0, "a@b,": 0, "a@b, ,c@d": 0, "Alice": 0, "alice@": 0, "@client.fr": 0, "alice@client.fr.": 0, "Alice@Client.fr": 0,
		"alice@client.fr (x)": 0, "g: a@b;": 0, "a@b c@d": 0, "a @b": 0, "<a@b": 0, "<a@b> x": 0, "<a@b><c@d>": 0, "a%b@c": 0, ".a@b": 0, "a.@b": 0, "a..b@c": 0,
		`"a\"b" <c@d>`: 0, `"a <c@d>`: 0, `"a"@b`: 0, "=?utf-8?Q?x?= <a@b>": 0, "Andr\u00e9 <a@b>": 0, "a@xn--b": 0, "a@[192.0.2.1]": 0,
		"< a@b>": 0, "a@b\v": 0, "A\x00 <a@b>": 0, "a@-b": 0, "a@b_c": 0,
	} {
		list, ok := plainList(value)
		if ok != (want > 0) || len(list) != want {
			t.Errorf("%q: %v, %v; want %d", value, list, ok, want)
		}
		checkPlain(t, value)
	}
}

// checkPlain holds what is read in one go against what the standard grammar says.
func checkPlain(t *testing.T, value string) {
	if got, ok := plainAddress(value); ok {
		if diff := cmp.Diff(parseAddress(value), got); diff != "" {
			t.Errorf("address %q (-want +got):\n%s", value, diff)
		}
		if found := scan(value); !isOuter(rune(got.Local[0])) && (len(found) != 1 || found[0].Address != got) {
			t.Errorf("address %q: got %v, scan finds %v", value, got, found)
		}
	}
	a := ParseAddress(value)
	if !a.Is(a.Fold()) || a.Is(a.Fold()+"x") || a.Is("") != (a.Fold() == "") || a.FoldOf(value) != a.Fold() ||
		a.StringOf(value) != a.String() || a.StringOf(a.String()) != a.String() || a.StringOf(a.String()+"x") != a.String() {
		t.Errorf("%q is not what it folds to, %q", value, a.Fold())
	}
	if parsed, err := standard.ParseList(value); isRefused(value) && err == nil {
		t.Errorf("list %q: got refused, want %v", value, parsed)
	}
	if _, ok := plainList(value); !ok {
		return
	}
	want, _ := readGrammar(List{Field: "To"}, value)
	got, ok := readPlain("To", value)
	if !ok {
		got, _ = readGrammar(got, value)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("list %q (-want +got):\n%s", value, diff)
	}
}

// What a list is put together from, near the plain form as random bytes seldom are.
var plainPieces = []string{
	"alice@client.fr", "<ceo@bank.fr>", "Alice", `"Durand, A."`, `"`, "\\", ",", ", ", " ", "\t", "<", ">", "@", ".", "..", "%", "=?", "?", "(", ")", ":", ";",
	"[", "]", "a", "-", "_", "xn--a", "\u00e9", "\uff20", "\x00", "\n", "A@B.fr", "'", "b@x",
}

func FuzzPlainPieces(f *testing.F) {
	f.Add([]byte{2, 8, 1, 7, 0})
	f.Add([]byte{3, 8, 1, 6, 0, 8})
	f.Fuzz(func(t *testing.T, pieces []byte) {
		var value strings.Builder
		for _, p := range pieces[:min(len(pieces), 40)] {
			value.WriteString(plainPieces[int(p)%len(plainPieces)])
		}
		checkPlain(t, value.String())
	})
}

func FuzzPlain(f *testing.F) {
	f.Add("Alice Durand <alice@client.fr>, bob@x.example")
	f.Add(`"Durand, Alice" <alice@client.fr>`)
	f.Fuzz(checkPlain)
}
