package notify

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/state"
	"o2n-milter/state/memory"
)

// call is what a webhook's server saw.
type call struct {
	header http.Header
	method string
	body   string
	last   bool // nothing more will come on this connection
}

// server answers with what answer says.
func server(t *testing.T, tls bool, answer http.HandlerFunc) (url string, calls func() []call) {
	t.Helper()
	var mu sync.Mutex
	var list []call
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		list = append(list, call{r.Header, r.Method, string(body), r.Close})
		mu.Unlock()
		answer(w, r)
	})
	start := httptest.NewServer
	if tls {
		start = httptest.NewTLSServer
	}
	srv := start(h)
	t.Cleanup(srv.Close)
	return srv.URL + "/hook?key=SECRET", func() []call {
		mu.Lock()
		defer mu.Unlock()
		return list
	}
}

func ok(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }

var key = []byte("0123456789abcdef")

func TestWebhook(t *testing.T) {
	for _, tls := range []bool{false, true} {
		url, calls := server(t, tls, ok)
		h := start(t, memory.New(), "mx1", Settings{Webhook: url, WebhookKey: key})
		e := blockOf(alice)
		e.Request = state.Request{ID: "R1", Block: "B7K3QF2M9", Subject: alice, Account: "alice@client-a.example", At: t0, Happened: "<b>\n\x1b", State: state.RequestOpen}
		h.Notify(t.Context(), t0, e)
		id := h.left(t)[0].id
		h.settleAt(t, t0.Add(90*time.Second))
		got := calls()
		if len(got) != 1 || got[0].method != http.MethodPost || !got[0].last || len(h.left(t)) != 0 {
			t.Fatalf("%d calls, %d left: %s", len(got), len(h.left(t)), h.log)
		}
		stamp := strconv.FormatInt(t0.Add(90*time.Second).Unix(), 10)
		mac := hmac.New(sha256.New, key)
		io.WriteString(mac, stamp+"."+got[0].body)
		for name, want := range map[string]string{
			"X-O2N-Timestamp": stamp, "X-O2N-Signature": "sha256=" + hex.EncodeToString(mac.Sum(nil)), "Content-Type": "application/json",
		} {
			if g := got[0].header.Get(name); g != want {
				t.Errorf("%s: %q; want %q", name, g, want)
			}
		}
		var body, want map[string]any
		if err := json.Unmarshal([]byte(got[0].body), &body); err != nil {
			t.Fatal(err)
		}
		wantJSON := `{"id":"` + id + `","event":"block","at":"2026-01-05T10:00:00Z","host":"mx1","subject":"account:alice@client-a.example",
			"account":"alice@client-a.example","customer":"C-1001","text":"",
			"block":{"id":"B7K3QF2M9","subject":"account:alice@client-a.example","rule":"identity.header_from","reason":"5 strikes within 1h",
				"since":"2026-01-05T10:00:00Z","until":"2026-01-05T11:00:00Z","by":"o2n-milter","before":0,"lifted_at":null,"lifted_by":"","note":"",
				"evidence":[{"rule":"identity.header_from","fact":"header From","got":"boss@bank.example","want":"an address of the account","shadow":false}],
				"decisions":["AAAA2222","BBBB3333"]},
			"request":{"id":"R1","block":"B7K3QF2M9","subject":"account:alice@client-a.example","account":"alice@client-a.example","at":"2026-01-05T10:00:00Z",
				"state":"open","self":false,"happened":"<b>\n\u001b","done":"","password":false,"answered_by":"","answer":""}}`
		if err := json.Unmarshal([]byte(wantJSON), &want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, body); diff != "" {
			t.Error(diff)
		}
	}
}

func TestWebhookFaults(t *testing.T) {
	elsewhere, elsewhereCalls := server(t, false, ok)
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		why    string
	}{
		"300": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(300) }, "300"},
		"400": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(400) }, "400"},
		"503": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, "503"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere, http.StatusTemporaryRedirect)
		}, "307"},
		"silent": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "not done within"},
		"long header": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("x", 1<<20))
		}, "exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			url, calls := server(t, false, tt.answer)
			h := start(t, memory.New(), "mx1", Settings{Webhook: url, WebhookKey: key})
			quick := *h.set.Load()
			quick.Timeout = 300 * time.Millisecond
			h.set.Store(&quick)
			h.Notify(t.Context(), t0, blockOf(alice))
			next := h.settleAt(t, t0)
			left := h.left(t)
			if len(calls()) != 1 || len(left) != 1 || !next.Equal(t0.Add(firstPause)) {
				t.Fatalf("%d calls, %d left, next %s", len(calls()), len(left), next)
			}
			wantParts(t, h.log.String(), tt.why)
			wantNone(t, h.log.String(), "SECRET")
		})
	}
	if len(elsewhereCalls()) != 0 {
		t.Error("a redirect was followed")
	}
}

// TestWebhookAgain: the second try is signed anew, for the same event.
func TestWebhookAgain(t *testing.T) {
	first := true
	url, calls := server(t, false, func(w http.ResponseWriter, _ *http.Request) {
		if first {
			w.WriteHeader(500)
		}
		first = false
	})
	h := start(t, memory.New(), "mx1", Settings{Webhook: url, WebhookKey: key})
	h.Notify(t.Context(), t0, blockOf(alice))
	h.settleAt(t, t0)
	h.settleAt(t, t0.Add(firstPause))
	got := calls()
	if len(got) != 2 || got[0].body != got[1].body || got[0].header.Get("X-O2N-Signature") == got[1].header.Get("X-O2N-Signature") {
		t.Errorf("calls %+v", got)
	}
	if want := (Count{Sent: 1, Retried: 1}); h.Stats().Channels[toWebhook] != want {
		t.Errorf("counted %+v; want %+v", h.Stats(), want)
	}
}

