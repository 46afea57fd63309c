package rules

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/state"
)

func limits(list ...Limit) func(*Settings) { return func(s *Settings) { s.Limits = list } }

func perMinute(n int64, action Action) Limit {
	return Limit{Name: "minute", Subject: "account", Unit: Messages, Max: n, Window: time.Minute, Action: action}
}

func TestLimitMinute(t *testing.T) {
	b := newBench(t, limits(perMinute(10, Tempfail)))
	for i := range 10 {
		check(t, b.decide(t, mail()), Accept, "none")
		b.at = b.at.Add(time.Duration(i) * time.Millisecond)
	}
	v := b.decide(t, mail())
	check(t, v, Tempfail, "limit.minute", "limit.minute: 10 used, 1 more")
	want := "451 4.7.1 Too many messages: 10 in 1m are allowed. Please try again in 61 seconds. See https://help.example/sending-rules [limit.minute " + v.ID + "]"
	if v.Reply() != want {
		t.Errorf("got  %s\nwant %s", v.Reply(), want)
	}
	b.at = start.Add(time.Minute) // to the second the window is still full: a place comes free W/60 late
	check(t, b.decide(t, mail()), Tempfail, "limit.minute")
	b.at = start.Add(61*time.Second + time.Millisecond)
	check(t, b.decide(t, mail()), Accept, "none")
}

func TestRefusedMailIsNotCharged(t *testing.T) {
	b := newBench(t, limits(perMinute(1, Tempfail)))
	check(t, b.decide(t, with("From: boss@bank.example")), Reject, "identity.header_from")
	check(t, b.decide(t, mail()), Accept, "none")
	check(t, b.decide(t, mail()), Tempfail, "limit.minute")
}

func TestLimitsAreAllOrNothing(t *testing.T) {
	day := Limit{Name: "day", Subject: "customer", Unit: Recipients, Max: 3, Window: 24 * time.Hour, Action: Reject}
	b := newBench(t, limits(perMinute(2, Tempfail), day))
	two := mail()
	two.Recipients = rcpts("a@x.example", "b@x.example")
	check(t, b.decide(t, two), Accept, "none")
	v := b.decide(t, two) // 4 recipients of 3: the minute's place stays free
	check(t, v, Reject, "limit.day", "limit.day: 2 used, 2 more")
	if v.Code != 550 || v.Enhanced != "5.7.1" {
		t.Errorf("reply %s", v.Reply())
	}
	check(t, b.decide(t, mail()), Accept, "none")
	check(t, b.decide(t, mail()), Reject, "limit.day", "limit.minute: 2 used, 1 more", "limit.day: 3 used, 1 more")
}

func TestFileOrderBetweenEqualLimits(t *testing.T) {
	second := perMinute(1, Tempfail)
	second.Name, second.Window = "hour", time.Hour
	b := newBench(t, limits(perMinute(1, Tempfail), second))
	check(t, b.decide(t, mail()), Accept, "none")
	v := b.decide(t, mail())
	check(t, v, Tempfail, "limit.minute")
	// The seconds are of the longest wait: the message passes no earlier.
	if want := "1 in 1m are allowed. Please try again in 3660 seconds"; !strings.Contains(v.Text, want) {
		t.Errorf("got %q, want %q in it", v.Text, want)
	}
}

func TestMessageThatAloneExceedsALimit(t *testing.T) {
	l := perMinute(9, Tempfail)
	l.Unit = Recipients
	for n, want := range map[int]Action{8: Accept, 9: Accept, 10: Reject} {
		b := newBench(t, limits(l))
		m := mail()
		m.Recipients = rcpts(many(n, "x.example")...)
		v := b.decide(t, m)
		if v.Action != want {
			t.Errorf("%d recipients: %s by %s", n, v.Action, v.Rule)
		}
		if want == Reject && (v.Code != 550 || v.Enhanced != "5.7.1" || v.Rule != "limit.minute") {
			t.Errorf("%d recipients: %s", n, v.Reply())
		}
	}
}

func TestPlansOverrideMax(t *testing.T) {
	l := perMinute(1, Tempfail)
	l.Plans = map[string]int64{"mailbox": 2}
	b := newBench(t, limits(l))
	check(t, b.decide(t, mail()), Accept, "none")
	check(t, b.decide(t, mail()), Accept, "none")
	check(t, b.decide(t, mail()), Tempfail, "limit.minute")
}

func TestShadowAndTagLimitsRefuseNothing(t *testing.T) {
	b := newBench(t, limits(perMinute(1, Shadow)))
	if v := b.decide(t, mail()); v.Action != Accept || len(v.Evidence) > 0 {
		t.Errorf("%s, evidence %q", v.Action, found(v))
	}
	check(t, b.decide(t, mail()), Accept, "none", "limit.minute: 1 used, 1 more (shadow)")
	b = newBench(t, limits(perMinute(1, Tag)))
	check(t, b.decide(t, mail()), Accept, "none")
	v := b.decide(t, mail())
	check(t, v, Tag, "limit.minute")
	if v.Code != 250 || v.Reply() != "" {
		t.Errorf("reply %d %q", v.Code, v.Reply())
	}
	b = newBench(t, limits(perMinute(1, Off)))
	for range 3 {
		check(t, b.decide(t, mail()), Accept, "none")
	}
}

