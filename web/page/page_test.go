package page

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/net/html"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// clock is a time that tests move.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func newKit(c *clock) *Kit {
	return New(Options{
		PublicURL: "https://sending.example", Key: []byte("a key for tests"),
		Language: func() string { return "en" },
		Proxies:  []netip.Prefix{netip.MustParsePrefix("192.0.2.0/28")},
		Log:      slog.New(slog.NewTextHandler(io.Discard, nil)), Now: c.now,
	})
}

func get(target string, headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.RemoteAddr = "127.0.0.1:40000"
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

func post(target, body string, headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:40000"
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// sample is a page with everything that a View offers.
var sample = Parse(nil, fstest.MapFS{"sample.html": {Data: []byte(`{{define "main"}}<h1>{{.Title}}</h1>
<p id="foreign">{{foreign .Data.Text}}</p><p id="attr" title="{{visible .Data.Text}}">x</p>
<p id="date">{{.Date .Data.At}}</p><p id="away">{{.Away .Data.At}}</p>
{{.Chart .Data.Chart}}{{.Gauge 8 10}}<form method="post">{{.Token "sample"}}<button>go</button></form>{{end}}`)}}, "sample.html")

type sampleData struct {
	Text  string
	At    time.Time
	Chart Chart
}

func render(t *testing.T, k *Kit, r *http.Request, data sampleData) *httptest.ResponseRecorder {
	t.Helper()
	w := serve(k.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := k.View(r)
		v.Title, v.Bound, v.Data = "Sample", "session", data
		k.Render(w, r, http.StatusOK, sample, v)
	})), r)
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return w
}

// styles are the contents of the style elements of a page.
func styles(t *testing.T, page []byte) []string {
	t.Helper()
	var list []string
	z := html.NewTokenizer(bytes.NewReader(page))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return list
		case html.StartTagToken:
			if name, _ := z.TagName(); string(name) == "style" {
				z.Next()
				list = append(list, string(z.Raw()))
			}
		}
	}
}

func TestHeadersKeepThePageToItself(t *testing.T) {
	k := newKit(&clock{noon})
	w := render(t, k, get("http://localhost:8896/"), sampleData{At: noon})
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
		"X-Frame-Options": "DENY", "Content-Type": "text/html; charset=utf-8", "Strict-Transport-Security": "",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: %q; want %q", name, got, want)
		}
	}
	policy := w.Header().Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("policy %q lacks %q", policy, want)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Errorf("policy %q", policy)
	}
	list := styles(t, w.Body.Bytes())
	if len(list) != 1 {
		t.Fatalf("%d style sheets", len(list))
	}
	sum := sha256.Sum256([]byte(list[0]))
	if want := "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(policy, want) {
		t.Errorf("policy %q does not know the style sheet %s", policy, want)
	}
	for _, bad := range []string{"style=", "<script", "http://", "https://", "//cdn"} {
		if body := strings.ReplaceAll(w.Body.String(), "http://www.w3.org/2000/svg", ""); strings.Contains(body, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
}

func TestGuard(t *testing.T) {
	tests := []struct {
		name    string
		request *http.Request
		host    string
		want    int
	}{
		{"public host", get("/"), "sending.example", 200},
		{"public host with a port", get("/"), "Sending.Example:443", 200},
		{"loopback name", get("/"), "localhost:8896", 200},
		{"loopback address", get("/"), "127.0.0.1:8896", 200},
		{"loopback IPv6", get("/"), "[::1]:8896", 200},
		{"a name that resolves to us", get("/"), "rebound.attacker.example", 421},
		{"ends like ours", get("/"), "evilsending.example", 421},
		{"no host", get("/"), "", 421},
		{"private address", get("/"), "192.168.0.1:8896", 421},
		{"HEAD", httptest.NewRequest("HEAD", "/", nil), "localhost", 200},
		{"PUT", httptest.NewRequest("PUT", "/", nil), "localhost", 405},
		{"DELETE", httptest.NewRequest("DELETE", "/", nil), "localhost", 405},
		{"OPTIONS", httptest.NewRequest("OPTIONS", "/", nil), "localhost", 405},

		{"own page", post("/", "", "Sec-Fetch-Site", "same-origin", "Origin", "null"), "sending.example", 200},
		{"reload", post("/", "", "Sec-Fetch-Site", "none"), "sending.example", 200},
		{"other site", post("/", "", "Sec-Fetch-Site", "cross-site"), "sending.example", 403},
		{"neighbour", post("/", "", "Sec-Fetch-Site", "same-site"), "sending.example", 403},
		{"other site that lies about its origin", post("/", "", "Sec-Fetch-Site", "cross-site", "Origin", "https://sending.example"), "sending.example", 403},
		{"no Sec-Fetch-Site, own origin", post("/", "", "Origin", "https://sending.example"), "sending.example", 200},
		{"own origin, proxy that changes the host", post("/", "", "Origin", "https://sending.example"), "127.0.0.1:8896", 200},
		{"own origin with its port", post("/", "", "Origin", "https://sending.example:443"), "sending.example", 200},
		{"other scheme", post("/", "", "Origin", "http://sending.example"), "sending.example", 403},
		{"other port", post("/", "", "Origin", "https://sending.example:8443"), "sending.example", 403},
		{"other origin", post("/", "", "Origin", "https://attacker.example"), "sending.example", 403},
		{"loopback origin", post("/", "", "Origin", "http://localhost:8896"), "localhost:8896", 200},
		{"loopback, another port's page", post("/", "", "Origin", "http://localhost:9999"), "localhost:8896", 403},
		{"broken origin", post("/", "", "Origin", "http://%zz"), "localhost:8896", 403},
		{"neither", post("/", ""), "sending.example", 200},
		{"null origin", post("/", "", "Origin", "null"), "sending.example", 200},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			k := newKit(&clock{noon})
			asked := false
			h := k.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
			test.request.Host = test.host
			w := serve(h, test.request)
			if w.Code != test.want || asked != (test.want == 200) {
				t.Errorf("status %d, handler asked: %v; want %d", w.Code, asked, test.want)
			}
			if w.Header().Get("Content-Security-Policy") == "" {
				t.Error("no policy")
			}
			if test.want == 405 && w.Header().Get("Allow") != "GET, HEAD, POST" {
				t.Errorf("Allow %q", w.Header().Get("Allow"))
			}
		})
	}
}

