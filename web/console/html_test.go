package console

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"o2n-milter/web/page/pagetest"
)

// hostile is put wherever foreign text may stand: it leaves text, attributes, and
// lines of HTML, paints a terminal, turns the direction, and hides.
const hostile = "\"'><xss onclick=alert(1)>{{.}}</title></textarea><script>alert(1)</script> javascript:alert(1) \x1b[31m\u202e\u200b%0a"

// everyPage is one address of every page.
var everyPage = []string{
	"/admin/", "/admin/search?q=alice", "/admin/subject?subject=account:alice@client-a.example", "/admin/blocks?all=1", "/admin/blocks/B1111111",
	"/admin/blocks/B2222222", "/admin/requests", "/admin/requests?all=1", "/admin/exemptions", "/admin/audit", "/admin/decisions/7K3QF2M9", "/admin/nothing",
	"/admin/held", "/admin/held?all=1", "/admin/held?subject=account:alice@client-a.example&rule=limit.minute", "/admin/held/H1111111", "/admin/held/H2222222",
}

func TestForeignTextIsText(t *testing.T) {
	w := newWorld(t, byProxy)
	w.fill(hostile)
	b := w.operator(`<xss onclick=alert(1)>"'>`)
	query := "%22%27%3E%3Cxss+onclick=alert(1)%3E%1B%5B31m"
	paths := append(slices.Clone(everyPage), "/admin/search?q="+query, "/admin/subject?subject=customer:"+query, "/admin/subject?subject="+query,
		"/admin/blocks/"+strings.ReplaceAll(query, "+", "%20"), "/admin/requests?id="+query, "/admin/audit?subject=customer:%22%3E%3Cxss%3E", "/admin/held?subject=customer:%22%3E%3Cxss%3E&rule="+query, "/admin/held/"+strings.ReplaceAll(query, "+", "%20"), "/admin/login?code="+query, "/admin/subject?subject=customer:a%E2%80%AEb%E2%80%8Bc")
	for _, path := range paths {
		p := b.get(path)
		if p.status >= 500 {
			t.Errorf("%s: %d\n%s", path, p.status, w.log.String())
		}
		checkNoMarkup(t, path, p)
	}
	// What was just done is foreign too, and what is shown again at the form.
	p := b.submit("/admin/blocks/B2222222", "/admin/blocks/B2222222/lift", nil)
	if !strings.Contains(p.text(), "Lifted block B2222222: customer:\"'><xss onclick") {
		t.Errorf("%s", p.text())
	}
	checkNoMarkup(t, "lift", p)
	p = b.submit(aliceURL, "/admin/subject/block", map[string][]string{"for": {hostile}, "reason": {hostile}})
	checkNoMarkup(t, "block", p)
	p = b.submit("/admin/held/H1111111", "/admin/held/H1111111", map[string][]string{"wish": {hostile}, "reason": {hostile}, "sure": {"no"}})
	checkNoMarkup(t, "held", p)
	w.browser().get("/admin/" + query)
}

// checkNoMarkup makes sure that of the hostile text nothing is anything but text,
// and that nothing of it is unseen.
func checkNoMarkup(t *testing.T, path string, p reply) {
	t.Helper()
	for n := range p.tree.Descendants() {
		switch {
		case n.Type == html.TextNode:
			// A textarea holds what will be sent, as it is.
			if n.Parent.DataAtom != atom.Textarea && strings.ContainsAny(n.Data, "\x1b\u202e\u200b") {
				t.Errorf("%s: unseen characters in %q", path, n.Data)
			}
			continue
		case n.Type == html.CommentNode || n.Data == "xss" || n.DataAtom == atom.Script:
			t.Errorf("%s: <%s>", path, n.Data)
		}
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "on") || (a.Key == "href" || a.Key == "action") && strings.HasPrefix(a.Val, "javascript") || a.Key == "style" {
				t.Errorf("%s: <%s %s=%q>", path, n.Data, a.Key, a.Val)
			}
		}
	}
	if path != "/admin/nothing" && strings.Contains(p.body, "<xss") {
		t.Errorf("%s: markup", path)
	}
}

// TestPagesAreSound: what a screen reader needs is there.
func TestPagesAreSound(t *testing.T) {
	w := newWorld(t)
	w.fill("hello")
	b := w.operator("alice")
	paths := append(slices.Clone(everyPage), "/admin/login", w.link("alice"))
	for _, path := range paths {
		checkSound(t, path, b.get(path))
	}
	checkSound(t, "faults", b.submit(aliceURL, "/admin/subject/block", map[string][]string{"for": {"soon"}}))
	checkSound(t, "held faults", b.submit("/admin/held/H1111111", "/admin/held/H1111111", map[string][]string{"sure": {""}}))
	empty := newWorld(t)
	b = empty.operator("alice")
	for _, path := range []string{"/admin/", "/admin/blocks", "/admin/requests", "/admin/exemptions", "/admin/held", "/admin/held?all=1", aliceURL} {
		checkSound(t, "empty "+path, b.get(path))
	}
}

func checkSound(t *testing.T, path string, p reply) {
	t.Helper()
	for _, fault := range pagetest.Faults(p.body) {
		t.Errorf("%s: %s", path, fault)
	}
}
