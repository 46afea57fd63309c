package desk

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"slices"
	"strings"
	"sync"
	"time"

	"o2n-milter/rules"
)

const (
	// codeLife is how long a link to the console waits for its one use.
	codeLife = 10 * time.Minute
	// mostCodes bounds those that wait; the oldest goes.
	mostCodes = 20
	// linkLife is a customer link's when nobody says another.
	linkLife = "24h"
	// mostLinkLife: a link cannot be taken back, but by another key.
	mostLinkLife = 31 * 24 * time.Hour
)

// code lets an operator into the console, once.
type code struct {
	secret   string
	operator string
	until    time.Time
}

// codes are those that wait, oldest first. They are in memory: a restart takes
// them back.
type codes struct {
	mu   sync.Mutex
	list []code
}

func (cs *codes) add(now time.Time, operator string) code {
	c := code{secret: rand.Text(), operator: operator, until: now.Add(codeLife)}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.list = append(cs.expire(now), c)
	cs.list = cs.list[max(0, len(cs.list)-mostCodes):]
	return c
}

// expire is the list without what is over.
func (cs *codes) expire(now time.Time) []code {
	return slices.DeleteFunc(cs.list, func(c code) bool { return !now.Before(c.until) })
}

// redeem compares with every code, so that its time tells nothing.
func (cs *codes) redeem(now time.Time, secret string) (operator string, ok bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.list = cs.expire(now)
	found := -1
	for i, c := range cs.list {
		if subtle.ConstantTimeCompare([]byte(c.secret), []byte(secret)) == 1 {
			found = i
		}
	}
	if found < 0 {
		return "", false
	}
	operator = cs.list[found].operator
	cs.list = slices.Delete(cs.list, found, found+1)
	return operator, true
}

// ConsoleLink makes a link that opens the console once, for whoever asks.
func (d *Desk) ConsoleLink(ctx context.Context, who Actor) (ConsoleLink, error) {
	base := cmp.Or(d.ConsoleURL, d.PublicURL)
	if base == "" {
		return ConsoleLink{}, conflict("no address is known for the console: want web.listen, or web.public_url")
	}
	c := d.codes.add(d.Now(), who.Name)
	ctx, cancel := carryOn(ctx)
	defer cancel()
	d.audit(ctx, who, change{what: "console link"})
	return ConsoleLink{URL: base + "/admin/login?code=" + c.secret, Until: c.until.UTC().Truncate(time.Second)}, nil
}

// RedeemConsole says whom a code lets in, and takes it back.
func (d *Desk) RedeemConsole(code string) (operator string, ok bool) {
	return d.codes.redeem(d.Now(), code)
}

// Link makes a customer's link, as the provider's customer area does by itself.
func (d *Desk) Link(ctx context.Context, who Actor, in LinkFor) (LinkView, error) {
	switch {
	case d.Links == nil:
		return LinkView{}, conflict("links cannot be signed: web.link_key_file is not set; make one with: " +
			"(umask 077; openssl rand -hex 32 >/etc/o2n-milter/link.key)")
	case d.PublicURL == "":
		return LinkView{}, conflict("links lead nowhere: web.public_url is not set")
	}
	now := d.now()
	until, err := endOf(now, cmp.Or(in.For, linkLife), false)
	if err != nil {
		return LinkView{}, err
	}
	if until.After(now.Add(mostLinkLife)) {
		return LinkView{}, bad("for %q: too long for a link; want at most %s", in.For, rules.FormatDuration(mostLinkLife))
	}
	login, err := d.accountNamed(ctx, in.Account)
	if err != nil {
		return LinkView{}, err
	}
	ctx, cancel := carryOn(ctx)
	defer cancel()
	d.audit(ctx, who, change{what: "link", subject: "account:" + login})
	return LinkView{URL: d.PublicURL + "/c/" + d.Links.Mint(login, ScopeFull, until), Account: login, Until: until}, nil
}

// accountNamed is the login of an account that somebody wrote.
func (d *Desk) accountNamed(ctx context.Context, account string) (string, error) {
	login := strings.TrimPrefix(account, "account:")
	subject, err := parseSubject("account:" + login)
	if err != nil || rules.IsPair(subject) {
		return "", bad("account %.400q: want a login", account)
	}
	login = strings.TrimPrefix(subject, "account:")
	acc, err := d.Judge.Account(ctx, login)
	if err != nil {
		return "", err
	}
	if acc == nil {
		return "", notFound("no account %.400q: such a login may not send here", account)
	}
	return acc.Login, nil
}