func TestPostsOfOneAddressAreLimited(t *testing.T) {
	c := &clock{noon}
	k := newKit(c)
	h := k.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	from := func(addr string) *http.Request {
		r := post("http://localhost/", "")
		r.RemoteAddr = addr
		return r
	}
	for i := range 30 {
		if w := serve(h, from("[2001:db8::1]:1")); w.Code != 200 {
			t.Fatalf("POST %d: status %d", i+1, w.Code)
		}
	}
	if w := serve(h, from("[2001:db8::ffff]:1")); w.Code != 429 {
		t.Errorf("POST 31 from the same /64: status %d; want 429", w.Code)
	}
	if w := serve(h, from("[2001:db8:0:1::1]:1")); w.Code != 200 {
		t.Errorf("another /64: status %d", w.Code)
	}
	if w := serve(h, get("http://localhost/")); w.Code != 200 {
		t.Errorf("GET: status %d", w.Code)
	}
	c.t = noon.Add(2*time.Second - 1)
	if w := serve(h, from("[2001:db8::1]:1")); w.Code != 429 {
		t.Errorf("just before the next token: status %d", w.Code)
	}
	c.t = noon.Add(2 * time.Second)
	if w := serve(h, from("[2001:db8::1]:1")); w.Code != 200 {
		t.Errorf("at the next token: status %d", w.Code)
	}
}

func TestPanicIsAPage(t *testing.T) {
	var logged bytes.Buffer
	k := newKit(&clock{noon})
	k.log = slog.New(slog.NewTextHandler(&logged, nil))
	w := serve(k.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("of mine") })), get("http://localhost/"))
	if w.Code != 500 || strings.Contains(w.Body.String(), "of mine") || !strings.Contains(w.Body.String(), "<h1>") {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	if !strings.Contains(logged.String(), "of mine") || !strings.Contains(logged.String(), "guard.go") {
		t.Errorf("log: %s", logged.String())
	}
}

func TestBodyIsBounded(t *testing.T) {
	k := newKit(&clock{noon})
	h := k.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := k.CheckForm(r, "b", "p"); err != nil {
			k.Fail(w, r, FormStatus(err))
		}
	}))
	form := url.Values{tokenField: {k.formToken("b", "p", noon)}, "x": {""}}.Encode()
	for _, test := range []struct{ size, want int }{{mostForm - 1, 200}, {mostForm, 200}, {mostForm + 1, 413}} {
		body := form + strings.Repeat("x", test.size-len(form))
		if w := serve(h, post("http://localhost/", body)); w.Code != test.want {
			t.Errorf("%d bytes: status %d; want %d", test.size, w.Code, test.want)
		}
	}
	if w := serve(h, post("http://localhost/", "a=%zz")); w.Code != 400 {
		t.Errorf("no form: status %d", w.Code)
	}
}
