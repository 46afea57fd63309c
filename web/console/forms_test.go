package console

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"o2n-milter/state"
	"o2n-milter/web/desk"
	"o2n-milter/web/page/pagetest"
)

const aliceURL = "/admin/subject?subject=account%3Aalice%40client-a.example"

const aliceHeld = "/admin/held?rule=limit.minute&subject=account%3Aalice%40client-a.example"

// TestForms: every form does what it says, says what it did, once, and leaves an
// audit line with the operator and his address.
func TestForms(t *testing.T) {
	for _, tt := range []struct {
		name, page, action string
		fill               url.Values
		leads, said, audit string
	}{
		{"block", aliceURL, "/admin/subject/block", url.Values{"for": {"4h"}, "reason": {"ticket 7"}},
			"/admin/blocks/B", "Blocked account:alice@client-a.example until 14 Mar 2026, 16:00 UTC", "block add"},
		{"block until lifted", aliceURL, "/admin/subject/block", url.Values{"for": {"manual"}},
			"/admin/blocks/B", "Blocked account:alice@client-a.example until it is lifted", "block add"},
		{"reset", aliceURL, "/admin/subject/reset", nil,
			aliceURL, "Cleared the windows of account:alice@client-a.example: 0.", "reset"},
		{"exempt a subject", aliceURL, "/admin/subject/exempt", url.Values{"rule": {"limit.minute"}, "factor": {" 3 "}, "reason": {"launch"}, "for": {"2026-03-20"}},
			aliceURL, "Exempted account:alice@client-a.example from limit.minute (limit x3) until 21 Mar 2026, 00:00 UTC", "exemption add"},
		{"lift", "/admin/blocks/B1111111", "/admin/blocks/B1111111/lift", url.Values{"reason": {"mended"}},
			"/admin/blocks/B1111111", "Lifted block B1111111: account:alice@client-a.example may send again.", "block lift"},
		{"extend", "/admin/blocks/B1111111", "/admin/blocks/B1111111/extend", url.Values{"for": {"7d"}},
			"/admin/blocks/B", "took the place of B1111111 and lasts until 21 Mar 2026, 12:00 UTC", "block extend"},
		{"approve", "/admin/requests", "/admin/requests/R1111111", url.Values{"answer": {"approve"}, "reason": {"Welcome back"}},
			"/admin/requests", "Approved request R1111111 of alice@client-a.example: lifted B1111111.", "request approve"},
		{"deny", "/admin/requests", "/admin/requests/R1111111", url.Values{"answer": {"deny"}, "reason": {"Not yet"}},
			"/admin/requests", "Denied request R1111111 of alice@client-a.example: the block stays.", "request deny"},
		{"release", "/admin/held/H1111111", "/admin/held/H1111111", url.Values{"wish": {"release"}, "reason": {"ticket 7"}},
			"/admin/held/H1111111", "Message H1111111 is to be released. Its host, hello, does it within seconds", "held release"},
		{"send back", "/admin/held/H1111111", "/admin/held/H1111111", url.Values{"wish": {"bounce"}},
			"/admin/held/H1111111", "Message H1111111 is to be sent back.", "held bounce"},
		{"delete all", aliceHeld, "/admin/held", url.Values{"wish": {"delete"}, "reason": {"spam"}},
			aliceHeld, "Messages of account:alice@client-a.example that are to be deleted: 1.", "held delete"},
		{"exempt", "/admin/exemptions", "/admin/exemptions", url.Values{"subject": {"customer:C-1001"}, "rule": {"block"}, "domain": {"remote.example"}, "reason": {"partner"}},
			"/admin/exemptions", "Exempted customer:C-1001 from block (rule to remote.example) until 14 Apr 2026, 00:00 UTC", "exemption add"},
		{"remove", "/admin/exemptions", "/admin/exemptions/E1111111/remove", url.Values{"reason": {"over"}},
			"/admin/exemptions", "Exemption E1111111 of account:alice@client-a.example from limit.minute is removed.", "exemption remove"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.fill("hello")
			b := w.operator("zoe")
			w.now = w.now.Add(time.Second) // the audit of the same moment has no order
			p := b.submit(tt.page, tt.action, tt.fill)
			if p.status != http.StatusOK || !strings.HasPrefix(p.path, tt.leads) {
				t.Fatalf("%d at %s: %s", p.status, p.path, p.text())
			}
			if !strings.Contains(p.text(), tt.said) {
				t.Errorf("no %q in %s", tt.said, p.text())
			}
			if strings.Contains(b.get(p.path).text(), tt.said) {
				t.Error("it is said twice")
			}
			list, err := w.desk.Audit(t.Context(), desk.AuditQuery{Limit: 2})
			w.must(err)
			// Lifting and approving leave two lines, of the same moment.
			if !slices.ContainsFunc(list.Audit, func(l state.AuditLine) bool {
				return l.What == tt.audit && l.By == "zoe" && l.From == "console 192.0.2.50"
			}) {
				t.Errorf("audit %+v", list.Audit)
			}
		})
	}
}

