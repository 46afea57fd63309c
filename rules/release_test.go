package rules

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"o2n-milter/accounts"
	"o2n-milter/state"
)

func TestRelease(t *testing.T) {
	h := newHolding(t, limits(Limit{Name: "minute", Subject: "script", Unit: Messages, Max: 2, Window: time.Minute, Action: Tempfail}))
	r := h.fill(t, fromCron)
	got := h.release(t, r)
	if got.State != ReleaseLater || got.NotBefore.Sub(start) < time.Minute || len(got.Charges) != 1 || got.Charges[0].Cost != 1 {
		t.Errorf("%+v", got)
	}
	h.at = got.NotBefore
	asked := 0
	later, err := h.Release(t.Context(), h.at, r, func(c []state.Charge) time.Time {
		asked = len(c)
		return h.at.Add(time.Second)
	})
	if err != nil || later.State != ReleaseLater || later.NotBefore != h.at.Add(time.Second) || asked != 1 {
		t.Errorf("%+v, %v", later, err)
	}
	for i, want := range []ReleaseState{ReleasePaid, ReleasePaid, ReleaseLater} { // each pays
		if got := h.release(t, r); got.State != want {
			t.Errorf("time %d: %+v", i, got)
		}
	}
	h.block(t, "B1", "script:cron@web1.example")
	h.at = h.at.Add(time.Hour)
	if got := h.release(t, r); got.State != ReleaseBlocked || !got.NotBefore.IsZero() {
		t.Errorf("%+v", got)
	}
	h.turn("block.active", Shadow)
	if got := h.release(t, r); got.State != ReleasePaid {
		t.Errorf("%+v", got)
	}
}

// A block that only the store knows holds too, and charges nothing.
func TestReleaseLateBlock(t *testing.T) {
	h := newHolding(t, limits(Limit{Name: "minute", Subject: "script", Unit: Messages, Max: 1, Window: time.Minute, Action: Tempfail}))
	r := h.fill(t, fromCron)
	h.at = start.Add(time.Hour)
	h.Engine.store = &watched{Store: h.store}
	h.block(t, "B1", "script:cron@web1.example")
	if got := h.release(t, r); got.State != ReleaseBlocked {
		t.Errorf("%+v", got)
	}
	if _, err := h.store.LiftBlock(t.Context(), "B1", h.at, "root", ""); err != nil {
		t.Fatal(err)
	}
	if got := h.release(t, r); got.State != ReleasePaid {
		t.Errorf("%+v", got)
	}
}

// It pays under the settings of the time at which it leaves.
func TestReleaseUnderNewSettings(t *testing.T) {
	minute := Limit{Name: "minute", Subject: "account", Unit: Recipients, Max: 3, Window: time.Minute, Action: Tempfail}
	three := func() *Mail {
		m := fromShop()
		m.Recipients = rcpts("a@x.example", "b@x.example", "c@y.example")
		return m
	}
	for name, c := range map[string]struct {
		change func(*holding)
		want   ReleaseState
		rule   string
		costs  int
	}{
		"the same":            {func(*holding) {}, ReleaseLater, "", 1},
		"max is raised":       {func(h *holding) { h.set.Limits[0].Max = 6 }, ReleasePaid, "", 1},
		"max is lowered":      {func(h *holding) { h.set.Limits[0].Max = 2 }, ReleaseNever, "limit.minute", 1},
		"the limit is gone":   {func(h *holding) { h.set.Limits = nil }, ReleasePaid, "", 0},
		"the limit is off":    {func(h *holding) { h.set.Limits[0].Action = Off }, ReleasePaid, "", 0},
		"it is only shadow":   {func(h *holding) { h.set.Limits[0].Action = Shadow }, ReleasePaid, "", 0},
		"another limit":       {func(h *holding) { h.set.Limits[0].Name = "other" }, ReleasePaid, "", 1},
		"by domain":           {func(h *holding) { h.set.Limits[0].Subject = "domain" }, ReleasePaid, "", 2},
		"the plan has more":   {func(h *holding) { h.set.Limits[0].Plans = map[string]int64{"": 6} }, ReleasePaid, "", 1},
		"an exemption has":    {func(h *holding) { h.exempt("limit.minute", 2) }, ReleasePaid, "", 1},
		"exempt from it":      {func(h *holding) { h.exempt("limit.minute", 0) }, ReleasePaid, "", 0},
		"another's exemption": {func(h *holding) { h.exempt("limit.hour", 0) }, ReleaseLater, "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHolding(t, limits(minute))
			r := h.fill(t, three)
			c.change(h)
			got := h.release(t, r)
			if got.State != c.want || got.Rule != c.rule || len(got.Charges) != c.costs {
				t.Errorf("%+v", got)
			}
		})
	}
}