func TestLocalSubmissionIsHeldNotDeferred(t *testing.T) {
	l := perMinute(1, Tempfail)
	l.Subject = "host"
	b := newBench(t, limits(l))
	m := func() *Mail { return local("cron@web1.example", "From: root@web1.example") }
	check(t, b.decide(t, m()), Accept, "none")
	v := b.decide(t, m())
	check(t, v, Quarantine, "limit.minute")
	if v.Code != 250 || !strings.HasSuffix(v.Text, "[limit.minute "+v.ID+"]") {
		t.Errorf("%d %q", v.Code, v.Text)
	}
	forged := local("eve@client-b.example", "From: eve@client-b.example") // another sender, the same host
	check(t, b.decide(t, forged), Quarantine, "limit.minute")
	listed := local("www-data@web1.example", "From: x@shop.example") // an account's script is on that host too
	check(t, b.decide(t, listed), Quarantine, "limit.minute")
	check(t, b.decide(t, mail()), Accept, "none") // a login is no local submission
}

func TestChargesByDomain(t *testing.T) {
	set := []Limit{
		{Name: "dest", Subject: "domain", Unit: Recipients, Max: 5, Window: time.Hour, Action: Tempfail},
		{Name: "pair", Subject: "account+domain", Unit: Messages, Max: 5, Window: time.Hour, Action: Tempfail},
		{Name: "octets", Subject: "ip", Unit: Bytes, Max: 5000, Window: time.Hour, Action: Tempfail},
		{Name: "scripts", Subject: "script", Unit: Messages, Max: 5, Window: time.Hour, Action: Tempfail},
	}
	b := newBench(t, limits(set...))
	m := mail()
	m.Recipients = rcpts("a@x.example", "b@y.example", "c@X.example")
	want := []Charge{
		{"dest", "domain:x.example", Recipients, 2},
		{"dest", "domain:y.example", Recipients, 1},
		{"pair", "account:alice@client-a.example+domain:x.example", Messages, 1},
		{"pair", "account:alice@client-a.example+domain:y.example", Messages, 1},
		{"octets", "ip:192.0.2.7", Bytes, 1000},
	}
	if diff := cmp.Diff(want, b.decide(t, m).Charges); diff != "" {
		t.Errorf("charges (-want +got):\n%s", diff)
	}
}

// The reply names the longest wait, wherever its limit stands in the file.
func TestLongestWait(t *testing.T) {
	hour := perMinute(1, Tempfail)
	hour.Name, hour.Window = "hour", time.Hour
	b := newBench(t, limits(hour, perMinute(1, Tempfail)))
	check(t, b.decide(t, mail()), Accept, "none")
	if v := b.decide(t, mail()); !strings.Contains(v.Text, "try again in 3660 seconds") {
		t.Errorf("got %q", v.Text)
	}
}

// A limit that refuses nothing does not refuse a message that alone exceeds it.
func TestBigMessageUnderShadow(t *testing.T) {
	for _, action := range []Action{Shadow, Tag} {
		l := perMinute(1, action)
		l.Unit = Recipients
		b := newBench(t, limits(l))
		m := mail()
		m.Recipients = rcpts("a@x.example", "b@x.example")
		want, rule := Accept, "none"
		if action == Tag {
			want, rule = Tag, "limit.minute"
		}
		check(t, b.decide(t, m), want, rule)
	}
}

// A script does not fill the window of those who log in from the same host.
func TestScriptIsNotCountedByIP(t *testing.T) {
	l := perMinute(1, Tempfail)
	l.Subject = "ip"
	b := newBench(t, limits(l))
	for range 3 {
		check(t, b.decide(t, local("cron@web1.example", "From: root@web1.example")), Accept, "none")
	}
	webmail := mail()
	webmail.Client = netip.MustParseAddr("127.0.0.1")
	check(t, b.decide(t, webmail), Accept, "none")
	check(t, b.decide(t, webmail), Tempfail, "limit.minute")
}

// Every spelling of a destination is charged to it, and odd ones to themselves.
func TestDestinationSpellings(t *testing.T) {
	l := Limit{Name: "dest", Subject: "domain", Unit: Recipients, Max: 100, Window: time.Hour, Action: Tempfail}
	b := newBench(t, limits(l))
	b.turn("recipients.duplicate", Off)
	m := mail()
	m.Recipients = rcpts("a@x.example", "b@X.Example.", `c@"x.example"`, `d@x."example"`, "v@[142.250.1.26]", "v@foo_bar.example", "root")
	want := []Charge{
		{"dest", "domain:x.example", Recipients, 4},
		{"dest", "domain:[142.250.1.26]", Recipients, 1},
		{"dest", "domain:foo_bar.example", Recipients, 1},
	}
	if diff := cmp.Diff(want, b.decide(t, m).Charges); diff != "" {
		t.Errorf("charges (-want +got):\n%s", diff)
	}
	b.turn("recipients.duplicate", Reject)
	for _, other := range []string{`v@"x.example"`, `"v"@x."example"`, "v@x\u00ad.example", "v@x.exam\u200bple"} {
		m.Recipients = rcpts("v@x.example", other, "V@x.example")
		check(t, b.decide(t, m), Reject, "recipients.duplicate")
		if n := len(b.decide(t, m).Charges); n != 1 {
			t.Errorf("%q: %d destinations", other, n)
		}
	}
}

