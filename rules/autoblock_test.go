package rules

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"o2n-milter/state"
)

func TestDurationsGrow(t *testing.T) {
	b := blockingBench(t, nil)
	n := 0
	for i, want := range []time.Duration{time.Hour, 4 * time.Hour, 0} {
		for range 3 {
			b.decide(t, forged(n))
			n++
		}
		list, err := b.store.ActiveBlocks(t.Context(), b.at, []string{alice})
		if err != nil || len(list) != 1 {
			t.Fatalf("block %d: %v, %v", i, list, err)
		}
		if until := list[0].Until; want > 0 && !until.Equal(b.at.Add(want)) || want == 0 && !until.IsZero() {
			t.Errorf("block %d until %s; want %s after %s", i, until, want, b.at)
		}
		b.at = b.at.Add(want) // not a moment for old strikes to decay
	}
	// What lies further back than remember no longer counts.
	if _, err := b.store.LiftBlock(t.Context(), mustActive(t, b)[0].ID, b.at, "op", ""); err != nil {
		t.Fatal(err)
	}
	b.at = b.at.Add(31 * 24 * time.Hour)
	for range 3 {
		b.decide(t, forged(n))
		n++
	}
	if got := mustActive(t, b)[0].Until; !got.Equal(b.at.Add(time.Hour)) {
		t.Errorf("a block after remember: until %s", got)
	}
}

// After a lift the detector is armed at half the threshold.
func TestRearmed(t *testing.T) {
	b := blockingBench(t, nil)
	for n := range 5 {
		b.decide(t, crowded(n))
	}
	if _, err := b.store.LiftBlock(t.Context(), mustActive(t, b)[0].ID, b.at, "op", "sorry"); err != nil {
		t.Fatal(err)
	}
	for n := range 2 {
		b.decide(t, crowded(10+n))
	}
	b.wantBlocked(t, "2 of 3 strikes after a lift")
	b.decide(t, crowded(12))
	b.wantBlocked(t, "3 of 3", alice)
	again := mustActive(t, b)[0]
	if len(again.Decisions) != 3 || !strings.HasPrefix(again.Reason, "3 messages refused as abuse") {
		t.Errorf("the second block counts %v: %s", again.Decisions, again.Reason)
	}
}

// The script by its name first; when another name comes up meanwhile, the user;
// then his account.
func TestSmallestGuiltySubject(t *testing.T) {
	b := blockingBench(t, nil)
	for n := range 3 {
		b.decide(t, php(n, "mailer.php"))
	}
	b.wantBlocked(t, "one script", "script:www-data@web1.example/mailer.php")
	check(t, b.decide(t, php(9, "mailer.php")), Reject, "block.active")
	honest := local("www-data@web1.example", "From: x@shop.example", "X-PHP-Originating-Script: 33:form.php")
	check(t, b.decide(t, honest), Accept, "none")
	for n := range 3 {
		b.decide(t, php(10+n, fmt.Sprint("x", n, ".php")))
	}
	b.wantBlocked(t, "other names", "script:www-data@web1.example", "script:www-data@web1.example/mailer.php")
	check(t, b.decide(t, honest), Reject, "block.active")
}

// A block of an account's script names what the script did, and not what the account did.
func TestBlockNamesItsDecisions(t *testing.T) {
	for _, hashed := range []bool{false, true} {
		b := blockingBench(t, func(s *Settings) { s.HideAddresses, s.Blocking.Strikes = hashed, 6 })
		login := with("From: info@shop.example", "Reply-To: boss@bank.example")
		login.Login, login.Sender = "shop", "info@shop.example"
		b.decide(t, login)
		want := map[bool]int{false: 3, true: 4}[hashed] // nobody can tell who that was
		var last Verdict
		for n := range 3 {
			last = b.decide(t, local("www-data@web1.example", "From: boss@bank.example", fmt.Sprintf("Message-ID: <%d>", n)))
		}
		got := last.Blocked
		if len(got) != 1 || got[0].Subject != "script:www-data@web1.example" || len(got[0].Decisions) != want || got[0].Decisions[0] != last.ID {
			t.Errorf("hashed %v: blocked %+v; want by %d decisions", hashed, got, want)
		}
	}
}

