package web

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"o2n-milter/tests/campaign"
)

// forgery is a way to have somebody's browser, or somebody else's, send his form.
type forgery struct {
	name string
	send func(v, stranger *visitor, f form) reply
}

// post sends from an address of its own, as a page has no limit but by address.
func post(v *visitor, path, body string, headers ...string) reply {
	v.t.Helper()
	once := &visitor{v.site, v.site.visitor().addr, maps.Clone(v.cookies)}
	return once.do(http.MethodPost, path, body, headers...)
}

const token = "form_token"

// forgeries hold for every form.
var forgeries = []forgery{
	{"no token", func(v, _ *visitor, f form) reply {
		return post(v, f.to, f.with(token, "").fields.Encode(), "Sec-Fetch-Site", "same-origin")
	}},
	{"no token, a browser that says nothing", func(v, _ *visitor, f form) reply { return post(v, f.to, f.with(token, "").fields.Encode()) }},
	{"token with a letter changed", func(v, _ *visitor, f form) reply {
		t := f.fields.Get(token)
		return post(v, f.to, f.with(token, t[:len(t)-3]+string(other(t[len(t)-3]))+t[len(t)-2:]).fields.Encode())
	}},
	{"another's token", func(v, stranger *visitor, f form) reply {
		for _, theirs := range stranger.forms(stranger.pageLike(f.page)) {
			if theirs.to == f.to || strings.HasPrefix(f.to, "/c/") {
				return post(v, f.to, f.with(token, theirs.fields.Get(token)).fields.Encode())
			}
		}
		return post(v, f.to, f.with(token, "0.x").fields.Encode())
	}},
	{"from another site", func(v, _ *visitor, f form) reply {
		return post(v, f.to, f.fields.Encode(), "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example")
	}},
	{"from a neighbour of the site", func(v, _ *visitor, f form) reply {
		return post(v, f.to, f.fields.Encode(), "Sec-Fetch-Site", "same-site")
	}},
	{"from another origin, an old browser", func(v, _ *visitor, f form) reply {
		return post(v, f.to, f.fields.Encode(), "Origin", "https://evil.example")
	}},
	{"from another port", func(v, _ *visitor, f form) reply {
		return post(v, f.to, f.fields.Encode(), "Origin", "http://127.0.0.1:1")
	}},
	{"to a foreign name", func(v, _ *visitor, f form) reply {
		return post(v, f.to, f.fields.Encode(), "Sec-Fetch-Site", "same-origin", "Host", "evil.example")
	}},
	{"as plain text", func(v, _ *visitor, f form) reply {
		return post(v, f.to, strings.ReplaceAll(f.fields.Encode(), "&", "\r\n"), "Content-Type", "text/plain")
	}},
	{"as JSON", func(v, _ *visitor, f form) reply {
		return post(v, f.to, fmt.Sprintf("{%q:%q}", token, f.fields.Get(token)), "Content-Type", "application/json")
	}},
	{"fields in the address", func(v, _ *visitor, f form) reply { return post(v, f.to+"?"+f.fields.Encode(), "") }},
	{"GET", func(v, _ *visitor, f form) reply { return v.do(http.MethodGet, f.to+"?"+f.fields.Encode(), "") }},
	{"GET that is overridden", func(v, _ *visitor, f form) reply {
		return v.do(http.MethodGet, f.to+"?_method=POST&"+f.fields.Encode(), "", "X-HTTP-Method-Override", "POST", "X-Method-Override", "POST", "X-HTTP-Method", "POST")
	}},
	{"GET with a body", func(v, _ *visitor, f form) reply { return v.do(http.MethodGet, f.to, f.fields.Encode()) }},
	{"PUT", func(v, _ *visitor, f form) reply { return v.do(http.MethodPut, f.to, f.fields.Encode()) }},
	{"PATCH", func(v, _ *visitor, f form) reply { return v.do(http.MethodPatch, f.to, f.fields.Encode()) }},
	{"DELETE", func(v, _ *visitor, f form) reply { return v.do(http.MethodDelete, f.to, f.fields.Encode()) }},
	{"OPTIONS", func(v, _ *visitor, f form) reply { return v.do(http.MethodOptions, f.to, "") }},
}

// pageLike is the page that a visitor has in the place of another's.
func (v *visitor) pageLike(page string) string {
	if strings.HasPrefix(page, "/c/") {
		return v.link(bob)
	}
	return page
}

// formsOf are all forms of the console and of alice's page, by where they stand.
func formsOf(operator, customer *visitor) (list []form) {
	for path := range operator.crawl("/admin/") {
		for _, f := range operator.forms(path) {
			if f.to != "/admin/logout" || path == "/admin/" {
				list = append(list, f)
			}
		}
	}
	slices.SortFunc(list, func(a, b form) int { return strings.Compare(a.to+a.page, b.to+b.page) })
	list = slices.CompactFunc(list, func(a, b form) bool { return a.to == b.to && a.fields.Encode() == b.fields.Encode() })
	return append(list, customer.forms(customer.link(alice))...)
}

