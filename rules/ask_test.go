package rules

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/state"
)

// watched is a store that shows what it is asked. Its ActiveBlocks knows nothing:
// the block was made a moment ago, or on another host.
type watched struct {
	state.Store
	asks []state.Ask
}

func (w *watched) ActiveBlocks(context.Context, time.Time, []string) ([]state.Block, error) {
	return nil, nil
}

func (w *watched) Take(ctx context.Context, now time.Time, ask state.Ask) (state.Answer, error) {
	w.asks = append(w.asks, ask)
	return w.Store.Take(ctx, now, ask)
}

func newWatched(t *testing.T, change func(*Settings)) (*bench, *watched) {
	t.Helper()
	b := newBench(t, change)
	w := &watched{Store: b.store}
	b.Engine.store = w
	return b, w
}

func (b *bench) block(t *testing.T, id, subject string) {
	t.Helper()
	if err := b.store.AddBlock(context.Background(), state.Block{ID: id, Subject: subject, Since: start}); err != nil {
		t.Fatal(err)
	}
}

// A block that only the store behind Take knows is in force at once, also for
// mail that no limit counts.
func TestBlockThatOnlyTakeKnows(t *testing.T) {
	for name, set := range map[string]func(*Settings){
		"without limits": nil, "with a limit": limits(perMinute(1, Tempfail)),
	} {
		t.Run(name, func(t *testing.T) {
			b, w := newWatched(t, set)
			b.block(t, "B1", "customer:C-1001")
			for range 2 { // a second time: nothing was charged
				v := b.decide(t, mail())
				check(t, v, Reject, "block.active", "block.active: customer:C-1001 is blocked until it is lifted")
				if len(v.Windows) > 0 {
					t.Errorf("windows %v", v.Windows)
				}
			}
			if _, err := b.store.LiftBlock(context.Background(), "B1", start, "", ""); err != nil {
				t.Fatal(err)
			}
			check(t, b.decide(t, mail()), Accept, "none")
			if len(w.asks) != 3 {
				t.Errorf("asked %d times", len(w.asks))
			}
		})
	}
}

// Mail to the abuse desk keeps to its share, and is charged, also when the block is
// found only as it is charged.
func TestReachableUnderABlockThatOnlyTakeKnows(t *testing.T) {
	b, _ := newWatched(t, func(s *Settings) {
		limits(perMinute(100, Tempfail))(s)
		s.Blocking.Reachable = []string{"abuse@provider.example"}
	})
	b.block(t, "B1", "customer:C-1001")
	m := mail()
	m.Recipients = rcpts("abuse@provider.example")
	for n := range int64(reachableMax) {
		v := b.decide(t, m)
		check(t, v, Accept, "none")
		if len(v.Windows) != 1 || v.Windows[0].Used != n+1 {
			t.Errorf("message %d: windows %v; want it charged", n+1, v.Windows)
		}
	}
	check(t, b.decide(t, m), Reject, "block.active")
}

func TestBlockOfKinThatOnlyTakeKnows(t *testing.T) {
	b, _ := newWatched(t, nil)
	b.block(t, "B1", "account:bob@client-b.example")
	check(t, b.decide(t, local("bob@client-b.example", "From: bob@client-b.example")), Reject, "block.active")
}

// Every action of block.active: where it stops mail, Take looks for blocks; where
// it does not, a block must not keep the message from being charged.
func TestTakeAsksForBlocksThatStopMail(t *testing.T) {
	for action, want := range map[Action]Action{
		Off: Accept, Shadow: Accept, Tag: Accept, Quarantine: Quarantine, Tempfail: Tempfail, Reject: Reject,
	} {
		b, w := newWatched(t, func(s *Settings) { limits(perMinute(1, Tempfail))(s); s.Actions["block.active"] = action })
		b.block(t, "B1", "ip:192.0.2.7")
		v := b.decide(t, mail())
		if v.Action != want || len(w.asks) != 1 {
			t.Errorf("%s: got %s, asked %d times", action, v.Action, len(w.asks))
		}
		if asked := len(w.asks[0].Subjects) > 0; asked != (action >= Quarantine) {
			t.Errorf("%s: subjects %v", action, w.asks[0].Subjects)
		}
		if action < Quarantine {
			check(t, b.decide(t, mail()), Tempfail, "limit.minute")
		}
	}
}

