package rules

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/state"
	"o2n-milter/state/memory"
)

// recorded is the record of a verdict, as the store gives it back.
func (b *bench) recorded(t *testing.T, v Verdict) (state.Decision, Detail) {
	t.Helper()
	d, err := b.store.Decision(context.Background(), v.ID)
	if err != nil {
		t.Fatal(err)
	}
	var detail Detail
	if err := json.Unmarshal(d.Detail, &detail); err != nil {
		t.Fatal(err)
	}
	return d, detail
}

// Every rule has a sentence, every sentence a rule, and all of them are filled in.
func TestRemediesAreWhole(t *testing.T) {
	ids := append(IDs(), "limit.alone")
	for _, id := range ids {
		text, has := remedies[id]
		if !has {
			t.Errorf("%s: %q", id, text)
		}
		for _, account := range []string{"A", ""} {
			got := remedy(Evidence{Rule: id, Fact: "F", Got: "G", Want: "W"}, account, nil)
			if strings.ContainsAny(got, "{}") || !strings.HasSuffix(got, ".") {
				t.Errorf("%s of %q: %s", id, account, got)
			}
		}
	}
	for id := range maps.Keys(remedies) {
		if !slices.Contains(ids, id) {
			t.Errorf("%s is no rule", id)
		}
	}
	for id := range ruleKeys {
		if !slices.Contains(ids, id) {
			t.Errorf("keys of %s, which is no rule", id)
		}
	}
}

// configured has a configuration with a line for each key.
func configured(s *Settings) {
	s.Version = "v1"
	s.Origin = func(key string) (string, int) { return "main.toml", len(key) }
	s.Value = func(key string) string { return "<" + key + ">" }
}

func keysIn(lines []Line) (keys []string) {
	for _, l := range lines {
		keys = append(keys, l.Key)
	}
	return keys
}

func TestRecordKeepsTheLines(t *testing.T) {
	b := newBench(t, func(s *Settings) {
		configured(s)
		limits(perMinute(1, Tempfail))(s)
		s.Limits[0].Plans = map[string]int64{"pro": 1}
		s.Actions["identity.sender"] = Shadow
	})
	m := with("From: boss@bank.example", "Sender: x@bank.example", "Reply-To: carol@remote.example")
	v := b.decide(t, m)
	d, detail := b.recorded(t, v)
	want := []string{"identity.header_from", "identity.alignment", "identity.sender", "identity.reply_to"}
	if diff := cmp.Diff(want, keysIn(detail.Config)); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(Line{"main.toml", 20, "identity.header_from", "<identity.header_from>"}, detail.Config[0]); diff != "" {
		t.Error(diff)
	}
	if detail.Version != "v1" || !slices.Equal(detail.Authors, []string{"boss@bank.example", "x@bank.example"}) ||
		!slices.Equal(detail.ReplyTo, []string{"carol@remote.example"}) || !slices.Equal(d.To, []string{"bob@remote.example"}) {
		t.Errorf("%+v of %+v", detail, d)
	}
	rems := Remedies(d.Action, d.Rule, d.Account, &detail)
	if len(rems) != 2 || rems[0].Rule != "identity.header_from" || rems[1].Rule != "identity.reply_to" ||
		!strings.Contains(rems[0].Text, `boss@bank.example is the customer's, list it in addresses or domains of [account."alice@client-a.example"]`) {
		t.Errorf("remedies %q", rems)
	}
	check(t, b.decide(t, mail()), Accept, "none")
	d, detail = b.recorded(t, b.decide(t, mail()))
	want = []string{"limit.minute.action", "limit.minute.max", "limit.minute.window", "limit.minute.subject", "limit.minute.unit"}
	if detail.Windows != nil && b.testPlan(t) != "" {
		want[1] = "limit.minute.plans." + b.testPlan(t)
	}
	if diff := cmp.Diff(want, keysIn(detail.Config)); diff != "" {
		t.Errorf("keys of a limit (-want +got):\n%s", diff)
	}
	rems = Remedies(d.Action, d.Rule, d.Account, &detail)
	free := detail.Windows[0].NextFree.Format(time.RFC3339)
	if len(rems) != 1 || !strings.HasPrefix(rems[0].Text, "Waiting: 1 used, 1 more of messages of account:alice@client-a.example, at most 1 in 1m are allowed; there is room again at "+free) {
		t.Errorf("remedies %q", rems)
	}
}

