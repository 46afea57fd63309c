package simulation

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"o2n-milter/accounts"
	"o2n-milter/message"
	"o2n-milter/rules"
)

const host = "web1.example"

// person is who sends.
type person struct {
	login    string // empty: a program of the host
	customer string
	sender   string
	client   string
}

var people = []person{
	{login: "alice@client-a.example", customer: "C-1", sender: "alice@client-a.example", client: "192.0.2.11"},
	{login: "bob@client-a.example", customer: "C-1", sender: "bob@client-a.example", client: "192.0.2.11"},
	{login: "carol@client-b.example", customer: "C-2", sender: "carol@client-b.example", client: "192.0.2.12"},
	{login: "dave@client-d.example", sender: "dave@client-d.example", client: "192.0.2.12"},
	{customer: "C-2", sender: "shop@web1.example"}, // that is the account "shop"
	{sender: "cron@web1.example"},
	{sender: "backup@web1.example"},
}

const shop = 4 // its place among people

// account is the login of whose mail it is; empty for a program of nobody's.
func (p *person) account() string {
	if p == &people[shop] {
		return "shop"
	}
	return p.login
}

func (p *person) isLocal() bool { return p.login == "" }

// chain is whom strikes count against, the smallest first.
func (p *person) chain() (list []string) {
	if p.isLocal() {
		list = append(list, "script:"+p.sender)
	}
	if p.account() != "" {
		list = append(list, "account:"+p.account())
	}
	return list
}

// subjects are those of the person's mail, but for where it goes.
func (p *person) subjects() []string {
	list := p.chain()
	if p.customer != "" {
		list = append(list, "customer:"+p.customer)
	}
	if p.client != "" {
		list = append(list, "ip:"+p.client)
	}
	if p.isLocal() {
		list = append(list, "host:"+host)
	}
	return list
}

// of is the person's subject that a limit counts; empty: there is none.
func (p *person) of(kind string) string {
	if kind == "script" && p.account() != "" {
		return ""
	}
	i := slices.IndexFunc(p.subjects(), func(s string) bool { return strings.HasPrefix(s, kind+":") })
	if i < 0 {
		return ""
	}
	return p.subjects()[i]
}

// campaignOf is whose campaigns the person's letters are.
func (p *person) campaignOf() string {
	for _, kind := range []string{"customer", "account", "script"} {
		if s := p.of(kind); s != "" {
			return s
		}
	}
	return ""
}

func source() *accounts.Table {
	list := []*accounts.Account{{Login: "shop", Customer: "C-2", Domains: []string{"shop.example"}, Scripts: []string{people[shop].sender}}}
	for _, p := range people {
		if _, domain, _ := strings.Cut(p.login, "@"); domain != "" {
			list = append(list, &accounts.Account{Login: p.login, Customer: p.customer, Domains: []string{domain}})
		}
	}
	table, clashes := accounts.NewTable(list)
	if len(clashes) > 0 {
		panic(clashes) // of our own table
	}
	return table
}

// reachable may be written to by whom is blocked.
const reachable = "abuse@help.example"

// Bounds of the rules, small ones so that they are met.
const (
	mostEnvelope = 10
	similar      = 6
	mostCampaign = 12
	bulkWindow   = 2 * time.Hour
	within       = time.Hour // strikes count
	remember     = 24 * time.Hour
)

// limitsOf are the limits of one configuration. Their windows are the same in all.
func limitsOf(variant int) []rules.Limit {
	v := int64(variant)
	list := []rules.Limit{
		{Name: "minute", Subject: "account", Unit: rules.Messages, Max: 4 + v, Window: time.Minute},
		{Name: "hour", Subject: "account", Unit: rules.Recipients, Max: 40 - 8*v, Window: time.Hour},
		{Name: "day", Subject: "customer", Unit: rules.Messages, Max: 90 + 20*v, Window: 24 * time.Hour},
		{Name: "host", Subject: "host", Unit: rules.Messages, Max: 12 - v, Window: 10 * time.Minute},
		{Name: "script", Subject: "script", Unit: rules.Messages, Max: 3 + v, Window: time.Minute},
		{Name: "dest", Subject: "domain", Unit: rules.Recipients, Max: 30 - 3*v, Window: 10 * time.Minute},
		{Name: "client", Subject: "ip", Unit: rules.Messages, Max: 14 + v, Window: 10 * time.Minute},
		{Name: "fresh", Subject: "account", Unit: rules.NewRecipients, Max: 15 + v, Window: time.Hour},
		{Name: "octets", Subject: "account", Unit: rules.Bytes, Max: 40_000 + 5000*v, Window: 10 * time.Minute},
	}
	for i := range list {
		list[i].Action = rules.Tempfail
	}
	switch variant {
	case 1:
		list[2].Action = rules.Shadow
	case 2:
		list[5].Action = rules.Reject
		list[3].Action = rules.Quarantine
	}
	return list
}