// Thousands of destinations are judged whole and recorded short.
func TestManyDestinations(t *testing.T) {
	l := Limit{Name: "pair", Subject: "account+domain", Unit: Messages, Max: 5, Window: time.Hour, Action: Tempfail}
	b := newBench(t, func(s *Settings) { limits(l)(s); s.MaxEnvelope = 5000 })
	if err := b.store.AddBlock(context.Background(), state.Block{ID: "B1", Subject: "domain:d2999.example", Since: start}); err != nil {
		t.Fatal(err)
	}
	m := mail()
	m.Recipients = nil
	for i := range 3000 {
		m.Recipients = append(m.Recipients, Recipient{Address: fmt.Sprintf("x@d%d.example", i)})
	}
	v := b.decide(t, m)
	check(t, v, Reject, "block.active")
	d, err := b.store.Decision(context.Background(), v.ID)
	if err != nil {
		t.Fatal(err)
	}
	if len(v.Charges) != mostRecorded || len(d.Subjects) != mostRecorded || len(d.Detail) > 32<<10 {
		t.Errorf("%d charges, recorded %d subjects, %d octets", len(v.Charges), len(d.Subjects), len(d.Detail))
	}
	if _, err := b.store.LiftBlock(context.Background(), "B1", start, "", ""); err != nil {
		t.Fatal(err)
	}
	check(t, b.decide(t, m), Accept, "none")
	b.set.Limits[0].Max = 1
	v = b.decide(t, m)
	check(t, v, Tempfail, "limit.pair")
	if len(v.Charges) != 3000 || len(v.Evidence) != mostRecorded {
		t.Errorf("%d charges, %d pieces of evidence", len(v.Charges), len(v.Evidence))
	}
}

func TestLongScriptName(t *testing.T) {
	l := perMinute(1, Tempfail)
	l.Subject = "script"
	b := newBench(t, limits(l))
	b.turn("identity.envelope_from", Off)
	b.turn("identity.header_from", Off)
	m := local(strings.Repeat("x", 5000)+"@web1.example", "From: root@web1.example")
	check(t, b.decide(t, m), Accept, "none")
	check(t, b.decide(t, m), Quarantine, "limit.minute")
}

// broken is a store of which some calls fail.
type broken struct {
	state.Store
	take, blocks, record bool
	err                  error // nil: errAway
}

func (b broken) fault() error {
	if b.err != nil {
		return b.err
	}
	return errAway
}

var errAway = errors.New("no space left on device")

func (b broken) Take(ctx context.Context, now time.Time, ask state.Ask) (state.Answer, error) {
	if b.take {
		return state.Answer{}, b.fault()
	}
	return b.Store.Take(ctx, now, ask)
}

func (b broken) ActiveBlocks(ctx context.Context, now time.Time, s []string) ([]state.Block, error) {
	if b.blocks {
		return nil, b.fault()
	}
	return b.Store.ActiveBlocks(ctx, now, s)
}

func (b broken) Record(ctx context.Context, d state.Decision) error {
	if b.record {
		return b.fault()
	}
	return b.Store.Record(ctx, d)
}

func TestStoreUnavailable(t *testing.T) {
	for _, br := range []broken{{take: true}, {blocks: true}} {
		b := newBench(t, limits(perMinute(1, Tempfail)))
		br.Store = b.store
		b.Engine.store = br
		v := b.Decide(context.Background(), mail())
		check(t, v, Tempfail, "store.unavailable")
		if v.Code != 451 || v.Enhanced != "4.3.0" || !errors.Is(v.Err, errAway) {
			t.Errorf("%s, error %v", v.Reply(), v.Err)
		}
		check(t, b.Decide(context.Background(), with("From: boss@bank.example")), Reject, "identity.header_from")
		b.turn("store.unavailable", Accept)
		check(t, b.Decide(context.Background(), with("From: boss@bank.example")), Reject, "identity.header_from")
		v = b.Decide(context.Background(), mail())
		check(t, v, Accept, "store.unavailable")
		if v.Code != 250 {
			t.Errorf("code %d", v.Code)
		}
	}
}

func TestDecisionThatCannotBeRecordedStands(t *testing.T) {
	b := newBench(t, nil)
	b.Engine.store = broken{Store: b.store, record: true}
	v := b.Decide(context.Background(), mail())
	check(t, v, Accept, "none")
	if !errors.Is(v.Err, errAway) {
		t.Errorf("error %v", v.Err)
	}
}
