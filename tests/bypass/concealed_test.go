package bypass

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"o2n-milter/tests/campaign"
)

// within has something of its own round each letter, by chance, %s being the letter.
func within(frame func(g forge) string) func(forge, int, leaflet) leaflet {
	return func(g forge, _ int, l leaflet) leaflet {
		l.html, l.link = true, fmt.Sprintf("https://%s.example/", g.invented()+g.invented())
		around := frame(g)
		l.page = func(s string) string { return strings.ReplaceAll(around, "%s", s) }
		return l
	}
}

// written has the words of the text, without tags, within a frame.
func written(frame string) func(forge, int, leaflet) leaflet {
	return func(g forge, n int, l leaflet) leaflet {
		text := strings.ReplaceAll(strings.Join(l.paragraphs, " "), "'", "")
		return within(always(strings.ReplaceAll(frame, "%s", text)))(g, n, l)
	}
}

// always is a frame that is the same for each.
func always(frame string) func(forge) string { return func(forge) string { return frame } }

// shownConcealings hide a letter from who reads its styles otherwise than browsers do: all of
// it is seen there.
var shownConcealings = []mailing{
	{"moved away, in what is moved back", within(always("<div style='position:relative;left:9999px'><div style='position:absolute;left:-9999px'>%s</div></div>")), [3]int{19, 19, 19}},
	{"moved away, with a margin back", within(always("<div style='position:absolute;left:-9999px;margin-left:9999px'>%s</div>")), [3]int{19, 19, 19}},
	{"moved away, with a transform back", within(always("<div style='position:absolute;top:-9999px;transform:translateY(9999px)'>%s</div>")), [3]int{19, 19, 19}},
	{"white, over a black box", within(always("<div style='position:absolute;left:0;top:0;width:100%;height:2000px;background:#000'></div><div style='position:relative;color:#fff'>%s</div>")), [3]int{19, 19, 19}},
	{"a color that is none", within(always("<!DOCTYPE html><div style='color:fff'>%s</div>")), [3]int{19, 19, 19}},
	{"a size that is none", within(always("<!DOCTYPE html><div style='font-size:0.5'>%s</div>")), [3]int{19, 19, 19}},
	{"a share of no height", within(always("<!DOCTYPE html><div style='height:0%;overflow:hidden'>%s</div>")), [3]int{19, 19, 19}},
	{"a title with a display", within(always("<html><body><title style='display:block'>%s</title></body></html>")), [3]int{19, 19, 19}},
	{"a style sheet with a display", within(always("<html><body><style style='all:unset'>%s</style></body></html>")), [3]int{19, 19, 19}},
	{"made by a style", written("<style>p::before{content:'%s'}</style><p></p>"), [3]int{19, 19, 19}},
	{"made by a style, of a variable", written("<style>p::before{content:var(--text)}</style><p style=\"--text:'%s'\"></p>"), [3]int{19, 19, 19}},
	{"made by a style, of an attribute", written("<style>p::before{content:attr(title)}</style><p title='%s'></p>"), [3]int{19, 19, 19}},
	{"the mark of a list", written("<ul style=\"list-style:inside '%s'\"><li>&nbsp;</ul>"), [3]int{19, 19, 19}},
	{"the label of a group", written("<select size=2><optgroup label='%s'></optgroup></select>"), [3]int{19, 19, 19}},
	{"what a field asks for", written("<textarea cols=80 rows=40 placeholder='%s'></textarea>"), [3]int{19, 19, 19}},
}

// concealings are those whose text, or style, is not the same each time.
var concealings = []mailing{
	{"beside other plain text", all(within(always("<div style='position:absolute;left:-9999px;margin-left:9999px'>%s</div>")), besides), [3]int{19, 19, 19}},
	{"a part of it each time", partly, [3]int{30, 40, 80}},
	{"styles by chance", within(forge.concealing), [3]int{19, 19, 19}},
	{"styles by chance, with 80 words that are hidden", all(strayed(80), within(forge.concealing)), [3]int{40, 40, 40}},
	{"styles by chance, with 8 words that are hidden", all(strayed(8), within(forge.concealing)), [3]int{25, 50, 200}},
	{"HTML that is too intricate, with 80 words that are hidden", all(strayed(80), within(intricate)), [3]int{19, 19, 19}},
	{"a broken part, with 80 words that are hidden", all(strayed(80), broken), [3]int{19, 19, 19}},
	{"a broken part, with 80 words in its header", noted, [3]int{19, 19, 19}},
}

