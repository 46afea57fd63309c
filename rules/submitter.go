package rules

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/publicsuffix"

	"o2n-milter/accounts"
	"o2n-milter/internal/chaos"
	"o2n-milter/message"
)

// mostName bounds what a sender names himself by, in octets: RFC 5321 4.5.3.1
// allows 64 for a local part and 255 for a domain.
const mostName = 320

// submitter is who sent a message and what is his to write as.
type submitter struct {
	local   bool // a local submission: held where others are deferred
	unknown bool // a login that no source knows and that accounts.unknown refuses

	account   *accounts.Account // nil without account
	addresses []string
	self      string // the account's own mailbox, folded: it may write as that whatever else it is given; empty: it is none
	domains   domainSet
	hosts     []string // domains of this host's programs: the very name, no alignment
	replyTo   domainSet
	envelope  []string // hosts for the envelope sender only
	script    string   // envelope sender of a local submission without account
	// kin are subjects whose blocks hold for a submitter without account too: a
	// blocked mailbox does not write on through sendmail(1). They are not charged.
	kin []string
}

// submitterOf answers "Who sent it": with a login its account, without one the
// account that lists the script or the client, else itself.
func (e *Engine) submitterOf(ctx context.Context, m *Mail, from []message.List) (submitter, error) {
	chaos.Point("rules")
	if m.Login != "" {
		return e.byLogin(ctx, m.Login)
	}
	if m.localSubmission() {
		s, err := e.byScript(ctx, m, from)
		s.local = true
		return s, err
	}
	return e.byClient(ctx, m, from)
}

// isInbound says that a message is none of the provider's customers': it came
// without login from elsewhere. Where the adapter found a fault nobody knows
// where it came from, nor who logged in: it is judged, and malformed.
func (e *Engine) isInbound(m *Mail) bool {
	return m.Login == "" && !m.localSubmission() && !e.inNetworks(m.Client) && len(m.Faults) == 0
}

// noticeField marks our own mail about blocks; its value is good once.
const noticeField = "X-O2N-Notice"

// isNotice says that a message is our own mail to operators and customers, which
// must reach them whatever the rules say.
func (e *Engine) isNotice(m *Mail) bool {
	if e.set.Ours == nil || !m.localSubmission() || len(m.Faults)+len(m.Excess) > 0 {
		return false
	}
	i := slices.IndexFunc(m.Header, func(f message.Field) bool { return strings.EqualFold(f.Name, noticeField) })
	if i < 0 {
		return false
	}
	to := make([]string, len(m.Recipients))
	for n, r := range m.Recipients {
		to[n] = r.Address
	}
	return e.set.Ours(strings.TrimSpace(m.Header[i].Value), to)
}

func (e *Engine) inNetworks(client netip.Addr) bool {
	return slices.ContainsFunc(e.set.Networks, func(p netip.Prefix) bool { return p.Contains(client) })
}

// byLogin tries every spelling under which an MTA may know the same mailbox, so
// that one login has one account, one block and one set of windows.
func (e *Engine) byLogin(ctx context.Context, login string) (submitter, error) {
	login = strings.ToLower(login)
	acc, err := e.AccountOf(ctx, login)
	if err != nil {
		return submitter{}, err
	}
	if acc == nil {
		return submitter{unknown: true, account: &accounts.Account{Login: printable(login, mostName)}}, nil
	}
	return ofAccount(acc), nil
}

// AccountOf is the account of whoever logs in by this name, in lower case; nil when
// he may not send. One that no source knows has his own domain, where
// accounts.unknown lets him.
func (e *Engine) AccountOf(ctx context.Context, login string) (*accounts.Account, error) {
	if acc, err := e.byName(ctx, login); acc != nil || err != nil {
		return acc, err
	}
	spellings, full := e.spellings(login)
	for _, name := range spellings[1:] {
		acc, err := e.byName(ctx, name)
		if acc != nil || err != nil {
			return acc, err
		}
	}
	own := message.ParseAddress(full)
	if e.set.UnknownReject || full == "" || own.Domain == "" || own.Fault != "" {
		return nil, nil
	}
	return &accounts.Account{Login: full, Domains: []string{own.Domain}}, nil
}

