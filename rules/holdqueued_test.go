package rules

import (
	"encoding/json"
	"testing"
	"time"

	"o2n-milter/state"
)

// Mail that had passed goes back to its own sender only, whoever that is by now.
func TestHeldInQueueGoesBack(t *testing.T) {
	h := newHolding(t, nil)
	detail, err := json.Marshal(Detail{QueueID: "Q1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		account, from string
		want          bool
	}{
		{"", "cron@web1.example", true},
		{"", "victim@elsewhere.example", false},
		{"", "", false},
		{"shop", "www-data@web1.example", true},
		{"shop", "victim@elsewhere.example", false},
		{"nobody", "victim@elsewhere.example", false},
	} {
		d := state.Decision{ID: "D1", Account: c.account, From: c.from, Detail: detail}
		r, err := h.HeldInQueue(t.Context(), h.at, state.Block{Subject: "account:shop"}, d)
		if err != nil || r.QueueID != "Q1" || MayBounce(r) != c.want {
			t.Errorf("%+v: %v, %v", c, MayBounce(r), err)
		}
	}
}

// What it paid counts as long as there is such a limit that holds.
func TestHeldInQueueCosts(t *testing.T) {
	h := newHolding(t, limits(Limit{Name: "minute", Subject: "account", Unit: Messages, Max: 2, Window: time.Minute, Action: Tempfail}))
	detail, err := json.Marshal(Detail{QueueID: "Q1", Charges: []Charge{
		{Limit: "minute", Subject: "account:shop", Cost: 1}, {Limit: "gone", Subject: "account:shop", Cost: 1},
	}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := h.HeldInQueue(t.Context(), h.at, state.Block{Subject: "account:shop"}, state.Decision{ID: "D1", Account: "shop", Detail: detail})
	if err != nil {
		t.Fatal(err)
	}
	if got := h.release(t, r); got.State != ReleasePaid || len(got.Charges) != 1 || got.Charges[0].Limit != "minute" || got.Charges[0].Max != 2 {
		t.Errorf("%+v", got)
	}
	e := state.Exemption{ID: "E1", Subject: "account:shop", Rule: "limit.minute", Factor: 3, Since: h.at, Until: h.at.Add(time.Hour)}
	if err := state.PutRecord(t.Context(), h.store, &e); err != nil {
		t.Fatal(err)
	}
	if got := h.release(t, r); len(got.Charges) != 1 || got.Charges[0].Max != 6 {
		t.Errorf("three times as much is allowed: %+v", got)
	}
	h.set.Limits[0].Action = Tag
	if got := h.release(t, r); len(got.Charges) != 0 {
		t.Errorf("of a limit that holds nothing: %+v", got)
	}
}

// A login that could not be looked up is looked up when its mail leaves.
func TestUnknownLoginPays(t *testing.T) {
	h := newHolding(t, func(s *Settings) {
		s.Actions["accounts.unavailable"] = Quarantine
		s.Limits = []Limit{{Name: "minute", Subject: "account", Unit: Messages, Max: 1, Window: time.Minute, Action: Tempfail}}
	})
	back := h.accounts
	h.Engine.accounts = noAccounts{back}
	m := mail()
	if v := h.Decide(t.Context(), m); v.Rule != "accounts.unavailable" || v.Action != Quarantine {
		t.Fatalf("%s %s", v.Action, v.Rule)
	}
	h.Engine.accounts = back
	if got := h.release(t, h.held[0]); got.State != ReleasePaid || len(got.Charges) != 1 || got.Charges[0].Subject != "account:"+m.Login {
		t.Errorf("%+v", got)
	}
}