// intricate is a frame of more elements in each other than anybody follows.
func intricate(forge) string {
	var b strings.Builder
	for size := range 60 {
		fmt.Fprintf(&b, "<font style='font-size:%dpx'>", 100+size)
	}
	return b.String() + "%s"
}

// broken has a part that nobody can decode, so that all of the mail is looked at undecoded.
func broken(_ forge, _ int, l leaflet) leaflet {
	l.html, l.encoding = true, "8bit"
	l.parts = []string{"Content-Type: text/plain\r\nContent-Transfer-Encoding: x-none\r\n\r\n"}
	return l
}

// noted has words of chance in a header of that part.
func noted(g forge, n int, l leaflet) leaflet {
	l = broken(g, n, l)
	l.parts[0] = "X-Note: " + g.say(80) + "\r\n" + l.parts[0]
	return l
}

// besides has a plain text of chance for who shows no HTML.
func besides(g forge, _ int, l leaflet) leaflet {
	l.other = g.say(120)
	return l
}

// partly conceals words of chance.
func partly(g forge, _ int, l leaflet) leaflet {
	l.html = true
	return l.eachWord(func(_ int, word string) string {
		if g.chance(50) {
			return "<span style='position:absolute;left:-9999px;margin-left:9999px'>" + word + "</span>"
		}
		return word
	})
}

// strayed has so many words of chance that nobody sees, hidden in one of many ways.
func strayed(words int) func(forge, int, leaflet) leaflet {
	return func(g forge, _ int, l leaflet) leaflet {
		l = l.clone()
		l.html = true
		l.paragraphs[0] += fmt.Sprintf("<span style='%s'>%s</span>", g.one("display:none", "font-size:0", "visibility:hidden", "color:#fff", "position:absolute;left:-9999px"), g.say(words))
		return l
	}
}

// concealing is a frame of one or more elements whose styles hide their text, to who does
// not know better, in one of the ways that are known.
func (g forge) concealing() string {
	frame, sheet := "%s", ""
	for i := range 1 + g.IntN(3) {
		css := g.inOtherWords(strings.ReplaceAll(g.one(hidingStyles...), "--c", "--d"))
		if g.chance(40) {
			css = g.moved() + ";" + css
		}
		tag := g.one("div", "section", "center", "blockquote", "article")
		if g.chance(30) {
			sheet += fmt.Sprintf(".c%d{%s}", i, css)
			frame = fmt.Sprintf("<%s class=c%d>", tag, i) + frame + "</" + tag + ">"
			continue
		}
		frame = "<" + tag + ` style="` + strings.ReplaceAll(css, `"`, "'") + `">` + frame + "</" + tag + ">"
	}
	if sheet != "" {
		frame = "<style>" + sheet + "</style>" + frame
	}
	return g.one("", "<!DOCTYPE html>") + "<html><body>" + frame + "</body></html>"
}

// moved is a declaration by chance of what may hide a text.
func (g forge) moved() string {
	length := fmt.Sprint(g.IntN(20_000)-10_000) + g.one("", "px", "em", "%", "vw", "rem", "cm")
	property := g.one("left", "right", "top", "bottom", "margin", "margin-left", "margin-top", "text-indent", "width", "height", "max-width", "max-height",
		"font-size", "line-height", "letter-spacing", "padding", "inset", "translate", "zoom", "opacity", "z-index", "clip", "scale", "flex-basis")
	return g.one("position:absolute;", "position:fixed;", "position:relative;", "overflow:hidden;", "") + property + ":" + length
}

// A letter that its styles hide from who counts it, and show to readers, is counted.
func TestConcealedMailings(t *testing.T) {
	count := campaign.Counting(t, "campaigns", "letters whose styles conceal them from who counts")
	stopped(t, count, slices.Concat(shownConcealings, concealings), 100)
}
