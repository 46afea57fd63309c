package rules

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/accounts"
	"o2n-milter/state"
)

const aliceSubject = "account:alice@client-a.example"

func (b *bench) windowsOf(t *testing.T, subject string) []Window {
	t.Helper()
	windows, err := b.WindowsOf(context.Background(), b.at, subject)
	if err != nil || windows == nil {
		t.Fatalf("%s: %v, %v", subject, windows, err)
	}
	return windows
}

// Every limit of the subject's kind has its window, an untouched one too, with the
// max of the plan.
func TestWindowsOfAnAccount(t *testing.T) {
	minute := perMinute(10, Tempfail)
	minute.Plans = map[string]int64{"mailbox": 60, "pro": 600}
	b := newBench(t, limits(minute,
		Limit{Name: "day", Subject: "account", Unit: Recipients, Max: 2, Window: 24 * time.Hour, Action: Reject},
		Limit{Name: "watch", Subject: "account", Unit: Bytes, Max: 5, Window: 7 * day, Action: Shadow},
		Limit{Name: "off", Subject: "account", Unit: Bytes, Max: 5, Window: time.Hour, Action: Off},
		Limit{Name: "ip", Subject: "ip", Unit: Messages, Max: 5, Window: time.Hour, Action: Tempfail},
	))
	want := []Window{
		{Limit: "minute", Unit: Messages, Window: "1m", Max: 60, NextFree: start},
		{Limit: "day", Unit: Recipients, Window: "24h", Max: 2, NextFree: start},
		{Limit: "watch", Unit: Bytes, Window: "7d", Max: 5, NextFree: start, Shadow: true},
	}
	if diff := cmp.Diff(want, b.windowsOf(t, aliceSubject)); diff != "" {
		t.Errorf("before (-want +got):\n%s", diff)
	}
	check(t, b.decide(t, to("a@x.example", "b@x.example")), Accept, "none")
	want[0].Used, want[1].Used = 1, 2
	want[1].NextFree = start.Add(24*time.Hour + 24*time.Minute)
	if diff := cmp.Diff(want, b.windowsOf(t, aliceSubject)); diff != "" {
		t.Errorf("after (-want +got):\n%s", diff)
	}
	// Looking charged nothing.
	if diff := cmp.Diff(want, b.windowsOf(t, aliceSubject)); diff != "" {
		t.Errorf("again (-want +got):\n%s", diff)
	}
}

// A subject is known by a charge, a decision or a block, an account also by its
// source; nobody else has windows.
func TestWindowsOfKnownSubjects(t *testing.T) {
	var all []Limit
	for _, kind := range []string{"account", "customer", "script", "host", "ip", "domain", "account+domain"} {
		all = append(all, Limit{Name: kind, Subject: kind, Unit: Messages, Max: 5, Window: time.Hour, Action: Tempfail})
	}
	b := newBench(t, limits(all...))
	check(t, b.decide(t, mail()), Accept, "none")
	script := local("cron@web1.example", "From: root@web1.example", "X-PHP-Originating-Script: 0:mailer.php")
	check(t, b.decide(t, script), Accept, "none")
	forged := with("From: boss@bank.example")
	forged.Client = netip.MustParseAddr("192.0.2.99")
	check(t, b.decide(t, forged), Reject, "identity.header_from")
	b.block(t, "B1", "customer:C-9")
	b.block(t, "B2", "customer:C-10")
	if _, err := b.store.LiftBlock(context.Background(), "B2", start, "", ""); err != nil {
		t.Fatal(err)
	}
	for subject, used := range map[string]int64{
		aliceSubject: 1, "customer:C-1001": 1, "ip:192.0.2.7": 1, "domain:remote.example": 2,
		aliceSubject + "+domain:remote.example": 1, "script:cron@web1.example": 1, "host:mx.example": 1,
		"account:bob@client-b.example": 0, // the source knows him
		"ip:192.0.2.99":                0, // a decision does
		"customer:C-9":                 0, // a block does
		"customer:C-10":                0, // a lifted one does
	} {
		w := b.windowsOf(t, subject)
		if len(w) != 1 || w[0].Used != used || w[0].Max != 5 {
			t.Errorf("%s: %+v, want one with %d used", subject, w, used)
		}
	}
	for _, subject := range []string{
		"account:nobody@client-a.example", "account:Alice@client-a.example", "customer:c-1001", "ip:192.0.2.8", "domain:other.example",
		aliceSubject + "+domain:other.example", "account:bob@client-b.example+domain:remote.example", "host:other.example",
		"script:cron@web1.example/mailer.php", // has a decision, and never a window
		"colour:red", "", "account:",
	} {
		if w := b.windowsOf(t, subject); len(w) != 0 {
			t.Errorf("%s: %+v, want none", subject, w)
		}
	}
}

// What several accounts share has the max of the account that sent last.
func TestWindowsOfSharedSubjects(t *testing.T) {
	b := newBench(t, limits(Limit{Name: "ip", Subject: "ip", Unit: Messages, Max: 5, Window: time.Hour, Action: Tempfail,
		Plans: map[string]int64{"mailbox": 50}}))
	others := with("From: bob@client-b.example")
	others.Login, others.Sender = "bob@client-b.example", "bob@client-b.example"
	for _, c := range []struct {
		m         *Mail
		max, used int64
	}{{mail(), 50, 1}, {others, 5, 2}, {mail(), 50, 3}} {
		b.at = b.at.Add(time.Second)
		check(t, b.decide(t, c.m), Accept, "none")
		if w := b.windowsOf(t, "ip:192.0.2.7"); len(w) != 1 || w[0].Max != c.max || w[0].Used != c.used {
			t.Errorf("after %s: %+v", c.m.Login, w)
		}
	}
}