// TestAttackForms: whatever a form of another site, of another person or another method
// sends, nothing is changed. As a control, what its own page sends does change something.
func TestAttackForms(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	operator, stranger, customer := s.operator(), s.operator(), s.visitor()
	list := formsOf(operator, customer)
	if len(list) < 12 {
		t.Fatalf("only %d forms", len(list))
	}
	count := campaign.Counting(t, "web", "forged forms")
	before := s.everything()
	for _, f := range list {
		whose := operator
		if strings.HasPrefix(f.to, "/c/") {
			whose = customer
		}
		for _, how := range append(forgeries, forgery{"nobody's session", func(v, _ *visitor, f form) reply {
			if v == customer { // his link is his session
				return post(v, f.to+"A", f.fields.Encode())
			}
			return post(s.visitor(), f.to, f.fields.Encode(), "Sec-Fetch-Site", "same-origin")
		}}) {
			got := how.send(whose, stranger, f)
			if got.status >= 500 || got.status == http.StatusSeeOther {
				count.Failed()
				t.Errorf("%s to %s: %d", how.name, f.to, got.status)
				continue
			}
			count.Held()
		}
		s.unchanged(before, "a forged form to "+f.to)
	}
	took := 0
	for _, f := range list {
		switch whose := map[bool]*visitor{true: customer, false: operator}[strings.HasPrefix(f.to, "/c/")]; {
		case f.to == "/admin/logout": // last, below
		case post(whose, f.to, f.fields.Encode(), "Sec-Fetch-Site", "same-origin").status == http.StatusSeeOther:
			took++
		}
	}
	if took < 8 || s.everything() == before {
		t.Errorf("of %d forms as they should be only %d are taken", len(list), took)
	}
}

// TestAttackGetChangesNothing opens every page that can be reached, twice, and each with
// what a form could say, as programs do that look at links in mail; and looks at what
// each page tells the browser.
func TestAttackGetChangesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	operator := s.operator()
	count := campaign.Counting(t, "web", "pages that are only opened")
	links := []string{s.link(alice), s.link(bob)}
	door := s.door()
	before := s.everything()
	for range 2 {
		pages := operator.crawl(append(slices.Clone(links), "/admin/", "/admin/blocks?all=1", "/admin/held?all=1", door)...)
		if len(pages) < 20 {
			t.Fatalf("only %d pages", len(pages))
		}
		for path, got := range pages {
			guarded(t, path, got)
			sep := "?"
			if strings.Contains(path, "?") {
				sep = "&"
			}
			forged := path + sep + "self=1&sure=yes&wish=delete&answer=approve&reason=x&for=1h&happened=x&done=x&password=yes&code=x"
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				got := s.as(operator).do(method, forged, "")
				guarded(t, method+" "+forged, got)
				count.Held()
			}
		}
		s.unchanged(before, "opening pages")
	}
	// The link to the console is still good for its one use.
	v := s.visitor()
	if got := v.send("/admin/login", v.formOf(door, "code")); got.status != http.StatusSeeOther {
		t.Errorf("the door that was looked at: %d", got.status)
	}
}

// as is a visitor elsewhere with another's cookies.
func (s *site) as(v *visitor) *visitor {
	return &visitor{s, s.visitor().addr, maps.Clone(v.cookies)}
}

// guarded makes sure of what every page of ours tells the browser.
func guarded(t testing.TB, path string, got reply) {
	t.Helper()
	csp := got.header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(csp, want) {
			t.Errorf("%s: policy %q, want %s", path, csp, want)
		}
	}
	if strings.Contains(csp, "unsafe") || strings.Contains(csp, "script-src") {
		t.Errorf("%s: policy %q", path, csp)
	}
	for name, want := range map[string]string{
		"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
		"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "Access-Control-Allow-Origin": "",
	} {
		if v := got.header.Get(name); v != want {
			t.Errorf("%s: %s %q, want %q", path, name, v, want)
		}
	}
	for _, c := range got.header.Values("Set-Cookie") {
		for _, want := range []string{"__Host-", "; Path=/;", "; HttpOnly", "; Secure", "; SameSite=Strict"} {
			if !strings.Contains(c, want) || strings.Contains(c, "Domain") {
				t.Errorf("%s: cookie %q, want %s and no domain", path, c, want)
			}
		}
	}
	if to := got.header.Get("Location"); to != "" && (strings.Contains(to, "//") || strings.Contains(to, "\\")) {
		t.Errorf("%s leads to %q", path, to)
	}
}