func (h *holding) exempt(rule string, factor int64) {
	x := state.Exemption{ID: "E1", Subject: "account:shop", Rule: rule, Factor: factor, Since: start, Until: start.Add(time.Hour)}
	if err := state.PutRecord(context.Background(), h.store, &x); err != nil {
		panic(err)
	}
}

// All that it costs is kept, also what a record of it does not show.
func TestReleaseCostsAll(t *testing.T) {
	h := newHolding(t, func(s *Settings) {
		s.MaxEnvelope = 1000
		limits(Limit{Name: "once", Subject: "account", Unit: Messages, Max: 1, Window: time.Minute, Action: Tempfail},
			Limit{Name: "to", Subject: "domain", Unit: Messages, Max: 10, Window: time.Hour, Action: Tempfail},
			Limit{Name: "new", Subject: "account", Unit: NewRecipients, Max: 1000, Window: time.Hour, Action: Tempfail})(s)
	})
	h.decide(t, fromShop())
	r := h.fill(t, func() *Mail {
		m := fromShop()
		m.Recipients = nil
		for i := range 150 {
			m.Recipients = append(m.Recipients, Recipient{Address: fmt.Sprintf("x@d%d.example", i)})
		}
		return m
	})
	h.at = start.Add(2 * time.Minute)
	got := h.release(t, r)
	if got.State != ReleasePaid || len(got.Charges) != 152 || got.Charges[151].Cost != 150 {
		t.Errorf("%s, %d charges", fmt.Sprint(got.State), len(got.Charges))
	}
	usage, err := h.store.Usage(t.Context(), h.at, []state.Window{{Limit: "to", Subject: "domain:d149.example", Length: time.Hour, Max: 10}})
	if err != nil || usage[0].Used != 1 {
		t.Errorf("%+v, %v", usage, err)
	}
	costs, err := h.ReleaseCosts(t.Context(), h.at, r)
	if err != nil || len(costs) != 152 {
		t.Errorf("%d costs, %v", len(costs), err)
	}
}

// noAccounts is a source that does not answer.
type noAccounts struct{ accounts.Source }

var errNoAccounts = errors.New("no answer")

func (noAccounts) ByLogin(context.Context, string) (*accounts.Account, error) {
	return nil, errNoAccounts
}

func (noAccounts) ByScript(context.Context, string) (*accounts.Account, error) {
	return nil, errNoAccounts
}

// Held while nobody knew whose it was, it pays for whose it is.
func TestReleaseWhenAccountsAreBack(t *testing.T) {
	h := newHolding(t, limits(Limit{Name: "minute", Subject: "account", Unit: Messages, Max: 1, Window: time.Minute, Action: Tempfail}))
	real := h.accounts
	h.Engine.accounts = noAccounts{real}
	v := h.Decide(t.Context(), fromShop())
	if v.Action != Quarantine || v.Rule != "accounts.unavailable" || h.held[0].State != state.HeldWaiting || MayBounce(h.held[0]) {
		t.Fatalf("%s %s %+v", v.Action, v.Rule, h.held)
	}
	if _, err := h.Release(t.Context(), h.at, h.held[0], anyTime); !errors.Is(err, errNoAccounts) {
		t.Errorf("%v", err)
	}
	h.Engine.accounts = real
	if got := h.release(t, h.held[0]); got.State != ReleasePaid || len(got.Charges) != 1 || got.Charges[0].Subject != "account:shop" {
		t.Errorf("%+v", got)
	}
	if got := h.release(t, h.held[0]); got.State != ReleaseLater {
		t.Errorf("%+v", got)
	}
	h.block(t, "B1", "customer:C-1003")
	if got := h.release(t, h.held[0]); got.State != ReleaseBlocked {
		t.Errorf("%+v", got)
	}
}

