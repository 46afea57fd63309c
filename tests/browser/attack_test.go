//go:build browser

package browser

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"o2n-milter/tests/campaign"
	"o2n-milter/tests/daemon"
	"o2n-milter/tests/mta"
)

// hostile is what is put into a field: it leaves attributes, titles, text areas and
// styles, runs in three ways, and has what a template and a spreadsheet run. Each way
// says the field's name on the console.
func hostile(field string) string {
	run := "console.error('ran " + field + "')"
	return `=1+1"'></title></textarea></style><script>` + run + `</script><img src=x onerror=` + run + `><svg onload=` + run + `>{{.}}` + field
}

// short is for fields that have no room.
func short(field string) string {
	return `"><img src=x onerror=console.error('ran ` + field + `')>` + field
}

// unseen are characters that turn the direction or hide.
const unseen = "\u202e\u2066\u200b\u200f"

// encoded is text as a header field has it.
func encoded(text string) string { return mime.BEncoding.Encode("utf-8", text) }

// mailbox is one of a domain with a hostile name.
func mailbox(field, domain string) string {
	return `"<img/src=x/onerror=console.error('` + field + `')>` + field + `"@` + domain
}

// fields are what somebody brings in and pages show. Each must be read on some page, as
// text.
var fields = []string{
	"fclient", "fsender", "frecipient", "fqueueid", "fsubject", "fmessageid", "freplyto", "fauthor", "fscript", // a peer and a sender
	"fsymbol",                         // a content engine
	"fhappened", "fdone", "fcustomer", // a customer
	"fmanual", "freason", "fexempt", "fowner", "fanswer", "flift", "fwish", "foperator", // operators
	"fconfig", // the name of a file of the configuration
}

// target is a daemon whose fields are all hostile.
type target struct {
	*daemon.Daemon
	t    *testing.T
	sink *mta.Sink
}

func newTarget(t *testing.T) *target {
	t.Helper()
	engine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		symbols := map[string]any{"<script>console.error('ran')</script>fsymbol": map[string]any{"score": 4.5}}
		_ = json.NewEncoder(w).Encode(map[string]any{"score": 4.5, "required_score": 15, "action": "<b>no action", "symbols": symbols})
	}))
	t.Cleanup(engine.Close)
	customer, err := json.Marshal(hostile("fcustomer"))
	check(t, err)
	p := &target{t: t, sink: mta.NewSink(t)}
	p.Daemon = daemon.New(t, []string{"unix:milter.sock"}, fmt.Sprintf(`
[accounts]
hosts = ["submit.host.example"]
[account."alice@client-a.example"]
customer = "C-1001"
domains = ["client-a.example"]
[account."bob@client-b.example"]
customer = %s
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
[content]
url = %q
at = 4.0
[notify]
operator = ["ops@isp.example"]
customer = true
from = "postmaster@isp.example"
smtp = "127.0.0.1:%d"
[web]
trusted_proxy = ["127.0.0.1"]
proxy_user_header = "X-Remote-User"
`, customer, engine.URL, p.sink.Port))
	file := filepath.Join(p.Dir, "conf.d", short("fconfig")+".toml")
	check(t, os.WriteFile(file, []byte("[identity]\nheader_from = \"reject\"\nreply_to = \"reject\"\n"), 0o600))
	p.Start(t)
	mta.Poll(t, "o2n-milter is ready", func() bool { return p.Get("/readyz") == http.StatusOK })
	return p
}

// letter gives a message to the filter, every field of it hostile: as programs write
// them, or raw, as no server would pass them on.
func (p *target) letter(login, sender, from string, raw bool, more ...string) mta.Outcome {
	p.t.Helper()
	f, err := mta.DialFilter("unix", filepath.Join(p.Dir, "milter.sock"))
	check(p.t, err)
	defer f.Quit()
	client := "203.0.113.8"
	if login == "" {
		client = "127.0.0.1"
	}
	check(p.t, f.Connect(short("fclient"), client, 4711))
	subject := encoded(hostile("fsubject") + unseen)
	if raw {
		subject = hostile("fsubject") + unseen + "\x1b[2J\x07"
	}
	out, err := f.Deliver(mta.Letter{
		Login: login, Sender: sender, QueueID: short("fqueueid"),
		Recipients: []string{mailbox("frecipient", "remote.example"), "friend@remote.example"},
		Header: append([]string{"From: " + from, "To: friend@remote.example", "Subject: " + subject, "Message-ID: <" + hostile("fmessageid") + ">",
			`Content-Type: text/plain; name="` + short("ffile") + `"`}, more...),
		Body: hostile("fbody") + "\r\n",
	})
	check(p.t, err)
	return out
}