// byName asks the source. What it answers for another login is no answer: nobody may
// write as somebody else because a source is out of order.
func (e *Engine) byName(ctx context.Context, login string) (*accounts.Account, error) {
	acc, err := e.accounts.ByLogin(ctx, login)
	if err == nil && acc != nil && acc.Login != login {
		return nil, fmt.Errorf("asked for %q, the source answers for %q", printable(login, 200), printable(acc.Login, 200))
	}
	return acc, err
}

// spellings lists the names to look a login up by, itself first, and its full form, user@domain;
// that is empty when it is no plain mailbox, whose owner nobody could tell.
func (e *Engine) spellings(login string) (list []string, full string) {
	list = []string{login}
	realm := e.set.DefaultRealm
	local, _, _ := strings.Cut(login, "@")
	beyondASCII := func(r rune) bool { return r >= utf8.RuneSelf }
	switch {
	case len(login) > mostName || strings.ContainsAny(login, "<>()[],;:\\\" \t\r\n"):
		return list, ""
	case strings.ContainsFunc(local, beyondASCII):
		return list, "" // a back end may well take "\u00e1lice" for alice
	case !strings.Contains(login, "@"):
		if realm == "" {
			return list, ""
		}
		login += "@" + realm
	}
	a := message.ParseAddress(login)
	if a.Fault != "" || a.Domain == "" {
		return list, ""
	}
	for _, form := range [...]string{a.FoldOf(login), a.WithoutExt().FoldOf(login)} {
		if !slices.Contains(list, form) {
			list = append(list, form)
		}
		full = form
	}
	if bare, ok := strings.CutSuffix(full, "@"+realm); ok && realm != "" {
		list = append(list, bare)
	}
	return list, full
}

func ofAccount(acc *accounts.Account) submitter {
	s := submitter{
		account: acc, addresses: acc.Addresses,
		domains: domainSet{list: acc.Domains}, replyTo: domainSet{list: acc.ReplyTo},
	}
	if login := message.ParseAddress(acc.Login); login.Domain != "" && login.Fault == "" {
		s.self = login.FoldOf(acc.Login)
	}
	return s
}

func (e *Engine) byScript(ctx context.Context, m *Mail, from []message.List) (submitter, error) {
	sender := strings.ToLower(m.Sender)
	if sender == "" {
		return e.asItself(ctx, m, from)
	}
	acc, err := e.accounts.ByScript(ctx, sender)
	if err != nil {
		return submitter{}, err
	}
	if acc == nil {
		return e.asItself(ctx, m, from)
	}
	s := ofAccount(acc)
	s.envelope = e.set.Hosts
	s.addresses = append(slices.Clip(s.addresses), message.ParseAddress(sender).Fold())
	return s, nil
}

func (e *Engine) byClient(ctx context.Context, m *Mail, from []message.List) (submitter, error) {
	acc, err := e.accounts.ByIP(ctx, m.Client)
	if err != nil {
		return submitter{}, err
	}
	if acc == nil {
		return e.asItself(ctx, m, from)
	}
	s := ofAccount(acc)
	s.envelope = e.set.Hosts // web servers bounce to themselves
	return s, nil
}

// asItself is a submitter without account: its own domain is its envelope
// sender's where this server hosts that, nothing else. The null sender, of
// delivery reports and automatic replies (RFC 3834), says nothing: it stands for
// this host's programs, and for the hosted domain that is in From.
func (e *Engine) asItself(ctx context.Context, m *Mail, from []message.List) (submitter, error) {
	s := submitter{script: printable(strings.ToLower(m.Sender), mostName)}
	self := message.ParseAddress(m.Sender)
	if m.Sender == "" {
		s.script = "<>"
		s.hosts = slices.Clip(e.set.Hosts)
		if m.Host != "" {
			s.hosts = append(s.hosts, strings.ToLower(m.Host))
		}
		if len(from) == 1 && len(from[0].Addresses) > 0 {
			self = from[0].Addresses[0]
		}
	}
	if self.Domain == "" {
		return s, nil
	}
	owner, err := e.accounts.ByDomain(ctx, self.Domain)
	if err != nil {
		return s, err
	}
	if s.kin, err = e.kinOf(ctx, self, owner); err != nil {
		return s, err
	}
	switch {
	case slices.Contains(e.set.Hosts, self.Domain):
		s.hosts = append(s.hosts, self.Domain)
	case owner != nil:
		s.domains.list = []string{self.Domain}
	}
	return s, nil
}