// A record of another version, or a broken one, is for an operator.
func TestReleaseUnread(t *testing.T) {
	h := newHolding(t, limits(Limit{Name: "minute", Subject: "script", Unit: Messages, Max: 1, Window: time.Minute, Action: Tempfail}))
	r := h.fill(t, fromCron)
	for _, ask := range []string{"", "{", `{"v":2}`, `[]`} {
		r.Ask = []byte(ask)
		if got := h.release(t, r); got.State != ReleaseNever || got.Why == "" || MayBounce(r) {
			t.Errorf("%s: %+v", ask, got)
		}
	}
}

func TestReleaseStoreAway(t *testing.T) {
	h := newHolding(t, limits(Limit{Name: "minute", Subject: "script", Unit: Messages, Max: 1, Window: time.Minute, Action: Tempfail}))
	r := h.fill(t, fromCron)
	h.Engine.store = broken{Store: h.store, take: true}
	if _, err := h.Release(t.Context(), h.at, r, anyTime); err == nil {
		t.Error("no error")
	}
}

// A record that makes us panic is no reason for the others to stay.
func TestReleasePanics(t *testing.T) {
	h := newHolding(t, limits(Limit{Name: "minute", Subject: "script", Unit: Messages, Max: 1, Window: time.Minute, Action: Tempfail}))
	r := h.fill(t, fromCron)
	h.Engine.store = panickingStore{Store: h.store, docs: true}
	if _, err := h.Release(t.Context(), h.at, r, anyTime); err == nil || !strings.Contains(err.Error(), "of ours") {
		t.Errorf("release: %v", err)
	}
	if _, err := h.ReleaseCosts(t.Context(), h.at, r); err == nil || !strings.Contains(err.Error(), "of ours") {
		t.Errorf("costs: %v", err)
	}
}

// newBulkHolding has the bulk rules as shipped, and a limit that holds.
func newBulkHolding(t *testing.T, change func(*Settings)) *holding {
	return newHolding(t, func(s *Settings) {
		bulkActions(s)
		limits(Limit{Name: "minute", Subject: "account", Unit: Messages, Max: 3, Window: time.Minute, Action: Quarantine})(s)
		if change != nil {
			change(s)
		}
	})
}

// Held mail counts for its campaign when it leaves. One that has become bulk meanwhile
// leaves no more by itself.
func TestReleaseOfLetters(t *testing.T) {
	for want, c := range map[string]struct {
		body string
		more int // letters between the one that is held and its release
		full int64
	}{"bulk.unsubscribe": {offer, 1, 100}, "bulk.volume": {offer + wayOut, 2, 4}} {
		for _, fewer := range []int{1, 0} {
			h := newBulkHolding(t, func(s *Settings) { s.Limits[0].Max, s.Bulk.Similar, s.Bulk.MaxCampaign = 2, 4, c.full })
			letter := func(n int) *Mail { return letterTo(n, c.body) }
			h.sendTo(t, 1, 2, letter)
			check(t, h.decide(t, letter(3)), Quarantine, "limit.minute")
			h.at = start.Add(2 * time.Minute)
			h.sendTo(t, 4, 3+c.more-fewer, letter)
			h.at = start.Add(4 * time.Minute)
			got := h.release(t, h.held[0])
			switch {
			case fewer > 0 && got.State != ReleasePaid:
				t.Errorf("%s, one fewer: %+v", want, got)
			case fewer == 0 && (got.State != ReleaseNever || got.Rule != want || !strings.HasPrefix(got.Why, "its campaign ")):
				t.Errorf("%s: %+v", want, got)
			}
		}
	}
}

