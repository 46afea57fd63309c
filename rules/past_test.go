package rules

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/accounts"
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
			if diff := cmp.Diff(want, got); diff != "" || len(unknown) > 0 {
				t.Errorf("%s, hashed %v: enforced (-) and again (+):\n%s%q", name, hashed, diff, unknown)
			}
		}
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
