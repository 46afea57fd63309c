package rules

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"o2n-milter/accounts"
	"o2n-milter/message"
	"o2n-milter/state"
)

// aBulkDay is aDay with somebody named twice, a form that is open to forgers beside
// another one, a letter to 25 people that says no way to unsubscribe, one that does, and
// one that is bulk by its own word.
func aBulkDay() []*Mail {
	twice := mail()
	twice.Recipients = rcpts("twin@remote.example", "twin@remote.example")
	list := append([]*Mail{with("From: alice@client-a.example", "To: twin@remote.example, twin@remote.example"), twice}, aDay()...)
	for range 5 {
		list = append(list, local("www-data@web1.example", "From: boss@bank.example", "X-PHP-Originating-Script: 33:form.php"))
	}
	list = append(list, local("www-data@web1.example", "From: info@shop.example", "X-PHP-Originating-Script: 33:order.php"))
	for n := range 25 {
		list = append(list, plainOffer(n), letterTo(100+n, soundText(), "Subject: Printemps"), letterTo(n, offer, "Precedence: bulk", "Subject: Soldes"))
	}
	for n, m := range list {
		m.Header = append(m.Header, fields(fmt.Sprintf("Message-ID: <day.%d@client-a.example>", n))...)
	}
	return list
}

// soundText is another letter than offer.
func soundText() string {
	return "Bonjour,\r\n\r\nle printemps est la : quatre cents rosiers vous attendent dans nos serres, cultives sans tourbe,\r\n" +
		"et nos jardiniers montrent samedi comment les tailler, les nourrir et les abriter du vent.\r\n" + wayOut
}

// TestAgainAfterShadow: a day on which everything was in shadow, judged anew, is the day
// that it would have been.
func TestAgainAfterShadow(t *testing.T) {
	for name, change := range map[string]func(*Settings){
		"limits first": func(s *Settings) { s.Blocking.Strikes = 9 },
		"bulk first":   func(s *Settings) { s.Limits = s.Limits[3:] },
		"few in all":   func(s *Settings) { s.Limits, s.Bulk.MaxCampaign = s.Limits[3:], 12 },
		"paced": func(s *Settings) {
			s.Limits, s.Bulk.PaceMax, s.Bulk.PaceWindow = s.Limits[3:], 3, time.Hour
			bulkSet(map[string]Action{"pace": Tempfail, "unsubscribe": Shadow, "reason": Reject})(s)
		},
		"fewer seen": func(s *Settings) { s.MaxVisible, s.MaxDuplicates, s.Bulk.Similar = 2, 0, 5 },
	} {
		enforced := func(s *Settings) {
			aDaySet(s)
			bulkActions(s)
			change(s)
		}
		_, want := life(t, enforced, aBulkDay())
		for _, hashed := range []bool{false, true} {
			decisions, then := life(t, func(s *Settings) {
				aDaySet(s)
				bulkActions(s)
				s.AllShadow, s.HideAddresses = true, hashed
			}, aBulkDay())
			if i := slices.IndexFunc(then, func(o string) bool { return o != "accept none" }); i >= 0 {
				t.Fatalf("%s: in shadow: %s", name, then[i])
			}
			got, unknown := again(t, enforced, decisions)
			if diff := gocmp.Diff(want, got); diff != "" || len(unknown) > 0 {
				t.Errorf("%s, hashed %v: enforced (-) and again (+):\n%s%q", name, hashed, diff, unknown)
			}
		}
	}
}

// TestAgainOfUnknownAccount: mail whose account could not be looked up then is its
// login's now.
func TestAgainOfUnknownAccount(t *testing.T) {
	d := state.Decision{ID: "X", At: start, From: "alice@client-a.example", Rcpts: 11, To: many(11, "remote.example"), Client: "192.0.2.7",
		Detail: []byte(`{"login":"alice@client-a.example","evidence":[{"rule":"accounts.unavailable","fact":"message"}]}`)}
	got, unknown := again(t, nil, []state.Decision{d})
	if got[0] != "reject recipients.envelope" || !slices.Equal(unknown, []string{UnknownUnjudged}) {
		t.Errorf("got %q %q", got, unknown)
	}
}

