package accounts

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func account(login string, ips ...string) *Account {
	a := &Account{Login: login, Scripts: []string{"www-" + login + "@web1.example"}, Domains: []string{login + ".example"}}
	for _, ip := range ips {
		a.IPs = append(a.IPs, netip.MustParsePrefix(ip))
	}
	return a
}

func TestTable(t *testing.T) {
	table, clashes := NewTable([]*Account{
		account("net", "192.0.2.0/24", "2001:db8::/32"),
		account("half", "192.0.2.128/25"),
		account("one", "192.0.2.129/32", "2001:db8::1/128"),
	})
	if len(clashes) > 0 || table.Len() != 3 {
		t.Fatalf("%d accounts, clashes %v", table.Len(), clashes)
	}
	name := func(a *Account, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		if a == nil {
			return ""
		}
		return a.Login
	}
	ctx := t.Context()
	byIP := map[string]string{
		"192.0.1.255": "", "192.0.2.0": "net", "192.0.2.127": "net", "192.0.2.128": "half", "192.0.2.129": "one",
		"192.0.2.130": "half", "192.0.2.255": "half", "192.0.3.0": "", "::ffff:192.0.2.129": "one",
		"2001:db8::": "net", "2001:db8::1": "one", "2001:db8::1%eth0": "one", "2001:db9::": "", "::": "", "0.0.0.0": "",
	}
	got := map[string]string{}
	for ip := range byIP {
		got[ip] = name(table.ByIP(ctx, netip.MustParseAddr(ip)))
	}
	if diff := cmp.Diff(byIP, got); diff != "" {
		t.Error(diff)
	}
	if got := name(table.ByIP(ctx, netip.Addr{})); got != "" {
		t.Errorf("no address is %q", got)
	}
	if got := name(table.ByLogin(ctx, "half")); got != "half" {
		t.Errorf("login half is %q", got)
	}
	if got := name(table.ByLogin(ctx, "")); got != "" {
		t.Errorf("no login is %q", got)
	}
	if got := name(table.ByScript(ctx, "www-one@web1.example")); got != "one" {
		t.Errorf("script is %q", got)
	}
	for domain, want := range map[string]bool{"one.example": true, "x.one.example": false, "example": false, "": false} {
		if owner, err := table.ByDomain(ctx, domain); (owner != nil) != want || err != nil {
			t.Errorf("domain %q: %v, %v", domain, owner, err)
		}
	}
}

// Who holds a domain: one account, one customer, or nobody in particular.
func TestByDomain(t *testing.T) {
	a := &Account{Login: "a", Customer: "C-1", Domains: []string{"alone.example", "alone.example", "both.example", "all.example"}}
	b := &Account{Login: "b", Customer: "C-1", Domains: []string{"both.example", "all.example"}}
	c := &Account{Login: "c", Customer: "C-2", Domains: []string{"all.example"}}
	table, clashes := NewTable([]*Account{a, b, c})
	if len(clashes) > 0 {
		t.Fatal(clashes)
	}
	for domain, want := range map[string]Owner{
		"alone.example": {Account: a, Customer: "C-1"}, "both.example": {Customer: "C-1"}, "all.example": {},
	} {
		if got, err := table.ByDomain(t.Context(), domain); err != nil || got == nil || *got != want {
			t.Errorf("%s: got %+v, %v, want %+v", domain, got, err, want)
		}
	}
}

func TestClashes(t *testing.T) {
	b := account("b", "192.0.2.0/24")
	b.Scripts = []string{"www-a@web1.example", "www-b@web1.example", "www-b@web1.example"} // one twice is no clash
	table, got := NewTable([]*Account{account("a", "192.0.2.0/24"), b, account("a")})
	want := []Clash{
		{What: "script", Value: "www-a@web1.example", First: "a", Second: "b"},
		{What: "ip", Value: "192.0.2.0/24", First: "a", Second: "b"},
		{What: "login", Value: "a", First: "a", Second: "a"},
		{What: "script", Value: "www-a@web1.example", First: "a", Second: "a"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if a, _ := table.ByIP(t.Context(), netip.MustParseAddr("192.0.2.1")); a == nil || a.Login != "a" {
		t.Errorf("the first claimant is %+v", a)
	}
}
