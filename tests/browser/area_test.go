//go:build browser

package browser

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"o2n-milter/tests/mta"
)

const ops = "ops@isp.example"

// notifying sends notices by the server whose mail is judged. Without their secret
// they would be refused: isp.example is nobody's domain.
func notifying(s *mta.Postfix) string {
	return fmt.Sprintf("[notify]\noperator = [%q]\ncustomer = true\nfrom = \"postmaster@isp.example\"\nsmtp = %q\n", ops, s.Loopback())
}

// TestCustomerArea: customers who come from the customer area. An operator blocked
// bob, and says no; mallory's block is the rules' own, and he ends it himself as
// often as he may; alice gets an exemption for a while. Everybody concerned is told.
func TestCustomerArea(t *testing.T) {
	p := newProvider(t, notifying)
	p.Command(t, "block", "add", "account:"+bob, "--for", "4h", "--reason", "Complaints about your newsletter.")
	p.refused(p.hello(bob, "Blocked"), "block.active")
	told := p.arrived(ops, subjectOf("Blocked: account:"+bob))
	p.spent(told.nonce)

	zoe := p.operator()
	zoe.visit(find(t, `http://\S+/admin/blocks/B\w+`, told.text), http.StatusOK)
	zoe.reads("Complaints about your newsletter.", "account:"+bob)
	p.deniesBob(zoe)
	p.refused(p.hello(bob, "Still blocked"), "block.active")

	p.unblocksItself()
	p.exempts(zoe)

	zoe.visit(p.URL+"/admin/audit", http.StatusOK)
	zoe.reads("block add", "link", "console link", "request deny", "request", "block lift", "exemption add", "exemption remove",
		"Complaints about your newsletter.", "customer "+mallory, "by the customer", "ticket 42")
	zoe.look("area-audit")
	p.toldOnce()
	p.soundLog()
}

// subjectOf is the subject of a mail to the operator.
func subjectOf(what string) string {
	host, err := os.Hostname()
	if err != nil {
		return what
	}
	return "[o2n-milter " + strings.ToLower(host) + "] " + what
}

func find(t *testing.T, pattern, text string) string {
	t.Helper()
	found := regexp.MustCompile(pattern).FindString(text)
	if found == "" {
		t.Fatalf("no %s in:\n%s", pattern, text)
	}
	return found
}

// spent: the secret of a notice that has been delivered is worth nothing.
func (p *provider) spent(nonce string) {
	p.t.Helper()
	if len(nonce) < 26 { // 128 bits in base32
		p.t.Errorf("X-O2N-Notice: %q", nonce)
	}
	c := mta.Dial(p.t, p.postfix.Loopback())
	defer c.Quit()
	c.Must(250, "EHLO submit.host.example")
	c.Must(250, "MAIL FROM:<postmaster@isp.example>")
	c.Must(250, "RCPT TO:<"+ops+">")
	c.Must(354, "DATA")
	r := c.Data([]byte("From: postmaster@isp.example\r\nTo: " + ops + "\r\nSubject: Again\r\nX-O2N-Notice: " + nonce + "\r\n\r\nAgain.\r\n"))
	p.refused(r, "identity.header_from")
}

