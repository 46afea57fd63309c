package web

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"o2n-milter/tests/campaign"
	program "o2n-milter/tests/daemon"
	"o2n-milter/web/desk"
)

// TestAttackTokens: of a link that was changed in any byte, cut, lengthened, signed by
// another key, or over since a second, there is one and the same page.
func TestAttackTokens(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	before := s.everything()
	v := s.visitor()
	count := campaign.Counting(t, "web", "altered and replayed links")
	raw, err := os.ReadFile(filepath.Join(s.Dir, "link.key"))
	s.check(err)
	key, err := hex.DecodeString(string(bytes.TrimSpace(raw)))
	s.check(err)
	ours, err := desk.NewLinks(key)
	s.check(err)
	theirs, err := desk.NewLinks(bytes.Repeat([]byte{7}, len(key)))
	s.check(err)
	good := tokenIn(s.link(alice))
	in, now := time.Hour, time.Now()
	bad := append(altered(good),
		good+"A", good+"=", good+".", good+"%0a", "A"+good, strings.ToLower(good), strings.ToUpper(good), good+good, "."+good, strings.Replace(good, "1.", "1r.", 1), strings.Replace(good, "1.", "01.", 1),
		ours.Mint(alice, desk.ScopeFull, now.Add(-time.Second)), ours.Mint("", desk.ScopeFull, now.Add(in)), ours.Mint(alice+"+domain:x.example", desk.ScopeFull, now.Add(in)),
		theirs.Mint(alice, desk.ScopeFull, now.Add(in)), theirs.Mint(alice, desk.ScopeReply, now.Add(in)), "", "x", "....", "1...", strings.Repeat(".", 600))
	for i := range len(good) {
		bad = append(bad, good[:i], good[:i]+good[min(i+1, len(good)):])
	}
	if campaign.Long() {
		for i := range len(good) {
			for c := byte('!'); c < 0x7f; c++ {
				if c != good[i] && !strings.ContainsRune("%?#/", rune(c)) {
					bad = append(bad, good[:i]+string(c)+good[i+1:])
				}
			}
		}
	}
	want := v.do(http.MethodGet, "/c/", "").body
	for _, token := range bad {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			v := s.visitor()
			got := v.do(method, "/c/"+token, "happened=x&done=x&password=yes&self=1")
			if got.status != http.StatusNotFound || got.body != want {
				count.Failed()
				t.Errorf("%s %s: %d\n%s", method, token, got.status, got.body)
				continue
			}
			count.Held()
		}
	}
	for _, token := range []string{ours.Mint(alice, desk.ScopeFull, now.Add(time.Minute)), ours.Mint("nobody@client-a.example", desk.ScopeReply, now.Add(time.Minute))} {
		if got := v.do(http.MethodGet, "/c/"+token, ""); got.status != http.StatusOK {
			t.Errorf("a good link: %d", got.status)
		}
	}
	s.unchanged(before, "an altered link")
}

// TestAttackCodes: guesses of a code of the console are counted by who makes them,
// whatever he writes into X-Forwarded-For; a code that was not guessed still works, once.
func TestAttackCodes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	count := campaign.Counting(t, "web", "guesses of codes and sessions")
	door := s.door()
	guesser := s.visitor()
	f := guesser.formOf(door, "code")
	code := f.fields.Get("code")
	tries, refused := 0, 0
	for i, guess := range append(altered(code), code[:len(code)-1], "", strings.Repeat("A", 300), "*", "%") {
		got := guesser.send("/admin/login", f.with("code", guess), "X-Forwarded-For", fmt.Sprintf("203.0.113.%d", i), "X-Real-IP", "203.0.113.9", "Forwarded", "for=203.0.113.8")
		switch got.status {
		case http.StatusForbidden:
			tries++
			count.Held()
		case http.StatusTooManyRequests:
			refused++
			count.Held()
		default:
			count.Failed()
			t.Errorf("guess %q: %d", guess, got.status)
		}
		if guesser.cookies["__Host-o2n"] != "" {
			count.Failed()
			t.Fatalf("guess %q lets in", guess)
		}
	}
	if tries > 12 || refused == 0 { // 10 a minute
		t.Errorf("%d guesses were looked at, %d refused", tries, refused)
	}
	// A proxy of ours says who asks, and what its client wrote before that does not count.
	proxy, looked := &visitor{s, "127.0.0.9", maps.Clone(guesser.cookies)}, 0
	for i := range 20 {
		got := proxy.send("/admin/login", f.with("code", "A"), "X-Forwarded-For", fmt.Sprintf("198.51.100.%d, 192.0.2.77", i))
		if got.status == http.StatusForbidden {
			looked++
		}
	}
	if looked < 10 || looked > 12 {
		t.Errorf("%d guesses of one client of the proxy were looked at, want 10", looked)
	}
	if got := proxy.send("/admin/login", f.with("code", "A"), "X-Forwarded-For", "192.0.2.78"); got.status != http.StatusForbidden {
		t.Errorf("another client of the proxy: %d", got.status)
	}
	honest := s.visitor()
	if got := honest.send("/admin/login", honest.formOf(door, "code")); got.status != http.StatusSeeOther {
		t.Errorf("the code itself, from elsewhere: %d", got.status)
	}
	again := s.visitor()
	if got := again.send("/admin/login", again.formOf(door, "code")); got.status != http.StatusForbidden {
		count.Failed()
		t.Errorf("the code again: %d", got.status)
	}
	for _, cookie := range append(altered(honest.cookies["__Host-o2n"]), "", "A", strings.Repeat("A", 4000)) {
		v := s.visitor()
		v.cookies["__Host-o2n"] = cookie
		if got := v.do(http.MethodGet, "/admin/", ""); got.status != http.StatusForbidden {
			count.Failed()
			t.Errorf("session %q: %d", cookie, got.status)
			continue
		}
		count.Held()
	}
}

