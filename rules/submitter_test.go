package rules

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/accounts"
	"o2n-milter/state"
)

// local is a submission through sendmail(1) as Postfix shows it.
func local(sender string, lines ...string) *Mail {
	m := with(lines...)
	m.Login, m.Local, m.Client, m.Sender = "", true, netip.MustParseAddr("127.0.0.1"), sender
	return m
}

func TestWhoSentIt(t *testing.T) {
	from := func(client string, m *Mail) *Mail {
		m.Login, m.Local, m.Client = "", false, netip.MustParseAddr(client)
		return m
	}
	bounce := func(m *Mail, sender string) *Mail { m.Sender = sender; return m }
	to := func(m *Mail, address string, isLocal bool) *Mail {
		m.Recipients = []Recipient{{Address: address, Local: isLocal}}
		return m
	}
	for name, c := range map[string]struct {
		mail   *Mail
		action Action
		rule   string
	}{
		"inbound":                               {from("203.0.113.9", with("From: boss@bank.example")), Accept, "none"},
		"script of this host":                   {local("cron@web1.example", "From: root@web1.example"), Accept, "none"},
		"script, foreign From":                  {local("cron@web1.example", "From: boss@bank.example"), Reject, "identity.header_from"},
		"script, other domain hosted here":      {local("cron@web1.example", "From: x@client-a.example"), Reject, "identity.header_from"},
		"script, customer's domain":             {local("form@client-b.example", "From: form@client-b.example"), Accept, "none"},
		"script, foreign envelope sender":       {local("boss@bank.example", "From: boss@bank.example"), Reject, "identity.header_from"},
		"script of an account":                  {local("www-data@web1.example", "From: x@shop.example"), Accept, "none"},
		"script of an account, foreign From":    {local("www-data@web1.example", "From: alice@client-a.example"), Reject, "identity.header_from"},
		"loopback without login":                {from("127.0.0.1", with("From: boss@bank.example")), Reject, "identity.header_from"},
		"IPv6 loopback without login":           {from("::1", with("From: boss@bank.example")), Reject, "identity.header_from"},
		"web server of an account":              {from("198.51.100.7", with("From: x@shop.example")), Reject, "identity.envelope_from"},
		"web server of an account, host bounce": {bounce(from("198.51.100.7", with("From: x@shop.example")), "www-data@web1.example"), Accept, "none"},
		"web server without account":            {from("198.51.100.8", with("From: alice@client-a.example")), Accept, "none"},
		"web server, foreign From":              {from("198.51.100.8", with("From: boss@bank.example")), Reject, "identity.header_from"},
		"delivery report to a local user":       {to(local("", "From: MAILER-DAEMON@web1.example"), "www-data@web1.example", true), Accept, "none"},
		"delivery report to the host's own":     {to(local("", "From: MAILER-DAEMON@mx.example"), "root@web1.example", false), Accept, "none"},
		"delivery report abroad":                {to(local("", "From: MAILER-DAEMON@mx.example"), "x@remote.example", false), Accept, "none"},
		"delivery report from a bank":           {to(local("", "From: The Bank <boss@bank.example>"), "www-data@web1.example", true), Reject, "identity.header_from"},
		"delivery report, two From fields":      {to(local("", "From: MAILER-DAEMON@mx.example", "From: boss@bank.example"), "root@web1.example", true), Reject, "identity.malformed"},
		"delivery report, answers to a bank":    {to(local("", "From: MAILER-DAEMON@mx.example", "Reply-To: boss@bank.example"), "root@x.example", true), Reject, "identity.reply_to"},
		"nobody's report to an address literal": {to(local("", "From: MAILER-DAEMON"), "v@[203.0.113.25]", false), Reject, "identity.malformed"},
		"nobody's report to an odd domain":      {to(local("", "From: MAILER-DAEMON"), "v@foo_bar.example", false), Reject, "identity.malformed"},
		"nobody's report, a bank as a group":    {to(local("", `From: "boss@bank.example":;`), "root", true), Reject, "identity.malformed"},
		"nobody's report by a percent sign":     {to(local("", "From: MAILER-DAEMON"), "v%remote.example", false), Reject, "identity.malformed"},
		"nobody's report by a bang path":        {to(local("", "From: MAILER-DAEMON"), "remote.example!v", false), Reject, "identity.malformed"},
		"vacation reply of a hosted mailbox":    {to(local("", "From: Alice <alice@client-a.example>"), "x@remote.example", false), Accept, "none"},
		"domain near this host's":               {local("cron@web1.example", "From: root@mail.web1.example"), Reject, "identity.header_from"},
		"delivery report to postmaster":         {to(local("", "From: MAILER-DAEMON"), "postmaster", false), Accept, "none"},
		"delivery report to the MTA's name":     {to(local("", "From: MAILER-DAEMON"), "root@MX.example", false), Accept, "none"},
		"null sender abroad, foreign From":      {to(local("", "From: boss@bank.example"), "x@remote.example", false), Reject, "identity.header_from"},
		"null sender abroad, From of this host": {to(local("", "From: auto@web1.example"), "x@remote.example", false), Accept, "none"},
		"null sender with login is no report":   {to(func() *Mail { m := with("From: boss@bank.example"); m.Sender = ""; return m }(), "x@web1.example", true), Reject, "identity.header_from"},
	} {
		t.Run(name, func(t *testing.T) {
			check(t, newBench(t, nil).decide(t, c.mail), c.action, c.rule)
		})
	}
}