// A letter that is held since the store is away counts for its campaign as any other,
// whichever call the store did not answer.
func TestReleaseOfLettersAfterAnOutage(t *testing.T) {
	for name, outage := range map[string]broken{"blocks": {blocks: true}, "take": {take: true}} {
		for _, pace := range []Action{Off, Reject} { // which asks first
			h := newBulkHolding(t, func(s *Settings) {
				s.Limits, s.Bulk.Similar = nil, 4
				s.Actions["bulk.pace"], s.Actions["store.unavailable"] = pace, Quarantine
			})
			h.sendTo(t, 1, 2, func(n int) *Mail { return letterTo(n, offer) })
			store := h.Engine.store
			outage.Store = store
			h.Engine.store = outage
			for n := 3; n <= 4; n++ {
				if v := h.Decide(t.Context(), letterTo(n, offer)); v.Action != Quarantine || v.Rule != "store.unavailable" {
					t.Fatalf("%s %s: %v", v.Action, v.Rule, v.Err)
				}
			}
			h.Engine.store = store
			if got := h.release(t, h.held[0]); got.State != ReleasePaid {
				t.Errorf("%s, pace %s, the third: %+v", name, pace, got)
			}
			if got := h.release(t, h.held[1]); got.State != ReleaseNever || got.Rule != "bulk.unsubscribe" {
				t.Errorf("%s, pace %s, the fourth: %+v", name, pace, got)
			}
		}
	}
}

// The pace of bulk mail counts at the release too, as it is set then.
func TestReleaseAtThePaceOfBulk(t *testing.T) {
	h := newBulkHolding(t, func(s *Settings) {
		s.Limits, s.Bulk.Similar, s.Bulk.PaceMax = nil, 2, 1
		s.Actions["bulk.pace"], s.Actions["bulk.unsubscribe"] = Quarantine, Off
	})
	h.sendTo(t, 1, 2, func(n int) *Mail { return letterTo(n, offer) })
	check(t, h.decide(t, letterTo(3, offer)), Quarantine, "bulk.pace")
	r := h.held[0]
	if r.State != state.HeldWaiting || r.Subject != "customer:C-1001" {
		t.Errorf("%+v", r)
	}
	if got := h.release(t, r); got.State != ReleaseLater || len(got.Charges) != 1 {
		t.Errorf("%+v", got)
	}
	h.set.Bulk.PaceMax = 2
	if got := h.release(t, r); got.State != ReleasePaid {
		t.Errorf("%+v", got)
	}
	h.turn("bulk.pace", Off)
	if got := h.release(t, r); got.State != ReleasePaid || len(got.Charges) != 0 {
		t.Errorf("%+v", got)
	}
}

// What held mail waits for is told: whatever is full or blocked, and nothing that has room.
func TestReleaseFor(t *testing.T) {
	limit := func(name, subject string, most int64) Limit {
		return Limit{Name: name, Subject: subject, Unit: Messages, Max: most, Window: time.Minute, Action: Tempfail}
	}
	for name, c := range map[string]struct {
		host int64
		want []string
	}{
		"both are full": {2, []string{"script:cron@web1.example", "host:mx.example"}},
		"one has room":  {3, []string{"script:cron@web1.example"}},
	} {
		h := newHolding(t, limits(limit("script", "script", 2), limit("host", "host", c.host)))
		r := h.fill(t, fromCron)
		if got := h.release(t, r); got.State != ReleaseLater || !slices.Equal(got.For, c.want) {
			t.Errorf("%s: %+v; want it to wait for %q", name, got, c.want)
		}
		h.block(t, "B1", "host:mx.example")
		if got := h.release(t, r); got.State != ReleaseBlocked || !slices.Equal(got.For, []string{"host:mx.example"}) {
			t.Errorf("%s, and blocked: %+v", name, got)
		}
	}
}
