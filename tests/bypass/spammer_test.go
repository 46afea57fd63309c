package bypass

import (
	"fmt"
	"net/netip"
	"strings"

	"o2n-milter/message"
	"o2n-milter/rules"
)

// attempt is a mail, and what its maker knows of it, however it is written.
type attempt struct {
	mail *rules.Mail
	// Whose it is, as subjects; empty where there is none.
	account, customer, script, host, ip string
	plan                                string
	// kin are further subjects whose blocks hold for it.
	kin     []string
	targets []reader // of its recipients, in order
	forged  bool     // its author is foreign: it must not pass
	odd     bool     // its login is spelled so that nobody need know it
}

// reader is a recipient: who he is, and the domain that his mail goes to.
type reader struct {
	who    int
	domain string
}

// own is everybody whose block holds for it.
func (a *attempt) own() []string {
	list := append([]string{a.account, a.customer, a.script, a.host, a.ip}, a.kin...)
	for _, to := range a.targets {
		list = append(list, "domain:"+to.domain)
	}
	return list
}

// spam makes a mail as one who wants much of it out, by one of his ways in. Most
// recipients are bound by most.
func (g forge) spam(most int) *attempt {
	a := &attempt{mail: &rules.Mail{Host: "mx.example", QueueID: fmt.Sprint("Q", g.Uint64()), Size: int64(300 + g.IntN(3000)), CanHold: true}}
	switch g.IntN(10) {
	case 0, 1, 2, 3:
		g.byLogin(a)
	case 4:
		g.byUnknownLogin(a)
	case 5:
		g.byShop(a)
	case 6, 7, 8:
		g.byScript(a)
	case 9:
		g.byClient(a)
	}
	for range 1 + g.IntN(max(1, most)) {
		text, to := g.spelled(g.IntN(40))
		a.mail.Recipients = append(a.mail.Recipients, rules.Recipient{Address: text})
		a.targets = append(a.targets, to)
		if g.chance(30) {
			break
		}
	}
	if g.chance(4) {
		a.forged = true
		a.from(foreign)
	}
	return a
}

// from writes the author into the header.
func (a *attempt) from(author string) {
	header := []message.Field{{Name: "From", Value: author}}
	for _, f := range a.mail.Header {
		if f.Name != "From" {
			header = append(header, f)
		}
	}
	a.mail.Header = header
}