func TestScriptOfAnAccountSendsAsIt(t *testing.T) {
	b := newBench(t, nil)
	v := b.decide(t, local("www-data@web1.example", "From: x@shop.example"))
	check(t, v, Accept, "none")
	want := []string{"account:shop", "customer:C-1003", "host:mx.example", "ip:127.0.0.1", "domain:remote.example"}
	if diff := cmp.Diff(want, v.Subjects); diff != "" {
		t.Errorf("subjects (-want +got):\n%s", diff)
	}
}

func TestSubjects(t *testing.T) {
	b := newBench(t, nil)
	for name, c := range map[string]struct {
		mail *Mail
		want []string
	}{
		"login": {mail(), []string{"account:alice@client-a.example", "customer:C-1001", "ip:192.0.2.7", "domain:remote.example"}},
		"script": {local("Cron@web1.example", "From: x@web1.example", "X-PHP-Originating-Script: 33:mailer.php"),
			[]string{"script:cron@web1.example", "host:mx.example", "script:cron@web1.example/mailer.php", "ip:127.0.0.1", "domain:remote.example"}},
		"IPv6": {func() *Mail { m := mail(); m.Client = netip.MustParseAddr("2001:db8:1:2:3::4"); return m }(),
			[]string{"account:alice@client-a.example", "customer:C-1001", "ip:2001:db8:1:2::/64", "domain:remote.example"}},
		"inbound": {func() *Mail { m := mail(); m.Login = ""; return m }(), nil},
	} {
		t.Run(name, func(t *testing.T) {
			v := b.decide(t, c.mail)
			if diff := cmp.Diff(c.want, v.Subjects); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if v.Judged != (c.want != nil) {
				t.Errorf("judged %v", v.Judged)
			}
		})
	}
}

// Mail whose origin the adapter could not make out is nobody's inbound mail.
func TestFaultyMailIsNotInbound(t *testing.T) {
	m := with("From: boss@bank.example")
	m.Login, m.Client = "", netip.Addr{}
	check(t, newBench(t, nil).decide(t, m), Accept, "none")
	for _, client := range []netip.Addr{{}, netip.MustParseAddr("203.0.113.9")} {
		m.Client, m.Faults = client, []string{"end of message without MAIL"}
		v := newBench(t, nil).decide(t, m)
		check(t, v, Reject, "message.malformed")
		if !v.Judged {
			t.Error("not judged")
		}
	}
}

// One mailbox has one account, however its login is spelled.
func TestLoginSpellings(t *testing.T) {
	b := newBench(t, func(s *Settings) { s.DefaultRealm = "corp.example" })
	for login, want := range map[string]string{
		"shop": "shop", "SHOP": "shop", "shop@corp.example": "shop", "shop@corp.example.": "shop",
		"alice@client-a.example": "alice@client-a.example", "Alice@Client-A.example": "alice@client-a.example",
		"alice@client-a.example.": "alice@client-a.example", "carol": "carol@corp.example", "carol@corp.example": "carol@corp.example",
		"eve@b\u00fccher.example": "eve@xn--bcher-kva.example", "alice+x@client-a.example": "alice@client-a.example",
		"eve+x@new.example": "eve@new.example", "carol+x": "carol@corp.example", "carol.": "carol.@corp.example",
	} {
		m := mail()
		m.Login = login
		if v := b.decide(t, m); v.Account != want || v.Rule == "accounts.unknown" {
			t.Errorf("%q: account %q, want %q; rule %s", login, v.Account, want, v.Rule)
		}
	}
	for _, login := range []string{
		`"alice"@client-a.example`, "x<alice@client-a.example>", " alice@client-a.example", "alice@client-a.example ",
		"alic\u00e9@client-a.example", "alice\u0301@client-a.example", "alice@client-a.example@corp.example", "shop@", "\u00a0alice@client-a.example",
		"@relay:alice@client-a.example", "alice@", "@client-a.example", "a%b@client-a.example", strings.Repeat("a", mostName) + "@x.example",
	} {
		m := mail()
		m.Login = login
		if v := b.decide(t, m); v.Rule != "accounts.unknown" {
			t.Errorf("%q: %s by %s", login, v.Action, v.Rule)
		}
	}
}