// TestFaultsAreShownAtTheField, with what was sent, and nothing changes.
func TestFaultsAreShownAtTheField(t *testing.T) {
	long := strings.Repeat("x", 4001)
	for _, tt := range []struct {
		name, page, action string
		fill               url.Values
		field, said        string // field empty: the form as a whole
	}{
		{"no duration", aliceURL, "/admin/subject/block", url.Values{"for": {"soon"}, "reason": {"kept"}}, "block-for", `for "soon": no duration`},
		{"empty duration", aliceURL, "/admin/subject/block", url.Values{"reason": {"kept"}}, "block-for", "want 30m, 4h, 7d or manual"},
		{"long reason", aliceURL, "/admin/subject/block", url.Values{"for": {"4h"}, "reason": {long}}, "block-reason", "4001 bytes"},
		{"no subject", aliceURL, "/admin/subject/exempt", url.Values{"reason": {""}}, "exempt-reason", "reason is empty"},
		{"factor", aliceURL, "/admin/subject/exempt", url.Values{"factor": {"many"}, "reason": {"kept"}}, "exempt-factor", `factor "many": no number`},
		{"factor 1", aliceURL, "/admin/subject/exempt", url.Values{"factor": {"1"}, "reason": {"kept"}}, "exempt-factor", "want 2 to"},
		{"factor of a rule", aliceURL, "/admin/subject/exempt", url.Values{"rule": {"block"}, "factor": {"2"}, "reason": {"kept"}}, "exempt-factor", "no max to multiply"},
		{"yesterday", aliceURL, "/admin/subject/exempt", url.Values{"for": {"2026-03-13"}, "reason": {"kept"}}, "exempt-for", "this day is over"},
		{"no day", aliceURL, "/admin/subject/exempt", url.Values{"for": {"soon"}, "reason": {"kept"}}, "exempt-for", "no date"},
		{"far", aliceURL, "/admin/subject/exempt", url.Values{"for": {"2040-01-01"}, "reason": {"kept"}}, "exempt-for", "too long"},
		{"rule", aliceURL, "/admin/subject/exempt", url.Values{"rule": {"limit.none"}, "reason": {"kept"}}, "exempt-rule", "no such limit"},
		{"owner", aliceURL, "/admin/subject/exempt", url.Values{"owner": {""}, "reason": {"kept"}}, "exempt-owner", "owner is empty"},
		{"domain", aliceURL, "/admin/subject/exempt", url.Values{"domain": {"a b"}, "reason": {"kept"}}, "exempt-domain", "no domain name"},
		{"bad subject", "/admin/exemptions", "/admin/exemptions", url.Values{"subject": {"alice"}, "reason": {"kept"}}, "exempt-subject", "want account:"},
		{"lift reason", "/admin/blocks/B1111111", "/admin/blocks/B1111111/lift", url.Values{"reason": {"a\x00b"}}, "lift-reason-B1111111", "control character"},
		{"extend", "/admin/blocks/B1111111", "/admin/blocks/B1111111/extend", url.Values{"for": {"1"}, "reason": {"kept"}}, "extend-for-B1111111", "no duration"},
		{"deny without a word", "/admin/requests", "/admin/requests/R1111111", url.Values{"answer": {"deny"}}, "answer-reason-R1111111", "want a sentence for the customer"},
		{"no button", "/admin/requests", "/admin/requests/R1111111", url.Values{}, "answer-reason-R1111111", "want a sentence for the customer"},
		{"held, not sure", "/admin/held/H1111111", "/admin/held/H1111111", url.Values{"wish": {"delete"}, "sure": {"no"}, "reason": {"kept"}}, "held-sure-H1111111", "tick the box"},
		{"held, all, not sure", aliceHeld, "/admin/held", url.Values{"wish": {"delete"}, "sure": nil, "reason": {"kept"}}, "heldall-sure", "tick the box"},
		{"held, all, long reason", aliceHeld, "/admin/held", url.Values{"wish": {"delete"}, "reason": {long}}, "heldall-reason", "4001 bytes"},
		{"remove", "/admin/exemptions", "/admin/exemptions/E1111111/remove", url.Values{"reason": {long}}, "remove-reason-E1111111", "4001 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.fill("hello")
			b := w.operator("zoe")
			form := b.form(tt.page, tt.action, tt.fill)
			before := w.everything()
			p := b.do(http.MethodPost, tt.action, form)
			if p.status != http.StatusUnprocessableEntity {
				t.Fatalf("%d: %s", p.status, p.text())
			}
			in := byID(p.tree, tt.field)
			if in == nil || pagetest.Attr(in, "aria-invalid") != "true" {
				t.Fatalf("no fault at %s: %s", tt.field, p.text())
			}
			fault := byID(p.tree, tt.field+"-fault")
			if fault == nil || !strings.Contains(textOf(fault), tt.said) || !strings.Contains(pagetest.Attr(in, "aria-describedby"), tt.field+"-fault") {
				t.Errorf("no %q at the field: %s", tt.said, p.text())
			}
			if tt.fill.Get("reason") == "kept" && !strings.Contains(p.body, ">kept</textarea>") {
				t.Error("what was written is lost")
			}
			if got := w.everything(); got != before {
				t.Errorf("the store has changed:\n%s\nwas\n%s", got, before)
			}
		})
	}
}