// deniesBob: bob reads French, asks, and gets a no.
func (p *provider) deniesBob(zoe *tab) {
	p.t.Helper()
	fromMail := linkIn(p.t, p.arrived(bob, "Sending mail is blocked").text)
	link := p.Command(p.t, "link", bob, "--for", "1h")
	customer := openIn(p.t, "fr")
	for _, l := range []string{fromMail, link} {
		customer.visit(l, http.StatusOK)
		customer.reads("L’envoi est bloqué", bob, "Bloqué par votre hébergeur", "Complaints about your newsletter.", "dans 3 heures 59 minutes")
		if customer.count(unblockMe) > 0 || customer.count(sendRequest) != 1 {
			p.t.Error("an operator's block: want a request, no unblocking")
		}
	}
	customer.look("area-bob-1-blocked")
	customer.asks("   ", "J’ai nettoyé la liste.", sendRequest, http.StatusUnprocessableEntity)
	customer.reads("Votre demande n’est pas encore envoyée", "Dites en quelques mots ce qui s’est passé.")
	customer.look("area-bob-2-fault")
	customer.asks("Une vieille liste d’adresses.", "J’ai nettoyé la liste.", sendRequest, http.StatusOK)
	customer.reads("En attente d’une réponse", "Vous avez demandé le déblocage.")

	asked := p.arrived(ops, subjectOf("Unblock request: account:"+bob))
	if !strings.Contains(asked.text, "Une vieille liste d’adresses.") {
		p.t.Errorf("the operator is told:\n%s", asked.text)
	}
	zoe.visit(find(p.t, `http://\S+/admin/requests`, asked.text), http.StatusOK)
	zoe.reads("Une vieille liste d’adresses.")
	zoe.look("area-bob-3-request")
	zoe.fill("[name=reason]", "Ces adresses n’ont pas donné leur accord.")
	zoe.click("button[value=deny]", http.StatusOK)
	zoe.reads("Denied request", "No request is open.")

	customer.visit(link, http.StatusOK)
	customer.reads("L’envoi est bloqué", "Refusée", "Ces adresses n’ont pas donné leur accord.", "Envoyer la demande")
	customer.look("area-bob-4-denied")
	answer := p.arrived(bob, "Sending mail stays blocked")
	if !strings.Contains(answer.text, "Ces adresses n’ont pas donné leur accord.") {
		p.t.Errorf("the customer is told:\n%s", answer.text)
	}
}

// unblocksItself: twice in 30 days mallory needs nobody, the third time he asks. The
// customer area makes his links by the documented programs.
func (p *provider) unblocksItself() {
	p.t.Helper()
	customer := open(p.t)
	strikes := []int{3, 2, 2} // after a block half of the strikes will do
	for i, link := range []string{p.recipe("php", mallory), p.recipe("python", mallory), p.recipe("php", mallory)} {
		for range strikes[i] {
			p.forge(mallory)
		}
		p.refused(p.hello(mallory, "Blocked"), "block.active")
		customer.visit(link, http.StatusOK)
		customer.reads("Sending is blocked", mallory, "service@bank.example")
		if n := customer.count("#block-" + p.activeBlock(mallory) + " tbody tr"); n != strikes[i] {
			p.t.Errorf("block %d shows %d messages, want %d", i, n, strikes[i])
		}
		if i == 2 {
			break
		}
		customer.reads(fmt.Sprintf("You can do this %d more time", 2-i))
		customer.look(fmt.Sprintf("area-mallory-%d-blocked", i+1))
		customer.asks("A guessed password.", "I changed it.", unblockMe, http.StatusOK)
		customer.reads("You can send mail", "You unblocked yourself.")
		subject := fmt.Sprintf("Free %d", i)
		p.passes(p.hello(mallory, subject), subject)
	}
	if customer.count(unblockMe) > 0 {
		p.t.Error("a third time in 30 days")
	}
	customer.lacks("You can unblock yourself", "you can unblock yourself")
	customer.look("area-mallory-3-blocked")
	customer.asks("A guessed password, again.", "I changed it.", sendRequest, http.StatusOK)
	customer.reads("Waiting for an answer")
	p.refused(p.hello(mallory, "Blocked"), "block.active")
}

// activeBlock is the id of the account's block.
func (p *provider) activeBlock(account string) string {
	p.t.Helper()
	var list struct {
		Blocks []struct{ ID, Subject string }
	}
	p.JSON(p.t, &list, "block", "list")
	for _, b := range list.Blocks {
		if b.Subject == "account:"+account {
			return b.ID
		}
	}
	p.t.Fatalf("no block of %s in %v", account, list)
	return ""
}

