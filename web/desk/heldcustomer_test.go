package desk

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/state"
)

// TestHeldMailIsItsSenders: over all accounts and subjects, who did not send a
// message neither sees nor deletes it, and is not told that it is there.
func TestHeldMailIsItsSenders(t *testing.T) {
	f := newDesk(t)
	owners := map[string]string{} // message to its sender; empty: no account's
	n := 0
	for subject := range blockedSubjects {
		for _, account := range append([]string{""}, holders...) {
			n++
			id := fmt.Sprintf("H%03d", n)
			f.hold(t, id, of(subject), func(h *state.Held) { h.Account = account })
			owners[id] = account
			if account == "" {
				owners[id] = map[string]string{
					"script:www-a@web1.example": aliceLogin, "script:www-a@web1.example/mailer.php": aliceLogin,
					"script:www-c@web1.example/x/y.php": "carol@client-c.example",
				}[subject]
				if login, ok := strings.CutPrefix(subject, "account:"); ok {
					owners[id] = login
				}
			}
		}
	}
	for _, account := range holders {
		seen, err := f.CustomerHeld(t.Context(), account)
		if err != nil {
			t.Fatal(err)
		}
		shown := map[string]bool{}
		for _, h := range seen.Held {
			shown[h.ID] = true
		}
		for id, owner := range owners {
			if shown[id] != (owner == account) {
				t.Errorf("%s sees %s of %q: %v", account, id, owner, shown[id])
			}
			if owner == account {
				continue
			}
			err := f.DeleteHeld(t.Context(), alice, account, ScopeFull, id)
			wants(t, err, ErrNotFound, fmt.Sprintf("no held mail %q", id))
		}
	}
	all, err := state.Records[state.Held](t.Context(), f.Store)
	for _, h := range all {
		if err != nil || h.Rev != 1 {
			t.Errorf("somebody changed %s: %+v, %v", h.ID, h, err)
		}
	}
	if len(all) != len(owners) {
		t.Errorf("%d messages, want %d", len(all), len(owners))
	}
}

func TestCustomerHeld(t *testing.T) {
	f := newDesk(t)
	h := f.hold(t, "H1", func(h *state.Held) {
		h.Recipients = nil
		for i := range mostHeldTo + 2 {
			h.Recipients = append(h.Recipients, fmt.Sprintf("r%d@remote.example", i))
		}
	})
	f.hold(t, "H2", in(state.HeldReleased))
	f.hold(t, "H3", in(state.HeldLeaving), func(h *state.Held) { h.Since = start.Add(time.Second) })
	got, err := f.CustomerHeld(t.Context(), strings.ToUpper(aliceLogin))
	due := h.Due
	want := CustomerHeldList{Held: []CustomerHeld{
		{ID: "H3", Since: start.Add(time.Second), Rule: "limit.minute", State: state.HeldLeaving, About: "Hello", To: []string{"x@remote.example", "y@remote.example"}},
		{ID: "H1", Since: start, Due: &due, Rule: "limit.minute", State: state.HeldWaiting, About: "Hello", To: h.Recipients[:mostHeldTo], MoreTo: 2},
	}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("(-want +got): %s%v", diff, err)
	}
	if got, err := f.CustomerHeld(t.Context(), "dave@client-d.example"); err != nil || got.Held == nil || len(got.Held) != 0 {
		t.Errorf("nothing: %+v, %v", got, err)
	}
	_, err = f.CustomerHeld(t.Context(), "")
	wants(t, err, ErrNotFound, "no account")
	for i := range mostHeldShown {
		f.hold(t, fmt.Sprintf("M%03d", i), func(h *state.Held) { h.Since = start.Add(time.Minute + time.Duration(i)) })
		if got, err = f.CustomerHeld(t.Context(), aliceLogin); err != nil || len(got.Held) != min(i+3, mostHeldShown) || got.More != max(0, i+3-mostHeldShown) {
			t.Errorf("of %d: %d and %d more, %v", i+3, len(got.Held), got.More, err)
		}
	}
	if newest := fmt.Sprintf("M%03d", mostHeldShown-1); got.Held[0].ID != newest {
		t.Errorf("first %s, want %s", got.Held[0].ID, newest)
	}
}

func TestCustomerDeletesHeld(t *testing.T) {
	f := newDesk(t)
	for id, s := range map[string]state.HeldState{
		"H1": state.HeldWaiting, "H2": state.HeldKept, "H3": state.HeldLeaving, "H4": state.HeldReleased, "H5": state.HeldDeleted,
	} {
		f.hold(t, id, in(s))
	}
	err := f.DeleteHeld(t.Context(), alice, aliceLogin, ScopeReply, "H1")
	wants(t, err, ErrBad, "this link may not delete mail")
	if f.held(t, "H1").Wish != "" || f.auditOf(t) != nil {
		t.Error("the link of a reply deletes")
	}
	for id, kind := range map[string]error{"H1": nil, "H2": nil, "H3": ErrConflict, "H4": ErrConflict, "H5": nil} {
		wants(t, f.DeleteHeld(t.Context(), alice, aliceLogin, ScopeFull, id), kind, "")
		if asked := f.held(t, id).Wish == state.WishDelete; asked != (id < "H3") {
			t.Errorf("%s: %v", id, asked)
		}
	}
	if h := f.held(t, "H1"); h.WishBy != alice.Name {
		t.Errorf("by %q", h.WishBy)
	}
	// Neither a queue id nor the id in other letters: the page has the id as it is.
	for _, id := range []string{"QH1", "h1", ""} {
		wants(t, f.DeleteHeld(t.Context(), alice, aliceLogin, ScopeFull, id), ErrNotFound, "no held mail")
	}
	if lines := f.auditOf(t); len(lines) != 2 || !strings.HasSuffix(lines[0], " by customer "+aliceLogin) {
		t.Errorf("%q", lines)
	}
}

// What customers see has nothing of operators, hosts and costs in it.
func TestCustomerHeldTellsNothingOfOurs(t *testing.T) {
	f := newDesk(t)
	f.hold(t, "H1", func(h *state.Held) { h.Wish, h.WishBy = state.WishBounce, "olivia" })
	got, err := f.CustomerHeld(t.Context(), aliceLogin)
	raw, _ := json.Marshal(got)
	for _, secret := range []string{"olivia", "mx1", "QH1", "own", "C-1"} {
		if err != nil || strings.Contains(string(raw), secret) {
			t.Errorf("%s in %s, %v", secret, raw, err)
		}
	}
}