// loginAs is a mail of an account's, by one of the spellings of its login.
func (g forge) loginAs(a *attempt, login, customer, plan string) {
	local, domain, _ := strings.Cut(login, "@")
	a.account, a.plan = "account:"+login, plan
	if customer != "" {
		a.customer = "customer:" + customer
	}
	a.mail.Login = login
	switch g.IntN(9) {
	case 0:
		a.mail.Login = strings.ToUpper(login)
	case 1:
		a.mail.Login = local + "+" + g.one("x", "news", "1") + "@" + domain
	case 2:
		a.mail.Login = capital(local) + "@" + capital(domain)
	case 3:
		a.odd, a.mail.Login = true, g.one(`"`+local+`"@`+domain, local+"@"+domain+".", local+" @"+domain, local, local+"@"+domain+"\x00", "\u200b"+login,
			local+"@"+strings.ReplaceAll(domain, ".", "\u3002"), local+"%"+domain, domain+`\`+local, "\uff41"+login[1:])
	}
	a.mail.Sender = g.one(login, login, "news@"+domain, local+"+"+g.one("a", "b")+"@"+domain, strings.ToUpper(login))
	g.somewhere(a)
	a.from(g.one(login, "Anybody <info@"+domain+">"))
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// somewhere says where the client is: at home, in a /64 of his own, or webmail on this host.
func (g forge) somewhere(a *attempt) {
	n := g.IntN(2)
	switch g.IntN(4) {
	case 0:
		a.mail.Client, a.ip = netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + n)}), fmt.Sprintf("ip:192.0.2.%d", 1+n)
	case 1:
		a.mail.Client, a.ip = netip.MustParseAddr("127.0.0.1"), "ip:127.0.0.1"
	default:
		a.mail.Client = netip.MustParseAddr(fmt.Sprintf("2001:db8:0:%d:%x:%x:%x:%x", 1+n, g.IntN(1<<16), g.IntN(1<<16), g.IntN(1<<16), g.IntN(1<<16)))
		a.ip = fmt.Sprintf("ip:2001:db8:0:%d::/64", 1+n)
	}
}

func (g forge) byLogin(a *attempt) {
	switch g.IntN(4) {
	case 0:
		g.loginAs(a, "bob@client-b.example", "", "")
	case 1:
		g.loginAs(a, "amy@client-a.example", "C-1001", "pro")
	default:
		g.loginAs(a, login, "C-1001", "mailbox")
	}
}

// byUnknownLogin is a mailbox that is in no list: an account of its own, without customer.
func (g forge) byUnknownLogin(a *attempt) {
	g.loginAs(a, fmt.Sprintf("user%d@client-a.example", g.IntN(2)), "", "")
}

// byShop is one account by its three ways in: its login, its script and its address.
func (g forge) byShop(a *attempt) {
	switch g.IntN(3) {
	case 0:
		g.loginAs(a, "shop@shop.example", "C-1003", "")
		return
	case 1:
		a.mail.Sender = g.one("www-data@web1.example", "WWW-data@Web1.example")
		g.onHost(a)
		a.kin = append(a.kin, "script:www-data@web1.example")
	case 2:
		a.mail.Sender = g.one("www-data@web1.example", "x@shop.example")
		a.mail.Client, a.ip = netip.MustParseAddr("198.51.100.7"), "ip:198.51.100.7"
	}
	a.account, a.customer = "account:shop@shop.example", "customer:C-1003"
	a.from("orders@shop.example")
}

// onHost is a program of the host, with another name of its script each time.
func (g forge) onHost(a *attempt) {
	a.mail.Local, a.host = true, "host:mx.example"
	if g.chance(30) { // SMTP from loopback, which also Sendmail shows of local mail
		a.mail.Local, a.mail.Client = false, netip.MustParseAddr("127.0.0.1")
		a.kin = append(a.kin, "ip:127.0.0.1") // has no window, but an operator may block it
	}
	if g.chance(50) {
		a.mail.Header = append(a.mail.Header, message.Field{Name: "X-PHP-Originating-Script", Value: fmt.Sprintf("33:mailer%d.php", g.IntN(1000))})
	}
}

// byScript is a hacked site, which writes whatever envelope sender it likes.
func (g forge) byScript(a *attempt) {
	sender := g.one("cron@web1.example", "Cron@WEB1.example", fmt.Sprintf("x%d@web1.example", g.IntN(1000)), login, "amy+1@client-a.example",
		"bob@client-b.example", fmt.Sprintf("user%d@client-a.example", g.IntN(2)), "")
	a.mail.Sender = sender
	g.onHost(a)
	a.script = "script:" + strings.ToLower(sender)
	a.kin = append(a.kin, kinOf(sender)...)
	if sender == "" {
		a.script, sender = "script:<>", "x@web1.example"
	}
	a.from(sender)
}

// byClient is a web server of a network that relays without a login.
func (g forge) byClient(a *attempt) {
	a.mail.Sender = g.one("bob@client-b.example", login, fmt.Sprintf("x%d@web1.example", g.IntN(1000)))
	n := 8 + g.IntN(2)
	a.mail.Client, a.ip = netip.AddrFrom4([4]byte{198, 51, 100, byte(n)}), fmt.Sprintf("ip:198.51.100.%d", n)
	a.kin = kinOf(a.mail.Sender)
	a.from(a.mail.Sender)
}

// kinOf are those whose mail an envelope sender makes it.
func kinOf(sender string) []string {
	local, domain, _ := strings.Cut(strings.ToLower(sender), "@")
	local, _, _ = strings.Cut(local, "+")
	switch domain {
	case "client-a.example":
		return []string{"account:" + local + "@" + domain, "customer:C-1001"}
	case "client-b.example":
		return []string{"account:" + local + "@" + domain, "account:bob@client-b.example"}
	}
	return nil
}

// spelled is a person's address as it may stand in RCPT TO, and where it leads.
func (g forge) spelled(who int) (string, reader) {
	local, domain := mailboxOf(who)
	if domain == "gmail.com" {
		local = g.one(local, local, strings.Replace(local, "d", "d.", 1))
		domain = g.one(domain, domain, "googlemail.com", "Gmail.COM")
	}
	to := reader{who, strings.ToLower(domain)}
	switch g.IntN(10) {
	case 0:
		local = strings.ToUpper(local)
	case 1:
		local += "+" + g.one("x", "y", "1", "", "+z")
	case 2:
		local = `"` + local + `"`
	case 3:
		local = `"` + local[:1] + `\` + local[1:] + `"`
	}
	switch g.IntN(10) {
	case 0:
		domain = strings.ToUpper(domain)
	case 1:
		domain += "."
	case 2:
		domain = strings.ReplaceAll(domain, ".", "\u3002")
	case 3:
		return "@relay.example:" + local + "@" + domain, to
	}
	return local + "@" + domain, to
}