// testPlan is the plan of alice's that the limit knows; empty for none.
func (b *bench) testPlan(t *testing.T) string {
	t.Helper()
	acc, err := b.AccountOf(context.Background(), "alice@client-a.example")
	if err != nil {
		t.Fatal(err)
	}
	if _, has := b.set.Limits[0].Plans[acc.Plan]; has {
		return acc.Plan
	}
	return ""
}

func TestPassedMailNeedsNoRemedy(t *testing.T) {
	b := newBench(t, configured)
	d, detail := b.recorded(t, b.decide(t, mail()))
	if got := Remedies(d.Action, d.Rule, d.Account, &detail); len(got) > 0 || got == nil || len(detail.Config) > 0 {
		t.Errorf("remedies %v, lines %v", got, detail.Config)
	}
	for _, c := range [][]string{
		{"accept", "none", "It passed: no rule was in its way."}, {"accept", "store.unavailable", "It passed unjudged"},
		{"tag", "limit.day", "It passed with the mark"}, {"quarantine", "limit.day", "It was put on hold"},
		{"tempfail", "limit.day", "It was refused for now"}, {"reject", "bulk.volume", "It was refused for good, by the rule bulk.volume."},
	} {
		if got := Outcome(c[0], c[1], &Detail{}); !strings.HasPrefix(got, c[2]) {
			t.Errorf("%s: %s", c, got)
		}
	}
}

// Where the action is not the one that is configured, the outcome says why.
func TestOutcomeOfAnotherAction(t *testing.T) {
	for _, c := range []struct{ set, got, want string }{
		{"tempfail", "quarantine", "It was put on hold in the MTA's queue, by the rule limit.host: a program of this host is not deferred, as it would try for ever or not at all."},
		{"quarantine", "quarantine", "It was put on hold in the MTA's queue, by the rule limit.host."},
		{"quarantine", "tempfail", "It was refused for now: its sender may try again, by the rule limit.host: its MTA could not hold it."},
		{"tempfail", "tempfail", "It was refused for now: its sender may try again, by the rule limit.host."},
	} {
		d := &Detail{Config: []Line{{Key: "limit.host.action", Value: strconv.Quote(c.set)}}}
		if got := Outcome(c.got, "limit.host", d); got != c.want {
			t.Errorf("set to %s: %s", c.set, got)
		}
	}
}

// What passed in shadow says so, and what would make it pass if that was enforced.
func TestShadowHasRemedies(t *testing.T) {
	b := newBench(t, func(s *Settings) { s.AllShadow = true })
	d, detail := b.recorded(t, b.decide(t, with("From: boss@bank.example")))
	if got := Outcome(d.Action, d.Rule, &detail); !strings.HasPrefix(got, "It passed: what was found is in shadow") {
		t.Error(got)
	}
	rems := Remedies(d.Action, d.Rule, d.Account, &detail)
	if len(rems) != 1 || !strings.Contains(rems[0].Text, "boss@bank.example is the customer's") {
		t.Errorf("remedies %q", rems)
	}
}

// Whoever sends without an account has none to list an address in.
func TestRemedyWithoutAccount(t *testing.T) {
	b := newBench(t, nil)
	m := with("From: shop@bank.example", "Reply-To: carol@other.example")
	m.Login, m.Local, m.Sender = "", true, "www-data@web9.example"
	d, detail := b.recorded(t, b.decide(t, m))
	rems := Remedies(d.Action, d.Rule, d.Account, &detail)
	if len(rems) == 0 || rems[0].Rule != "identity.header_from" || !strings.Contains(rems[0].Text, "list its domain in accounts.hosts") {
		t.Errorf("remedies %q", rems)
	}
	for _, r := range rems {
		if strings.Contains(r.Text, `[account.""]`) || strings.Contains(r.Text, "{") {
			t.Errorf("%s: %s", r.Rule, r.Text)
		}
	}
}

func TestRecipientsOfARecord(t *testing.T) {
	b := newBench(t, func(s *Settings) { s.MaxEnvelope, s.MaxDuplicates = 1000, 1000 })
	for n, want := range map[int]int{0: 0, 99: 99, 100: 100, 101: 100} {
		m := mail()
		m.Recipients = rcpts(many(n, "x.example")...)
		if d, _ := b.recorded(t, b.decide(t, m)); len(d.To) != want || d.Rcpts != n {
			t.Errorf("%d recipients: %d kept of %d", n, len(d.To), d.Rcpts)
		}
	}
	m := mail()
	m.Recipients = rcpts("Bob@X.example", "bob@x.example", "carol@x.example")
	if d, _ := b.recorded(t, b.decide(t, m)); !slices.Equal(d.To, []string{"bob@x.example", "carol@x.example"}) {
		t.Errorf("kept %q", d.To)
	}
	if got := RecipientForm(" <BOB@x.Example> "); got != "bob@x.example" {
		t.Errorf("searched as %s", got)
	}
	m.Recipients = nil
	for i := range 20 { // 1,010 octets each
		m.Recipients = append(m.Recipients, Recipient{Address: fmt.Sprintf("%s%02d@x.example", strings.Repeat("<", 998), i)})
	}
	if d, _ := b.recorded(t, b.decide(t, m)); len(strings.Join(d.To, "")) > mostTo {
		t.Errorf("%d recipients kept", len(d.To))
	}
}

