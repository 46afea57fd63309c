package accounts

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

// Table is a Source held in memory. It is never changed once it is made.
type Table struct {
	logins  map[string]*Account
	scripts map[string]*Account
	ips     map[netip.Prefix]*Account
	bits    []int // the prefix lengths in ips, longest first
	domains map[string]*Owner
}

// Clash is something that two accounts both claim, so that no one could say
// which of them sent a mail.
type Clash struct {
	What          string // "login", "script" or "ip"
	Value         string
	First, Second string // logins
}

func (c Clash) Error() string {
	return fmt.Sprintf("%s %q belongs to account %q and to account %q", c.What, c.Value, c.First, c.Second)
}

// NewTable indexes accounts, which must not be changed afterwards. A Table with
// clashes answers with the first claimant and should not be used.
func NewTable(list []*Account) (*Table, []Clash) {
	t := &Table{
		logins:  map[string]*Account{},
		scripts: map[string]*Account{},
		ips:     map[netip.Prefix]*Account{},
		domains: map[string]*Owner{},
	}
	var clashes []Clash
	lengths := map[int]bool{}
	for _, a := range list {
		clashes = claim(clashes, t.logins, "login", a.Login, a)
		for _, s := range a.Scripts {
			clashes = claim(clashes, t.scripts, "script", s, a)
		}
		for _, p := range a.IPs {
			clashes = claim(clashes, t.ips, "ip", p.Masked(), a)
			lengths[p.Bits()] = true
		}
		for _, d := range a.Domains {
			t.holds(d, a)
		}
	}
	t.bits = slices.Sorted(maps.Keys(lengths))
	slices.Reverse(t.bits)
	return t, clashes
}

// holds notes one more account that lists the domain.
func (t *Table) holds(domain string, a *Account) {
	owner, seen := t.domains[domain]
	switch {
	case !seen:
		t.domains[domain] = &Owner{Account: a, Customer: a.Customer}
		return
	case owner.Account == a:
		return
	case owner.Customer != a.Customer:
		owner.Customer = ""
	}
	owner.Account = nil
}

func claim[K comparable](clashes []Clash, index map[K]*Account, what string, key K, a *Account) []Clash {
	first, taken := index[key]
	if !taken {
		index[key] = a
		return clashes
	}
	if first == a {
		return clashes
	}
	return append(clashes, Clash{What: what, Value: fmt.Sprint(key), First: first.Login, Second: a.Login})
}

// Len is the number of accounts.
func (t *Table) Len() int { return len(t.logins) }

// ByLogin implements Source.
func (t *Table) ByLogin(_ context.Context, login string) (*Account, error) {
	return t.logins[login], nil
}

// ByScript implements Source.
func (t *Table) ByScript(_ context.Context, sender string) (*Account, error) {
	return t.scripts[sender], nil
}

// ByIP implements Source.
func (t *Table) ByIP(_ context.Context, client netip.Addr) (*Account, error) {
	client = client.Unmap().WithZone("")
	for _, bits := range t.bits {
		// An IPv4 address has no prefix longer than 32 bits: the error skips it.
		p, err := client.Prefix(bits)
		if err != nil {
			continue
		}
		if a := t.ips[p]; a != nil {
			return a, nil
		}
	}
	return nil, nil
}

// ByDomain implements Source.
func (t *Table) ByDomain(_ context.Context, domain string) (*Owner, error) {
	return t.domains[domain], nil
}