// arrives has mail of every kind judged: what passes, is held and refused.
func (p *target) arrives() {
	p.t.Helper()
	own := encoded(hostile("fauthor")) + " <alice@client-a.example>"
	foreign := encoded(hostile("fauthor")) + " <" + mailbox("fauthor", "bank.example") + ">"
	replyTo := "Reply-To: " + encoded(hostile("freplyto")) + " <" + mailbox("freplyto", "else.example") + ">"
	if out := p.letter(alice, alice, own, false); out.Reply.Code != 250 {
		p.t.Fatalf("the first letter: %v", out)
	}
	if out := p.letter(alice, alice, own, true); out.Quarantine == "" {
		p.t.Fatalf("the second letter: %v", out)
	}
	for _, login := range []string{alice, bob, mailbox("flogin", "client-a.example"), ""} {
		for _, raw := range []bool{false, true, false} {
			sender := mailbox("fsender", "client-a.example")
			if login == "" {
				sender = "www-data@submit.host.example"
			}
			if out := p.letter(login, sender, foreign, raw, replyTo, "X-PHP-Originating-Script: 33:"+short("fscript")+".php"); out.Reply.Code == 250 && out.Quarantine == "" {
				p.t.Fatalf("a forged letter of %q passes", login)
			}
		}
	}
}

// asks has a customer and operators write. It gives the customer's page.
func (p *target) asks(zoe *tab) (link string) {
	p.t.Helper()
	link = p.Command(p.t, "link", alice)
	customer := browse(p.t, "fr")
	customer.visit(link, http.StatusOK)
	customer.put("[name=happened]", hostile("fhappened")+unseen)
	customer.put("[name=done]", hostile("fdone")+unseen)
	customer.choose("[name=password][value=yes]")
	customer.click(sendRequest, http.StatusOK)

	zoe.visit(p.URL+"/admin/requests", http.StatusOK)
	zoe.put("[name=reason]", hostile("fanswer")+unseen)
	zoe.click("button[value=deny]", http.StatusOK)
	zoe.visit(p.URL+"/admin/subject?subject=account:carol@client-c.example", http.StatusOK)
	zoe.put("#block-for", "<script>") // shown again
	zoe.put("#block-reason", hostile("freason")+unseen)
	zoe.click("form[action='/admin/subject/block'] button", http.StatusUnprocessableEntity)
	zoe.sound("a form that is shown again")
	zoe.put("#block-for", "4h")
	zoe.click("form[action='/admin/subject/block'] button", http.StatusOK)
	zoe.sound("what was just done")

	manual := "customer:" + hostile("fmanual")
	p.Command(p.t, "block", "add", manual, "--for", "1h", "--reason", hostile("freason"))
	p.Command(p.t, "exempt", "add", "account:"+bob, "--rule", "identity.sender", "--for", "1h", "--owner", hostile("fowner"), "--reason", hostile("fexempt")+unseen)
	p.Command(p.t, "block", "lift", p.blockOf(manual), "--reason", hostile("flift")+unseen)
	var held struct{ Held []struct{ ID string } }
	p.JSON(p.t, &held, "held", "list", "--subject", "account:"+alice)
	p.Command(p.t, "held", "release", held.Held[0].ID, "--reason", hostile("fwish")+unseen)
	return link
}

func (p *target) blockOf(subject string) string {
	p.t.Helper()
	var list struct {
		Blocks []struct{ ID, Subject string }
	}
	p.JSON(p.t, &list, "block", "list")
	for _, b := range list.Blocks {
		if b.Subject == subject {
			return b.ID
		}
	}
	p.t.Fatalf("no block of %s in %+v", subject, list)
	return ""
}

// put sets what a field holds, whatever keys could not type.
func (b *tab) put(selector, text string) {
	b.t.Helper()
	value, err := json.Marshal(text)
	check(b.t, err)
	b.check(chromedp.Do(b.ctx, chromedp.Evaluate[chromedp.Void](fmt.Sprintf("document.querySelector(%q).value = %s", selector, value))))
}

// named has every request of a browser name an operator, as a proxy does.
func (b *tab) named(operator string) {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{"X-Remote-User": operator}})
	b.check(err)
}