func TestCustomerOfSeveralBlocked(t *testing.T) {
	b := blockingBench(t, nil)
	for i := range 3 {
		id := fmt.Sprint("B", i)
		x := state.Block{ID: id, Subject: "account:" + id, Customer: "C-1001", Since: start}
		if i == 0 {
			x.Until = start.Add(time.Minute) // expired by then
		}
		if err := b.store.AddBlock(t.Context(), x); err != nil {
			t.Fatal(err)
		}
	}
	b.at = start.Add(time.Minute)
	for n := range 3 {
		b.decide(t, forged(n))
	}
	b.wantBlocked(t, "three at once", alice, "account:B1", "account:B2", "customer:C-1001")
}

func TestTwoOfACustomer(t *testing.T) {
	b := blockingBench(t, nil)
	if err := b.store.AddBlock(t.Context(), state.Block{ID: "B1", Subject: "account:B1", Customer: "C-1001", Since: start}); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		b.decide(t, forged(n))
	}
	b.wantBlocked(t, "two at once", alice, "account:B1")
}

// A client without login is the only one to blame; loopback and own addresses
// never are.
func TestClientIsBlocked(t *testing.T) {
	for name, c := range map[string]struct {
		client string
		want   []string
	}{
		"in networks": {"198.51.100.9", []string{"ip:198.51.100.9"}},
		"own":         {"198.51.100.1", nil},
		"loopback":    {"127.0.0.1", nil},
	} {
		b := blockingBench(t, func(s *Settings) { s.Own = []netip.Addr{netip.MustParseAddr("198.51.100.1")} })
		for n := range 10 {
			m := forged(n)
			m.Login, m.Client, m.Sender = "", netip.MustParseAddr(c.client), ""
			b.decide(t, m)
		}
		b.wantBlocked(t, name, c.want...)
	}
}

func TestClientOfSeveralLogins(t *testing.T) {
	for client, want := range map[string][]string{
		"192.0.2.7": {"ip:192.0.2.7"}, "127.0.0.1": nil, "198.51.100.9": nil, // a webmail server's, in accounts.networks
	} {
		b := blockingBench(t, func(s *Settings) { s.Blocking.Strikes = 1 })
		from := func(i int) string {
			m := forged(i)
			m.Login, m.Client = fmt.Sprintf("user%d@client-%d.example", i, i), netip.MustParseAddr(client)
			m.Sender = m.Login
			b.decide(t, m)
			return "account:" + m.Login
		}
		two := []string{from(1), from(2)}
		b.wantBlocked(t, client+": two logins", two...)
		b.wantBlocked(t, client+": three logins", append(append(two, from(3)), want...)...)
	}
}

// An office behind one address, where everybody sends too much at once.
func TestFullWindowsOfSeveralLogins(t *testing.T) {
	b := blockingBench(t, func(s *Settings) { s.Blocking.Strikes, s.Limits = 1, []Limit{perMinute(1, Tempfail)} })
	for i := range 5 {
		for n := range 2 {
			m := mail(fmt.Sprint("Message-ID: <", n, "@x>"))
			m.Login = fmt.Sprintf("user%d@client-a.example", i)
			b.decide(t, m)
		}
	}
	if got := b.blocked(t); len(got) != 5 || strings.Contains(fmt.Sprint(got), "ip:") {
		t.Errorf("blocked %v; want the five accounts", got)
	}
}

