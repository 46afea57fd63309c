package message

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"
)

// TestTreeLikeParser holds the tree against a parser that follows the HTML
// standard to the letter (and has no bounds): the same words are hidden, however
// wildly the tags are thrown together.
func TestTreeLikeParser(t *testing.T) {
	names := []string{"div", "p", "span", "b", "i", "a", "font", "table", "tbody", "tr", "td", "th", "caption", "ul", "li", "dl", "dd",
		"h1", "h2", "form", "center", "o:p", "button", "pre", "blockquote", "br", "body", "img"}
	random := rand.New(rand.NewPCG(3, 4))
	differ := 0
	for n := range 20_000 {
		var b strings.Builder
		b.WriteString("<body>")
		for i := range 2 + random.IntN(14) {
			name := names[random.IntN(len(names))]
			switch random.IntN(5) {
			case 0, 1:
				fmt.Fprintf(&b, "<%s>", name)
			case 2:
				if name != "body" {
					fmt.Fprintf(&b, "<%s hidden>", name)
				}
			case 3:
				fmt.Fprintf(&b, "</%s>", name)
			}
			fmt.Fprintf(&b, "w%d ", i)
		}
		text := b.String()
		want := visibleWords(t, text)
		body := readHTML(text)
		if body.Raw != "" {
			continue
		}
		got := strings.Fields(body.Text)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			if differ++; differ <= 5 {
				t.Errorf("%d: %s\n-want +got:\n%s", n, text, diff)
			}
		}
	}
	if differ > 5 {
		t.Errorf("%d differ", differ)
	}
}

// visibleWords are the words that no hidden attribute hides, sorted.
func visibleWords(t *testing.T, text string) []string {
	root, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	words := []string{}
	var walk func(*html.Node)
	walk = func(n *html.Node) {
		if slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == "hidden" }) {
			return
		}
		if n.Type == html.TextNode {
			words = append(words, strings.Fields(n.Data)...)
		}
		for c := range n.ChildNodes() {
			walk(c)
		}
	}
	walk(root)
	slices.Sort(words)
	return words
}