func TestHide(t *testing.T) {
	key, other := &AddressKey{1}, &AddressKey{2}
	bob := key.Hide("bob@remote.example")
	if !hidden.MatchString(bob) || !strings.HasSuffix(bob, "@remote.example") || strings.Contains(bob, "bob") {
		t.Errorf("bob is %s", bob)
	}
	for address, same := range map[string]bool{"BOB@Remote.example": true, "bob@remote.example": true, "bobb@remote.example": false, "bob@remote2.example": false} {
		if got := key.Hide(address); (got == bob) != same {
			t.Errorf("%s is %s", address, got)
		}
	}
	if other.Hide("bob@remote.example") == bob || key.Hide("") != "" || (*AddressKey)(nil).Hide("bob@x.example") != "~@x.example" {
		t.Error("keys, the null sender, no key")
	}
	if domain, is := HiddenDomain(bob); !is || domain != "remote.example" {
		t.Errorf("domain %q, %v", domain, is)
	}
	for _, clear := range []string{"", "bob@remote.example", "~bob@remote.example", "~0123456789abcdef0@x.example"} {
		if _, is := HiddenDomain(clear); is {
			t.Errorf("%q is hidden", clear)
		}
	}
}

// With hashed addresses a record names nobody but the account, and is found by the
// recipient all the same; the verdict, for the log, is as it was.
func TestHiddenRecord(t *testing.T) {
	b := newBench(t, func(s *Settings) { s.HideAddresses = true })
	m := with("From: boss@bank.example, \"carol x\"@bank.example", "Reply-To: dave@bank.example", "Subject: for erin@bank.example and alice@client-a.example")
	m.Sender, m.Recipients = "Frank+bob=remote.example@client-a.example", rcpts("grace@remote.example", "alice@client-a.example", "\"heidi y\"@remote.example", "ivan")
	v := b.decide(t, m)
	d, detail := b.recorded(t, v)
	text := fmt.Sprintf("%+v %+v", d, detail)
	for _, name := range []string{"boss", "carol", "dave", "erin", "rank", "bob", "grace", "heidi", "ivan"} {
		if strings.Contains(text, name) {
			t.Errorf("%s stands in %s", name, text)
		}
	}
	if d.To[1] != "alice@client-a.example" || !strings.Contains(detail.Subject, "and alice@client-a.example") || d.Account != "alice@client-a.example" {
		t.Errorf("the account is gone: %s", text)
	}
	if !strings.Contains(fmt.Sprint(v.Evidence), "boss@bank.example") {
		t.Errorf("evidence for the log: %v", v.Evidence)
	}
	key, err := AddressKeyOf(context.Background(), b.store)
	if err != nil || key == nil {
		t.Fatal(key, err)
	}
	for _, to := range []string{"grace@remote.example", "ivan"} {
		list, err := b.store.Decisions(context.Background(), state.Query{Recipient: key.Hide(RecipientForm(to)), Limit: 10})
		if err != nil || len(list) != 1 || list[0].ID != v.ID {
			t.Errorf("%s: %v, %v", to, list, err)
		}
	}
	null := mail()
	null.Sender = ""
	if d, _ := b.recorded(t, b.decide(t, null)); d.From != "" {
		t.Errorf("the null sender is %q", d.From)
	}
	// Another host, or the daemon after a restart, has the same key.
	second := New(b.set, b.accounts, b.store, func() time.Time { return b.at })
	if again, err := second.addressKey(context.Background()); err != nil || *again != *key {
		t.Errorf("another key: %v", err)
	}
}

