package console

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestLinkWorksOnce(t *testing.T) {
	w := newWorld(t)
	link := w.link("alice")
	first, second := w.browser(), w.browser()
	// What scans mail opens links; that spends nothing.
	for range 3 {
		if p := w.browser().get(link); p.status != http.StatusOK {
			t.Fatalf("GET: %d", p.status)
		}
	}
	form := second.form(link, loginPath, nil)
	first.login(link)
	if p := second.do(http.MethodPost, loginPath, form); p.status != http.StatusForbidden {
		t.Errorf("second use: %d", p.status)
	}
	if p := second.get("/admin/"); p.status != http.StatusForbidden {
		t.Errorf("after the second use: %d", p.status)
	}
	if !strings.Contains(w.log.String(), `console: login" by=alice from=192.0.2.50`) || !strings.Contains(w.log.String(), "login refused") {
		t.Errorf("log: %s", w.log.String())
	}
}

// TestBadCodesLookAlike: used, expired, guessed or missing, the answer is one.
func TestBadCodesLookAlike(t *testing.T) {
	w := newWorld(t)
	used, old := w.link("alice"), w.link("bob")
	w.browser().login(used)
	w.now = w.now.Add(10 * time.Minute) // which is how long a code lives (desk)
	b := w.browser()
	var bodies []string
	for _, link := range []string{used, old, "/admin/login?code=guessed", "/admin/login?code=" + strings.Repeat("x", mostCode+1)} {
		p := b.do(http.MethodPost, loginPath, b.form(link, loginPath, nil))
		if p.status != http.StatusForbidden || p.header.Get("Set-Cookie") != "" {
			t.Errorf("%.30s: %d, cookies %v", link, p.status, p.header["Set-Cookie"])
		}
		bodies = append(bodies, p.body)
	}
	for i, body := range bodies {
		if body != bodies[0] {
			t.Errorf("answer %d is another one", i)
		}
	}
}

func TestGuessesAreCounted(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	form := b.form("/admin/login?code=guessed", loginPath, nil)
	for i := range 11 {
		want := http.StatusForbidden
		if i == 10 {
			want = http.StatusTooManyRequests
		}
		if p := b.do(http.MethodPost, loginPath, form); p.status != want {
			t.Errorf("guess %d: %d, want %d", i+1, p.status, want)
		}
	}
	// The right code is not tried either, from this address; from another it is.
	link := w.link("alice")
	if p := b.submit(link, loginPath, nil); p.status != http.StatusTooManyRequests {
		t.Errorf("after the guesses: %d", p.status)
	}
	other := w.browser()
	other.peer = "192.0.2.51:1"
	other.login(link)
	w.now = w.now.Add(6 * time.Second)
	b.login(w.link("alice"))
}

// TestDroppedCookieSpendsNoCode: over plain HTTP a browser keeps no Secure cookie.
func TestDroppedCookieSpendsNoCode(t *testing.T) {
	w := newWorld(t)
	link := w.link("alice")
	b := w.browser()
	form := b.form(link, loginPath, nil)
	clear(b.cookies)
	p := b.do(http.MethodPost, loginPath, form)
	if p.status != http.StatusForbidden || !strings.Contains(p.text(), "Your browser has not kept the cookie") {
		t.Errorf("%d: %s", p.status, p.text())
	}
	b.login(link)
}

func TestLoginFormIsItsBrowsersOwn(t *testing.T) {
	w := newWorld(t)
	link := w.link("alice")
	b, other := w.browser(), w.browser()
	b.get(link)
	if p := b.do(http.MethodPost, loginPath, other.form(link, loginPath, nil)); p.status != http.StatusForbidden {
		t.Errorf("another browser's form: %d", p.status)
	}
	b.login(link)
}

func TestCookieIsKeptToItself(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	p := b.do(http.MethodPost, loginPath, b.form(w.link("alice"), loginPath, nil))
	var session *http.Cookie
	for _, c := range (&http.Response{Header: p.header}).Cookies() {
		if c.Name == "__Host-o2n" {
			session = c
		}
	}
	if session == nil {
		t.Fatalf("no cookie: %v", p.header)
	}
	if !session.Secure || !session.HttpOnly || session.SameSite != http.SameSiteStrictMode || session.Path != "/" || session.Domain != "" ||
		len(session.Value) < 52 || session.MaxAge != 12*60*60 {
		t.Errorf("cookie %+v", session)
	}
}

