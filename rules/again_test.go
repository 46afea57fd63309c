package rules

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/state"
)

// life is a day's mail, each a minute after the other, and what was decided on it.
func life(t *testing.T, set func(*Settings), mails []*Mail) (decisions []state.Decision, outcomes []string) {
	t.Helper()
	b := newBench(t, set)
	for i, m := range mails {
		b.at = start.Add(time.Duration(i) * time.Minute)
		v := b.decide(t, m)
		outcomes = append(outcomes, v.Action.String()+" "+v.Rule)
		d, err := b.store.Decision(context.Background(), v.ID)
		if err != nil {
			t.Fatal(err)
		}
		decisions = append(decisions, d)
	}
	return decisions, outcomes
}

// again judges decisions anew under other settings.
func again(t *testing.T, set func(*Settings), decisions []state.Decision) (outcomes, unknown []string) {
	t.Helper()
	return newBench(t, set).again(t, decisions)
}

func (b *bench) again(t *testing.T, decisions []state.Decision) (outcomes, unknown []string) {
	t.Helper()
	for _, d := range decisions {
		b.at = d.At
		v, what := b.Again(context.Background(), d)
		if v.Err != nil {
			t.Fatal(v.Err)
		}
		if v.ID != d.ID {
			t.Errorf("decision %s became %s", d.ID, v.ID)
		}
		outcomes = append(outcomes, v.Action.String()+" "+v.Rule)
		unknown = append(unknown, what...)
	}
	slices.Sort(unknown)
	return outcomes, slices.Compact(unknown)
}

// aDay has something for each kind of rule, with a message id each.
func aDay() []*Mail {
	var list []*Mail
	add := func(m *Mail) {
		m.Header = append(slices.Clip(m.Header), fields(fmt.Sprintf("Message-ID: <%d@client-a.example>", len(list)))...)
		list = append(list, m)
	}
	for n := range 12 { // fills the hour of messages
		m := mail()
		m.Recipients = rcpts(fmt.Sprintf("p%d@remote.example", n%4))
		add(m)
	}
	crowd := mail()
	crowd.Recipients = rcpts(many(11, "remote.example")...)
	add(crowd)
	pair := mail("To: a@one.example, b@one.example, c@two.example")
	pair.Recipients = rcpts("a@one.example", "b@one.example", "c@two.example")
	add(pair)
	add(mail("To: x@one.example, x@one.example, x@one.example"))
	add(mail("Reply-To: boss@bank.example"))
	for range 3 { // strikes until it blocks
		add(with("From: boss@bank.example"))
	}
	add(mail())
	add(local("cron@web1.example", "From: cron@web1.example"))
	for range 2 {
		add(local("php@web1.example", "From: php@web1.example", "X-PHP-Originating-Script: 0:mailer.php"))
	}
	web := mail()
	web.Login, web.Client, web.Sender = "", testAccounts[2].IPs[0].Addr(), "info@shop.example"
	web.Header = fields("From: info@shop.example")
	add(web)
	return list
}

func aDaySet(s *Settings) {
	blocking(s)
	s.Blocking.Strikes = 9
	s.Limits = []Limit{
		{Name: "hour", Subject: "account", Unit: Messages, Max: 10, Window: time.Hour, Action: Tempfail},
		{Name: "new", Subject: "account", Unit: NewRecipients, Max: 5, Window: time.Hour, Action: Tempfail},
		{Name: "pair", Subject: "account+domain", Unit: Recipients, Max: 9, Window: time.Hour, Action: Tempfail},
		{Name: "bytes", Subject: "customer", Unit: Bytes, Max: 1 << 20, Window: time.Hour, Action: Shadow},
		{Name: "script", Subject: "script", Unit: Messages, Max: 1, Window: time.Hour, Action: Reject},
		{Name: "host", Subject: "host", Unit: Messages, Max: 10, Window: time.Hour, Action: Tempfail},
	}
}