// A blocked mailbox does not write on as a script or from a web server.
func TestBlockedAccountWithoutLogin(t *testing.T) {
	for _, subject := range []string{"account:alice@client-a.example", "customer:C-1001"} {
		b := newBench(t, nil)
		if err := b.store.AddBlock(context.Background(), state.Block{ID: "B1", Subject: subject, Since: start}); err != nil {
			t.Fatal(err)
		}
		for _, sender := range []string{"Alice@client-a.example", "alice+x@client-a.example", "alice@client-a.example.", ""} {
			check(t, b.decide(t, local(sender, "From: alice@client-a.example")), Reject, "block.active")
		}
		server := local("alice@client-a.example", "From: alice@client-a.example")
		server.Local, server.Client = false, netip.MustParseAddr("198.51.100.8")
		check(t, b.decide(t, server), Reject, "block.active")
		// The domain is only that account's.
		check(t, b.decide(t, local("other@client-a.example", "From: other@client-a.example")), Reject, "block.active")
		check(t, b.decide(t, local("form@client-b.example", "From: form@client-b.example")), Accept, "none")
	}
}

// So for a login that no source lists, and one on this host's own domain.
func TestBlockedLoginWithoutAccount(t *testing.T) {
	b := newBench(t, nil)
	for i, login := range []string{"eve@client-a.example", "eve@web1.example"} {
		block := state.Block{ID: fmt.Sprintf("B%d", i), Subject: "account:" + login, Since: start}
		if err := b.store.AddBlock(context.Background(), block); err != nil {
			t.Fatal(err)
		}
		check(t, b.decide(t, local(login, "From: "+login)), Reject, "block.active")
	}
}

// away is a source that cannot answer.
type away struct{ accounts.Source }

func (away) ByLogin(context.Context, string) (*accounts.Account, error) {
	return nil, errors.New("connection refused")
}

func (away) ByScript(context.Context, string) (*accounts.Account, error) {
	return nil, errors.New("connection refused")
}

func TestAccountsUnavailable(t *testing.T) {
	b := newBench(t, nil)
	b.accounts = away{}
	v := b.Decide(context.Background(), mail())
	check(t, v, Tempfail, "accounts.unavailable")
	if v.Code != 451 || v.Enhanced != "4.3.0" || v.Err == nil {
		t.Errorf("got %d %s, error %v", v.Code, v.Enhanced, v.Err)
	}
	// Where Postfix would try for ever it is held.
	check(t, b.Decide(context.Background(), local("x@web1.example", "From: x@web1.example")), Quarantine, "accounts.unavailable")
}

// Whatever is aligned by the registrable domains alone is aligned, and nothing else.
func TestAlignedByRegistrableDomain(t *testing.T) {
	names := []string{"a.example", "x.a.example", "y.x.a.example", "b.example", "ba.example", "example", "co.uk", "shop.co.uk", "www.shop.co.uk", "other.co.uk",
		"github.io", "me.github.io", "you.github.io", "www.me.github.io", "localhost", "x.localhost", "amazonaws.com", "x.s3.amazonaws.com", "a.s3.amazonaws.com"}
	for _, own := range names {
		for _, d := range names {
			s := domainSet{list: []string{"far.away.example", own}}
			want := own == d || registrable(own) == registrable(d)
			if got := s.aligned(d, false); got != want {
				t.Errorf("%s for %s: %v; want %v", d, own, got, want)
			}
		}
	}
}

// strange is a source that answers for another login, or not before its ctx ends.
type strange struct {
	accounts.Source
	hangs bool
}

func (s strange) ByLogin(ctx context.Context, login string) (*accounts.Account, error) {
	if s.hangs {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return s.Source.ByLogin(ctx, "shop")
}

// A source that hangs costs the time that a decision has, and one that answers for
// somebody else lets nobody write as him: both are accounts.unavailable, and charge nothing.
func TestSourceOutOfOrder(t *testing.T) {
	for name, hangs := range map[string]bool{"hangs": true, "another's account": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, limits(perMinute(1, Tempfail)))
				right := b.accounts
				b.accounts = strange{right, hangs}
				for range 2 {
					ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
					began := time.Now()
					v := b.Decide(ctx, with("From: x@shop.example", "To: bob@remote.example"))
					cancel()
					if v.Action != Tempfail || v.Rule != "accounts.unavailable" || v.Err == nil || v.Account != "" {
						t.Errorf("%s %s of %q, error %v", v.Action, v.Rule, v.Account, v.Err)
					}
					if took := time.Since(began); took > 8*time.Second {
						t.Errorf("it took %s", took)
					}
				}
				b.accounts = right
				check(t, b.decide(t, mail()), Accept, "none")
			})
		})
	}
}