// One question at most for a message, none for one that a rule has stopped.
func TestOneQuestionForAMessage(t *testing.T) {
	b, w := newWatched(t, limits(perMinute(1, Tempfail)))
	check(t, b.decide(t, with("From: boss@bank.example")), Reject, "identity.header_from")
	if len(w.asks) != 0 {
		t.Errorf("asked for refused mail: %v", w.asks)
	}
	check(t, b.decide(t, mail()), Accept, "none")
	check(t, b.decide(t, mail()), Tempfail, "limit.minute")
	if len(w.asks) != 2 {
		t.Errorf("asked %d times for two messages", len(w.asks))
	}
	b, w = newWatched(t, func(s *Settings) { s.Actions["block.active"] = Off })
	check(t, b.decide(t, mail()), Accept, "none")
	if len(w.asks) != 0 {
		t.Errorf("asked though there is nothing to ask: %v", w.asks)
	}
}

func newRecipients(n int64, action Action) Limit {
	return Limit{Name: "new", Subject: "account", Unit: NewRecipients, Max: n, Window: 24 * time.Hour, Action: action}
}

func to(addresses ...string) *Mail {
	m := mail()
	m.Recipients = rcpts(addresses...)
	return m
}

func TestNewRecipients(t *testing.T) {
	b := newBench(t, limits(newRecipients(3, Tempfail)))
	cost := func(v Verdict, want, used int64) {
		t.Helper()
		if len(v.Charges) != 1 || v.Charges[0].Cost != want || v.Windows[0].Used != used {
			t.Errorf("charges %v, windows %v; want cost %d, then %d used", v.Charges, v.Windows, want, used)
		}
	}
	v := b.decide(t, to("a@x.example", "b@x.example")) // max-1
	check(t, v, Accept, "none")
	cost(v, 2, 2)
	v = b.decide(t, to("A+tag@X.example", "b@x.example")) // both known, however they are spelled
	check(t, v, Accept, "none")
	cost(v, 0, 2)
	v = b.decide(t, to("c@x.example", "d@x.example")) // one too many: neither becomes known
	check(t, v, Tempfail, "limit.new", "limit.new: 2 used, 2 more")
	want := "451 4.7.1 Too many new recipients: 3 in 24h are allowed. Please try again in 87840 seconds. "
	if !strings.HasPrefix(v.Reply(), want) {
		t.Errorf("got  %s\nwant %s", v.Reply(), want)
	}
	v = b.decide(t, to("c@x.example", "a@x.example")) // max
	check(t, v, Accept, "none")
	cost(v, 1, 3)
	check(t, b.decide(t, to("d@x.example")), Tempfail, "limit.new", "limit.new: 3 used, 1 more") // max+1
	check(t, b.decide(t, to("a@x.example", "b@x.example", "c@x.example")), Accept, "none")
}

// A recipient is known for 90 days after the last mail to him, and then new again.
func TestNewRecipientsAreForgotten(t *testing.T) {
	b := newBench(t, limits(newRecipients(1, Tempfail)))
	check(t, b.decide(t, to("a@x.example")), Accept, "none")
	b.at = start.Add(89 * day)
	if v := b.decide(t, to("a@x.example")); v.Charges[0].Cost != 0 {
		t.Errorf("after 89 days he costs %d", v.Charges[0].Cost)
	}
	b.at = start.Add(178 * day)
	if v := b.decide(t, to("a@x.example")); v.Charges[0].Cost != 0 {
		t.Errorf("89 days after the second mail he costs %d", v.Charges[0].Cost)
	}
	b.at = start.Add((178 + 90 + 2) * day)
	if v := b.decide(t, to("a@x.example")); v.Charges[0].Cost != 1 {
		t.Errorf("91 days later he costs %d", v.Charges[0].Cost)
	}
}

// Waiting helps as long as enough recipients are known, and never beyond.
func TestMoreNewRecipientsThanEverFit(t *testing.T) {
	b := newBench(t, limits(newRecipients(2, Tempfail)))
	three := func() *Mail { return to("a@x.example", "b@x.example", "c@x.example") }
	v := b.decide(t, three())
	check(t, v, Reject, "limit.new", "limit.new: 3 in one message")
	if want := "550 5.7.1 This message alone exceeds a limit of 2 in 24h."; !strings.HasPrefix(v.Reply(), want) {
		t.Errorf("got %s", v.Reply())
	}
	check(t, b.decide(t, to("a@x.example", "b@x.example")), Accept, "none")
	v = b.decide(t, three()) // one new one, and the window is full: tomorrow he fits
	check(t, v, Tempfail, "limit.new", "limit.new: 2 used, 1 more")
	b.at = start.Add(25 * time.Hour)
	check(t, b.decide(t, three()), Accept, "none")
}