// TestSessionFixation: an id that was there before the login is not the session's,
// and the session that a browser had before ends.
func TestSessionFixation(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.cookies[cookieName] = "planted"
	b.login(w.link("alice"))
	first := b.cookies[cookieName]
	if first == "planted" {
		t.Fatal("the planted id lives")
	}
	b.login(w.link("alice"))
	thief := w.browser()
	for _, id := range []string{"planted", first, ""} {
		thief.cookies[cookieName] = id
		if p := thief.get("/admin/"); p.status != http.StatusForbidden {
			t.Errorf("id %q: %d", id, p.status)
		}
	}
}

func TestLogout(t *testing.T) {
	w := newWorld(t)
	b := w.operator("alice")
	id := b.cookies[cookieName]
	if p := b.get("/admin/logout"); p.status != http.StatusNotFound {
		t.Errorf("GET: %d", p.status)
	}
	if p := b.submit("/admin/", "/admin/logout", nil); p.status != http.StatusOK || p.path != loginPath {
		t.Errorf("%d at %s", p.status, p.path)
	}
	if b.cookies[cookieName] != "" {
		t.Error("the browser still has the cookie")
	}
	b.cookies[cookieName] = id
	if p := b.get("/admin/"); p.status != http.StatusForbidden {
		t.Errorf("after: %d", p.status)
	}
}

// TestNobodyGetsIn: without a session every page is the login page, and no form does
// anything.
func TestNobodyGetsIn(t *testing.T) {
	w := newWorld(t)
	w.fill("secret")
	before := w.everything()
	b := w.browser()
	for _, path := range []string{"/admin/", "/admin/nothing", "/admin/blocks/B1111111", "/admin/audit", "/admin/search?q=secret"} {
		p := b.get(path)
		if p.status != http.StatusForbidden || strings.Contains(p.body, "secret") && !strings.Contains(path, "secret") ||
			!strings.Contains(p.text(), "o2n-milter console") || !strings.Contains(p.body, `href="`+path+`"`) {
			t.Errorf("%s: %d\n%s", path, p.status, p.text())
		}
	}
	for _, path := range []string{"/admin/blocks/B1111111/lift", "/admin/requests/R1111111", "/admin/exemptions", "/admin/subject/reset", "/admin/logout"} {
		if p := b.do(http.MethodPost, path, url.Values{"answer": {"approve"}, "subject": {alice}}); p.status != http.StatusForbidden {
			t.Errorf("POST %s: %d", path, p.status)
		}
	}
	if got := w.everything(); got != before {
		t.Errorf("the store has changed:\n%s\nwas\n%s", got, before)
	}
}

func TestSessionEnds(t *testing.T) {
	w := newWorld(t)
	b := w.operator("alice")
	w.now = w.now.Add(idleTime - time.Second)
	if p := b.get("/admin/"); p.status != http.StatusOK {
		t.Errorf("a second before: %d", p.status)
	}
	w.now = w.now.Add(idleTime)
	if p := b.get("/admin/"); p.status != http.StatusForbidden {
		t.Errorf("idle: %d", p.status)
	}
}

func byProxy(o *Options) {
	o.TrustedProxies, o.UserHeader = prefixes("192.0.2.10/32", "2001:db8::/64"), "X-Remote-User"
}