// TestAgainWithOtherAccounts: what is an account's now is its own, and what was is not.
func TestAgainWithOtherAccounts(t *testing.T) {
	base := accounts.Account{Login: "alice@client-a.example", Domains: []string{"client-a.example"}}
	other := func(change func(*accounts.Account)) *accounts.Account {
		acc := base
		change(&acc)
		return &acc
	}
	shop := other(func(a *accounts.Account) { a.Domains = []string{"client-a.example", "shop.example"} })
	given := other(func(a *accounts.Account) { a.Addresses = []string{"me@shop.example"} })
	sender := func(m *Mail, address string) *Mail { m.Sender = address; return m }
	cron := func() *Mail { return local("me@shop.example", "From: me@shop.example") }
	for name, c := range map[string]struct {
		mail          *Mail
		then, now     *accounts.Account
		hashed        bool
		before, after string
	}{
		"author":                {mail: with("From: me@shop.example"), now: given, before: "reject identity.header_from", after: "accept none"},
		"author of a domain":    {mail: with("From: me@shop.example"), now: shop, hashed: true, before: "reject identity.header_from", after: "accept none"},
		"author, hashed":        {mail: with("From: me@shop.example"), now: given, hashed: true, before: "reject identity.header_from", after: "reject identity.header_from"},
		"one of two authors":    {mail: with("From: me@shop.example, you@bank.example"), now: given, before: "reject identity.header_from", after: "reject identity.header_from"},
		"author no more":        {mail: with("From: me@shop.example"), then: given, before: "accept none", after: "reject identity.header_from"},
		"author no more, blind": {mail: with("From: me@shop.example"), then: given, hashed: true, before: "accept none", after: "accept none"},
		"sender":                {mail: mail("Sender: me@shop.example"), now: given, before: "reject identity.sender", after: "accept none"},
		"sender no more":        {mail: mail("Sender: me@shop.example"), then: given, before: "accept none", after: "reject identity.sender"},
		"envelope":              {mail: sender(mail(), "me@shop.example"), now: given, before: "reject identity.envelope_from", after: "accept none"},
		"answers":               {mail: mail("Reply-To: me@shop.example"), now: other(func(a *accounts.Account) { a.ReplyTo = []string{"shop.example"} }), before: "reject identity.reply_to", after: "accept none"},
		"answers no more":       {mail: mail("Reply-To: me@shop.example"), then: shop, before: "accept none", after: "reject identity.reply_to"},
		"name":                  {mail: with(`From: "me@shop.example" <alice@client-a.example>`), now: given, before: "reject identity.display_name", after: "accept none"},
		"what cannot be read":   {mail: with("From: a@b@c, me@shop.example"), now: given, before: "reject identity.malformed", after: "reject identity.malformed"},
		"script":                {mail: cron(), now: other(func(a *accounts.Account) { a.Scripts = []string{"me@shop.example"} }), before: "reject identity.header_from", after: "accept none"},
		"script no more":        {mail: cron(), then: other(func(a *accounts.Account) { a.Scripts = []string{"me@shop.example"} }), before: "accept none", after: "reject identity.header_from"},
	} {
		t.Run(name, func(t *testing.T) {
			set := func(s *Settings) { s.Actions["identity.display_name"], s.HideAddresses = Reject, c.hashed }
			benchOf := func(acc *accounts.Account) *bench {
				if acc == nil {
					acc = &base
				}
				table, clashes := accounts.NewTable([]*accounts.Account{acc})
				if len(clashes) > 0 {
					t.Fatal(clashes)
				}
				b := newBench(t, set)
				b.accounts = table
				return b
			}
			b := benchOf(c.then)
			v := b.decide(t, c.mail)
			d, err := b.store.Decision(t.Context(), v.ID)
			if err != nil {
				t.Fatal(err)
			}
			got, _ := benchOf(c.now).again(t, []state.Decision{d})
			if before := v.Action.String() + " " + v.Rule; before != c.before || got[0] != c.after {
				t.Errorf("got %s, then %s; want %s, then %s", before, got[0], c.before, c.after)
			}
		})
	}
}

// TestAgainOfRandomDays: whatever comes, and whatever rules are to come, decisions that
// were made in shadow, or by these very rules, tell what becomes of it.
func TestAgainOfRandomDays(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 0))
		day := aRandomDay(r)
		enforced := randomSettings(r)
		_, want := life(t, enforced, day)
		shadow := func(s *Settings) {
			aDaySet(s)
			bulkActions(s)
			s.AllShadow = true
		}
		for name, rules := range map[string]func(*Settings){"in shadow": shadow, "by the same rules": enforced} {
			decisions, _ := life(t, func(s *Settings) {
				rules(s)
				s.HideAddresses = seed%2 == 1
			}, day)
			got, unknown := again(t, enforced, decisions)
			if diff := gocmp.Diff(want, got); diff != "" || len(unknown) > 0 {
				t.Errorf("seed %d, decided %s: enforced (-) and again (+):\n%s%q", seed, name, diff, unknown)
			}
		}
	}
}