func byID(tree *html.Node, id string) *html.Node {
	for n := range tree.Descendants() {
		if pagetest.Attr(n, "id") == id {
			return n
		}
	}
	return nil
}

// TestTwoOperators: the second of two answers is told of the first, at the form.
func TestTwoOperators(t *testing.T) {
	w := newWorld(t)
	w.fill("hello")
	first, second := w.operator("first"), w.operator("second")
	form := second.form("/admin/requests", "/admin/requests/R1111111", url.Values{"answer": {"deny"}, "reason": {"no"}})
	first.submit("/admin/requests", "/admin/requests/R1111111", url.Values{"answer": {"approve"}})
	p := second.do(http.MethodPost, "/admin/requests/R1111111", form)
	if p.status != http.StatusConflict || !strings.Contains(p.text(), "was answered already: approved by first") ||
		!strings.Contains(p.text(), "Request R1111111 approved") {
		t.Errorf("%d %s", p.status, p.text())
	}
	form = first.form("/admin/blocks/B2222222", "/admin/blocks/B2222222/extend", url.Values{"for": {"2h"}})
	again := first.form("/admin/blocks/B2222222", "/admin/blocks/B2222222/lift", nil)
	second.submit("/admin/blocks/B2222222", "/admin/blocks/B2222222/lift", nil)
	if p := first.do(http.MethodPost, "/admin/blocks/B2222222/extend", form); p.status != http.StatusConflict || !strings.Contains(p.text(), "block B2222222 is lifted") {
		t.Errorf("%d %s", p.status, p.text())
	}
	first.do(http.MethodPost, "/admin/blocks/B2222222/lift", again)
	if text := first.get("/admin/").text(); !strings.Contains(text, "Block B2222222 was lifted already: nothing was changed.") {
		t.Errorf("lifted twice: %s", text)
	}
}