// kinOf lists whose mail an address makes it: the account whose mailbox it is or
// who alone holds its domain, and the customer.
func (e *Engine) kinOf(ctx context.Context, a message.Address, owner *accounts.Owner) ([]string, error) {
	spellings, full := e.spellings(a.Fold())
	var kin []string
	if full != "" {
		kin = append(kin, "account:"+full)
	}
	add := func(acc *accounts.Account) {
		kin = append(kin, "account:"+acc.Login)
		if acc.Customer != "" {
			kin = append(kin, "customer:"+acc.Customer)
		}
	}
	for _, name := range spellings {
		acc, err := e.accounts.ByLogin(ctx, name)
		if err != nil {
			return nil, err
		}
		if acc != nil {
			add(acc)
			break
		}
	}
	switch {
	case owner == nil:
	case owner.Account != nil:
		add(owner.Account)
	case owner.Customer != "":
		kin = append(kin, "customer:"+owner.Customer)
	}
	return kin, nil
}

// owns says whether the address is the submitter's to write as.
func (s *submitter) owns(a message.Address, strict bool) bool {
	return a.Fault == "" && a.Domain != "" &&
		(s.self != "" && isMailbox(s.self, a) || listed(s.addresses, a) || slices.Contains(s.hosts, a.Domain) || s.domains.aligned(a.Domain, strict))
}

// mayBounceTo says whether the address may be the envelope sender.
func (s *submitter) mayBounceTo(a message.Address, strict bool) bool {
	return s.owns(a, strict) || a.Fault == "" && a.Domain != "" && slices.Contains(s.envelope, a.Domain)
}

// mayReplyTo says whether answers may go to the address.
func (s *submitter) mayReplyTo(a message.Address, strict bool) bool {
	return s.owns(a, strict) || a.Fault == "" && a.Domain != "" &&
		(listed(s.replyTo.list, a) || s.replyTo.aligned(a.Domain, strict))
}

// listed says whether one of list is the same mailbox, its +extensions included.
func listed(list []string, a message.Address) bool {
	return slices.ContainsFunc(list, func(own string) bool { return isMailbox(own, a) })
}

// isMailbox says whether an address, or itself without its +extension, is own, which is
// folded.
func isMailbox(own string, a message.Address) bool {
	return strings.HasSuffix(own, a.Domain) && (a.Is(own) || a.WithoutExt().Is(own))
}

// domainSet compares domains as DMARC does (RFC 7489 3.1.1). The registrable
// domains of a long list are worked out once, not for each of a field's thousand
// addresses. It is used by one goroutine.
type domainSet struct {
	list []string
	orgs map[string]bool // registrable domains of list; nil until needed
}

// aligned says whether d is one of the domains or, unless strict, has the same
// registrable domain as one of them. A common suffix is no alignment.
func (s *domainSet) aligned(d string, strict bool) bool {
	if slices.Contains(s.list, d) {
		return true
	}
	if strict || !slices.ContainsFunc(s.list, func(own string) bool { return strings.HasSuffix(own, lastTwo(d)) }) {
		return false // most recipients: registrable domains are looked up where they can be the same
	}
	if s.orgs == nil {
		s.orgs = make(map[string]bool, len(s.list))
		for _, own := range s.list {
			s.orgs[registrable(own)] = true
		}
	}
	return s.orgs[registrable(d)]
}

// lastTwo are a domain's last two labels, which all domains of one registrable domain
// have in common.
func lastTwo(d string) string {
	last := strings.LastIndexByte(d, '.')
	return d[strings.LastIndexByte(d[:max(last, 0)], '.')+1:]
}

// registrable is the domain that somebody registered, by the public suffix list;
// a domain that is itself a public suffix stands for itself alone.
func registrable(d string) string {
	org, err := publicsuffix.EffectiveTLDPlusOne(d)
	if err != nil {
		return d
	}
	return org
}
