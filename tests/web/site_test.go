package web

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	program "o2n-milter/tests/daemon"
	"o2n-milter/tests/mta"
)

func TestMain(m *testing.M) { program.Main(m) }

const (
	alice = "alice@client-a.example"
	bob   = "bob@client-b.example"
)

// settings let two customers have a block, a request and mail on hold.
const settings = `
[account."alice@client-a.example"]
customer = "C-1001"
domains = ["client-a.example"]
[account."bob@client-b.example"]
customer = "C-1002"
domains = ["client-b.example"]
[limit.hour]
subject = "account"
max = 1
window = "1h"
action = "quarantine"
[block]
strikes = 2
[hold]
agent = "hold.sock"
[reply]
help_url = "https://help.example/sending-rules"
[web]
trusted_proxy = ["127.0.0.9"]
`

// site is a daemon with the mail of two customers behind it.
type site struct {
	*program.Daemon
	t     testing.TB
	links map[string]string // by login
}

// newSite has for each customer one message that passed, one that is held, two that are
// refused, a block for them, and a request about it; and an exemption of bob's.
func newSite(t testing.TB, more ...string) *site {
	t.Helper()
	s := &site{program.Start(t, []string{"unix:milter.sock"}, append([]string{settings}, more...)...), t, map[string]string{}}
	for _, login := range []string{alice, bob} {
		f, err := mta.DialFilter("unix", filepath.Join(s.Dir, "milter.sock"))
		s.check(err)
		s.check(f.Connect("home.example", "203.0.113.8", 4711))
		for i, from := range []string{login, login, "boss@bank.example", "boss@bank.example"} {
			_, err := f.Deliver(mta.Letter{
				Login: login, Sender: login, Recipients: []string{fmt.Sprintf("friend%d@remote.example", i)}, QueueID: fmt.Sprintf("4T%d%c", i, login[0]),
				Header: []string{"From: " + from, "To: friend@remote.example", "Subject: letter of " + login}, Body: "Hello\r\n",
			})
			s.check(err)
		}
		f.Quit()
	}
	mta.Poll(t, "two blocks and two held messages", func() bool {
		return len(s.ids("/v1/blocks")) == 2 && len(s.ids("/v1/held")) == 2
	})
	for _, login := range []string{alice, bob} {
		link := s.link(login)
		v := s.visitor()
		f := v.formOf(link, "block")
		f.set("happened", "words of "+login, "done", "all", "password", "yes")
		if got := v.send(link, f); got.status != http.StatusSeeOther {
			t.Fatalf("%s asks: %d", login, got.status)
		}
	}
	s.Command(t, "exempt", "add", "account:"+bob, "--rule", "identity.sender", "--for", "1h", "--reason", "ticket 1", "--owner", "olivia")
	return s
}

func (s *site) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// admin asks the admin socket.
func (s *site) admin(method, path, body string) (int, []byte) {
	s.t.Helper()
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", filepath.Join(s.Dir, "admin.sock"))
	}}}
	r, err := http.NewRequestWithContext(s.t.Context(), method, "http://admin"+path, strings.NewReader(body))
	s.check(err)
	resp, err := client.Do(r)
	s.check(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	s.check(err)
	return resp.StatusCode, text
}

var idField = regexp.MustCompile(`"id":"([^"]+)"`)

// ids are those of a list of the admin API.
func (s *site) ids(path string) (list []string) {
	s.t.Helper()
	_, text := s.admin(http.MethodGet, path, "")
	for _, m := range idField.FindAllSubmatch(text, -1) {
		list = append(list, string(m[1]))
	}
	return list
}

// everything is all that the daemon remembers and an operator may see.
func (s *site) everything() string {
	s.t.Helper()
	var all strings.Builder
	for _, path := range []string{"/v1/blocks?all=1", "/v1/requests?all=1", "/v1/exemptions?all=1", "/v1/held?all=1", "/v1/audit?limit=1000",
		"/v1/history?subject=account:" + alice, "/v1/history?subject=account:" + bob, "/v1/usage?subject=account:" + alice, "/v1/usage?subject=account:" + bob} {
		code, text := s.admin(http.MethodGet, path, "")
		if code != http.StatusOK {
			s.t.Fatalf("%s: %d %s", path, code, text)
		}
		all.WriteString(path + "\n" + string(text))
	}
	// When a window has room again is told to the second.
	return regexp.MustCompile(`"(next_free|due)":"[^"]*"`).ReplaceAllString(all.String(), "")
}

// unchanged wants everything as it was.
func (s *site) unchanged(before, what string) {
	s.t.Helper()
	if diff := cmp.Diff(before, s.everything()); diff != "" {
		s.t.Fatalf("%s changed something: %s", what, diff)
	}
}

// link is the path of a customer's page, by a link of the customer area.
func (s *site) link(login string) string {
	s.t.Helper()
	if s.links[login] != "" {
		return s.links[login]
	}
	_, text := s.admin(http.MethodPost, "/v1/links", fmt.Sprintf(`{"account":%q}`, login))
	var v struct{ URL string }
	s.check(json.Unmarshal(text, &v))
	s.links[login] = strings.TrimPrefix(v.URL, s.URL)
	return s.links[login]
}

// visitor is a client with cookies of its own and, as what one address may send has a
// limit, an address of its own.
type visitor struct {
	*site
	addr    string
	cookies map[string]string
}

var visitors atomic.Uint32

func (s *site) visitor() *visitor {
	n := visitors.Add(1)
	return &visitor{s, fmt.Sprintf("127.1.%d.%d", n/250, n%250+1), map[string]string{}}
}

// operator is a visitor who has logged in to the console.
func (s *site) operator() *visitor {
	s.t.Helper()
	v := s.visitor()
	door := s.door()
	f := v.formOf(door, "code")
	if got := v.send("/admin/login", f); got.status != http.StatusSeeOther || v.cookies["__Host-o2n"] == "" {
		s.t.Fatalf("login: %d", got.status)
	}
	return v
}

// door is the path of a link to the console.
func (s *site) door() string {
	s.t.Helper()
	_, text := s.admin(http.MethodPost, "/v1/console", "{}")
	var v struct{ URL string }
	s.check(json.Unmarshal(text, &v))
	return strings.TrimPrefix(v.URL, s.URL)
}

// reply is what came back.
type reply struct {
	status int
	header http.Header
	body   string
}

// do sends one request; headers are name and value in turn, Host among them.
func (v *visitor) do(method, path, body string, headers ...string) reply {
	v.t.Helper()
	r, err := http.NewRequestWithContext(v.t.Context(), method, v.URL+path, strings.NewReader(body))
	v.check(err)
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, value := range v.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(v.addr)}}
	client := http.Client{
		Timeout: 20 * time.Second, Transport: &http.Transport{DialContext: d.DialContext, DisableKeepAlives: true, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(r)
	v.check(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	v.check(err)
	for _, c := range resp.Cookies() {
		v.cookies[c.Name] = c.Value
	}
	return reply{resp.StatusCode, resp.Header, string(text)}
}

// parse is the page as a tree.
func (r reply) parse() *html.Node {
	tree, err := html.Parse(strings.NewReader(r.body))
	if err != nil {
		panic(err) // html.Parse fails where its reader does
	}
	return tree
}

// attr is an attribute; empty without it.
func attr(n *html.Node, name string) string {
	i := slices.IndexFunc(n.Attr, func(a html.Attribute) bool { return a.Key == name })
	if i < 0 {
		return ""
	}
	return n.Attr[i].Val
}
