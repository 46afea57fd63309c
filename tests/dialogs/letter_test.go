package dialogs

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"o2n-milter/rules"
)

// letter is a message as the filter should see it, or has seen it.
type letter struct {
	client     netip.Addr
	local      bool   // the MTA shows a program of its own host
	host       string // the MTA's own name
	login      string
	sender     string
	recipients []string // with " local" behind those that stay on the host
	fields     []string
	body       string
	queueID    string
	canHold    bool
	faulty     bool // what came cannot be read as one message: it must not pass
}

// String is all of it on one line. Of what is faulty nothing else counts.
func (l *letter) String() string {
	if l.faulty {
		return "faulty"
	}
	return fmt.Sprintf("client %v local %v host %q login %q sender %q to %q fields %q body %q id %q hold %v",
		l.client, l.local, l.host, l.login, l.sender, l.recipients, l.fields, l.body, l.queueID, l.canHold)
}

// seen is a message as the engine was given it.
func seen(m *rules.Mail) *letter {
	l := &letter{
		client: m.Client, local: m.Local, host: m.Host, login: m.Login, sender: m.Sender, body: string(m.Body),
		queueID: m.QueueID, canHold: m.CanHold, faulty: len(m.Faults) > 0,
	}
	for _, r := range m.Recipients {
		l.recipients = append(l.recipients, told{"rcpt_mailer": map[bool]string{true: "local"}[r.Local]}.mark(r.Address))
	}
	for _, f := range m.Header {
		l.fields = append(l.fields, f.Name+": "+f.Value)
	}
	return l
}

// ours are the domains of accounts.
var ours = map[string]string{alice: "client-a.example", bob: "client-b.example"}

// account is whose login it is; empty when nobody's.
func (l *letter) account() string {
	for who := range ours {
		if strings.EqualFold(l.login, who) {
			return who
		}
	}
	return ""
}

func (l *letter) isLocal() bool { return l.login == "" && (l.local || l.client.IsLoopback()) }

// inbound is mail from elsewhere, which is nobody's of ours.
func (l *letter) inbound() bool { return !l.faulty && l.login == "" && !l.isLocal() }

// own are the domains the sender may write as.
func (l *letter) own() []string {
	switch {
	case l.login != "":
		return []string{ours[l.account()]}
	case l.sender == "":
		list := []string{host, l.host}
		if from := l.values("From"); len(from) == 1 && slices.Contains(hosted, domainOf(from[0])) {
			list = append(list, domainOf(from[0]))
		}
		return list
	case slices.Contains(hosted, domainOf(l.sender)) || domainOf(l.sender) == host:
		return []string{domainOf(l.sender)}
	}
	return nil
}

var hosted = []string{ours[alice], ours[bob]}

func domainOf(address string) string {
	_, domain, _ := strings.Cut(address, "@")
	return domain
}

// values are those of all fields of a name.
func (l *letter) values(name string) (list []string) {
	for _, f := range l.fields {
		if value, ok := strings.CutPrefix(f, name+": "); ok {
			list = append(list, value)
		}
	}
	return list
}

// plain says whether the model knows what is to become of the letter: all of it is of the
// words that dialogs are made of.
func (l *letter) plain() bool {
	if l.faulty {
		return true
	}
	for _, f := range l.fields {
		name, value, _ := strings.Cut(f, ": ")
		if !slices.Contains(fields, cs(name, value)) {
			return false
		}
	}
	for _, r := range l.recipients {
		if !slices.Contains(recipients, strings.TrimSuffix(r, " local")) {
			return false
		}
	}
	return slices.Contains(senders, l.sender) && (l.host == "" || l.host == host)
}

// verdict is what the configuration of the test makes of a plain letter.
func (l *letter) verdict() rules.Action {
	if l.inbound() {
		return rules.Accept
	}
	own := l.own()
	foreign := func(address string) bool { return !slices.Contains(own, domainOf(address)) }
	from, action := l.values("From"), rules.Accept
	switch {
	case l.faulty, l.login != "" && l.account() == "", len(from) != 1, foreign(from[0]):
		return rules.Reject
	case l.sender != "" && foreign(l.sender):
		action = rules.Tempfail
	case slices.ContainsFunc(l.values("Sender"), foreign):
		action = rules.Quarantine
	case len(l.values("Reply-To")) > 0 && !l.toThemselves(foreign):
		action = rules.Tag
	}
	switch {
	case action == rules.Tempfail && l.isLocal() && l.canHold:
		return rules.Quarantine
	case action == rules.Quarantine && !l.canHold:
		return rules.Tempfail
	}
	return action
}

// toThemselves: an answer to such a letter harms nobody else.
func (l *letter) toThemselves(foreign func(string) bool) bool {
	return len(l.recipients) > 0 && !slices.ContainsFunc(l.recipients, func(r string) bool { return foreign(strings.TrimSuffix(r, " local")) })
}