// TestAgainIsAsInLife: under the settings of its time each decision is the same again.
func TestAgainIsAsInLife(t *testing.T) {
	decisions, then := life(t, aDaySet, aDay())
	hashed, _ := life(t, func(s *Settings) { aDaySet(s); s.HideAddresses = true }, aDay())
	for name, list := range map[string][]state.Decision{"in clear": decisions, "hashed": hashed} {
		now, unknown := again(t, aDaySet, list)
		if diff := cmp.Diff(then, now); diff != "" {
			t.Errorf("%s: then (-) and again (+):\n%s", name, diff)
		}
		if len(unknown) > 0 {
			t.Errorf("%s: unknown: %q", name, unknown)
		}
	}
	for _, want := range []string{"tempfail limit.pair", "reject recipients.envelope", "reject recipients.duplicate",
		"reject identity.reply_to", "reject identity.header_from", "reject block.active", "reject limit.script", "accept none"} {
		if !slices.Contains(then, want) {
			t.Errorf("the day has no %q: %q", want, then)
		}
	}
}

// TestAgainUnderOtherSettings: actions, bounds and limits are those of now.
func TestAgainUnderOtherSettings(t *testing.T) {
	one := func(m *Mail) []*Mail { return []*Mail{m} }
	crowd := func(n int) *Mail {
		m := mail()
		m.Recipients = rcpts(many(n, "remote.example")...)
		return m
	}
	score := func(s *Settings) {
		s.Content = Content{At: 20, Ask: func(context.Context, *Mail) (Score, error) {
			return Score{Score: 8, Required: 15, Action: "no action"}, nil
		}}
	}
	both := func(list ...func(*Settings)) func(*Settings) {
		return func(s *Settings) {
			for _, f := range list {
				f(s)
			}
		}
	}
	for name, c := range map[string]struct {
		then, now func(*Settings)
		mails     []*Mail
		want      []string
	}{
		"a rule is off": {nil, func(s *Settings) { s.Actions["identity.header_from"] = Off }, one(with("From: boss@bank.example")), []string{"accept none"}},
		"a rule is no shadow any more": {func(s *Settings) { s.Actions["identity.header_from"] = Shadow }, nil, one(with("From: boss@bank.example")),
			[]string{"reject identity.header_from"}},
		"envelope at the new max": {nil, func(s *Settings) { s.MaxEnvelope = 5 }, []*Mail{crowd(4), crowd(5), crowd(6)},
			[]string{"accept none", "accept none", "reject recipients.envelope"}},
		// The envelope's bob, whom no field names, is one of them.
		"visible at the new max": {func(s *Settings) { s.MaxVisible = 1 }, func(s *Settings) { s.MaxVisible = 4 },
			[]*Mail{mail("To: a@x.example, b@x.example"), mail("To: a@x.example, b@x.example, c@x.example"), mail("To: a@x.example, b@x.example, c@x.example, d@x.example")},
			[]string{"accept none", "accept none", "reject recipients.visible"}},
		"duplicates at the new max": {func(s *Settings) { s.MaxDuplicates = 0 }, func(s *Settings) { s.MaxDuplicates = 2 },
			[]*Mail{mail("To: a@x.example, a@x.example, a@x.example"), mail("To: a@x.example, a@x.example, a@x.example, a@x.example")},
			[]string{"accept none", "reject recipients.duplicate"}},
		"a new limit": {nil, limits(Limit{Name: "few", Subject: "account", Unit: Messages, Max: 2, Window: time.Hour, Action: Tempfail}),
			[]*Mail{mail(), mail(), mail()}, []string{"accept none", "accept none", "tempfail limit.few"}},
		"a new limit of new recipients": {nil, limits(Limit{Name: "new", Subject: "account", Unit: NewRecipients, Max: 2, Window: time.Hour, Action: Tempfail}),
			[]*Mail{crowd(2), crowd(2), crowd(3)}, []string{"accept none", "accept none", "tempfail limit.new"}},
		"what was refused then is charged now": {limits(perMinute(1, Tempfail)), limits(Limit{Name: "few", Subject: "account", Unit: Messages, Max: 2, Window: time.Hour, Action: Tempfail}),
			[]*Mail{mail(), mail(), mail()}, []string{"accept none", "accept none", "tempfail limit.few"}},
		"a score at the new bound": {score, func(s *Settings) { s.Content.At = 8 }, one(mail()), []string{"reject content.score"}},
		"a score below it":         {both(score, func(s *Settings) { s.Content.At = 8 }), func(s *Settings) { s.Content.At = 8.5 }, one(mail()), []string{"accept none"}},
		"a login that is refused now": {nil, func(s *Settings) { s.UnknownReject = true },
			one(func() *Mail {
				m := with("From: carol@client-c.example")
				m.Login, m.Sender = "carol@client-c.example", "carol@client-c.example"
				return m
			}()), []string{"reject accounts.unknown"}},
		"a client that submits no more": {nil, func(s *Settings) { s.Networks = nil },
			one(func() *Mail { m := mail(); m.Login, m.Client = "", testAccounts[2].IPs[0].Addr(); return m }()), nil},
	} {
		t.Run(name, func(t *testing.T) {
			decisions, _ := life(t, c.then, c.mails)
			got, _ := again(t, c.now, decisions)
			if diff := cmp.Diff(c.want, got); c.want != nil && diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestAgainWithoutRecipients: records that name nobody know how many there were at
// each destination where they were charged, and say so where not.
func TestAgainWithoutRecipients(t *testing.T) {
	m := mail()
	m.Recipients = rcpts("a@one.example", "b@one.example", "c@two.example", "root")
	perPair := limits(Limit{Name: "pair", Subject: "account+domain", Unit: Recipients, Max: 2, Window: time.Hour, Action: Tempfail})
	fewer := limits(Limit{Name: "pair", Subject: "account+domain", Unit: Recipients, Max: 1, Window: time.Hour, Action: Tempfail})
	for name, c := range map[string]struct {
		then    func(*Settings)
		want    string
		unknown []string
	}{
		"charged":     {perPair, "reject limit.pair", nil},
		"not charged": {nil, "accept none", []string{UnknownDestination}},
	} {
		decisions, _ := life(t, c.then, []*Mail{m})
		decisions[0].To = nil
		got, unknown := again(t, fewer, decisions)
		if got[0] != c.want || !slices.Equal(unknown, c.unknown) {
			t.Errorf("%s: got %q, %q", name, got, unknown)
		}
		newOnes := limits(Limit{Name: "new", Subject: "account", Unit: NewRecipients, Max: 1, Window: time.Hour, Action: Tempfail})
		if got, unknown = again(t, newOnes, decisions); got[0] != "accept none" || !slices.Contains(unknown, UnknownNew) {
			t.Errorf("%s: new recipients: got %q, %q", name, got, unknown)
		}
	}
}

// TestAgainOfCampaigns: its size is that of then, held against the bounds of now.
func TestAgainOfCampaigns(t *testing.T) {
	b := newBulkBench(t, nil)
	for n := range 6 {
		b.at = start.Add(time.Duration(n) * time.Minute)
		b.sendTo(t, n+1, n+1, soundOffer)
	}
	decisions, err := b.store.Decisions(context.Background(), state.Query{Limit: 100})
	if err != nil || len(decisions) != 6 {
		t.Fatal(len(decisions), err)
	}
	slices.Reverse(decisions)
	var sizes []int64
	for _, d := range decisions {
		var detail Detail
		if err := json.Unmarshal(d.Detail, &detail); err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, detail.Campaign.Recipients)
	}
	last := sizes[len(sizes)-1]
	for most, want := range map[int64]string{last - 1: "reject bulk.volume", last: "accept none"} {
		got, _ := again(t, func(s *Settings) {
			bulkActions(s)
			s.Bulk.MaxCampaign = most
		}, decisions)
		if got[len(got)-1] != want {
			t.Errorf("max %d of %v: got %q, want %s", most, sizes, got, want)
		}
	}
}

// TestAgainOfGarbage: a record that cannot be read passes, and says so.
func TestAgainOfGarbage(t *testing.T) {
	for _, d := range []state.Decision{
		{ID: "X", At: start},
		{ID: "X", At: start, Account: "alice@client-a.example", Detail: []byte(`{"evidence":7}`)},
		{ID: "X", At: start, Account: "alice@client-a.example", Rcpts: -1, Client: "nowhere", Subjects: []string{"", "domain:", "script:", "host:"}, Detail: []byte(`null`)},
		{ID: "X", At: start, Account: "alice@client-a.example", Rcpts: 2, To: []string{"x"},
			Detail: []byte(`{"login":"?","senders":7,"authors":["alice@client-a.example"],"visible":-1,"duplicates":-1,"campaign":{"lacks":["bulk.none"]}}`)},
	} {
		got, unknown := again(t, aDaySet, []state.Decision{d})
		if got[0] != "accept none" {
			t.Errorf("%+v: got %q %q", d, got, unknown)
		}
	}
}