const variants = 3

// settings are the rules of one configuration.
func (s setup) settings(variant int) rules.Settings {
	set := rules.Settings{
		Actions: map[string]rules.Action{}, Hosts: []string{host}, Language: "en", SelfUnblock: s.selfUnblock,
		MaxVisible: 10, MaxEnvelope: mostEnvelope, MaxDuplicates: 1, Limits: limitsOf(variant),
		Bulk: rules.Bulk{Similar: similar, Window: bulkWindow, MaxCampaign: mostCampaign, UnsubscribePhrases: []string{"unsubscribe"}, ReasonPhrases: []string{"you get this"}},
		Blocking: rules.Blocking{
			Automatic: rules.Reject, Strikes: s.strikes, Within: within, Durations: []time.Duration{time.Hour, 4 * time.Hour, 0}, Remember: remember,
			MaxPerHour: 50, MaxShare: 20, CustomerAfter: s.customerAfter, IPAfter: 2, Reachable: []string{reachable},
		},
	}
	if s.shadow {
		set.Blocking.Automatic = rules.Shadow
	}
	for _, id := range rules.IDs() {
		set.Actions[id] = rules.Reject
		if id != "bulk.unsubscribe" && id != "bulk.volume" && strings.HasPrefix(id, "bulk.") || strings.HasPrefix(id, "content.") {
			set.Actions[id] = rules.Off
		}
	}
	set.Actions["store.unavailable"], set.Actions["accounts.unavailable"], set.Actions["hold.full"] = rules.Tempfail, rules.Tempfail, rules.Tempfail
	if s.accept {
		set.Actions["store.unavailable"] = rules.Accept
	}
	return set
}

// letter is a message as the model knows it.
type letter struct {
	*rules.Mail
	who    *person
	forged bool
	many   bool // more recipients than a message may have
	text   int  // which letter it is; under 0: one of its own
	to     []string
}

// texts are letters that go to many. The odd ones say how to get no more of them.
const texts = 4

// compose makes the letter that an event tells of.
func (s setup) compose(e event, id int) *letter {
	r := rand.New(rand.NewPCG(uint64(e.c), uint64(e.b)))
	l := &letter{who: &people[e.a%len(people)], text: -1}
	n, what, most := 1, e.b%20, texts
	if s.campaigns && what > 8 && what < 17 {
		what = 8
	}
	if s.campaigns {
		most = 2
	}
	switch what {
	case 0, 1, 2:
		l.forged = true
	case 3:
		l.many = true
		n = mostEnvelope + 1
	case 4, 5, 6, 7, 8:
		l.text = r.IntN(most)
		n = 1 + r.IntN(2)
	case 9:
		l.to = []string{reachable}
	default:
		n = 1 + r.IntN(4)
	}
	for len(l.to) < n {
		to := fmt.Sprintf("r%d@dest%d.example", r.IntN(30), r.IntN(3))
		if !slices.Contains(l.to, to) {
			l.to = append(l.to, to)
		}
	}
	l.Mail = l.mail(r, id)
	return l
}

func (l *letter) mail(r *rand.Rand, id int) *rules.Mail {
	from := l.who.sender
	if l.forged {
		from = "boss@bank.example"
	}
	m := &rules.Mail{
		Host: host, Login: l.who.login, Local: l.who.isLocal(), Sender: l.who.sender, QueueID: fmt.Sprintf("%010X", id+1),
		Size: int64(1000 + r.IntN(9000)), CanHold: true, Body: []byte(l.words(r)),
		Header: []message.Field{
			{Name: "From", Value: from}, {Name: "To", Value: l.to[0]}, {Name: "Subject", Value: "news"},
			{Name: "Message-ID", Value: fmt.Sprintf("<%d@%s>", id, host)},
		},
	}
	if l.who.client != "" {
		m.Client = netip.MustParseAddr(l.who.client)
	}
	for _, to := range l.to {
		m.Recipients = append(m.Recipients, rules.Recipient{Address: to})
	}
	return m
}

// words are the body: the same for one text, and like no other.
func (l *letter) words(r *rand.Rand) string {
	if l.text >= 0 {
		r = rand.New(rand.NewPCG(uint64(l.text), 7))
	}
	var b strings.Builder
	for range 50 {
		for range 2 + r.IntN(2) {
			b.WriteByte("bdfgklmnprst"[r.IntN(12)])
			b.WriteByte("aeiou"[r.IntN(5)])
		}
		b.WriteByte(' ')
	}
	if l.text >= 0 && l.text%2 == 1 {
		b.WriteString("\r\nTo unsubscribe: https://list.example/out\r\n")
	}
	return b.String()
}

// mostTo is to how many its text may go.
func (l *letter) mostTo() int {
	if l.text >= 0 && l.text%2 == 1 {
		return mostCampaign
	}
	return similar - 1
}
