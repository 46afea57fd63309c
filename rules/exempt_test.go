package rules

import (
	"strings"
	"testing"
	"time"

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

func (b *bench) exempt(t *testing.T, x state.Exemption) {
	t.Helper()
	x.ID, x.Since, x.Until = "E"+NewID(), start, start.Add(time.Hour)
	if err := state.PutRecord(t.Context(), b.store, &x); err != nil {
		t.Fatal(err)
	}
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

func TestExemptFromBlocks(t *testing.T) {
	b := blockingBench(t, nil)
	b.exempt(t, state.Exemption{Subject: alice, Rule: "block"})
	for n := range 10 {
		b.decide(t, forged(n))
	}
	b.wantBlocked(t, "exempt")
}
