package web

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"o2n-milter/tests/campaign"
)

// raw writes bytes to the pages' port and gives the statuses of all answers, until the
// daemon closes the connection or says nothing more.
func (s *site) raw(request string) (statuses []int, all string) {
	s.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	s.check(err)
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	go func() { _, _ = io.WriteString(c, request) }() // it may be too long to be taken
	var seen strings.Builder
	in := bufio.NewReader(io.TeeReader(c, &seen))
	for {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return statuses, seen.String()
		}
		statuses = append(statuses, resp.StatusCode)
		if resp.StatusCode == http.StatusContinue {
			continue
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return statuses, seen.String()
		}
		_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond)) // for one more
	}
}

// hidden is a second request inside what a reader may take for the body of the first.
const hidden = "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Hidden: yes\r\n\r\n"

// head begins a request to a page.
const head = "POST /admin/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"

// TestAttackSmuggling: of a request whose end is in doubt there is one answer, a refusal,
// and the connection is closed: no proxy before us has its end elsewhere and hands on the
// rest as somebody else's.
func TestAttackSmuggling(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	before := s.everything()
	count := campaign.Counting(t, "web", "requests whose end is in doubt")
	chunked := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(hidden), hidden)
	for name, request := range map[string]string{
		"two lengths":               head + "Content-Length: 0\r\nContent-Length: 61\r\n\r\n" + hidden,
		"two lengths in one":        head + "Content-Length: 0, 61\r\n\r\n" + hidden,
		"a length with a sign":      head + "Content-Length: +0\r\n\r\n" + hidden,
		"a length below zero":       head + "Content-Length: -1\r\n\r\n" + hidden,
		"a length that is hex":      head + "Content-Length: 0x0\r\n\r\n" + hidden,
		"a length too long":         head + "Content-Length: 99999999999999999999\r\n\r\n" + hidden,
		"unknown coding":            head + "Transfer-Encoding: xchunked\r\n\r\n" + chunked,
		"identity and chunked":      head + "Transfer-Encoding: identity, chunked\r\n\r\n" + chunked,
		"chunked twice":             head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked,
		"chunked, then unknown":     head + "Transfer-Encoding: chunked, x\r\n\r\n" + chunked,
		"a blank before the colon":  head + "Transfer-Encoding : chunked\r\n\r\n" + chunked,
		"a vertical tab":            head + "Transfer-Encoding: \vchunked\r\n\r\n" + chunked,
		"a NUL":                     head + "X-A: a\x00b\r\n\r\n" + hidden,
		"a CR within a line":        head + "X-A: a\rContent-Length: 61\r\n\r\n" + hidden,
		"a field without a name":    head + ": x\r\n\r\n" + hidden,
		"a field without a colon":   head + "Transfer-Encoding\r\n\r\n" + hidden,
		"a blank line's blank":      "GET /healthz HTTP/1.1\r\n Host: 127.0.0.1\r\n\r\n" + hidden,
		"no host":                   "GET /healthz HTTP/1.1\r\n\r\n" + hidden,
		"two hosts":                 "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n" + hidden,
		"a host with a path":        "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1/evil\r\n\r\n" + hidden,
		"HTTP/2 with prior notice":  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
		"HTTP/0.9":                  "GET /admin/\r\n\r\n" + hidden,
		"HTTP/3.0":                  "GET /healthz HTTP/3.0\r\nHost: 127.0.0.1\r\n\r\n" + hidden,
		"lower case":                "GET /healthz http/1.1\r\nHost: 127.0.0.1\r\n\r\n" + hidden,
		"a blank in the address":    "GET /healthz x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" + hidden,
		"control signs in the path": "GET /c/\x01\x1b HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" + hidden,
		"a method with a bracket":   "G(T /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" + hidden,
		"TLS":                       "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
		"a milter's first packet":   "\x00\x00\x00\x0dO\x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xff\xff\r\n\r\n",
	} {
		statuses, all := s.raw(request)
		if len(statuses) != 1 || statuses[0] < 400 {
			count.Failed()
			t.Errorf("%s: answers %v, want one refusal\n%s", name, statuses, all)
			continue
		}
		count.Held()
	}
	// What is sound but odd has the end that the standard says (RFC 9112 6.3), and what
	// comes after it is a request of its own.
	for name, c := range map[string]struct {
		request string
		want    []int
	}{
		"chunked":             {head + "Transfer-Encoding: chunked\r\n\r\n" + chunked, []int{403}},
		"length and chunked":  {head + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked + hidden, []int{403, 200}},
		"a body of a GET":     {fmt.Sprintf("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n", len(hidden)) + hidden, []int{200}},
		"one after the other": {hidden + hidden, []int{200, 200}},
	} {
		statuses, all := s.raw(c.request)
		if fmt.Sprint(statuses) != fmt.Sprint(c.want) {
			count.Failed()
			t.Errorf("%s: answers %v, want %v\n%s", name, statuses, c.want, all)
			continue
		}
		count.Held()
	}
	s.unchanged(before, "an odd request")
}