// A wrong rule blocks ten, and raises an alarm.
func TestCeiling(t *testing.T) {
	b := blockingBench(t, func(s *Settings) { s.Blocking.Strikes, s.Blocking.IPAfter = 1, 1000 })
	var alarms, blocks int
	for i := range 15 {
		m := forged(i)
		m.Login = fmt.Sprintf("user%d@client-%d.example", i, i)
		m.Sender = m.Login
		v := b.decide(t, m)
		blocks += len(v.Blocked)
		if v.Alarm != "" {
			alarms++
		}
	}
	if blocks != 10 || alarms != 5 {
		t.Errorf("%d blocks, %d alarms; want 10 and 5", blocks, alarms)
	}
	b.at = b.at.Add(61 * time.Minute)
	b.decide(t, forged(99))
	b.wantBlocked(t, "an hour later", alice)
}

func TestCeilingGrowsWithTheAccounts(t *testing.T) {
	for accounts, want := range map[int]int64{0: 10, 100: 10, 109: 10, 110: 11, 999: 99, 1010: 100, 2000: 100} {
		b := blockingBench(t, nil)
		for i := range accounts {
			b.active.seen(start, fmt.Sprint(i))
		}
		if got := b.ceiling(start); got != want {
			t.Errorf("%d accounts: %d blocks an hour; want %d", accounts, got, want)
		}
	}
}

func TestActivityForgets(t *testing.T) {
	a := newActivity()
	a.seen(start, "a")
	a.seen(start.Add(29*time.Minute), "a")
	a.seen(start.Add(30*time.Minute), "b")
	for _, c := range []struct {
		at   time.Duration
		want int
	}{{30 * time.Minute, 2}, {59 * time.Minute, 2}, {60 * time.Minute, 1}, {90 * time.Minute, 0}, {0, 0}} {
		if got := a.count(start.Add(c.at)); got != c.want {
			t.Errorf("%s after the start: %d; want %d", c.at, got, c.want)
		}
	}
}

// A hashSet holds what a map does, as far as mostActive, whatever the hashes share.
func TestHashSet(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, mask := range []uint64{1<<64 - 1, 0xf<<32 | 0xff} {
		var s hashSet
		want := map[uint64]bool{}
		for range 5000 {
			h := max(1, random.Uint64()&mask)
			if s.has(h) != want[h] {
				t.Fatalf("%x: %v after %d", h, s.has(h), s.n)
			}
			s.add(h)
			want[h] = true
		}
		if s.n != len(want) {
			t.Errorf("%d hashes; want %d", s.n, len(want))
		}
	}
	var s hashSet
	for h := range uint64(mostActive + 1) {
		s.add((h + 1) << 32)
		if want := min(int(h)+1, mostActive); s.n != want {
			t.Fatalf("%d hashes; want %d", s.n, want)
		}
	}
	if s.has((mostActive+1)<<32) || !s.has(mostActive<<32) {
		t.Error("the last one that fits is there, the next one is not")
	}
}

func BenchmarkSeen(b *testing.B) {
	a := newActivity()
	accounts := make([]string, 20_000)
	for i := range accounts {
		accounts[i] = fmt.Sprintf("user%d@customer.example", i)
	}
	i := 0
	perCall(b, func() {
		a.seen(start, accounts[i])
		i = (i + 7919) % len(accounts)
	})
}

// Of many messages at once one makes the block.
func TestBlockRace(t *testing.T) {
	b := blockingBench(t, nil)
	var wg sync.WaitGroup
	for n := range 32 {
		wg.Go(func() {
			if v := b.Decide(context.Background(), forged(n)); v.Err != nil {
				t.Error(v.Err)
			}
		})
	}
	wg.Wait()
	b.wantBlocked(t, "after 32 at once", alice)
}

func TestAutomaticShadow(t *testing.T) {
	b := blockingBench(t, func(s *Settings) { s.Blocking.Automatic = Shadow })
	var would int
	for n := range 4 {
		would += len(b.decide(t, forged(n)).WouldBlock)
	}
	if would == 0 {
		t.Error("nothing says what would be blocked")
	}
	b.wantBlocked(t, "shadow")
}