// TestAttackStoredMarkup fills every field that somebody outside can fill, by the way that
// he has, and opens every page there is in a browser that runs scripts: nothing runs,
// nothing is refused, no element is added, and each text is read as what it is. Mail,
// commands and the log get plain text of it.
func TestAttackStoredMarkup(t *testing.T) {
	p := newTarget(t)
	count := campaign.Counting(t, "web", "pages with hostile text in every field")
	zoe := browse(t, "en")
	said := &complaints{}
	zoe.overhear(said.add)
	zoe.named(short("foperator"))
	p.arrives()
	link := p.asks(zoe)
	read := ""
	queue := []string{p.URL + "/admin/", p.URL + "/admin/blocks?all=1", p.URL + "/admin/held?all=1", p.URL + "/admin/requests?all=1", p.URL + "/admin/exemptions?all=1", link,
		p.URL + "/admin/search?q=%22%3E%3Cscript%3Econsole.error(1)%3C/script%3E", p.URL + "/admin/subject?subject=customer:%22%3E%3Cimg+src=x+onerror=console.error(1)%3E",
		p.URL + "/admin/login?code=%22%3E%3Cimg+src=x+onerror=console.error(1)%3E", p.URL + "/admin/%3Cscript%3E", p.URL + "/c/%3Cscript%3E"}
	seen := map[string]bool{}
	for most := campaign.Pick(80, 400); len(queue) > 0 && len(seen) < most; {
		url := queue[0]
		queue = queue[1:]
		if seen[url] {
			continue
		}
		seen[url] = true
		_, err := chromedp.Run(zoe.ctx, chromedp.NavigateResponse(url))
		zoe.check(err)
		read += zoe.text() + "\n"
		if complaints := said.take(); !zoe.sound(url) || len(complaints) > 0 {
			count.Failed()
			t.Errorf("%s: the browser says %q", url, complaints)
		} else {
			count.Held()
		}
		links, err := chromedp.Run(zoe.ctx, chromedp.Evaluate[string](`Array.from(document.links, a => a.href.split('#')[0]).filter(h => h.startsWith(location.origin)).join('\n')`))
		zoe.check(err)
		for _, to := range strings.Fields(links) {
			if !slices.Contains(queue, to) {
				queue = append(queue, to)
			}
		}
	}
	if len(seen) < 30 {
		t.Errorf("only %d pages", len(seen))
	}
	for _, f := range fields {
		if !strings.Contains(read, f) {
			t.Errorf("%s is on no page: its way in is not tried", f)
		}
	}
	p.plainMail(count)
	p.plainText(count)
}

// plainMail: what people are told has the header fields of a notice, no more, and is
// plain text.
func (p *target) plainMail(count *campaign.Count) {
	p.t.Helper()
	mta.Poll(p.t, "notices arrive", func() bool { return len(p.sink.All()) >= 4 })
	known := strings.Fields("From To Subject Date Message-Id Mime-Version Content-Type Content-Transfer-Encoding Auto-Submitted X-O2n-Notice Precedence X-Auto-Response-Suppress")
	for _, d := range p.sink.All() {
		m, err := mail.ReadMessage(strings.NewReader(string(d.Data)))
		check(p.t, err)
		for name, values := range m.Header {
			if !slices.Contains(known, name) || len(values) != 1 {
				p.t.Errorf("a notice has %s: %q", name, values)
			}
		}
		if kind, _, err := mime.ParseMediaType(m.Header.Get("Content-Type")); err != nil || kind != "text/plain" {
			p.t.Errorf("a notice is %s, %v", kind, err)
		}
		if len(d.To) != 1 || !slices.Contains([]string{"ops@isp.example", alice, bob}, d.To[0]) && !strings.HasSuffix(d.To[0], "@client-c.example") {
			count.Failed()
			p.t.Errorf("a notice goes to %q", d.To)
			continue
		}
		count.Held()
	}
}

var notPlain = regexp.MustCompile(`[\x00-\x08\x0b-\x1f\x7f\x{200b}-\x{200f}\x{202a}-\x{202e}\x{2066}-\x{2069}]`)

// plainText: nothing paints a terminal, from the log neither.
func (p *target) plainText(count *campaign.Count) {
	p.t.Helper()
	var list struct{ Decisions []struct{ ID string } }
	p.JSON(p.t, &list, "history", "account:"+alice)
	commands := [][]string{
		{"block", "list", "--all"}, {"request", "list", "--all"}, {"exempt", "list", "--all"}, {"held", "list", "--all"}, {"history", "account:" + alice},
		{"history", "account:" + bob}, {"status"}, {"usage", "account:" + alice}, {"status", "--shadow"},
	}
	for _, d := range list.Decisions {
		commands = append(commands, []string{"explain", d.ID})
	}
	texts := map[string]string{"the log": p.Log()}
	for _, c := range commands {
		texts[strings.Join(c, " ")] = p.Command(p.t, c...)
	}
	for what, text := range texts {
		if at := notPlain.FindString(text); at != "" {
			count.Failed()
			p.t.Errorf("%s: %q in\n%q", what, at, text)
			continue
		}
		count.Held()
	}
}