func TestPlainHTTPStaysInside(t *testing.T) {
	for address, inside := range map[string]bool{
		"127.0.0.1:80": true, "[::1]:80": true, "10.1.2.3:80": true, "172.16.0.1:80": true, "192.168.1.1:80": true, "[fd00::1]:80": true,
		"[::ffff:10.0.0.1]:80": true,
		"192.0.2.1:80":         false, "172.32.0.1:80": false, "169.254.169.254:80": false, "[2001:db8::1]:80": false, "[::ffff:192.0.2.1]:80": false,
		"0.0.0.0:80": false, "nonsense": false,
	} {
		if err := onlyPrivate("tcp", address, nil); (err == nil) != inside {
			t.Errorf("%s: %v", address, err)
		}
	}
	h := start(t, memory.New(), "mx1", Settings{Webhook: "http://192.0.2.1:9/", WebhookKey: key})
	h.Notify(t.Context(), t0, blockOf(alice))
	h.settleAt(t, t0)
	wantParts(t, h.log.String(), "plain http to 192.0.2.1")
	for url, bounded := range map[string]bool{"http://a.example/": true, "HTTP://a.example/": true, "https://a.example/": false} {
		for _, plain := range []bool{false, true} {
			s := Settings{Webhook: url, WebhookPlain: plain}
			if got := s.onlyInside(); got != (bounded && !plain) {
				t.Errorf("%s, plain %v: %v", url, plain, got)
			}
		}
	}
}

// TestWebhookOfAStranger: a certificate that nobody vouches for ends it.
func TestWebhookOfAStranger(t *testing.T) {
	url, calls := server(t, true, ok)
	h := start(t, memory.New(), "mx1", Settings{Webhook: strings.Replace(url, "127.0.0.1", "localhost", 1), WebhookKey: key})
	h.Notify(t.Context(), t0, blockOf(alice))
	h.settleAt(t, t0)
	if len(calls()) != 0 || len(h.left(t)) != 1 {
		t.Error("it was taken")
	}
	wantParts(t, h.log.String(), "certificate")
}

// TestRecipesOfTheDocs: what docs/notices.md tells receivers to do takes our calls
// and no others.
func TestRecipesOfTheDocs(t *testing.T) {
	body := `{"id":"1","text":"é"}`
	now := time.Now().Unix() // the recipes look at the clock
	signature := func(at int64) string { return "sha256=" + sign(key, strconv.FormatInt(at, 10), []byte(body)) }
	for _, recipe := range []struct{ lang, program, call string }{
		{"python", "python3", "\nimport sys\nsys.exit(0 if genuine(%s.encode(), %s, %s, %s.encode()) else 3)\n"},
		{"php", "php", "\nexit(genuine(%s, %s, %s, %s) ? 0 : 3);\n"},
	} {
		t.Run(recipe.lang, func(t *testing.T) {
			text := docsRecipe(t, recipe.lang)
			program, err := exec.LookPath(recipe.program)
			if err != nil {
				missing(t, recipe.program+" is not there, so the recipe of the docs is not tried")
			}
			for name, tt := range map[string]struct {
				stamp, signature, body string
				good                   bool
			}{
				"ours":          {fmt.Sprint(now), signature(now), body, true},
				"another body":  {fmt.Sprint(now), signature(now), body + " ", false},
				"another time":  {fmt.Sprint(now + 1), signature(now), body, false},
				"old":           {fmt.Sprint(now - 1000), signature(now - 1000), body, false},
				"from tomorrow": {fmt.Sprint(now + 86400), signature(now + 86400), body, false},
				"no signature":  {fmt.Sprint(now), "", body, false},
				"no time":       {"", "sha256=" + sign(key, "", []byte(body)), body, false},
			} {
				script := text + fmt.Sprintf(recipe.call, quoted(string(key)), quoted(tt.stamp), quoted(tt.signature), quoted(tt.body))
				cmd := exec.Command(program)
				cmd.Stdin = strings.NewReader(script)
				out, err := cmd.CombinedOutput()
				if code := cmd.ProcessState.ExitCode(); code != 0 && code != 3 || (code == 0) != tt.good {
					t.Errorf("%s: %v %s", name, err, out)
				}
			}
		})
	}
}

// quoted is a literal of Python and PHP.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `\'`) + "'" }

// docsRecipe is the only sample of a language in the docs.
func docsRecipe(t *testing.T, lang string) string {
	t.Helper()
	text, err := os.ReadFile("../docs/notices.md")
	if err != nil {
		t.Fatal(err)
	}
	samples := regexp.MustCompile("(?s)```"+lang+"\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(samples) != 1 {
		t.Fatalf("docs/notices.md has %d samples of %s; want 1", len(samples), lang)
	}
	return samples[0][1]
}

// missing skips a test loudly; where everything must be there it is a fault.
func missing(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip("SKIPPED: " + why)
}
