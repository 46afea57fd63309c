package web

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"o2n-milter/tests/campaign"
	program "o2n-milter/tests/daemon"
	"o2n-milter/tests/mta"
)

// TestAttackSecrets: what is secret is in nothing that the daemon and its commands say,
// with everything in order and with every neighbour away.
func TestAttackSecrets(t *testing.T) {
	t.Parallel()
	const inURL, engine, hook, path = "pw-of-redis-in-the-url", "pw-of-the-engine", "key-of-the-webhook-0123456789abcdef", "path-of-the-webhook"
	server := mta.NewRedis(t, "--requirepass", inURL)
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) }))
	t.Cleanup(refuses.Close)
	dir := t.TempDir()
	for name, text := range map[string]string{"engine": engine, "hook": hex.EncodeToString([]byte(hook))} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d := program.Start(t, []string{"unix:milter.sock"}, settings, fmt.Sprintf(`
[state]
backend = "redis"
redis = "unix://default:%s@%s?db=0"
[content]
url = %q
password_file = %q
[notify]
webhook = "http://127.0.0.1:1/hooks/%s?token=%s"
webhook_plain = true
webhook_key_file = %q
timeout = "1s"
[log]
level = "debug"
`, inURL, server.Socket, refuses.URL, filepath.Join(dir, "engine"), path, path, filepath.Join(dir, "hook")))
	s := &site{d, t, map[string]string{}}
	link, door, operator := s.link(alice), s.door(), s.operator()
	at, err := url.Parse(door)
	s.check(err)
	key, err := os.ReadFile(filepath.Join(d.Dir, "link.key"))
	s.check(err)
	secrets := map[string]string{
		"Redis' password": inURL, "the content engine's password": engine, "the webhook's key": hook, "the webhook's key in hexadecimal": hex.EncodeToString([]byte(hook)), "the webhook's path": path,
		"the key of links": strings.TrimSpace(string(key)), "a session": operator.cookies["__Host-o2n"], "a customer's link": tokenIn(link), "a code that waits": at.Query().Get("code"),
	}
	count := campaign.Counting(t, "web", "outputs searched for secrets")
	search := func(when string) {
		texts := map[string]string{"the log": d.Log()}
		for path, got := range operator.crawl("/admin/") {
			texts[path] = got.body + fmt.Sprint(got.header)
		}
		for _, path := range []string{"/metrics", "/readyz", "/healthz", "/c/x", "/admin/nothing"} {
			got := s.visitor().do(http.MethodGet, path, "")
			texts[path] = got.body + fmt.Sprint(got.header)
		}
		for _, path := range []string{"/v1/status", "/v1/wiring", "/v1/overview", "/v1/records", "/v1/shadow", "/v1/audit"} {
			_, text := s.admin(http.MethodGet, path, "")
			texts[path] = string(text)
		}
		for _, args := range [][]string{{"status"}, {"status", "--json"}, {"configtest"}, {"doctor"}, {"doctor", "--json"}, {"block", "list"}, {"version"}} {
			out, _ := exec.Command(program.Program(t), append(args, "--config", filepath.Join(d.Dir, "o2n-milter.toml"))...).CombinedOutput() // some have findings
			texts[strings.Join(args, " ")] = string(out)
		}
		for where, text := range texts {
			if text == "" && where != "configtest" {
				t.Errorf("%s: %s says nothing", when, where)
			}
			for what, secret := range secrets {
				// A page of the operator's own has his form tokens, which are made of it, not it.
				if strings.Contains(text, secret) {
					count.Failed()
					t.Errorf("%s: %s tells %s", when, where, what)
					continue
				}
				count.Held()
			}
		}
	}
	for i, from := range []string{alice, "boss@bank.example", "boss@bank.example"} {
		f, err := mta.DialFilter("unix", filepath.Join(d.Dir, "milter.sock"))
		s.check(err)
		s.check(f.Connect("home.example", "203.0.113.8", 4711))
		_, err = f.Deliver(mta.Letter{Login: alice, Sender: alice, Recipients: []string{"friend@remote.example"}, QueueID: fmt.Sprint("4T", i), Header: []string{"From: " + from, "To: friend@remote.example"}, Body: "x\r\n"})
		s.check(err)
		f.Quit()
	}
	mta.Poll(t, "the webhook is tried", func() bool { return strings.Contains(d.Log(), "channel=webhook") })
	search("in order")
	server.Kill()
	s.mail("carol@client-c.example")
	mta.Poll(t, "Redis is missed", func() bool { return strings.Contains(d.Log(), "redis: away") })
	search("without Redis")
}
