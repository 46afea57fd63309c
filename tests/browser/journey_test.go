//go:build browser

package browser

import (
	"net/http"
	"testing"

	"o2n-milter/web/desk"
)

// TestJourney: a customer is blocked, asks to be unblocked, the operator logs in,
// looks at everything there is, approves, and the customer reads his answer.
func TestJourney(t *testing.T) {
	w := newWorld(t)
	w.aDay()
	link, err := w.desk.Link(t.Context(), desk.Actor{Name: "root", From: "cli"}, desk.LinkFor{Account: "alice@client-a.example"})
	check(t, err)

	alice := open(t)
	alice.visit(link.URL, http.StatusOK)
	alice.reads("blocked")
	alice.look("customer-blocked")
	alice.fill("[name=happened]", "My password was stolen.")
	alice.fill("[name=done]", "I changed it,\nand scanned my computer.")
	alice.choose("[name=password][value=yes]")
	alice.click("form button:not([name])", http.StatusOK)
	alice.choose("summary")
	alice.reads("My password was stolen.")
	alice.look("customer-asked")

	zoe := open(t)
	door, err := w.desk.ConsoleLink(t.Context(), desk.Actor{Name: "zoe", From: "cli"})
	check(t, err)
	zoe.visit(w.url+"/admin/", http.StatusForbidden)
	zoe.look("closed")
	zoe.visit(door.URL, http.StatusOK)
	zoe.look("login")
	zoe.click("main form button", http.StatusOK)
	zoe.reads("Overview", "Open requests 1", "Blocks in force 1", "Logged in as zoe")
	zoe.look("overview")
	walk(t, w, zoe)

	zoe.visit(w.url+"/admin/requests", http.StatusOK)
	zoe.reads("My password was stolen.", "alice@client-a.example")
	zoe.look("requests")
	zoe.click("button[value=deny]", http.StatusUnprocessableEntity)
	zoe.reads("want a sentence for the customer")
	zoe.look("requests-fault")
	zoe.fill("[name=reason]", "Welcome back. Please use two factors.")
	zoe.click("button[value=approve]", http.StatusOK)
	zoe.reads("Approved request", "No request is open.")
	zoe.look("requests-done")

	alice.visit(link.URL, http.StatusOK)
	alice.reads("Welcome back. Please use two factors.")
	alice.look("customer-free")

	zoe.click("form[action='/admin/logout'] button", http.StatusOK)
	zoe.visit(w.url+"/admin/audit", http.StatusForbidden)
	second := open(t)
	second.visit(door.URL, http.StatusOK)
	second.click("main form button", http.StatusForbidden)
	second.reads("This link does not work")
}

// walk looks at what an operator does not need to approve a request.
func walk(t *testing.T, w *world, zoe *tab) {
	t.Helper()
	zoe.fill("#q", "alice")
	zoe.press("#q", http.StatusOK)
	zoe.reads("account:alice@client-a.example")
	zoe.look("search")
	zoe.click("main li a", http.StatusOK)
	zoe.reads("Blocked until", "identity.header_from", "minute")
	zoe.look("subject")
	zoe.click("a[href^='/admin/decisions/']", http.StatusOK)
	zoe.reads("service@bank.example", "Urgent: <b>verify</b> your account")
	zoe.look("decision")
	zoe.visit(w.url+"/admin/blocks", http.StatusOK)
	zoe.look("blocks")
	zoe.click("a[href^='/admin/blocks/B']", http.StatusOK)
	zoe.reads("Lift it", "Extend it", "Decisions that struck", "service@bank.example")
	zoe.look("block")

	zoe.visit(w.url+"/admin/exemptions", http.StatusOK)
	zoe.fill("#exempt-subject", "account:newsletter@client-c.example")
	zoe.fill("#exempt-factor", "1")
	zoe.fill("#exempt-reason", "The spring sale, ticket 42")
	zoe.click("form[action='/admin/exemptions'] button", http.StatusUnprocessableEntity)
	zoe.reads("factor 1: want 2 to")
	zoe.look("exemptions-fault")
	zoe.fill("#exempt-factor", "10")
	zoe.click("form[action='/admin/exemptions'] button", http.StatusOK)
	zoe.reads("Exempted account:newsletter@client-c.example from limit.minute (limit x10)", "ticket 42", "Owner zoe")
	zoe.look("exemptions")
	zoe.visit(w.url+"/admin/audit", http.StatusOK)
	zoe.reads("exemption add", "console 127.0.0.1")
	zoe.look("audit")
	zoe.visit(w.url+"/admin/blocks/B0000000", http.StatusNotFound)
	zoe.look("not-found")
}
