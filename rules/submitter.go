package rules

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"o2n-milter/accounts"
	"o2n-milter/message"
)

// submitter is who sent a message and what is his to write as.
type submitter struct {
	inbound bool // no login, not local, not in accounts.networks: passes unjudged
	local   bool // decided at end of message, held where others are deferred
	unknown bool // a login that no source knows and that accounts.unknown refuses

	account   *accounts.Account // nil without account
	addresses []string
	domains   []string
	replyTo   []string
	envelope  []string // further domains, for the envelope sender only
	script    string   // envelope sender of a local submission without account
}

// submitterOf answers "Who sent it": with a login its account, without one the
// account that lists the script or the client, else itself.
func (e *Engine) submitterOf(ctx context.Context, m *Mail) (submitter, error) {
	loopback := m.Client.IsLoopback()
	switch {
	case m.Login != "":
		return e.byLogin(ctx, m.Login)
	case m.Local || loopback:
		return e.byScript(ctx, m)
	case e.inNetworks(m.Client):
		return e.byClient(ctx, m)
	}
	return submitter{inbound: true}, nil
}

func (e *Engine) inNetworks(client netip.Addr) bool {
	return slices.ContainsFunc(e.set.Networks, func(p netip.Prefix) bool { return p.Contains(client) })
}

func (e *Engine) byLogin(ctx context.Context, login string) (submitter, error) {
	login = strings.ToLower(login)
	acc, err := e.accounts.ByLogin(ctx, login)
	if err != nil {
		return submitter{}, err
	}
	if acc == nil && !strings.Contains(login, "@") && e.set.DefaultRealm != "" {
		login += "@" + e.set.DefaultRealm
		if acc, err = e.accounts.ByLogin(ctx, login); err != nil {
			return submitter{}, err
		}
	}
	if acc != nil {
		return ofAccount(acc), nil
	}
	own := message.ParseAddress(login)
	if e.set.UnknownReject || own.Domain == "" || own.Fault != "" {
		return submitter{unknown: true, account: &accounts.Account{Login: login}}, nil
	}
	return ofAccount(&accounts.Account{Login: login, Domains: []string{own.Domain}}), nil
}

func ofAccount(acc *accounts.Account) submitter {
	s := submitter{account: acc, addresses: acc.Addresses, domains: acc.Domains, replyTo: acc.ReplyTo}
	if login := message.ParseAddress(acc.Login); login.Domain != "" && login.Fault == "" {
		// A mailbox may write as itself, whatever else it is given.
		s.addresses = append(slices.Clip(s.addresses), login.Fold())
	}
	return s
}

func (e *Engine) byScript(ctx context.Context, m *Mail) (submitter, error) {
	sender := strings.ToLower(m.Sender)
	if sender != "" {
		acc, err := e.accounts.ByScript(ctx, sender)
		if err != nil {
			return submitter{}, err
		}
		if acc != nil {
			s := ofAccount(acc)
			s.local, s.envelope = true, e.set.Hosts
			s.addresses = append(slices.Clip(s.addresses), message.ParseAddress(sender).Fold())
			return s, nil
		}
	}
	s, err := e.asItself(ctx, m)
	s.local, s.script = true, sender
	return s, err
}

func (e *Engine) byClient(ctx context.Context, m *Mail) (submitter, error) {
	acc, err := e.accounts.ByIP(ctx, m.Client)
	if err != nil {
		return submitter{}, err
	}
	if acc != nil {
		s := ofAccount(acc)
		s.envelope = e.set.Hosts // web servers bounce to themselves
		return s, nil
	}
	return e.asItself(ctx, m)
}

// asItself is a submitter without account: its own domain is its envelope
// sender's where this server hosts that, nothing else. The null sender has none,
// so that an automatic reply may use what every program of the host may use.
func (e *Engine) asItself(ctx context.Context, m *Mail) (submitter, error) {
	if m.Sender == "" {
		return submitter{domains: e.set.Hosts}, nil
	}
	domain := message.ParseAddress(m.Sender).Domain
	if domain == "" {
		return submitter{}, nil
	}
	hosted := slices.Contains(e.set.Hosts, domain)
	if !hosted {
		var err error
		if hosted, err = e.accounts.HasDomain(ctx, domain); err != nil {
			return submitter{}, err
		}
	}
	if !hosted {
		return submitter{}, nil
	}
	return submitter{domains: []string{domain}}, nil
}

// owns says whether the address is the submitter's to write as.
func (s *submitter) owns(a message.Address, strict bool) bool {
	return a.Fault == "" && a.Domain != "" && (listed(s.addresses, a) || aligned(s.domains, a.Domain, strict))
}

// mayBounceTo says whether the address may be the envelope sender.
func (s *submitter) mayBounceTo(a message.Address, strict bool) bool {
	return s.owns(a, strict) || a.Fault == "" && aligned(s.envelope, a.Domain, true)
}

// mayReplyTo says whether answers may go to the address.
func (s *submitter) mayReplyTo(a message.Address, strict bool) bool {
	return s.owns(a, strict) || a.Fault == "" && (listed(s.replyTo, a) || aligned(s.replyTo, a.Domain, strict))
}

// listed says whether one of list is the same mailbox, its +extensions included.
func listed(list []string, a message.Address) bool {
	if len(list) == 0 {
		return false
	}
	plain, _, _ := strings.Cut(a.Local, "+")
	folded := a.Fold()
	base := message.Address{Local: plain, Domain: a.Domain}.Fold()
	return slices.Contains(list, folded) || slices.Contains(list, base)
}

// aligned compares domains as DMARC does (RFC 7489 3.1.1): the same in strict
// mode, else the same organizational domain. A common suffix is no alignment.
func aligned(domains []string, d string, strict bool) bool {
	if d == "" {
		return false
	}
	for _, own := range domains {
		if own == d || !strict && organizational(own) == organizational(d) {
			return true
		}
	}
	return false
}

// organizational is the registrable domain by the public suffix list; a domain
// that is itself a public suffix stands for itself alone.
func organizational(d string) string {
	org, err := publicsuffix.EffectiveTLDPlusOne(d)
	if err != nil {
		return d
	}
	return org
}
