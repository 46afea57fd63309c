//go:build browser

package browser

import (
	"bytes"
	"fmt"
	"io"
	"mime/quotedprintable"
	"net/http"
	"net/mail"
	"regexp"
	"strings"
	"testing"

	"o2n-milter/tests/daemon"
	"o2n-milter/tests/mta"
)

func TestMain(m *testing.M) { daemon.Main(m) }

const (
	alice   = "alice@client-a.example"
	bob     = "bob@client-b.example"
	mallory = "mallory@unlisted.example" // in no table: he has his own domain
)

// customers are the accounts that there are, and what a provider would set.
const customers = `
[accounts]
hosts = ["submit.host.example"]
[account."alice@client-a.example"]
customer = "C-1001"
domains = ["client-a.example"]
[account."bob@client-b.example"]
customer = "C-1002"
domains = ["client-b.example"]
[limit.minute]
subject = "account"
max = 30
window = "1m"
[limit.day]
subject = "account"
max = 1000
window = "24h"
[reply]
help_url = "https://help.example/sending-rules"
[block]
always_reachable = ["abuse@isp.example"]
`

// provider is a mail server with the filter behind it; all mail ends in the sink.
type provider struct {
	*daemon.Daemon
	t       *testing.T
	sink    *mta.Sink
	postfix *mta.Postfix
	letters int
}

// newPostfix is a provider that has no filter yet.
func newPostfix(t *testing.T) *provider {
	t.Helper()
	sink := mta.NewSink(t)
	p := &provider{t: t, sink: sink, postfix: mta.NewPostfix(t, sink)}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("mail log:\n%s", p.postfix.Log())
		}
	})
	return p
}

// newProvider has the filter at Postfix' unix socket, with more settings.
func newProvider(t *testing.T, settings func(*mta.Postfix) string) *provider {
	t.Helper()
	p := newPostfix(t)
	p.Daemon = daemon.Start(t, []string{"unix:" + p.postfix.Milter}, customers, settings(p.postfix))
	return p
}

// letter is what an account sends.
type letter struct {
	login, from, subject string
	to                   []string
	more                 []string // header fields
}

// send gives a letter to the server, as a mail program does that logs in.
func (p *provider) send(l letter) mta.Reply { p.t.Helper(); return p.sendBy(p.postfix.Submission(), l) }

// sendBy uses another of the server's addresses.
func (p *provider) sendBy(addr string, l letter) mta.Reply {
	p.t.Helper()
	p.letters++
	if l.to == nil {
		l.to = []string{fmt.Sprintf("friend%d@remote.example", p.letters)}
	}
	header := []string{"From: " + l.from, "To: " + strings.Join(l.to, ", "), "Subject: " + l.subject,
		fmt.Sprintf("Message-ID: <%d@client.example>", p.letters)}
	c := mta.Login(p.t, addr, l.login)
	defer c.Quit()
	c.Must(250, "MAIL FROM:<"+l.login+">")
	for _, to := range l.to {
		c.Must(250, "RCPT TO:<"+to+">")
	}
	c.Must(354, "DATA")
	return c.Data([]byte(strings.Join(append(header, l.more...), "\r\n") + "\r\n\r\nGood morning.\r\n"))
}

// forge sends mail in a bank's name, which the rules refuse.
func (p *provider) forge(login string) {
	p.t.Helper()
	p.refused(p.send(letter{login: login, from: `"Your Bank" <service@bank.example>`, subject: "Urgent: verify your account"}), "identity.header_from")
}

// hello sends mail that no rule has anything against.
func (p *provider) hello(login, subject string) mta.Reply {
	p.t.Helper()
	return p.send(letter{login: login, from: login, subject: subject})
}

// decision is the end of a reply: the rule and the decision's id.
var decision = regexp.MustCompile(` \[(\S+) [0-9A-Z]{8}\]$`)

// refused wants a reply 550 5.x.x by this rule.
func (p *provider) refused(r mta.Reply, rule string) {
	p.t.Helper()
	m := decision.FindStringSubmatch(r.Text)
	if r.Code != 550 || !strings.HasPrefix(r.Enhanced, "5.") || m == nil || m[1] != rule {
		p.t.Fatalf("got %v, want 550 by %s", r, rule)
	}
}

// passes wants a letter taken, and that it arrives.
func (p *provider) passes(r mta.Reply, subject string) {
	p.t.Helper()
	if r.Code != 250 {
		p.t.Fatalf("%s: got %v, want 250", subject, r)
	}
	p.arrived("", subject)
}

// arrived waits for a mail to an address, empty for any, whose subject begins so.
func (p *provider) arrived(to, subject string) *arrival {
	p.t.Helper()
	var found []*arrival
	mta.Poll(p.t, fmt.Sprintf("mail to %q arrives: %s", to, subject), func() bool {
		found = p.arrivals(to, subject)
		return len(found) > 0
	})
	return found[0]
}

// arrival is a mail that the sink got.
type arrival struct {
	subject, nonce, text string
}

// arrivals are the mails so far to an address whose subjects begin so.
func (p *provider) arrivals(to, subject string) []*arrival {
	p.t.Helper()
	var list []*arrival
	for _, d := range p.sink.All() {
		if to != "" && (len(d.To) != 1 || d.To[0] != to) {
			continue
		}
		m, err := mail.ReadMessage(bytes.NewReader(d.Data))
		check(p.t, err)
		if !strings.HasPrefix(m.Header.Get("Subject"), subject) {
			continue
		}
		body := m.Body
		if m.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
			body = quotedprintable.NewReader(body)
		}
		text, err := io.ReadAll(body)
		check(p.t, err)
		list = append(list, &arrival{m.Header.Get("Subject"), m.Header.Get("X-O2N-Notice"), string(text)})
	}
	return list
}

// customerLink is a link to the customer page.
var customerLink = regexp.MustCompile(`http://\S+/c/[\w.-]+`)

// linkIn finds the customer's link in a reply or a mail.
func linkIn(t *testing.T, text string) string {
	t.Helper()
	link := customerLink.FindString(text)
	if link == "" {
		t.Fatalf("no link in %q", text)
	}
	return link
}

// operator opens the console by the link that the command prints.
func (p *provider) operator() *tab {
	p.t.Helper()
	b := open(p.t)
	b.visit(p.Command(p.t, "console"), http.StatusOK)
	b.click("main form button", http.StatusOK)
	return b
}

// fetch is what a program gets that opens links: status and body.
func fetch(t *testing.T, method, url string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	check(t, err)
	resp, err := http.DefaultClient.Do(r)
	check(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	check(t, err)
	return resp.StatusCode, string(body)
}

// soundLog makes sure that the daemon has not spoken of a fault, nor of a key to
// somebody's page.
func (p *provider) soundLog() {
	p.t.Helper()
	for line := range strings.Lines(p.Log()) {
		if strings.Contains(line, "level=ERROR") || strings.Contains(line, "panic") || customerLink.MatchString(line) {
			p.t.Errorf("the daemon says: %s", line)
		}
	}
}
