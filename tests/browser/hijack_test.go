//go:build browser

package browser

import (
	"net/http"
	"strings"
	"testing"

	"o2n-milter/tests/mta"
)

// TestHijacked: alice's password was stolen. Her account is blocked by what the
// thief sends, she reads why by the link in the refusal, asks, and the operator lets
// her go on; the detector is armed again, at half of the strikes.
func TestHijacked(t *testing.T) {
	p := newProvider(t, func(*mta.Postfix) string { return "" })
	p.passes(p.hello(alice, "Before"), "Before")
	for range 3 { // of weight 2: block.strikes is 5
		p.forge(alice)
	}
	refusal := p.hello(alice, "Blocked")
	p.refused(refusal, "block.active")
	link := linkIn(t, refusal.Text)
	if !strings.HasPrefix(link, p.URL+"/c/1r.") {
		t.Fatalf("link %s, want one of %s for replies", link, p.URL)
	}
	mayWriteToAbuse(p)

	p.scannersChangeNothing(link)
	p.unknownTokens(link)
	customer := open(t)
	customer.visit(link, http.StatusOK)
	customer.reads("Sending is blocked", alice, "Your own From address", "service@bank.example", "Urgent: verify your account", "this account",
		"The block ends by itself on", "in 59 minutes", "If you open this page from your customer area, you can unblock yourself at once.")
	if customer.count(unblockMe) > 0 {
		t.Error("a link of a reply unblocks")
	}
	customer.look("hijacked-1-blocked")
	customer.asks("My password was stolen.", "I changed it.", sendRequest, http.StatusOK)
	customer.reads("Waiting for an answer")
	customer.look("hijacked-2-asked")

	zoe := p.operator()
	zoe.reads("Open requests 1", "Blocks in force 1", "My password was stolen.")
	zoe.look("hijacked-3-overview")
	zoe.click("main a[href^='/admin/requests?id=']", http.StatusOK)
	zoe.reads("My password was stolen.", "yes, the customer says", alice)
	zoe.click("main a[href^='/admin/blocks/B']", http.StatusOK)
	zoe.reads("identity.header_from", "service@bank.example", "Urgent: verify your account", "3 messages refused as abuse")
	zoe.look("hijacked-4-block")
	zoe.click("main a[href^='/admin/decisions/']", http.StatusOK)
	zoe.reads("service@bank.example", "550 5.7.1")
	zoe.visit(p.URL+"/admin/requests", http.StatusOK)
	zoe.fill("[name=reason]", "Welcome back. Please use two factors.")
	zoe.click("button[value=approve]", http.StatusOK)
	zoe.reads("Approved request", "No request is open.")

	p.passes(p.hello(alice, "After"), "After")
	customer.visit(link, http.StatusOK)
	customer.reads("You can send mail", "Granted", "Welcome back. Please use two factors.", "ended early")
	customer.look("hijacked-5-free")

	p.forge(alice) // 2 of (5+1)/2
	p.passes(p.hello(alice, "One slip"), "One slip")
	p.forge(alice)
	p.refused(p.hello(alice, "Again"), "block.active")
	customer.visit(link, http.StatusOK)
	customer.reads("Sending is blocked", "in 3 hours", "Earlier blocks")
	zoe.visit(p.URL+"/admin/", http.StatusOK)
	zoe.reads("Open requests none", "Blocks in force 1", alice)
	p.soundLog()
}

// mayWriteToAbuse: a blocked account may still write to block.always_reachable, and
// to nobody else in the same letter.
func mayWriteToAbuse(p *provider) {
	p.t.Helper()
	help := letter{login: alice, from: alice, subject: "Help", to: []string{"abuse@isp.example"}}
	p.passes(p.send(help), "Help")
	help.to = append(help.to, "friend@remote.example")
	p.refused(p.send(help), "block.active")
}

// scannersChangeNothing: programs open links that they find in mail and chats. What
// they open stays as it is, and works for the person who opens it after them.
func (p *provider) scannersChangeNothing(link string) {
	p.t.Helper()
	everything := func() string {
		return p.Command(p.t, "block", "list", "--all", "--json") + p.Command(p.t, "request", "list", "--all", "--json") +
			p.Command(p.t, "history", "account:"+alice, "--json")
	}
	before := everything()
	door := p.Command(p.t, "console")
	for _, url := range []string{link, link + "?self=1&happened=x&done=x&password=yes", door} {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodGet} {
			if status, _ := fetch(p.t, method, url); status != http.StatusOK {
				p.t.Errorf("%s %s: %d", method, url, status)
			}
		}
	}
	if after := everything(); after != before {
		p.t.Errorf("before %s\nafter  %s", before, after)
	}
	person := open(p.t)
	person.visit(door, http.StatusOK)
	person.click("main form button", http.StatusOK)
	person.reads("Overview", "Blocks in force 1")
}

// unknownTokens: what is wrong with a link is nobody's business.
func (p *provider) unknownTokens(link string) {
	p.t.Helper()
	base, token, _ := strings.Cut(link, "/c/")
	short, last := token[:len(token)-1], "A"
	if strings.HasSuffix(token, last) {
		last = "B"
	}
	_, want := fetch(p.t, http.MethodGet, base+"/c/")
	if !strings.Contains(want, "<h1>") {
		p.t.Fatalf("no page: %s", want)
	}
	for _, wrong := range []string{
		"x", short, short + last, token + "A", "1" + strings.TrimPrefix(token, "1r"), strings.Replace(token, ".", ".YQ", 1),
		"1..1." + strings.Repeat("A", 22), token + "/", token + "%00",
	} {
		if status, page := fetch(p.t, http.MethodGet, base+"/c/"+wrong); status != http.StatusNotFound || page != want {
			p.t.Errorf("%s: %d %s\nwant 404 %s", wrong, status, page, want)
		}
	}
}
