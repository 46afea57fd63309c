package rules

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/accounts"
	"o2n-milter/message"
	"o2n-milter/state"
	"o2n-milter/state/memory"
)

// The account that most tests send as, and one of another customer.
var testAccounts = []*accounts.Account{
	{
		Login: "alice@client-a.example", Customer: "C-1001", Plan: "mailbox",
		Addresses: []string{"alice@client-a.example", "alice@freemail.example"},
		Domains:   []string{"client-a.example"},
		ReplyTo:   []string{"desk@helpdesk.example", "answers.example"},
	},
	{Login: "bob@client-b.example", Customer: "C-1002", Domains: []string{"client-b.example"}},
	{Login: "shop", Customer: "C-1003", Domains: []string{"shop.example"}, Scripts: []string{"www-data@web1.example"},
		IPs: []netip.Prefix{netip.MustParsePrefix("198.51.100.7/32")}},
}

var start = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

// defaults are the actions of the shipped configuration, but for bulk, which has a
// bench of its own.
func defaults() Settings {
	return Settings{
		Actions: map[string]Action{
			"bulk.unsubscribe": Off, "bulk.one_click": Off, "bulk.reason": Off, "bulk.volume": Off, "bulk.pace": Off,
			"message.malformed": Reject, "message.too_complex": Tempfail, "accounts.unavailable": Tempfail, "store.unavailable": Tempfail,
			"identity.header_from": Reject, "identity.sender": Reject, "identity.reply_to": Reject,
			"identity.envelope_from": Reject, "identity.display_name": Shadow, "identity.malformed": Reject,
			"recipients.visible": Reject, "recipients.envelope": Reject, "recipients.duplicate": Reject,
			"block.active": Reject, "hold.full": Tempfail, "content.score": Reject, "content.unavailable": Shadow,
		},
		MaxVisible: 10, MaxEnvelope: 10, MaxDuplicates: 1, Language: "en",
		HelpURL:  "https://help.example/sending-rules",
		Hosts:    []string{"web1.example"},
		Networks: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")},
	}
}

// bench is an Engine with a clock and a store that a test can reach.
type bench struct {
	*Engine
	at    time.Time
	store state.Store
}

// turn sets a rule to another action.
func (b *bench) turn(id string, action Action) {
	b.set.Actions[id] = action
	b.lookUp()
}

func newBench(t testing.TB, change func(*Settings)) *bench {
	t.Helper()
	set := defaults()
	if change != nil {
		change(&set)
	}
	table, clashes := accounts.NewTable(testAccounts)
	if len(clashes) > 0 {
		t.Fatal(clashes)
	}
	b := &bench{at: start, store: memory.New()}
	b.Engine = New(set, table, b.store, func() time.Time { return b.at })
	return b
}

// mail is an honest message of alice's; header lines are added to it, and one of
// the same name replaces its own.
func mail(lines ...string) *Mail {
	m := &Mail{
		Client: netip.MustParseAddr("192.0.2.7"), Host: "mx.example", Login: "alice@client-a.example",
		Sender: "alice@client-a.example", Recipients: rcpts("bob@remote.example"), QueueID: "Q1", Size: 1000, CanHold: true,
	}
	m.Header = fields(append([]string{"From: Alice <alice@client-a.example>", "To: bob@remote.example", "Subject: hello"}, lines...)...)
	return m
}

// with is mail with these header fields only.
func with(lines ...string) *Mail {
	m := mail()
	m.Header = fields(lines...)
	return m
}

func fields(lines ...string) []message.Field {
	var list []message.Field
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ":")
		list = append(list, message.Field{Name: name, Value: strings.TrimPrefix(value, " ")})
	}
	return list
}

func rcpts(addresses ...string) []Recipient {
	var list []Recipient
	for _, a := range addresses {
		list = append(list, Recipient{Address: a})
	}
	return list
}

// many makes n addresses a1@d, a2@d ...
func many(n int, domain string) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = "a" + string(rune('a'+i/26)) + string(rune('a'+i%26)) + "@" + domain
	}
	return list
}

// found is the evidence as "rule: got", shadow marked.
func found(v Verdict) []string {
	var list []string
	for _, ev := range v.Evidence {
		s := ev.Rule + ": " + ev.Got
		if ev.Shadow {
			s += " (shadow)"
		}
		list = append(list, s)
	}
	return list
}

func (b *bench) decide(t *testing.T, m *Mail) Verdict {
	t.Helper()
	v := b.Decide(context.Background(), m)
	if v.Err != nil {
		t.Fatalf("inner error: %v", v.Err)
	}
	return v
}

func check(t *testing.T, v Verdict, action Action, rule string, evidence ...string) {
	t.Helper()
	if v.Action != action || v.Rule != rule {
		t.Errorf("got %s by %s, want %s by %s; evidence %q", v.Action, v.Rule, action, rule, found(v))
	}
	if diff := cmp.Diff(evidence, found(v)); evidence != nil && diff != "" {
		t.Errorf("evidence (-want +got):\n%s", diff)
	}
}
