package bypass

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"o2n-milter/message"
	"o2n-milter/tests/campaign"
)

// hasWayOut says whether the rules find a way to unsubscribe in an HTML letter, which
// declares itself bulk.
func (j *judge) hasWayOut(html string, lines ...message.Field) bool {
	header := slices.Concat([]message.Field{{Name: "From", Value: login}, {Name: "To", Value: victim}, {Name: "Precedence", Value: "bulk"},
		{Name: "Content-Type", Value: "text/html; charset=utf-8"}}, lines)
	return !found(j.try(login, []string{victim}, header, []byte(html)), "bulk.unsubscribe")
}

// The letter as it should be has a way out, or nothing here says anything.
func TestWayOutIsFound(t *testing.T) {
	j := newJudge(t)
	for _, html := range []string{letter("", anchor), letter("", "<div class=f id=g>"+anchor+"</div>"), letter("a{color:#333}", anchor), letter(".f a{color:#fff} .f{background:#222}", "<div class=f>"+anchor+"</div>"),
		letter("@media (prefers-color-scheme:dark){a{color:#fff}} @media (max-width:600px){.f{display:none}}", "<div class=f>"+anchor+"</div>"),
		letter("a:hover{color:#fff} a:visited{display:none} [data-ogsc] a{color:#fff} .ExternalClass a{display:none}", "<div class=f>"+anchor+"</div>")} {
		if !j.hasWayOut(html) {
			t.Errorf("no way out in %s", html)
		}
	}
}

// hiddenWayOut is one letter whose way out is hidden or leads nowhere.
func (g forge) hiddenWayOut() string {
	switch g.IntN(6) {
	case 0:
		return letter("", fmt.Sprintf(g.one(hidingPlaces...), anchor))
	case 1:
		return letter("", g.one(deadLinks...))
	}
	return g.styled(g.one(hidingStyles...))
}

// What is hidden, and what leads nowhere, is no way out, however the style is written and
// wherever it stands.
func TestHiddenWayOut(t *testing.T) {
	g := forge{campaign.Rand(t)}
	count := campaign.Counting(t, "unsubscribe", "ways out that nobody sees")
	j := newJudge(t)
	try := func(html string) {
		if !j.hasWayOut(html) {
			count.Held()
			return
		}
		count.Failed()
		t.Errorf("a way out is seen in %s", html)
	}
	for _, html := range slices.Concat(each(hidingPlaces, func(s string) string { return letter("", fmt.Sprintf(s, anchor)) }), each(deadLinks, func(s string) string { return letter("", s) }),
		each(hidingStyles, func(s string) string { return letter("", strings.Replace(anchor, "<a ", `<a style="`+s+`" `, 1)) })) {
		try(html)
	}
	for range campaign.Pick(3_000, 60_000) {
		if t.Failed() {
			return
		}
		try(g.hiddenWayOut())
	}
}

func each(list []string, make func(string) string) []string {
	var made []string
	for _, s := range list {
		made = append(made, make(s))
	}
	return made
}

// A way out in a part that nobody is shown, or in a field that no program can use.
func TestWayOutElsewhere(t *testing.T) {
	count := campaign.Counting(t, "unsubscribe", "ways out in parts and fields that nobody uses")
	j := newJudge(t)
	const plainWay = "Pour vous desabonner : https://client-a.example/stop\r\n"
	html := "Content-Type: text/html\r\n\r\n" + letter("", "")
	for name, m := range map[string]struct{ kind, body string }{
		"in the plain alternative": {"multipart/alternative; boundary=b", "--b\r\n\r\n" + plainWay + "\r\n--b\r\n" + html + "\r\n--b--\r\n"},
		"in an attachment":         {"multipart/mixed; boundary=b", "--b\r\n" + html + "\r\n--b\r\nContent-Disposition: attachment\r\n\r\n" + plainWay + "\r\n--b--\r\n"},
		"in an attached HTML":      {"multipart/mixed; boundary=b", "--b\r\n" + html + "\r\n--b\r\nContent-Type: text/html\r\nContent-Disposition: attachment; filename=a.html\r\n\r\n" + letter("", anchor) + "\r\n--b--\r\n"},
		"in a related part":        {"multipart/related; boundary=b", "--b\r\n" + html + "\r\n--b\r\n\r\n" + plainWay + "\r\n--b--\r\n"},
		"before the first part":    {"multipart/mixed; boundary=b", plainWay + "\r\n--b\r\n" + html + "\r\n--b--\r\n"},
		"behind the last part":     {"multipart/mixed; boundary=b", "--b\r\n" + html + "\r\n--b--\r\n" + plainWay},
		"in a part of its own":     {"multipart/mixed; boundary=b", "--b\r\n" + html + "\r\n--b\r\nContent-Type: application/x-unsubscribe\r\n\r\n" + plainWay + "\r\n--b--\r\n"},
		"in a broken structure":    {"multipart/mixed; boundary=c", "--b\r\n\r\n" + plainWay},
		"behind what is looked at": {"text/plain", strings.Repeat("Bonjour a tous.\r\n", 20_000) + plainWay},
	} {
		v := j.try(login, []string{victim}, []message.Field{{Name: "From", Value: login}, {Name: "Precedence", Value: "bulk"}, {Name: "Content-Type", Value: m.kind}}, []byte(m.body))
		if found(v, "bulk.unsubscribe") {
			count.Held()
			continue
		}
		count.Failed()
		t.Errorf("%s: it counts", name)
	}
	for _, value := range []string{"", "<>", "<#>", "<http://client-a.example/stop>", "https://client-a.example/stop", "<https:///stop>", "<https://>", "<mailto:>", "<mailto:stop>", "<mailto:?subject=stop>", "<javascript:x>", "<tel:1>",
		"<https://client-a.example/stop", "(<https://client-a.example/stop>)", "x <https://client-a.example/stop>", "<https://{{host}}/stop>", "<mailto:a@b.example@c>", "<mailto:a b@c d>", "=?utf-8?q?=3Chttps://client-a.example/stop=3E?=", "<ftp://client-a.example/>", "<data:text/html,x>"} {
		if j.hasWayOut(letter("", ""), message.Field{Name: "List-Unsubscribe", Value: value}) {
			count.Failed()
			t.Errorf("List-Unsubscribe: %s counts", value)
			continue
		}
		count.Held()
	}
}

// A letter that is seen is counted, however its style says first that it is not.
func TestRevealedLetter(t *testing.T) {
	count := campaign.Counting(t, "unsubscribe", "letters that hide from who counts them")
	j := newJudge(t)
	for _, css := range revealing {
		html := "<style>@keyframes shown{to{opacity:1;visibility:visible}}" + css + "</style><div>" + strings.Replace(offer, "<p>", "<p class='p q' id=q>", 1) + "</div>"
		v := j.try(login, []string{victim}, []message.Field{{Name: "From", Value: login}, {Name: "Content-Type", Value: "text/html"}}, []byte(html))
		if v.Campaign != nil {
			count.Held()
			continue
		}
		count.Failed()
		t.Errorf("no letter is seen in %s", html)
	}
}