// A block is kept for longer than the decisions behind it: its evidence names no more
// than they do.
func TestHiddenBlock(t *testing.T) {
	b := blockingBench(t, func(s *Settings) { s.HideAddresses = true })
	var last Verdict
	for n := 0; len(last.Blocked) == 0 && n < 10; n++ {
		last = b.decide(t, forged(n))
	}
	if len(last.Blocked) == 0 {
		t.Fatal("nobody is blocked")
	}
	blocks, err := b.store.Blocks(context.Background())
	if err != nil || len(blocks) != 1 {
		t.Fatal(blocks, err)
	}
	_, detail := b.recorded(t, last)
	var evidence []Evidence
	if err := json.Unmarshal(blocks[0].Evidence, &evidence); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(detail.Evidence, evidence); diff != "" || !hidden.MatchString(evidence[0].Got) {
		t.Errorf("%v\nblock's evidence (-the decision's +got)\n%s", evidence, diff)
	}
}

// keyless refuses docs.
type keyless struct{ state.Store }

func (keyless) PutDoc(context.Context, state.Doc) (state.Doc, error) {
	return state.Doc{}, state.ErrUnavailable
}

// While no key can be had nothing is kept in the clear, and the verdict says so.
func TestHiddenWithoutKey(t *testing.T) {
	b := newBench(t, func(s *Settings) { s.HideAddresses = true })
	b.Engine.store = keyless{b.store}
	v := b.Decide(context.Background(), mail())
	d, _ := b.recorded(t, v)
	if v.Err == nil || !slices.Equal(d.To, []string{"~@remote.example"}) {
		t.Errorf("%v, kept %q", v.Err, d.To)
	}
}

func TestHideManyHosts(t *testing.T) {
	store := memory.New()
	keys := make(chan AddressKey, 8)
	for range 8 {
		go func() {
			key, err := New(defaults(), nil, store, nil).addressKey(context.Background())
			if err != nil {
				t.Error(err)
				key = &AddressKey{}
			}
			keys <- *key
		}()
	}
	first := <-keys
	for range 7 {
		if <-keys != first {
			t.Fatal("two hosts have two keys")
		}
	}
}

func FuzzHide(f *testing.F) {
	for _, s := range []string{"x@y.example", "\"a b\"@y.example", "@", "a@b@c", "~@", "\"@x", "\x00@\xff"} {
		f.Add(s)
	}
	key := &AddressKey{7}
	f.Fuzz(func(t *testing.T, s string) {
		d := state.Decision{From: s, To: []string{s}}
		detail := Detail{Subject: s, Authors: []string{s}, Evidence: []Evidence{{Got: s}}}
		key.hide(&d, &detail, "")
		if s != "" && (!strings.HasPrefix(d.From, "~") || d.To[0] != d.From || detail.Authors[0] != d.From) {
			t.Errorf("%q became %q", s, d.From)
		}
		if local, _, is := strings.Cut(s, "@"); is && len(local) > 16 && local == strings.Trim(local, "\" <>()[],;:\t\r\n\v\f") && strings.Contains(d.From[:min(len(d.From), 18)], local) {
			t.Errorf("%q stands in %q", local, d.From)
		}
	})
}

// A message made to have the longest record there can be still has one: 256 KiB is
// what the stores take, and they write bytes that are no text in three.
func TestLongestRecord(t *testing.T) {
	b := newBench(t, func(s *Settings) {
		configured(s)
		for id := range s.Actions {
			s.Actions[id] = Shadow
		}
		for i := range 2 {
			s.Limits = append(s.Limits, Limit{Name: fmt.Sprintf("limit%d", i), Subject: "account+domain", Unit: Messages, Max: 1, Window: time.Hour, Action: Shadow})
		}
	})
	for _, odd := range []string{"<", "\x01", "\xff", "\u00e9", "\u2028", "%", "\""} {
		junk := strings.Repeat(odd, 2000/len(odd))
		address := func(i int) string {
			return fmt.Sprintf("%s%d@d%d.%s.example", junk[:200], i, i, strings.Repeat("x", 60))
		}
		var all []string
		for i := range 150 {
			all = append(all, address(i))
		}
		list := strings.Join(all[:100], ", ")
		m := with("From: "+list, "Sender: "+list, "Reply-To: "+list, "Subject: "+junk, "Message-ID: <"+junk+">", "To: "+list)
		m.Sender, m.ClientName, m.Host, m.Recipients = junk, junk, junk, rcpts(all...)
		for range 2 { // the second finds the windows full
			v := b.decide(t, m)
			d, _ := b.recorded(t, v)
			raw, err := json.Marshal(d)
			keys := len(strings.Join(d.Subjects, "")) + len(strings.Join(d.To, ""))
			if err != nil || len(raw) > 200<<10 || 3*keys > 200<<10 {
				t.Errorf("%q: a record of %d octets, names of %d; %v", odd, len(raw), keys, err)
			}
		}
	}
}
