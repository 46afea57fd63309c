package rules

import (
	"net/netip"
	"slices"
	"strings"

	"o2n-milter/message"
)

// subjectsOf lists whatever of this message can be blocked and found again, who
// sent it first.
func (f *facts) subjectsOf() []string {
	s := make([]string, 0, len(wholeKinds)+len(f.byDomain())+1)
	for _, kind := range wholeKinds[:4] {
		for _, sc := range f.limitSubjects(kind) {
			s = append(s, sc.subject)
		}
	}
	if name := f.scriptName(); name != "" && f.who.script != "" {
		s = append(s, name)
	}
	if f.mail.Client.IsValid() {
		s = append(s, f.client())
	}
	for _, sc := range f.byDomain() {
		s = append(s, sc.subject)
	}
	return s
}

// blockableSubjects are those whose blocks hold for this message: its own, those
// of the submitter's kin, and an account's script.
func (f *facts) blockableSubjects(subjects []string) []string {
	list := append(slices.Clip(subjects), f.who.kin...)
	for _, script := range []string{f.scriptUser(), f.scriptName()} {
		if script != "" && !slices.Contains(list, script) {
			list = append(list, script)
		}
	}
	return list
}

// scriptUser is the script: subject of a local submission, an account's too:
// blocks know it, limits only where there is no account. Empty for the null sender,
// who is many.
func (f *facts) scriptUser() string {
	if !f.who.local || f.mail.Sender == "" {
		return ""
	}
	return scriptSubject(printable(f.mail.Sender, mostName))
}

// scriptName is scriptUser's with the script's own name: forgeable, so it narrows
// a block and never opens a window of its own. Empty when it has none.
func (f *facts) scriptName() string {
	if user := f.scriptUser(); user != "" && f.msg.Script != "" {
		return scriptSubject(strings.TrimPrefix(user, "script:") + "/" + f.msg.Script)
	}
	return ""
}

// subjectCount is a subject of the message and how many of its recipients it stands for.
type subjectCount struct {
	subject    string
	recipients int
	which      []int // of the recipients; nil: all
}

// limitSubjects are the subjects that a limit of this kind counts; none when the
// message has no such subject.
func (f *facts) limitSubjects(kind string) []subjectCount {
	switch acc := f.who.account; {
	case kind == "domain":
		return f.byDomain()
	case kind == "account+domain" && acc != nil:
		return f.byPair(acc.Login)
	}
	i := slices.Index(wholeKinds[:], kind)
	if i < 0 {
		return nil
	}
	if f.whole[i].subject == "" {
		f.whole[i] = subjectCount{subject: f.wholeSubject(kind), recipients: len(f.rcpts)}
	}
	if f.whole[i].subject == "" {
		return nil
	}
	return f.whole[i : i+1 : i+1]
}

// wholeKinds are the kinds of subject of which a message has one at most.
var wholeKinds = [...]string{"account", "customer", "script", "host", "ip"}

// wholeSubject is the message's subject of such a kind; empty when it has none.
func (f *facts) wholeSubject(kind string) string {
	acc := f.who.account
	switch {
	case kind == "account" && acc != nil:
		return "account:" + acc.Login
	case kind == "customer" && acc != nil && acc.Customer != "":
		return "customer:" + acc.Customer
	case kind == "script" && f.who.local && f.who.script != "":
		return scriptSubject(f.who.script)
	case kind == "host" && f.who.local:
		return "host:" + f.hostName()
	case kind == "ip" && f.mail.Client.IsValid() && !f.who.local:
		// A script would fill the window of whoever logs in from this host.
		return f.client()
	}
	return ""
}

// client is clientSubject of the mail's client, which is a valid one.
func (f *facts) client() string {
	if f.clientAs == "" {
		f.clientAs = clientSubject(f.mail.Client)
	}
	return f.clientAs
}

func (f *facts) hostName() string {
	if f.mail.Host == "" {
		return "localhost"
	}
	return strings.ToLower(f.mail.Host)
}

// byDomain counts the recipients of each destination domain, in order of
// appearance. Recipients without a domain stay on this host.
func (f *facts) byDomain() []subjectCount {
	if f.domains != nil {
		return f.domains
	}
	f.domains = f.sole.domain[:0]
	if len(f.rcpts) == 1 {
		if d := f.destination(0); d != "" {
			f.domains = append(f.domains, subjectCount{subject: "domain:" + d, recipients: 1})
		}
		return f.domains
	}
	at := map[string]int{}
	for i := range f.rcpts {
		d := f.destination(i)
		if d == "" {
			continue
		}
		n, seen := at[d]
		if !seen {
			n = len(f.domains)
			at[d] = n
			f.domains = append(f.domains, subjectCount{subject: "domain:" + d})
		}
		f.domains[n].recipients++
		f.domains[n].which = append(f.domains[n].which, i)
	}
	return f.domains
}

// destination is where a recipient's mail goes; empty when it stays on this host.
func (f *facts) destination(i int) string {
	if d := f.rcpts[i].Domain; d != "" {
		return d
	}
	// An address literal, a name with an underscore: mail goes there all the same.
	return message.Destination(f.mail.Recipients[i].Address)
}

// byPair is byDomain for one account.
func (f *facts) byPair(account string) []subjectCount {
	list := slices.Clone(f.byDomain())
	for i := range list {
		list[i].subject = pairSubject(account, list[i].subject)
	}
	return list
}

// members are the distinct mailboxes of the recipients that a subject stands for,
// in the spelling that recipients.duplicate compares.
func (f *facts) members(s subjectCount) []string {
	if s.which != nil {
		return f.mailboxes(s.which)
	}
	if f.everyone == nil {
		all := make([]int, len(f.rcpts))
		for i := range all {
			all[i] = i
		}
		f.everyone = f.mailboxes(all)
	}
	return f.everyone
}

func (f *facts) mailboxes(which []int) []string {
	if len(which) == 1 {
		return []string{f.rcpts[which[0]].Mailbox()}
	}
	list := make([]string, 0, len(which))
	seen := make(map[string]bool, len(which))
	for _, i := range which {
		if m := f.rcpts[i].Mailbox(); !seen[m] {
			seen[m] = true
			list = append(list, m)
		}
	}
	return list
}

// pairSubject is an account at a destination, which is "domain:" and its name.
func pairSubject(account, destination string) string {
	return "account:" + account + "+" + destination
}

// scriptSubject folds the envelope sender and the script's name alike.
func scriptSubject(name string) string { return "script:" + strings.ToLower(name) }

// clientSubject is the client for counting: a customer has a whole IPv6 /64.
func clientSubject(ip netip.Addr) string {
	if ip.Is4() {
		var room [len("ip:255.255.255.255")]byte
		return string(ip.AppendTo(append(room[:0], "ip:"...)))
	}
	p, err := ip.WithZone("").Prefix(64)
	if err != nil {
		return "ip:" + ip.String()
	}
	return "ip:" + p.String()
}

// isLocalReport recognises a delivery report that a local program sends to local
// users: null sender, no login, every recipient on this host. Sendmail's queue
// runner sends them through us, and loses the mail when they are refused.
func (f *facts) isLocalReport() bool {
	if !f.who.local || f.mail.Sender != "" {
		return false
	}
	for i, r := range f.mail.Recipients {
		d := f.rcpts[i].Domain
		here := r.Local || message.Destination(r.Address) == "" || d != "" && (d == f.hostName() || slices.Contains(f.set.Hosts, d))
		if !here {
			return false
		}
	}
	return len(f.rcpts) > 0
}
