//go:build browser

package browser

import (
	"net/http"
	"strings"
	"testing"

	"o2n-milter/tests/daemon"
	"o2n-milter/tests/mta"
)

// TestFleet: two daemons share a Redis. What one blocks or lifts holds at the other
// for the very next mail, and each console shows it.
func TestFleet(t *testing.T) {
	p := newPostfix(t)
	state := "[state]\nbackend = \"redis\"\nredis = \"unix://" + mta.NewRedis(t, "--maxmemory-policy", "noeviction").Socket + "\"\n"
	one := daemon.Start(t, []string{"unix:" + p.postfix.Milter}, customers, state)
	two := daemon.Start(t, []string{"tcp:" + p.postfix.MilterTCP}, customers, state)
	byOne := func(subject string) mta.Reply { return p.hello(alice, subject) }
	byTwo := func(subject string) mta.Reply {
		return p.sendBy(p.postfix.SubmissionTCP(), letter{login: alice, from: alice, subject: subject})
	}
	p.passes(byTwo("Before"), "Before")
	for range 3 {
		p.forge(alice) // by one
	}
	refusal := byTwo("Blocked by one")
	p.refused(refusal, "block.active")
	link := linkIn(t, refusal.Text)
	if !strings.HasPrefix(link, two.URL) {
		t.Errorf("two's link is %s, want one of %s", link, two.URL)
	}
	customer := open(t)
	customer.visit(strings.Replace(link, two.URL, one.URL, 1), http.StatusOK)
	customer.reads("Sending is blocked", "Urgent: verify your account")
	customer.asks("My password was stolen.", "I changed it.", sendRequest, http.StatusOK)

	p.Daemon = two
	zoe := p.operator()
	zoe.reads("Open requests 1", "Blocks in force 1", "My password was stolen.", "Store redis")
	zoe.look("fleet-overview")
	zoe.click("main a[href^='/admin/blocks/B']", http.StatusOK)
	zoe.reads("service@bank.example", "3 messages refused as abuse")
	zoe.fill("form[action$='/lift'] textarea", "A mistake of ours")
	zoe.click("form[action$='/lift'] button", http.StatusOK)
	zoe.reads("lifted", "A mistake of ours")
	p.passes(byOne("Lifted by two"), "Lifted by two")
	customer.visit(strings.Replace(link, two.URL, one.URL, 1), http.StatusOK)
	customer.reads("You can send mail", "Granted")
	customer.lacks("A mistake of ours") // it is for the record

	two.Command(t, "block", "add", "account:"+alice, "--for", "1h", "--reason", "Once more")
	p.refused(byOne("Blocked by two's operator"), "block.active")
	one.Command(t, "block", "lift", "account:"+alice)
	p.passes(byTwo("Lifted by one's operator"), "Lifted by one's operator")
	p.Daemon = one
	other := p.operator()
	other.visit(one.URL+"/admin/audit", http.StatusOK)
	other.reads("A mistake of ours", "Once more", "block lift", "customer "+alice)
	for _, p.Daemon = range []*daemon.Daemon{one, two} {
		p.soundLog()
	}
}