// TestAttackPaths: no way of writing a path leads to what is not a page, to a page of
// another's or to another site.
func TestAttackPaths(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.visitor()
	count := campaign.Counting(t, "web", "odd paths")
	link := s.link(alice)
	for _, target := range []string{
		"/../../../../etc/passwd", "/c/../../etc/passwd", "/c/..%2f..%2fetc%2fpasswd", "/c/%2e%2e/%2e%2e/etc/passwd", "/c/....//etc/passwd", "/c/..\\..\\etc\\passwd",
		"/admin/../../o2n-milter.toml", "/admin/%2e%2e/link.key", "/admin/blocks/../../../link.key", "/admin/blocks/%00", "/c/%00", "/c/\xff\xfe", "/admin/held/..%2f",
		"//evil.example/", "//evil.example/admin/", "///evil.example/%2f..", "/\\evil.example/", "/%5cevil.example", "/admin//evil.example", "/admin/..//evil.example", "/c//evil.example/",
		"/c/https://evil.example", "/c/?next=//evil.example", "/admin/?next=https://evil.example", "/admin/login?again=//evil.example", "/admin/login/..//evil.example",
		"http://evil.example/", "http://evil.example/admin/", "https://evil.example:443/c/", "http://127.0.0.1@evil.example/admin/", "*",
		"/v1/status", "/v1/blocks", "/admin/v1/blocks", "/debug/pprof/", "/debug/vars", "/.git/config", "/.well-known/x", "/server-status", "/favicon.ico", "/robots.txt",
		link + "/", link + "/..", link + "%2f", link + ";x", link + "%00", "/c/./" + tokenIn(link) + "x", "/C/" + tokenIn(link), "/ADMIN/", "/admin", "/admin/login;x",
		"/c/" + strings.Repeat("a", 5_000), "/c/" + strings.Repeat("../", 5_000), "/admin/blocks/" + strings.Repeat("x", 50_000), "/admin/search?q=" + strings.Repeat("%00", 10_000),
		"/?" + strings.Repeat("a=b&", 15_000),
	} {
		statuses, all := s.raw("GET " + target + " HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
		if strings.HasPrefix(target, "/admin/login") && len(statuses) == 1 && statuses[0] == 200 && !strings.Contains(all, "evil") {
			count.Held() // everybody sees that page
			continue
		}
		if len(statuses) != 1 || statuses[0] < 300 || statuses[0] >= 500 || strings.Contains(all, "root:x:") || leadsAway(all) {
			count.Failed()
			t.Errorf("%.80s: %v\n%.600s", target, statuses, all)
			continue
		}
		count.Held()
	}
	// A link of a proxy's making, with our host in the address: RFC 9112 3.2.2.
	if statuses, _ := s.raw("GET http://127.0.0.1" + link + " HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"); len(statuses) != 1 || statuses[0] != 200 {
		t.Errorf("an absolute address with our host: %v", statuses)
	}
	if got := v.do(http.MethodGet, link, ""); got.status != http.StatusOK {
		t.Errorf("the link itself: %d", got.status)
	}
}

// leadsAway says whether an answer leads to another host.
func leadsAway(answer string) bool {
	_, to, found := strings.Cut(answer, "\r\nLocation: ")
	to, _, _ = strings.Cut(to, "\r\n")
	return found && (!strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.HasPrefix(to, "/\\") || strings.ContainsAny(to, "\t\\"))
}

// TestAttackForeignNames: a name of another's that leads to our address opens no page, is
// in none, and a browser keeps nothing of ours under it.
func TestAttackForeignNames(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	count := campaign.Counting(t, "web", "foreign names for our address")
	operator := s.operator()
	door := s.door()
	for _, host := range []string{
		"evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "evil.example:80", "127.0.0.1@evil.example", "localhost.", "0.0.0.0", "[::]", "2130706433",
		"0x7f.1", "127.1", "169.254.169.254", "[fe80::1]", "evil.example:127.0.0.1", "\"127.0.0.1\"", "",
	} {
		for _, path := range []string{"/admin/", "/admin/login", "/admin/blocks", door, s.link(alice), "/c/", "/c/x"} {
			cookie := "Cookie: __Host-o2n=" + operator.cookies["__Host-o2n"] + "\r\n"
			for _, more := range []string{"", "X-Forwarded-Host: 127.0.0.1\r\n", "Forwarded: host=127.0.0.1\r\n"} {
				statuses, all := s.raw("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n" + cookie + more + "Connection: close\r\n\r\n")
				if len(statuses) != 1 || statuses[0] != http.StatusMisdirectedRequest && statuses[0] != http.StatusBadRequest || strings.Contains(all, "Set-Cookie") || strings.Contains(all, alice) {
					count.Failed()
					t.Errorf("%s as %q: %v\n%.600s", path, host, statuses, all)
					continue
				}
				count.Held()
			}
		}
	}
	// What a page links to is ours, whatever name a proxy says.
	got := operator.do(http.MethodGet, "/admin/", "", "X-Forwarded-Host", "evil.example", "Forwarded", "host=evil.example", "X-Original-URL", "/admin/audit", "X-Rewrite-URL", "/admin/audit")
	if got.status != http.StatusOK || strings.Contains(got.body, "evil.example") || !strings.Contains(got.body, "<h1>Overview") && !strings.Contains(got.body, "Overview") {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// TestAttackOversize: what is too big is refused, and costs no more than its reading.
func TestAttackOversize(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	before := s.everything()
	link := s.link(alice)
	form := s.visitor().formOf(link, "block").fields.Encode()
	for name, c := range map[string]struct {
		path, body string
		want       int
	}{
		"as it should be":           {link, form, http.StatusConflict}, // there is a request already
		"a long text":               {link, form + "&happened=" + strings.Repeat("x", 4001) + "&", http.StatusConflict},
		"a body of just too much":   {link, form + "&x=" + strings.Repeat("x", 64<<10-len(form)-2), http.StatusRequestEntityTooLarge},
		"a body of 4 MiB":           {link, form + "&x=" + strings.Repeat("x", 4<<20), http.StatusRequestEntityTooLarge},
		"30,000 fields":             {link, form + strings.Repeat("&a", 30_000), http.StatusBadRequest}, // net/url takes 10,000
		"fields that are no fields": {link, strings.Repeat("%", 60_000), http.StatusBadRequest},
		"a login":                   {"/admin/login", strings.Repeat("x", 1<<20), http.StatusForbidden},
	} {
		v := s.visitor()
		got, ok := v.tries(c.path, c.body)
		if ok && got.status != c.want {
			t.Errorf("%s: %d, want %d", name, got.status, c.want)
		}
	}
	s.unchanged(before, "what is too big")
}

// tries posts what may be too long to be taken: then there may be no answer to read.
func (v *visitor) tries(path, body string) (got reply, ok bool) {
	statuses, all := v.raw(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body))
	if len(statuses) == 0 {
		return reply{body: all}, false
	}
	return reply{status: statuses[0], body: all}, true
}