// A full window that refuses nothing makes the recipients known all the same: in
// shadow to the limit that it becomes, as to shadow itself that mail was refused.
func TestNewRecipientsUnderShadow(t *testing.T) {
	b := newBench(t, limits(newRecipients(1, Shadow)))
	two := func() *Mail { return to("a@x.example", "b@x.example") }
	for range 2 {
		check(t, b.decide(t, two()), Accept, "none", "limit.new: 0 used, 2 more (shadow)")
	}
	b.enforce(limits(newRecipients(1, Tempfail)))
	v := b.decide(t, two())
	check(t, v, Accept, "none")
	if v.Charges[0].Cost != 0 || len(v.Evidence) > 0 {
		t.Errorf("charges %v, evidence %v", v.Charges, v.Evidence)
	}
}

// Mail that a rule refuses is told as if it knew nobody, and nobody becomes known.
func TestNewRecipientsOfRefusedMail(t *testing.T) {
	b := newBench(t, limits(newRecipients(5, Tempfail)))
	forged := with("From: boss@bank.example")
	forged.Recipients = rcpts("a@x.example", "A@x.example", "b@x.example")
	if v := b.decide(t, forged); v.Charges[0].Cost != 2 {
		t.Errorf("charges %v", v.Charges)
	}
	if v := b.decide(t, to("a@x.example")); v.Charges[0].Cost != 1 {
		t.Errorf("charges %v", v.Charges)
	}
}

// More recipients than a set can hold count each, and cost nobody his place in it.
func TestNewRecipientsBeyondASet(t *testing.T) {
	for n, asSet := range map[int]bool{state.MaxMembers: true, state.MaxMembers + 1: false} {
		b, w := newWatched(t, func(s *Settings) { limits(newRecipients(1<<20, Tempfail))(s); s.MaxEnvelope = 1 << 20 })
		m := mail()
		m.Recipients = nil
		for i := range n {
			m.Recipients = append(m.Recipients, Recipient{Address: fmt.Sprintf("x%d@x.example", i)})
		}
		v := b.decide(t, m)
		check(t, v, Accept, "none")
		if c := w.asks[0].Charges[0]; (c.Set == "recipients") != asSet || v.Windows[0].Used != int64(n) {
			t.Errorf("%d recipients: set %q of %d, %d used", n, c.Set, len(c.Members), v.Windows[0].Used)
		}
	}
}

// Every subject can be counted in every unit.
func TestEverySubjectInEveryUnit(t *testing.T) {
	login := to("a@x.example", "A+1@x.example", "b@y.example")
	script := local("cron@web1.example", "From: root@web1.example")
	script.Recipients = login.Recipients
	const alice = "account:alice@client-a.example"
	whole := map[Unit]int64{Messages: 1, Recipients: 3, NewRecipients: 2, Bytes: 1000}
	atX := map[Unit]int64{Messages: 1, Recipients: 2, NewRecipients: 1, Bytes: 1000}
	atY := map[Unit]int64{Messages: 1, Recipients: 1, NewRecipients: 1, Bytes: 1000}
	for kind, c := range map[string]struct {
		m        *Mail
		subjects []string
		costs    []map[Unit]int64
	}{
		"account":        {login, []string{alice}, []map[Unit]int64{whole}},
		"customer":       {login, []string{"customer:C-1001"}, []map[Unit]int64{whole}},
		"ip":             {login, []string{"ip:192.0.2.7"}, []map[Unit]int64{whole}},
		"domain":         {login, []string{"domain:x.example", "domain:y.example"}, []map[Unit]int64{atX, atY}},
		"account+domain": {login, []string{alice + "+domain:x.example", alice + "+domain:y.example"}, []map[Unit]int64{atX, atY}},
		"script":         {script, []string{"script:cron@web1.example"}, []map[Unit]int64{whole}},
		"host":           {script, []string{"host:mx.example"}, []map[Unit]int64{whole}},
	} {
		for _, unit := range []Unit{Messages, Recipients, NewRecipients, Bytes} {
			l := Limit{Name: "l", Subject: kind, Unit: unit, Max: 5000, Window: time.Hour, Action: Tempfail}
			b := newBench(t, limits(l))
			c.m.Size = 1000
			v := b.decide(t, c.m)
			var want []Charge
			for i, s := range c.subjects {
				want = append(want, Charge{"l", s, unit, c.costs[i][unit]})
			}
			if diff := cmp.Diff(want, v.Charges); diff != "" || v.Action != Accept {
				t.Errorf("%s by %s: %s, charges (-want +got):\n%s", kind, unit, v.Action, diff)
			}
			for i, w := range v.Windows {
				if w.Used != c.costs[i][unit] {
					t.Errorf("%s by %s: window %+v", kind, unit, w)
				}
			}
			if len(v.Windows) != len(want) {
				t.Errorf("%s by %s: %d windows", kind, unit, len(v.Windows))
			}
		}
	}
}