// TestAttackFixation: an id that was there before the login is nobody's after it, and
// with the logout a session has ended for everybody who knows it.
func TestAttackFixation(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, planted := range []string{"planted", s.operator().cookies["__Host-o2n"]} {
		v := s.visitor()
		door := s.door()
		f := v.formOf(door, "code")
		v.cookies["__Host-o2n"] = planted
		if got := v.send("/admin/login", f); got.status != http.StatusSeeOther || v.cookies["__Host-o2n"] == planted {
			t.Fatalf("login: %d, session %q", got.status, v.cookies["__Host-o2n"])
		}
		thief := s.visitor()
		thief.cookies["__Host-o2n"] = planted
		if got := thief.do(http.MethodGet, "/admin/", ""); got.status != http.StatusForbidden {
			t.Errorf("the planted session: %d", got.status)
		}
		thief.cookies["__Host-o2n"] = v.cookies["__Host-o2n"]
		logout := v.forms("/admin/")
		i := slices.IndexFunc(logout, func(f form) bool { return f.to == "/admin/logout" })
		if got := v.send("/admin/logout", logout[i]); got.status != http.StatusSeeOther {
			t.Fatalf("logout: %d", got.status)
		}
		if got := thief.do(http.MethodGet, "/admin/", ""); got.status != http.StatusForbidden {
			t.Errorf("after the logout: %d", got.status)
		}
	}
}

// TestAttackMachinesPages: what a visitor learns from the pages for machines are numbers;
// the customers' listener has nothing of them.
func TestAttackMachinesPages(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	s := &site{program.Start(t, []string{"unix:milter.sock"}, settings, fmt.Sprintf("[web]\npublic_listen = %q\n", port)), t, map[string]string{}}
	if !s.mail(alice) {
		t.Fatal("mail does not pass")
	}
	v := s.visitor()
	for _, path := range []string{"/metrics", "/healthz", "/readyz"} {
		got := v.do(http.MethodGet, path, "", "Host", "evil.example")
		if got.status != http.StatusOK {
			t.Errorf("%s: %d", path, got.status)
		}
		for _, secret := range []string{"alice", "bob", "client-a", "C-1001", "friend", "203.0.113", "letter", s.Dir, "link.key"} {
			if strings.Contains(got.body, secret) {
				t.Errorf("%s names %s", path, secret)
			}
		}
		if got := v.do(http.MethodPost, path, ""); got.status != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: %d", path, got.status)
		}
	}
	public := &site{Daemon: s.Daemon, t: t, links: s.links}
	link := s.link(alice)
	daemon := *s.Daemon
	daemon.URL = "http://" + port
	public.Daemon = &daemon
	v = public.visitor()
	for _, path := range []string{"/metrics", "/healthz", "/readyz", "/admin/", "/admin/login", s.door(), "/v1/status", "/", "/c/../metrics", "/c/..%2fadmin/"} {
		got := v.do(http.MethodGet, path, "")
		if got.status < 300 || strings.Contains(got.body, "o2n_milter_") || strings.Contains(got.body, "Log in") {
			t.Errorf("the customers' listener, %s: %d", path, got.status)
		}
	}
	if got := v.do(http.MethodGet, link, ""); got.status != http.StatusOK {
		t.Errorf("the customer's page: %d", got.status)
	}
	if got := s.visitor().do(http.MethodGet, link, ""); got.status != http.StatusNotFound {
		t.Errorf("the customer's page at web.listen: %d", got.status)
	}
}