// recipe makes a link by the program that docs/customer-area.md has in a language.
func (p *provider) recipe(language, account string) string {
	p.t.Helper()
	text, err := os.ReadFile("../../docs/customer-area.md")
	check(p.t, err)
	program := regexp.MustCompile("(?s)```" + language + "\n(.*?)```").FindSubmatch(text)
	if program == nil {
		p.t.Fatalf("docs/customer-area.md has no %s", language)
	}
	code, interpreter := "<?php "+string(program[1])+"echo customer_link($argv[1], $argv[2], $argv[3]);", "php"
	if language == "python" {
		code, interpreter = string(program[1])+"import sys; print(customer_link(*sys.argv[1:]))", "python3"
	}
	if _, err = exec.LookPath(interpreter); err != nil {
		mta.SkipOrFail(p.t, interpreter)
	}
	file := filepath.Join(p.t.TempDir(), "recipe")
	check(p.t, os.WriteFile(file, []byte(code), 0o600))
	out, err := exec.Command(interpreter, file, account, filepath.Join(p.Dir, "link.key"), p.URL).CombinedOutput()
	if err != nil {
		p.t.Fatalf("%s: %v\n%s", interpreter, err, out)
	}
	return linkIn(p.t, string(out))
}

// exempts: with an exemption a refused mail passes, until it is removed.
func (p *provider) exempts(zoe *tab) {
	p.t.Helper()
	sends := func(subject string) mta.Reply {
		return p.send(letter{login: alice, from: alice, subject: subject, more: []string{"Reply-To: shop@partner.example"}})
	}
	p.refused(sends("Before"), "identity.reply_to")
	zoe.visit(p.URL+"/admin/subject?subject=account:"+alice, http.StatusOK)
	zoe.fill("#exempt-reason", "Orders go to the partner, ticket 42")
	zoe.pick("#exempt-rule", "identity.reply_to")
	zoe.click("form[action='/admin/subject/exempt'] button", http.StatusOK)
	zoe.reads("Exempted account:"+alice+" from identity.reply_to (rule)", "ticket 42")
	zoe.look("area-alice-exempt")
	p.passes(sends("Exempt"), "Exempt")
	zoe.visit(p.URL+"/admin/exemptions", http.StatusOK)
	zoe.choose("main details summary")
	zoe.click("form[action$='/remove'] button", http.StatusOK)
	zoe.reads("is removed", "Nobody is exempt.")
	p.refused(sends("After"), "identity.reply_to")
}

// toldOnce: one mail for an incident, one to the customer for each block and answer,
// and none of them was judged.
func (p *provider) toldOnce() {
	p.t.Helper()
	mta.Poll(p.t, "mallory is told of his third block", func() bool { return len(p.arrivals(mallory, "Sending mail is blocked")) == 3 })
	p.arrived(ops, subjectOf("Unblock request: account:"+mallory))
	p.postfix.Drain(p.t)
	const notices = 6 + 2 + 5 // to the operator, bob and mallory
	for _, want := range []struct {
		to, subject string
		n           int
	}{
		{ops, subjectOf("Blocked: account:" + bob), 1}, {ops, subjectOf("Blocked: account:" + mallory), 1},
		{ops, subjectOf("Unblock request: account:" + bob), 1}, {ops, subjectOf("Unblock request: account:" + mallory), 1},
		{ops, subjectOf("Request refused: account:" + bob), 1}, {ops, subjectOf("Request granted: account:" + mallory), 1},
		{bob, "Sending mail is blocked", 1}, {bob, "Sending mail stays blocked", 1},
		{mallory, "Sending mail is blocked", 3}, {mallory, "Sending mail is possible again", 2},
		{"", "", notices + 3}, // two letters of mallory's, one of alice's
	} {
		if n := len(p.arrivals(want.to, want.subject)); n != want.n {
			p.t.Errorf("to %q %q: %d mails, want %d", want.to, want.subject, n, want.n)
		}
	}
	secrets := map[string]bool{}
	for _, m := range p.arrivals("", "") {
		if m.nonce != "" {
			secrets[m.nonce] = true
		}
	}
	if n := strings.Count(p.Log(), "our own notice, not judged"); n != notices || len(secrets) != notices {
		p.t.Errorf("%d notices passed unjudged with %d secrets, want %d", n, len(secrets), notices)
	}
}