// Of several full windows the reply speaks of the first of the strongest, and
// names the longest wait of all that are enforced.
func TestWaitOfSeveralFullLimits(t *testing.T) {
	full := func(name string, window time.Duration, action Action) Limit {
		return Limit{Name: name, Subject: "account", Unit: Messages, Max: 1, Window: window, Action: action}
	}
	for _, c := range []struct {
		name   string
		limits []Limit
		rule   string
		want   string
	}{
		{"the longest wait is the second's", []Limit{full("a", time.Minute, Tempfail), full("b", time.Hour, Tempfail)},
			"limit.a", "1 in 1m are allowed. Please try again in 3660 seconds."},
		{"the longest wait is shadowed", []Limit{full("a", time.Minute, Tempfail), full("b", time.Hour, Shadow)},
			"limit.a", "1 in 1m are allowed. Please try again in 61 seconds."},
		{"the stronger stands second", []Limit{full("a", time.Hour, Quarantine), full("b", time.Minute, Tempfail)},
			"limit.b", "1 in 1m are allowed. Please try again in 3660 seconds."},
		{"three", []Limit{full("a", time.Minute, Tempfail), full("b", 24*time.Hour, Tempfail), full("c", time.Hour, Tempfail)},
			"limit.a", "1 in 1m are allowed. Please try again in 87840 seconds."},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, limits(c.limits...))
			check(t, b.decide(t, mail()), Accept, "none")
			v := b.decide(t, mail())
			if v.Rule != c.rule || !strings.Contains(v.Text, c.want) {
				t.Errorf("%s: %s", v.Rule, v.Text)
			}
		})
	}
}

// Held mail has the reason with the seconds, for Sendmail's queue listing.
func TestReasonOfHeldMail(t *testing.T) {
	b := newBench(t, limits(perMinute(1, Quarantine)))
	check(t, b.decide(t, mail()), Accept, "none")
	v := b.decide(t, mail())
	check(t, v, Quarantine, "limit.minute")
	want := "Too many messages: 1 in 1m are allowed. Please try again in 61 seconds. See https://help.example/sending-rules [limit.minute " + v.ID + "]"
	if v.Text != want || v.Code != 250 || v.Reply() != "" {
		t.Errorf("%d %q, reply %q", v.Code, v.Text, v.Reply())
	}
}

// What can never pass is said before what is full for a while.
func TestNeverBeforeLater(t *testing.T) {
	small := Limit{Name: "small", Subject: "account", Unit: Recipients, Max: 2, Window: time.Hour, Action: Tempfail}
	b := newBench(t, limits(perMinute(1, Reject), small))
	check(t, b.decide(t, mail()), Accept, "none")
	v := b.decide(t, to("a@x.example", "b@x.example", "c@x.example"))
	check(t, v, Reject, "limit.small", "limit.small: 3 in one message", "limit.minute: 1 used, 1 more")
	if want := "This message alone exceeds a limit of 2 in 1h."; !strings.HasPrefix(v.Text, want) {
		t.Errorf("got %s", v.Text)
	}
}

// With the store away the configured action decides, and blocks that memory
// knows hold all the same.
func TestStoreAwayKeepsBlocks(t *testing.T) {
	away := fmt.Errorf("dial: %w", state.ErrUnavailable)
	for action, want := range map[Action]Action{Tempfail: Tempfail, Accept: Accept} {
		b := newBench(t, func(s *Settings) { limits(perMinute(1, Tempfail))(s); s.Actions["store.unavailable"] = action })
		b.Engine.store = broken{Store: b.store, take: true, record: true, err: away}
		v := b.Decide(context.Background(), mail())
		check(t, v, want, "store.unavailable")
		if !errors.Is(v.Err, state.ErrUnavailable) {
			t.Errorf("error %v", v.Err)
		}
		b.block(t, "B1", "account:alice@client-a.example")
		v = b.Decide(context.Background(), mail())
		check(t, v, Reject, "block.active")
		if !slices.ContainsFunc(v.Evidence, func(ev Evidence) bool { return ev.Fact == "block B1" }) {
			t.Errorf("evidence %v", v.Evidence)
		}
	}
}
