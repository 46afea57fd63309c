package rules

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/state"
)

// blocking is the shipped configuration.
func blocking(s *Settings) {
	s.Blocking = Blocking{
		Automatic: Reject, Strikes: 5, Within: time.Hour, Remember: 30 * 24 * time.Hour,
		Durations:  []time.Duration{time.Hour, 4 * time.Hour, 0},
		MaxPerHour: 100, MaxShare: 10, CustomerAfter: 3, IPAfter: 3,
		Reachable: []string{"abuse@provider.example"},
	}
}

func blockingBench(t *testing.T, change func(*Settings)) *bench {
	t.Helper()
	return newBench(t, func(s *Settings) {
		blocking(s)
		if change != nil {
			change(s)
		}
	})
}

// forged is message n of alice's with a foreign author: 2 strikes.
func forged(n int) *Mail {
	return with("From: boss@bank.example", "To: bob@remote.example", fmt.Sprint("Message-ID: <", n, "@x>"))
}

// crowded is message n of alice's to 11 recipients: 1 strike.
func crowded(n int) *Mail {
	m := mail(fmt.Sprint("Message-ID: <", n, "@x>"))
	m.Recipients = rcpts(many(11, "remote.example")...)
	return m
}

// blocked lists the subjects that are blocked now.
func (b *bench) blocked(t *testing.T) []string {
	t.Helper()
	all, err := b.store.Blocks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	list := []string{}
	for _, x := range all {
		if x.State(b.at) == state.BlockActive {
			list = append(list, x.Subject)
		}
	}
	slices.Sort(list)
	return list
}

func (b *bench) wantBlocked(t *testing.T, what string, want ...string) {
	t.Helper()
	if want == nil {
		want = []string{}
	}
	slices.Sort(want)
	if d := cmp.Diff(want, b.blocked(t)); d != "" {
		t.Fatalf("%s: blocked (-want +got):\n%s", what, d)
	}
}

const alice = "account:alice@client-a.example"

func TestForgedAuthorsBlock(t *testing.T) {
	b := blockingBench(t, nil)
	for n := range 2 {
		check(t, b.decide(t, forged(n)), Reject, "identity.header_from")
	}
	b.wantBlocked(t, "after 4 strikes")
	v := b.decide(t, forged(2))
	check(t, v, Reject, "identity.header_from")
	b.wantBlocked(t, "after 6 strikes", alice)
	if len(v.Blocked) != 1 {
		t.Fatalf("the verdict tells of %d blocks", len(v.Blocked))
	}
	got := v.Blocked[0]
	if got.Rule != "identity.header_from" || got.Account != "alice@client-a.example" || got.Customer != "C-1001" ||
		got.By != "o2n-milter" || !got.Until.Equal(start.Add(time.Hour)) || len(got.Decisions) != 3 || got.Decisions[0] != v.ID ||
		!strings.Contains(string(got.Evidence), "boss@bank.example") {
		t.Errorf("block %+v", got)
	}
	check(t, b.decide(t, mail()), Reject, "block.active")
}

func TestStrikesAtTheThreshold(t *testing.T) {
	b := blockingBench(t, nil)
	for n := range 4 {
		check(t, b.decide(t, crowded(n)), Reject, "recipients.envelope")
	}
	b.wantBlocked(t, "one short")
	b.decide(t, crowded(4))
	b.wantBlocked(t, "at the threshold", alice)
}

func TestStrikesDecay(t *testing.T) {
	for age, want := range map[time.Duration]int{59 * time.Minute: 1, 61*time.Minute + time.Second: 0} {
		b := blockingBench(t, nil)
		for n := range 4 {
			b.decide(t, crowded(n))
		}
		b.at = start.Add(age)
		b.decide(t, crowded(4))
		if got := len(b.blocked(t)); got != want {
			t.Errorf("a strike %s after the others: %d blocks; want %d", age, got, want)
		}
	}
}

func TestSameMessageStrikesOnce(t *testing.T) {
	b := blockingBench(t, nil)
	for range 20 {
		check(t, b.decide(t, forged(0)), Reject, "identity.header_from")
		b.at = b.at.Add(time.Minute)
	}
	b.wantBlocked(t, "one message again and again")
	received := forged(0)
	received.Header = append(fields("Received: from x by y; another time"), received.Header...)
	b.decide(t, received)
	b.decide(t, forged(1))
	b.wantBlocked(t, "its retry by another way, and one other message")
}