// deaf is a store that cannot answer every question; nil: it can.
type deaf struct {
	state.Store
	decisions, blocks, usage error
}

func (d deaf) Decisions(ctx context.Context, q state.Query) ([]state.Decision, error) {
	if d.decisions != nil {
		return nil, d.decisions
	}
	return d.Store.Decisions(ctx, q)
}

func (d deaf) BlocksOf(ctx context.Context, subjects []string) ([]state.Block, error) {
	if d.blocks != nil {
		return nil, d.blocks
	}
	return d.Store.BlocksOf(ctx, subjects)
}

func (d deaf) Usage(ctx context.Context, now time.Time, w []state.Window) ([]state.Usage, error) {
	if d.usage != nil {
		return nil, d.usage
	}
	return d.Store.Usage(ctx, now, w)
}

type sourceAway struct{ accounts.Source }

func (sourceAway) ByLogin(context.Context, string) (*accounts.Account, error) { return nil, errAway }

func TestWindowsOfWhenSomethingIsAway(t *testing.T) {
	for i, d := range []deaf{{decisions: errAway}, {blocks: errAway}, {usage: errAway}, {}} {
		b := newBench(t, limits(perMinute(1, Tempfail)))
		d.Store = b.store
		b.Engine.store = d
		if i == 3 {
			b.accounts = sourceAway{}
		}
		if w, err := b.WindowsOf(context.Background(), start, aliceSubject); !errors.Is(err, errAway) || w != nil {
			t.Errorf("%+v: %v, %v", d, w, err)
		}
	}
}

// A store that counts in memory, without its decisions, still tells its windows.
func TestWindowsOfWithoutDecisions(t *testing.T) {
	b := newBench(t, limits(perMinute(5, Tempfail), Limit{Name: "ip", Subject: "ip", Unit: Messages, Max: 5, Window: time.Hour, Action: Tempfail}))
	check(t, b.decide(t, mail()), Accept, "none")
	b.Engine.store = deaf{Store: b.store, decisions: fmt.Errorf("decisions: %w", state.ErrUnavailable)}
	for subject, want := range map[string]int{aliceSubject: 1, "ip:192.0.2.7": 1, "ip:192.0.2.8": 0} {
		if w := b.windowsOf(t, subject); len(w) != want || want > 0 && w[0].Used != 1 {
			t.Errorf("%s: %+v", subject, w)
		}
	}
}

// The time shown is one at which the place is free, not a moment before.
func TestMilliseconds(t *testing.T) {
	for add, want := range map[time.Duration]time.Duration{
		0: 0, 1: time.Millisecond, time.Millisecond - 1: time.Millisecond, time.Millisecond: time.Millisecond,
		time.Millisecond + 1: 2 * time.Millisecond,
	} {
		if got := milliseconds(start.Add(add)); !got.Equal(start.Add(want)) || got.Location() != time.UTC {
			t.Errorf("%v: got %v", add, got)
		}
	}
}

// The record keeps the windows as the message left them, for mail that passes and
// for mail that a window stops.
func TestWindowsAreRecorded(t *testing.T) {
	b := newBench(t, limits(perMinute(1, Tempfail)))
	recorded := func(v Verdict) []Window {
		t.Helper()
		d, err := b.store.Decision(context.Background(), v.ID)
		if err != nil {
			t.Fatal(err)
		}
		var detail Detail
		if err := json.Unmarshal(d.Detail, &detail); err != nil {
			t.Fatal(err)
		}
		return detail.Windows
	}
	want := []Window{{Limit: "minute", Subject: aliceSubject, Unit: Messages, Window: "1m", Used: 1, Max: 1, NextFree: start.Add(61 * time.Second)}}
	v := b.decide(t, mail())
	if diff := cmp.Diff(want, recorded(v)); diff != "" || v.Action != Accept {
		t.Errorf("%s (-want +got):\n%s", v.Action, diff)
	}
	v = b.decide(t, mail())
	if diff := cmp.Diff(want, recorded(v)); diff != "" || v.Action != Tempfail {
		t.Errorf("%s (-want +got):\n%s", v.Action, diff)
	}
	v = b.decide(t, with("From: boss@bank.example"))
	if got := recorded(v); len(got) > 0 {
		t.Errorf("refused by a rule: %v", got)
	}
}

// Thousands of windows are told in the verdict and recorded short.
func TestManyWindowsAreRecordedShort(t *testing.T) {
	l := Limit{Name: "dest", Subject: "domain", Unit: Messages, Max: 5, Window: time.Hour, Action: Tempfail}
	b := newBench(t, func(s *Settings) { limits(l)(s); s.MaxEnvelope = 5000 })
	m := mail()
	m.Recipients = nil
	for i := range 3000 {
		m.Recipients = append(m.Recipients, Recipient{Address: fmt.Sprintf("x@d%d.example", i)})
	}
	v := b.decide(t, m)
	check(t, v, Accept, "none")
	d, err := b.store.Decision(context.Background(), v.ID)
	if err != nil {
		t.Fatal(err)
	}
	var detail Detail
	if err := json.Unmarshal(d.Detail, &detail); err != nil {
		t.Fatal(err)
	}
	if len(v.Windows) != 3000 || len(detail.Windows) != mostRecorded || len(d.Detail) > 64<<10 {
		t.Errorf("%d windows, %d recorded in %d octets", len(v.Windows), len(detail.Windows), len(d.Detail))
	}
}