// TestForgedForms: a form of another site, session, page or time does nothing.
func TestForgedForms(t *testing.T) {
	w := newWorld(t)
	w.fill("hello")
	const page, action = "/admin/blocks/B1111111", "/admin/blocks/B1111111/lift"
	b, other := w.operator("alice"), w.operator("mallory")
	good := b.form(page, action, nil)
	foreign := other.form(page, action, nil)
	wrongPage := b.form("/admin/blocks/B2222222", "/admin/blocks/B2222222/lift", nil)
	before := w.everything()
	for _, tt := range []struct {
		name   string
		form   url.Values
		header http.Header
		after  time.Duration
		want   int
	}{
		{"no token", url.Values{"reason": {"x"}}, nil, 0, 403},
		{"another session's", foreign, nil, 0, 403},
		{"another page's", wrongPage, nil, 0, 403},
		{"broken", url.Values{"form_token": {good.Get("form_token") + "x"}}, nil, 0, 403},
		{"cross-site", good, http.Header{"Sec-Fetch-Site": {"cross-site"}}, 0, 403},
		{"same-site", good, http.Header{"Sec-Fetch-Site": {"same-site"}}, 0, 403},
		{"another origin", good, http.Header{"Origin": {"https://evil.example"}}, 0, 403},
		{"too much", url.Values{"reason": {strings.Repeat("x", 100_000)}}, nil, 0, 413},
	} {
		b.header = tt.header
		if b.header == nil {
			b.header = http.Header{"Sec-Fetch-Site": {"same-origin"}}
		}
		if p := b.do(http.MethodPost, action, tt.form); p.status != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, p.status, tt.want)
		}
	}
	if got := w.everything(); got != before {
		t.Errorf("the store has changed:\n%s\nwas\n%s", got, before)
	}
	b.header = http.Header{"Origin": {"https://sending.example"}}
	if p := b.do(http.MethodPost, action, good); p.status != http.StatusSeeOther {
		t.Errorf("the good form: %d", p.status)
	}
}

// TestGetChangesNothing walks every link, and asks for every form's address.
func TestGetChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.fill("hello")
	for i := range perPage + 1 {
		w.request("R222222"+string(rune('A'+i%26))+string(rune('A'+i/26)), "B2222222", "customer:hello", "more")
	}
	b := w.operator("alice")
	before := w.everything()
	seen := map[string]bool{}
	todo := []string{"/admin/", "/admin/search?q=hello", "/admin/search?q=7K3QF2M9", aliceURL}
	for len(todo) > 0 {
		path := todo[0]
		todo = todo[1:]
		if seen[path] {
			continue
		}
		seen[path] = true
		p := b.get(path)
		if p.status >= 500 {
			t.Errorf("%s: %d", path, p.status)
		}
		b.do(http.MethodHead, path, nil)
		todo = append(todo, linksOf(t, path, p.tree)...)
	}
	for _, path := range []string{"/admin/blocks", "/admin/blocks/B1111111", "/admin/blocks/B1111111/lift", "/admin/requests?all=1&page=1", "/admin/requests/R1111111", "/admin/decisions/7K3QF2M9", "/admin/exemptions/E1111111/remove", "/admin/held", "/admin/held/H1111111", "/admin/held?all=1", "/admin/logout"} {
		if !seen[path] {
			t.Errorf("no link to %s in %v", path, seen)
		}
	}
	if got := w.everything(); got != before {
		t.Errorf("the store has changed:\n%s\nwas\n%s", got, before)
	}
	if p := b.get("/admin/"); p.status != http.StatusOK {
		t.Errorf("after all: %d", p.status)
	}
}