func TestRulesThatDoNotStrike(t *testing.T) {
	for name, c := range map[string]func(*Settings){
		"shadow": func(s *Settings) { s.Actions["identity.header_from"] = Shadow },
		"tag":    func(s *Settings) { s.Actions["identity.header_from"] = Tag },
		"off":    func(s *Settings) { s.Blocking.Automatic = Off },
		"weight": func(s *Settings) { s.Blocking.Weights = map[string]int{"identity": 0} },
	} {
		b := blockingBench(t, c)
		for n := range 10 {
			b.decide(t, forged(n))
		}
		b.wantBlocked(t, name)
	}
}

func TestWeights(t *testing.T) {
	b := Blocking{Weights: map[string]int{"identity.header_from": 7, "limit": 3, "limit.day": 0, "content": 5}}
	for id, want := range map[string]int{
		"identity.header_from": 7, "identity.sender": 2, "identity.envelope_from": 2, "identity.reply_to": 1, "recipients.visible": 1,
		"limit.minute": 3, "limit.day": 0, "bulk.volume": 1, "block.active": 0, "message.malformed": 0, "store.unavailable": 0, "none": 0,
		"content.score": 5, "content.unavailable": 0,
	} {
		if got := b.weight(id); got != want {
			t.Errorf("%s weighs %d; want %d", id, got, want)
		}
	}
}

// An honest queue of 300 messages at 10 a minute: its retries never strike.
func TestFullWindowStrikesOnce(t *testing.T) {
	b := blockingBench(t, limits(perMinute(10, Tempfail)))
	queue := make([]*Mail, 300)
	for n := range queue {
		queue[n] = mail(fmt.Sprint("Message-ID: <", n, "@x>"))
	}
	for minute := 0; len(queue) > 0 && minute < 100; minute++ {
		queue = slices.DeleteFunc(queue, func(m *Mail) bool { return b.decide(t, m).Action == Accept })
		b.at = b.at.Add(61 * time.Second)
	}
	if len(queue) > 0 {
		t.Errorf("%d messages did not leave", len(queue))
	}
	b.wantBlocked(t, "after an honest queue")
}

// A robot that goes on with fresh mail strikes once in each window.
func TestFullWindowsBlockInTheEnd(t *testing.T) {
	b := blockingBench(t, limits(perMinute(1, Tempfail)))
	n := 0
	for window := range 5 {
		b.wantBlocked(t, fmt.Sprint("before window ", window))
		for range 20 {
			b.decide(t, mail(fmt.Sprint("Message-ID: <", n, "@x>")))
			n++
		}
		b.at = b.at.Add(62 * time.Second)
	}
	b.wantBlocked(t, "after five full windows", alice)
}

func TestOthersWindowsDoNotStrike(t *testing.T) {
	for subject, want := range map[string]int{"domain": 0, "customer": 0, "account": 1, "account+domain": 1, "ip": 1} {
		l := perMinute(1, Tempfail)
		l.Subject = subject
		b := blockingBench(t, func(s *Settings) { s.Limits = []Limit{l}; s.Blocking.Strikes = 1 })
		b.decide(t, mail("Message-ID: <1@x>"))
		b.decide(t, mail("Message-ID: <2@x>"))
		if got := len(b.blocked(t)); got != want {
			t.Errorf("a full window of %s: %d blocks; want %d", subject, got, want)
		}
	}
}

func TestHeldMailDoesNotStrike(t *testing.T) {
	l := Limit{Name: "script", Subject: "script", Unit: Messages, Max: 1, Window: time.Second, Action: Tempfail}
	b := blockingBench(t, func(s *Settings) { s.Limits = []Limit{l}; s.Blocking.Strikes = 1 })
	for n := range 10 {
		b.decide(t, local("cron@web1.example", "From: x@web1.example", fmt.Sprint("Message-ID: <", n, "@x>")))
	}
	b.wantBlocked(t, "a burst that is held")
}

func mustActive(t *testing.T, b *bench) []state.Block {
	t.Helper()
	list, err := b.store.ActiveBlocks(t.Context(), b.at, []string{alice})
	if err != nil || len(list) == 0 {
		t.Fatalf("active: %v, %v", list, err)
	}
	return list
}

func php(n int, name string) *Mail {
	return local("www-data@web1.example", "From: boss@bank.example", "X-PHP-Originating-Script: 33:"+name, fmt.Sprint("Message-ID: <", n, "@x>"))
}

func TestUnknownLoginStrikesNobody(t *testing.T) {
	b := blockingBench(t, func(s *Settings) { s.UnknownReject = true })
	for n := range 10 {
		m := forged(n)
		m.Login = "nobody@client-z.example"
		b.decide(t, m)
	}
	b.wantBlocked(t, "guessed login")
}
