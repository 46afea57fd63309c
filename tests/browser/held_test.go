//go:build browser

package browser

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"o2n-milter/state"
	"o2n-milter/web/desk"
)

// hold puts a message of alice's on hold.
func (w *world) hold(id, about string, ago time.Duration) {
	w.t.Helper()
	now := time.Now().UTC()
	check(w.t, state.PutRecord(w.t.Context(), w.desk.Store, &state.Held{
		ID: id, Subject: "account:alice@client-a.example", Rule: "limit.minute", Reason: "10 used, 1 more", Account: "alice@client-a.example",
		Customer: "C-1001", Host: "mx1.host.example", QueueID: "4Xy" + id, From: "alice@client-a.example",
		Recipients: []string{"friend@remote.example", "a.rather.long.name.of.somebody@subdomain.of.a.remote.example"}, About: about, Size: 4711,
		Since: now.Add(-ago), State: state.HeldWaiting, Due: now.Add(25 * time.Minute), Ask: json.RawMessage(`{"v":1,"own":true}`),
	}))
}

// TestHeldMail: a customer deletes one of his held messages, and the operator releases
// one and sends the others back.
func TestHeldMail(t *testing.T) {
	w := newWorld(t)
	for i := range 4 {
		w.hold(fmt.Sprint("7K3QF2M", i), "Invoice <b>of</b> November, number "+fmt.Sprint(2000+i), time.Duration(i)*time.Minute)
	}
	w.desk.HeldUnknown = func() []desk.UnknownHeld {
		return []desk.UnknownHeld{{Host: "mx1.host.example", QueueID: "4XyByHand", From: "x@remote.example", Recipients: 3, Since: time.Now().Add(-time.Hour)}}
	}
	link, err := w.desk.Link(t.Context(), desk.Actor{Name: "root", From: "cli"}, desk.LinkFor{Account: "alice@client-a.example"})
	check(t, err)

	alice := open(t)
	alice.visit(link.URL, http.StatusOK)
	alice.reads("Held mail", "Invoice <b>of</b> November, number 2000", "friend@remote.example", "(in 24 minutes", "Sending limit")
	alice.look("customer-held")
	alice.choose("#held summary")
	alice.choose("#held [name=sure]")
	alice.look("customer-held-sure")
	alice.click("#held form button", http.StatusOK)
	alice.reads("never: it is being deleted")
	alice.look("customer-held-deleted")

	zoe := open(t)
	door, err := w.desk.ConsoleLink(t.Context(), desk.Actor{Name: "zoe", From: "cli"})
	check(t, err)
	zoe.visit(door.URL, http.StatusOK)
	zoe.click("main form button", http.StatusOK)
	zoe.reads("Mail on hold 4")
	zoe.click("nav a[href='/admin/held']", http.StatusOK)
	zoe.reads("account:alice@client-a.example", "limit.minute", "4XyByHand")
	zoe.look("held")
	zoe.click("main table a", http.StatusOK)
	zoe.reads("7K3QF2M3", "to delete", "All 4 of them")
	zoe.look("held-subject")
	zoe.click("a[href='/admin/held/7K3QF2M3']", http.StatusOK)
	zoe.reads("number 2003", "a.rather.long.name")
	zoe.look("held-message")
	zoe.fill("[name=reason]", "ticket 7")
	zoe.choose("[name=sure]")
	zoe.click("button[value=release]", http.StatusOK)
	zoe.reads("Message 7K3QF2M3 is to be released", "Wanted release, by zoe")
	zoe.click("main dd a[href^='/admin/held?']", http.StatusOK)
	zoe.choose("[name=sure]")
	zoe.click("button[value=bounce]", http.StatusOK)
	zoe.reads("that are to be sent back: 4")
	zoe.look("held-done")
}
