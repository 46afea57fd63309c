// Package accounts answers who may send as whom: it maps a login, a local
// submitter or a client address to the account behind it.
//
// It decides nothing about mail. A source that cannot answer says so with an
// error; "no such account" is not an error.
package accounts

import (
	"context"
	"net/netip"
)

// Account is a login with its customer, plan, addresses and domains.
type Account struct {
	Login     string         // lower-case
	Customer  string         // who pays; empty when unknown
	Plan      string         // names the limit's max; empty for the default
	Addresses []string       // full addresses it may use, lower-case, domains in IDNA ASCII
	Domains   []string       // domains it may use, lower-case IDNA ASCII
	ReplyTo   []string       // further addresses or domains for Reply-To, as above
	Scripts   []string       // envelope senders of local submissions that are this account, lower-case
	IPs       []netip.Prefix // clients in accounts.networks that are this account
}

// Source is where accounts come from. A nil Account with a nil error means that
// there is none. An error means that the source cannot say (it is away).
// Arguments are lower-case. Implementations are safe for concurrent use, and the
// Account they return is never changed.
type Source interface {
	ByLogin(ctx context.Context, login string) (*Account, error)
	// ByScript finds the account whose Scripts hold this envelope sender.
	ByScript(ctx context.Context, sender string) (*Account, error)
	// ByIP finds the account whose IPs hold this client, the longest prefix first.
	ByIP(ctx context.Context, client netip.Addr) (*Account, error)
	// ByDomain says whose this domain is, by the accounts' Domains; nil when it is
	// in none.
	ByDomain(ctx context.Context, domain string) (*Owner, error)
}

// Owner is who holds a domain.
type Owner struct {
	Account  *Account // the only account that lists it; nil when several do
	Customer string   // of all accounts that list it; empty when they differ
}
