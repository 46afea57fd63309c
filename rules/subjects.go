package rules

import (
	"net/netip"
	"strings"

	"o2n-milter/message"
)

// mostDomainSubjects bounds how many destinations of one message are looked up
// as blocked subjects and indexed for its history. Limits count them all.
const mostDomainSubjects = 100

// subjectsOf lists whatever of this message can be blocked and found again.
func (f *facts) subjectsOf() []string {
	var s []string
	for _, kind := range []string{"account", "customer", "script", "host", "ip", "domain"} {
		for _, sc := range f.limitSubjects(kind) {
			if kind == "domain" && len(s) >= mostDomainSubjects {
				break
			}
			s = append(s, sc.subject)
		}
		if kind == "script" && f.msg.Script != "" && f.who.script != "" {
			// Forgeable, so it narrows a block and never opens a window of its own.
			s = append(s, "script:"+f.who.script+"/"+f.msg.Script)
		}
	}
	return s
}

// subjectCount is a subject of the message and how many of its recipients it stands for.
type subjectCount struct {
	subject    string
	recipients int
}

// limitSubjects are the subjects that a limit of this kind counts; none when the
// message has no such subject.
func (f *facts) limitSubjects(kind string) []subjectCount {
	all := func(subject string) []subjectCount {
		return []subjectCount{{subject, len(f.mail.Recipients)}}
	}
	acc := f.who.account
	switch {
	case kind == "account" && acc != nil:
		return all("account:" + acc.Login)
	case kind == "customer" && acc != nil && acc.Customer != "":
		return all("customer:" + acc.Customer)
	case kind == "script" && f.who.local && acc == nil:
		return all("script:" + f.scriptName())
	case kind == "host" && f.who.local:
		return all("host:" + f.hostName())
	case kind == "ip" && f.mail.Client.IsValid():
		return all("ip:" + clientSubject(f.mail.Client))
	case kind == "domain":
		return f.byDomain("")
	case kind == "account+domain" && acc != nil:
		return f.byDomain("account:" + acc.Login + "+")
	}
	return nil
}

func (f *facts) scriptName() string {
	if f.who.script == "" {
		return "<>"
	}
	return f.who.script
}

func (f *facts) hostName() string {
	if f.mail.Host == "" {
		return "localhost"
	}
	return strings.ToLower(f.mail.Host)
}

// byDomain counts the recipients of each destination domain, in order of
// appearance. Recipients without a domain stay on this host.
func (f *facts) byDomain(prefix string) []subjectCount {
	var list []subjectCount
	at := map[string]int{}
	for _, r := range f.mail.Recipients {
		d := message.ParseAddress(r.Address).Domain
		if d == "" {
			continue
		}
		i, seen := at[d]
		if !seen {
			i = len(list)
			at[d] = i
			list = append(list, subjectCount{subject: prefix + "domain:" + d})
		}
		list[i].recipients++
	}
	return list
}

// clientSubject is the client for counting: a customer has a whole IPv6 /64.
func clientSubject(ip netip.Addr) string {
	if ip.Is4() {
		return ip.String()
	}
	p, err := ip.WithZone("").Prefix(64)
	if err != nil {
		return ip.String()
	}
	return p.String()
}

// isLocalReport recognises a delivery report that a local program sends to local
// users: null sender, no login, every recipient on this host. Sendmail's queue
// runner sends them through us, and loses the mail when they are refused.
func (f *facts) isLocalReport() bool {
	if !f.who.local || f.mail.Sender != "" {
		return false
	}
	for _, r := range f.mail.Recipients {
		if !f.isLocalRecipient(r) {
			return false
		}
	}
	return len(f.mail.Recipients) > 0
}

func (f *facts) isLocalRecipient(r Recipient) bool {
	if r.Local {
		return true
	}
	d := message.ParseAddress(r.Address).Domain
	if d == "" || strings.EqualFold(d, f.mail.Host) {
		return true
	}
	for _, h := range f.set.Hosts {
		if d == h {
			return true
		}
	}
	return false
}