func TestProxyNamesTheOperator(t *testing.T) {
	w := newWorld(t, byProxy)
	w.fill("hello")
	for _, peer := range []string{"192.0.2.10:1", "[::ffff:192.0.2.10]:1", "[2001:db8::7]:1"} {
		b := w.browser()
		b.peer = peer
		b.header.Set("X-Remote-User", "Zoé")
		p := b.get("/admin/")
		if p.status != http.StatusOK || !strings.Contains(p.text(), "Logged in as Zoé, by the web server") || len(b.cookies) > 0 {
			t.Errorf("%s: %s, cookies %v", peer, p.text(), b.cookies)
		}
	}
	b := w.browser()
	b.peer = "192.0.2.10:1"
	b.header.Set("X-Remote-User", "Zoé")
	if p := b.submit("/admin/blocks/B1111111", "/admin/blocks/B1111111/lift", nil); !strings.Contains(p.text(), "Lifted block B1111111") {
		t.Errorf("%d %s", p.status, p.text())
	}
	if text := b.get("/admin/audit").text(); !strings.Contains(text, "Zoé console 192.0.2.10 block lift") {
		t.Errorf("audit: %s", text)
	}
	// Another operator is another: his forms are not Zoé's.
	form := b.form("/admin/blocks/B2222222", "/admin/blocks/B2222222/lift", nil)
	b.header.Set("X-Remote-User", "mallory")
	if p := b.do(http.MethodPost, "/admin/blocks/B2222222/lift", form); p.status != http.StatusForbidden {
		t.Errorf("another's form: %d", p.status)
	}
}

func TestProxyHeaderOfOthersIsNothing(t *testing.T) {
	w := newWorld(t, byProxy)
	for _, peer := range []string{"192.0.2.11:1", "[2001:db8:0:1::7]:1", "127.0.0.1:1", "@", ""} {
		b := w.browser()
		b.peer = peer
		b.header.Set("X-Remote-User", "mallory")
		b.header.Set("X-Forwarded-For", "192.0.2.10")
		if p := b.get("/admin/"); p.status != http.StatusForbidden || strings.Contains(p.body, "mallory") {
			t.Errorf("%s: %d", peer, p.status)
		}
	}
	// Nor does it outdo the operator's own login.
	b := w.operator("alice")
	b.header.Set("X-Remote-User", "mallory")
	if p := b.get("/admin/"); !strings.Contains(p.text(), "Logged in as alice.") {
		t.Errorf("%s", p.text())
	}
}

func TestProxyHeaderWithoutSetting(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.TrustedProxies = prefixes("0.0.0.0/0") })
	b := w.browser()
	b.header.Set("X-Remote-User", "mallory")
	b.header[""] = []string{"mallory"}
	if p := b.get("/admin/"); p.status != http.StatusForbidden {
		t.Errorf("%d", p.status)
	}
}

func TestProxyNamesNobody(t *testing.T) {
	w := newWorld(t, byProxy)
	for _, tt := range []struct {
		values []string
		want   int
	}{
		{[]string{strings.Repeat("a", mostOperator-1)}, http.StatusOK},
		{[]string{strings.Repeat("a", mostOperator)}, http.StatusOK},
		{[]string{strings.Repeat("a", mostOperator+1)}, http.StatusBadRequest},
		{[]string{""}, http.StatusBadRequest},
		{[]string{" "}, http.StatusBadRequest},
		{[]string{"mallory", "alice"}, http.StatusBadRequest},
		{[]string{"a\x1b[31m"}, http.StatusBadRequest},
		{[]string{"a\u202eb"}, http.StatusBadRequest},
		{[]string{"a\xff"}, http.StatusBadRequest},
		{nil, http.StatusForbidden}, // the login page: a link is as good
	} {
		b := w.browser()
		b.peer = "192.0.2.10:1"
		b.header["X-Remote-User"] = tt.values
		if p := b.get("/admin/"); p.status != tt.want {
			t.Errorf("%q: %d, want %d", tt.values, p.status, tt.want)
		}
	}
}

// TestForeignHost: a name that is not ours, resolved to our address, gets nothing.
func TestForeignHost(t *testing.T) {
	w := newWorld(t)
	b := w.operator("alice")
	r := httptest.NewRequest(http.MethodGet, "http://evil.example/admin/", nil)
	r.AddCookie(&http.Cookie{Name: cookieName, Value: b.cookies[cookieName]})
	rec := httptest.NewRecorder()
	w.http.ServeHTTP(rec, r)
	if rec.Code != http.StatusMisdirectedRequest {
		t.Errorf("%d", rec.Code)
	}
}
