package rules

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"o2n-milter/state"
)

// The names of limits are the operator's: none of them may be a window of ours.
func TestLimitNamesDoNotMeetStrikes(t *testing.T) {
	for _, name := range []string{"minute", "messages", "0", "strikes"} {
		l := perMinute(1, Tempfail)
		l.Name = name
		b := blockingBench(t, func(s *Settings) { s.Limits = []Limit{l}; s.Blocking.Strikes = 2 })
		n := 0
		for range 2 {
			for range 3 {
				b.decide(t, mail(fmt.Sprint("Message-ID: <", n, "@x>")))
				n++
			}
			b.at = b.at.Add(62 * time.Second)
		}
		b.wantBlocked(t, "limit."+name, alice)
	}
}

// Strikes that have led to the block of a script by its name are spent: the first
// mail after it is not the last straw.
func TestStrikesAfterANamedScriptsBlock(t *testing.T) {
	b := blockingBench(t, func(s *Settings) { s.Blocking.Durations = []time.Duration{time.Minute} })
	for n := range 3 {
		b.decide(t, php(n, "mailer.php"))
	}
	b.wantBlocked(t, "one script", "script:www-data@web1.example/mailer.php")
	b.at = b.at.Add(2 * time.Minute)
	for n := range 2 {
		b.decide(t, php(10+n, "mailer.php"))
	}
	b.wantBlocked(t, "4 strikes after the block")
	b.decide(t, php(20, "mailer.php"))
	b.wantBlocked(t, "6 strikes after the block", "script:www-data@web1.example/mailer.php")
}

// An exemption of a domain is one of mail for it: a recipient there among others
// opens nothing.
func TestExemptDomainAmongOthers(t *testing.T) {
	b := blockingBench(t, nil)
	b.exempt(t, state.Exemption{Subject: "domain:remote.example", Rule: "identity.header_from"})
	check(t, b.decide(t, forged(0)), Accept, "none", "identity.header_from: boss@bank.example (shadow)")
	m := forged(1)
	m.Recipients = rcpts("bob@remote.example", "carol@other.example")
	check(t, b.decide(t, m), Reject, "identity.header_from")
}

// Whoever may name his envelope sender as he likes has blocks made of names that he
// invents. They must not use up the ceiling of those who have stolen logins.
func TestInventedSendersLeaveRoomUnderTheCeiling(t *testing.T) {
	b := blockingBench(t, nil)
	for i := range 30 {
		for n := range 3 {
			b.decide(t, local(fmt.Sprintf("x%d@web1.example", i), "From: boss@bank.example", fmt.Sprint("Message-ID: <", n, "@x>")))
		}
	}
	if got := len(b.blocked(t)); got != leastCeiling {
		t.Errorf("%d invented senders are blocked; want %d", got, leastCeiling)
	}
	for n := range 3 {
		b.decide(t, forged(n))
	}
	if !slices.Contains(b.blocked(t), alice) {
		t.Error("a stolen login is not blocked once somebody has invented many senders")
	}
}

// An id that is another subject's block's keeps nobody from being blocked.
func TestBlockIDOfAnother(t *testing.T) {
	b := blockingBench(t, nil)
	other := state.Block{ID: blockID(alice, 0), Subject: "account:other@client-b.example", Since: start}
	if err := b.store.AddBlock(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		b.decide(t, forged(n))
	}
	b.wantBlocked(t, "an id that is taken", alice, other.Subject)
}

// A script's name has NAME_MAX octets at most, and a sender what is printable.
func TestLongScriptIsBlocked(t *testing.T) {
	b := blockingBench(t, nil)
	var v Verdict
	for n := range 3 {
		m := php(n, strings.Repeat("\u00e9", 2000))
		m.Sender = strings.Repeat("x", 5000) + "@web1.example"
		v = b.decide(t, m)
	}
	if v.Err != nil || len(v.Blocked) != 1 {
		t.Errorf("blocked %v, error %v", v.Blocked, v.Err)
	}
}

// Blocks of a script and of the user it runs as are about one of a customer's.
func TestForgedScriptIsOneOfACustomers(t *testing.T) {
	b := blockingBench(t, func(s *Settings) { s.Blocking.CustomerAfter = 2 })
	for n := range 8 {
		b.decide(t, php(n, fmt.Sprint("x", n, ".php")))
	}
	if got := b.blocked(t); len(got) != 2 || strings.Contains(fmt.Sprint(got), "customer:") {
		t.Errorf("blocked %v; want the script by its name and its user", got)
	}
}

// The client of several blocked logins is nobody's: its block names no account, and
// makes none of a customer's.
func TestBlockedClientIsNobodys(t *testing.T) {
	b := blockingBench(t, func(s *Settings) { s.Blocking.IPAfter = 1 })
	for n := range 3 {
		b.decide(t, forged(n))
	}
	all, err := b.store.ActiveBlocks(t.Context(), b.at, []string{"ip:192.0.2.7"})
	if err != nil || len(all) != 1 || all[0].Account != "" || all[0].Customer != "" {
		t.Errorf("block %+v, %v", all, err)
	}
}