// linksOf are the addresses of links and forms, in this console.
func linksOf(t *testing.T, path string, tree *html.Node) []string {
	t.Helper()
	base, err := url.Parse(path)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for n := range tree.Descendants() {
		to := pagetest.Attr(n, "action")
		if n.DataAtom == atom.A {
			to = pagetest.Attr(n, "href")
		}
		if to == "" || to[0] == '#' {
			continue
		}
		u, err := base.Parse(to)
		if err != nil || u.Host != "" || !strings.HasPrefix(u.Path, "/admin/") {
			t.Errorf("%s leads to %s", path, to)
			continue
		}
		list = append(list, u.RequestURI())
	}
	return list
}

// TestHistoryPages: every decision stands on one page, also where many have one time.
func TestHistoryPages(t *testing.T) {
	w := newWorld(t)
	want := map[string]bool{}
	for i := range 2*perPage + 7 {
		id := "D" + strings.Repeat("0", 4) + string(rune('A'+i%26)) + string(rune('A'+i/26))
		want[id] = true
		w.decision(id, w.now.Add(-time.Duration(i/4)*time.Millisecond), "")
	}
	b := w.operator("alice")
	pages := 0
	for path := aliceURL; path != ""; pages++ {
		p := b.get(path)
		path = ""
		for a := range all(p.tree, atom.A) {
			switch id, ok := strings.CutPrefix(pagetest.Attr(a, "href"), "/admin/decisions/"); {
			case ok && !want[id]:
				t.Fatalf("%s stands on two pages", id)
			case ok:
				delete(want, id)
			case pagetest.Attr(a, "rel") == "next":
				path = pagetest.Attr(a, "href")
			}
		}
	}
	if pages != 3 || len(want) != 0 {
		t.Errorf("%d pages; not shown: %v", pages, want)
	}
}

func TestWholePageHasNoNext(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/admin/blocks?all=1", nil)
	for n, want := range map[int]string{perPage - 1: "", perPage: "", perPage + 1: "?all=1&page=1"} {
		if list, p := cut(r, make([]int, n)); p.Older != want || p.Newer != "" || len(list) != min(n, perPage) {
			t.Errorf("%d: %d, %+v", n, len(list), p)
		}
	}
}

func TestLastDay(t *testing.T) {
	midnight := time.Date(2026, 3, 15, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		now  time.Time
		want string // empty: it is over
	}{
		{midnight.Add(-time.Second), "1s"},
		{midnight.Add(-time.Nanosecond), "1s"},
		{midnight, ""},
		{noon, "43200s"},
		{noon.In(time.FixedZone("", 14*60*60)), "43200s"},
	} {
		got, err := untilEndOf(tt.now, "2026-03-14")
		if got != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("%s: %q, %v; want %q", tt.now, got, err, tt.want)
		}
	}
}

func TestListPages(t *testing.T) {
	w := newWorld(t)
	for i := range perPage + 1 {
		w.must(w.store.AddBlock(t.Context(), state.Block{ID: "B00000" + string(rune('A'+i%26)) + string(rune('A'+i/26)), Subject: alice, Since: w.now}))
	}
	b := w.operator("alice")
	for path, want := range map[string]int{
		"/admin/blocks": perPage, "/admin/blocks?page=0": perPage, "/admin/blocks?page=1": 1, "/admin/blocks?page=2": perPage,
		"/admin/blocks?page=-1": perPage, "/admin/blocks?page=x": perPage, "/admin/blocks?page=99999999999999999999": perPage,
	} {
		rows := 0
		for a := range all(b.get(path).tree, atom.A) {
			if strings.HasPrefix(pagetest.Attr(a, "href"), "/admin/blocks/B") {
				rows++
			}
		}
		if rows != want {
			t.Errorf("%s: %d, want %d", path, rows, want)
		}
	}
}
