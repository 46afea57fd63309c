package rules

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/state"
)

func TestAlwaysReachable(t *testing.T) {
	b := blockingBench(t, nil)
	if err := b.store.AddBlock(t.Context(), state.Block{ID: "B1", Subject: alice, Since: start}); err != nil {
		t.Fatal(err)
	}
	to := func(addresses ...string) *Mail {
		m := mail("To: " + strings.Join(addresses, ", "))
		m.Recipients = rcpts(addresses...)
		return m
	}
	for range reachableMax {
		check(t, b.decide(t, to("Abuse@Provider.Example")), Accept, "none")
	}
	check(t, b.decide(t, to("abuse@provider.example")), Reject, "block.active")
	check(t, b.decide(t, to("bob@remote.example")), Reject, "block.active")
	b.at = start.Add(62 * time.Minute)
	check(t, b.decide(t, to("abuse@provider.example", "bob@remote.example")), Reject, "block.active")
	check(t, b.decide(t, to("abuse@provider.example")), Accept, "none")
}

func (b *bench) exempt(t *testing.T, x state.Exemption) (id string) {
	t.Helper()
	x.ID, x.Since, x.Until = "E"+NewID(), start, start.Add(time.Hour)
	if err := state.PutRecord(t.Context(), b.store, &x); err != nil {
		t.Fatal(err)
	}
	return x.ID
}

func TestExemptions(t *testing.T) {
	b := blockingBench(t, limits(perMinute(2, Tempfail)))
	b.exempt(t, state.Exemption{Subject: alice, Rule: "identity.header_from", Domain: "remote.example"})
	b.exempt(t, state.Exemption{Subject: alice, Rule: "limit.minute", Factor: 2})
	check(t, b.decide(t, forged(0)), Accept, "none", "identity.header_from: boss@bank.example (shadow)")
	elsewhere := forged(1)
	elsewhere.Recipients = rcpts("bob@remote.example", "carol@other.example")
	check(t, b.decide(t, elsewhere), Reject, "identity.header_from")
	for range 3 {
		check(t, b.decide(t, mail()), Accept, "none")
	}
	check(t, b.decide(t, mail()), Tempfail, "limit.minute", "limit.minute: 4 used, 1 more")
	b.at = start.Add(time.Hour)
	check(t, b.decide(t, forged(2)), Reject, "identity.header_from")
}

// Evidence names the exemption that spared a message, or that raised the max it met;
// what is in shadow by the settings alone has none.
func TestEvidenceNamesTheExemption(t *testing.T) {
	b := blockingBench(t, func(s *Settings) {
		s.Limits = []Limit{perMinute(1, Tempfail), perMinute(1, Tempfail), perMinute(1, Shadow)}
		s.Limits[0].Name, s.Limits[1].Name, s.Limits[2].Name = "free", "raised", "tried"
		s.Actions["recipients.duplicate"] = Shadow
	})
	wanted := map[string]string{"limit.tried": "", "recipients.duplicate": ""}
	for _, x := range []state.Exemption{
		{Rule: "identity.header_from"}, {Rule: "limit.free"}, {Rule: "limit.raised", Factor: 2}, {Rule: "limit.tried"}, {Rule: "recipients.duplicate"},
	} {
		x.Subject = alice
		id := b.exempt(t, x)
		if _, inShadow := wanted[x.Rule]; !inShadow {
			wanted[x.Rule] = id
		}
	}
	got := map[string]string{}
	for _, m := range []*Mail{
		mail(), mail(), mail(), // the second is over free and tried, the third over raised
		with("From: boss@bank.example", "To: bob@remote.example, bob@remote.example, bob@remote.example"),
	} {
		for _, ev := range b.decide(t, m).Evidence {
			got[ev.Rule] = ev.Exempt
		}
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Errorf("exemptions in evidence (-want +got):\n%s", diff)
	}
}

func TestExemptFromBlocks(t *testing.T) {
	b := blockingBench(t, nil)
	b.exempt(t, state.Exemption{Subject: alice, Rule: "block"})
	for n := range 10 {
		b.decide(t, forged(n))
	}
	b.wantBlocked(t, "exempt")
}