// aRandomDay is mail of several senders, good and bad.
func aRandomDay(r *rand.Rand) []*Mail {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	var day []*Mail
	for n := range 80 {
		reader := fmt.Sprintf("r%d@%s", r.IntN(30), pick("remote.example", "elsewhere.example", "client-a.example"))
		m := letterTo(n, pick(offer, soundText(), offer+wayOut, "hello"), fmt.Sprintf("Message-ID: <%d@day.example>", n))
		m.Recipients = rcpts(reader)
		from, to := "alice@client-a.example", reader
		switch r.IntN(10) {
		case 0:
			m.Login, m.Sender = "", pick("www-data@web1.example", "info@shop.example", "cron@web1.example", "")
			m.Local, m.Client = true, netip.MustParseAddr("127.0.0.1")
			from = cmp.Or(m.Sender, "info@shop.example")
			m.Header = append(m.Header, fields("X-PHP-Originating-Script: 33:"+pick("a.php", "b.php"))...)
		case 1:
			m.Login, m.Client, m.Sender = "", netip.MustParseAddr(pick("198.51.100.7", "198.51.100.9")), pick("info@shop.example", "web@client-b.example")
			from = m.Sender
		case 2:
			m.Login, m.Sender = "bob@client-b.example", pick("bob@client-b.example", "bob@bank.example")
			from = "bob@client-b.example"
		}
		switch r.IntN(12) {
		case 0:
			from = pick("boss@bank.example", `"boss@bank.example" <`+from+">", "a@bank.example, "+from)
		case 1:
			to = strings.Join(many(r.IntN(14), "remote.example"), ", ")
		case 2:
			m.Recipients = rcpts(many(1+r.IntN(14), "remote.example")...)
		case 3:
			m.Header = append(m.Header, fields(pick("Reply-To: boss@bank.example", "Sender: boss@bank.example", "Precedence: bulk", "List-Unsubscribe: <https://client-a.example/u>"))...)
		case 4:
			to = reader + ", " + reader
		}
		m.Header = slices.DeleteFunc(m.Header, func(f message.Field) bool { return f.Name == "From" || f.Name == "To" })
		m.Header = append(m.Header, fields("From: "+from, "To: "+to)...)
		day = append(day, m)
	}
	return day
}

// randomSettings are those of aDaySet with other actions, bounds and limits.
func randomSettings(r *rand.Rand) func(*Settings) {
	actions := []Action{Off, Shadow, Tag, Quarantine, Tempfail, Reject, Reject, Reject}
	chosen := map[string]Action{}
	for _, id := range IDs() {
		if id != "hold.full" && id != "internal.panic" && id != overload && id != "accounts.unknown" && id != "limit.NAME" {
			chosen[id] = actions[r.IntN(len(actions))]
		}
	}
	subjects := []string{"account", "customer", "script", "host", "ip", "domain", "account+domain"}
	var limits []Limit
	for i := range 3 {
		limits = append(limits, Limit{
			Name: fmt.Sprintf("l%d", i), Subject: subjects[r.IntN(len(subjects))], Unit: []Unit{Messages, Recipients, NewRecipients, Bytes}[r.IntN(4)],
			Max: int64(1 + r.IntN(20)), Window: time.Duration(1+r.IntN(60)) * time.Minute, Action: actions[r.IntN(len(actions))],
		})
	}
	strikes, similar, visible, duplicates := 2+r.IntN(9), int64(2+r.IntN(19)), r.IntN(12), r.IntN(3)
	return func(s *Settings) {
		aDaySet(s)
		bulkActions(s)
		for id, action := range chosen {
			s.Actions[id] = action
		}
		s.Limits, s.Blocking.Strikes, s.Bulk.Similar = limits, strikes, similar
		s.Bulk.MaxCampaign, s.Bulk.PaceMax = similar+3, 2
		s.MaxVisible, s.MaxEnvelope, s.MaxDuplicates = visible, visible+2, duplicates
	}
}
