package customer

import (
	"fmt"
	"net/http"
	"testing"

	"o2n-milter/rules"
	"o2n-milter/state"
	"o2n-milter/tests/campaign"
	"o2n-milter/web/desk"
)

// TestAttackLockOut: a thief with the password has the link of a refusal. However often
// he opens it and asks, whoever comes from the customer area unblocks himself and
// deletes what the thief left on hold.
func TestAttackLockOut(t *testing.T) {
	w := newWorld(t)
	w.must(w.store.AddBlock(w.Context(), state.Block{
		ID: "B1AAAAAA", Subject: "account:" + alice, Rule: "identity.header_from", Since: w.now, By: rules.Automatic, Account: alice,
	}))
	w.held("H1", alice)
	count := campaign.Counting(t, "web", "a thief with the link of a refusal shuts out the customer")
	thief, customer := w.scoped(alice, desk.ScopeReply), w.link(alice)
	ask := w.form(w.get(thief))
	ask.Set("block", "B9AAAAAA") // none, so that each counts and nothing comes of it
	for i := range 100 {
		w.from(fmt.Sprintf("203.0.113.%d", i), thief, ask.Encode())
		w.serve(http.MethodGet, thief, "")
	}
	if out := w.serve(http.MethodGet, thief, ""); out.Code != http.StatusTooManyRequests {
		t.Errorf("the thief's pages have no limit: status %d", out.Code)
	}
	for what, do := range map[string]func() int{
		"the page":         func() int { return w.serve(http.MethodGet, customer, "").Code },
		"unblocks himself": func() int { return w.ask(customer, "self", "1").Code },
		"deletes held mail": func() int {
			return w.serve(http.MethodPost, customer, w.deleteForm(w.get(customer), "H1").Encode()).Code
		},
	} {
		if code := do(); code != http.StatusOK && code != http.StatusSeeOther {
			count.Failed()
			t.Errorf("%s: status %d", what, code)
			continue
		}
		count.Held()
	}
}
