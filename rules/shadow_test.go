package rules

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/accounts"
	"o2n-milter/state"
)

// enforce has the bench go on under other settings.
func (b *bench) enforce(change func(*Settings)) {
	set := defaults()
	change(&set)
	b.Engine = b.Next(set, b.accounts)
}

// in is what the subject's window of this name holds.
func (b *bench) in(t *testing.T, window, subject string) int64 {
	t.Helper()
	usage, err := b.store.Usage(t.Context(), b.at, []state.Window{{Limit: window, Subject: subject, Length: time.Minute, Max: 1000}})
	if err != nil {
		t.Fatal(err)
	}
	return usage[0].Used
}

// A limit in shadow refuses in its own window at max+1 and not before, charges nothing
// then, and has room again when the enforced limit had.
func TestShadowLimitCountsAsIfEnforced(t *testing.T) {
	shadow, enforced := newBench(t, limits(perMinute(3, Shadow))), newBench(t, limits(perMinute(3, Tempfail)))
	for i := range 200 { // one each 5 seconds
		shadow.at = start.Add(time.Duration(i) * 5 * time.Second)
		enforced.at = shadow.at
		v := shadow.decide(t, mail())
		wouldBe := len(v.Hits) > 0
		if refused := enforced.decide(t, mail()).Action != Accept; v.Action != Accept || wouldBe != refused {
			t.Fatalf("message %d: %s, hits %v; enforced it is refused: %v", i, v.Action, v.Hits, refused)
		}
		if got, want := shadow.in(t, "shadow/minute", alice), enforced.in(t, "minute", alice); got != want || got > 3 {
			t.Fatalf("message %d: %d in shadow, %d enforced", i, got, want)
		}
	}
	if n := shadow.in(t, "minute", alice); n != 0 {
		t.Errorf("%d in the window of the enforced limit", n)
	}
}

// What a rule in shadow would have refused costs limits in shadow nothing, and the
// enforced ones, as it passes, what it costs.
func TestShadowRuleKeepsShadowWindowsFree(t *testing.T) {
	real := Limit{Name: "real", Subject: "account", Unit: Messages, Max: 3, Window: time.Minute, Action: Tempfail}
	b := newBench(t, func(s *Settings) {
		limits(perMinute(1, Shadow), real)(s)
		s.Actions["identity.header_from"] = Shadow
	})
	for range 2 {
		v := b.decide(t, forged(0))
		check(t, v, Accept, "none", "identity.header_from: boss@bank.example (shadow)")
		if diff := cmp.Diff([]Hit{{"identity.header_from", alice}}, v.Hits); diff != "" {
			t.Errorf("hits (-want +got):\n%s", diff)
		}
	}
	if shadow, real := b.in(t, "shadow/minute", alice), b.in(t, "real", alice); shadow != 0 || real != 2 {
		t.Errorf("%d in shadow, %d enforced; want 0 and 2", shadow, real)
	}
	check(t, b.decide(t, mail()), Accept, "none")
	check(t, b.decide(t, mail()), Tempfail, "limit.real", "limit.real: 3 used, 1 more") // nor is shadow looked at
	if n := b.in(t, "shadow/minute", alice); n != 1 {
		t.Errorf("%d in shadow; want 1", n)
	}
}

// Of several limits in shadow all are charged or none.
func TestShadowLimitsTogether(t *testing.T) {
	day := Limit{Name: "day", Subject: "customer", Unit: Messages, Max: 100, Window: time.Hour, Action: Shadow}
	b := newBench(t, limits(day, perMinute(2, Shadow)))
	for range 5 {
		b.decide(t, mail())
	}
	if n := b.in(t, "shadow/day", "customer:C-1001"); n != 2 {
		t.Errorf("%d messages; want the 2 that the other limit lets through", n)
	}
	v := b.decide(t, mail())
	if diff := cmp.Diff([]Hit{{"limit.minute", alice}}, v.Hits); diff != "" {
		t.Errorf("hits (-want +got):\n%s", diff)
	}
}

// A limit that is enforced from now on begins with an empty window.
func TestEnforcedAfterShadow(t *testing.T) {
	b := newBench(t, limits(perMinute(2, Shadow)))
	for range 3 {
		b.decide(t, mail())
	}
	b.enforce(limits(perMinute(2, Tempfail)))
	for range 2 {
		check(t, b.decide(t, mail()), Accept, "none")
	}
	check(t, b.decide(t, mail()), Tempfail, "limit.minute", "limit.minute: 2 used, 1 more")
}

// Who is exempt from a limit is counted in shadow, and only he.
func TestExemptLimitCountsInShadow(t *testing.T) {
	day := Limit{Name: "day", Subject: "account", Unit: Messages, Max: 100, Window: time.Hour, Action: Tempfail}
	b := newBench(t, limits(perMinute(1, Tempfail), day))
	b.exempt(t, state.Exemption{Subject: alice, Rule: "limit.minute"})
	check(t, b.decide(t, mail()), Accept, "none")
	check(t, b.decide(t, mail()), Accept, "none", "limit.minute: 1 used, 1 more (shadow)")
	if got := []int64{b.in(t, "shadow/minute", alice), b.in(t, "minute", alice), b.in(t, "day", alice)}; !slices.Equal(got, []int64{1, 0, 2}) {
		t.Errorf("got %v", got)
	}
	want := []Window{
		{Limit: "minute", Unit: Messages, Window: "1m", Max: 1, NextFree: start},
		{Limit: "minute", Unit: Messages, Window: "1m", Used: 1, Max: 1, NextFree: start.Add(61 * time.Second), Shadow: true},
		{Limit: "day", Unit: Messages, Window: "1h", Used: 2, Max: 100, NextFree: start},
	}
	if diff := cmp.Diff(want, b.windowsOf(t, alice)); diff != "" {
		t.Errorf("usage (-want +got):\n%s", diff)
	}
}

// lameShadow answers for all but limits in shadow.
type lameShadow struct{ state.Store }

func (s lameShadow) Take(ctx context.Context, now time.Time, ask state.Ask) (state.Answer, error) {
	if len(ask.Charges) > 0 && ask.Charges[0].Limit == "shadow/minute" {
		return state.Answer{}, state.ErrUnavailable
	}
	return s.Store.Take(ctx, now, ask)
}

// Mail that was charged passes, whatever becomes of its shadow.
func TestShadowWithoutStore(t *testing.T) {
	b := newBench(t, limits(perMinute(1, Shadow)))
	b.Engine.store = lameShadow{b.store}
	v := b.Decide(t.Context(), mail())
	check(t, v, Accept, "none")
	if !errors.Is(v.Err, state.ErrUnavailable) {
		t.Errorf("error %v", v.Err)
	}
}

func allShadow(change func(*Settings)) func(*Settings) {
	return func(s *Settings) {
		s.AllShadow = true
		if change != nil {
			change(s)
		}
	}
}

// With all in shadow whatever an enforced rule refuses passes, with the same evidence.
func TestAllShadow(t *testing.T) {
	unreadable := with("Subject: no From")
	unreadable.Faults = []string{"half a header"}
	stranger := with("From: eve@nobody.example")
	stranger.Login = "eve"
	for name, m := range map[string]*Mail{
		"header_from": forged(0), "recipients": crowded(0), "malformed": unreadable, "unknown login": stranger,
		"local submission": local("eve@client-b.example", "From: boss@bank.example"),
	} {
		was := newBench(t, nil).decide(t, m)
		if was.Action < Quarantine {
			t.Fatalf("%s: %s", name, was.Action)
		}
		v := newBench(t, allShadow(nil)).decide(t, m)
		if v.Action != Accept || v.Rule != "none" || len(v.Hits) == 0 || v.Struck != 0 || v.Code != 250 {
			t.Errorf("%s: %s by %s, hits %v", name, v.Action, v.Rule, v.Hits)
		}
		for _, ev := range v.Evidence {
			if !ev.Shadow {
				t.Errorf("%s: evidence %v is not in shadow", name, ev)
			}
		}
	}
}

// Under [shadow] all, windows tell what its end brings: a rule that is set to shadow by
// itself refuses nothing then, a tag neither.
func TestAllShadowCountsWhatItsEndBrings(t *testing.T) {
	for action, used := range map[Action]int64{Off: 1, Shadow: 1, Tag: 1, Quarantine: 0, Tempfail: 0, Reject: 0} {
		b := newBench(t, allShadow(func(s *Settings) {
			limits(perMinute(5, Tempfail))(s)
			s.Actions["identity.header_from"] = action
		}))
		check(t, b.decide(t, forged(0)), Accept, "none")
		if n := b.in(t, "shadow/minute", alice); n != used {
			t.Errorf("%s: %d in the window; want %d", action, n, used)
		}
	}
}

// A manual block is an operator's own word and holds; ours do not.
func TestAllShadowAndBlocks(t *testing.T) {
	b := newBench(t, allShadow(limits(perMinute(1, Tempfail))))
	add := func(id, by string) {
		t.Helper()
		if err := b.store.AddBlock(t.Context(), state.Block{ID: id, Subject: alice, Since: start, By: by}); err != nil {
			t.Fatal(err)
		}
	}
	add("B1", Automatic)
	for range 2 { // it costs limits in shadow nothing either
		v := b.decide(t, mail())
		check(t, v, Accept, "none", "block.active: account:alice@client-a.example is blocked until it is lifted (shadow)")
	}
	add("B2", "root")
	v := b.decide(t, mail())
	check(t, v, Reject, "block.active")
	if len(v.Evidence) != 2 || !v.Evidence[0].Shadow || v.Evidence[1].Shadow {
		t.Errorf("evidence %+v", v.Evidence)
	}
}

// An automatic block that only the store behind Take knows.
func TestAllShadowAndALateBlock(t *testing.T) {
	b, w := newWatched(t, allShadow(limits(perMinute(1, Tempfail))))
	if err := b.store.AddBlock(t.Context(), state.Block{ID: "B1", Subject: "customer:C-1001", Since: start, By: Automatic}); err != nil {
		t.Fatal(err)
	}
	check(t, b.decide(t, mail()), Accept, "none", "block.active: customer:C-1001 is blocked until it is lifted (shadow)")
	if len(w.asks) == 0 {
		t.Error("the store was not asked")
	}
}

// What cannot be judged passes and says so.
func TestAllShadowWithoutStore(t *testing.T) {
	b := newBench(t, allShadow(nil))
	b.Engine.store = awayStore{b.store}
	v := b.Decide(t.Context(), mail())
	if v.Action != Accept || v.Rule != "store.unavailable" || v.Err == nil {
		t.Errorf("%s by %s, %v", v.Action, v.Rule, v.Err)
	}
	b = newBench(t, allShadow(nil))
	b.Engine.accounts = brokenSource{}
	v = b.Decide(t.Context(), mail())
	if v.Action != Accept || v.Rule != "internal.panic" || v.Err == nil {
		t.Errorf("%s by %s, %v", v.Action, v.Rule, v.Err)
	}
}

type awayStore struct{ state.Store }

func (awayStore) ActiveBlocks(context.Context, time.Time, []string) ([]state.Block, error) {
	return nil, state.ErrUnavailable
}

type brokenSource struct{ accounts.Source }

func (brokenSource) ByLogin(context.Context, string) (*accounts.Account, error) {
	panic("our own fault")
}

// Settings that somebody else holds stay as they are.
func TestAllShadowCopiesSettings(t *testing.T) {
	set := defaults()
	limits(perMinute(1, Tempfail))(&set)
	set.AllShadow = true
	e := New(set, nil, nil, time.Now)
	if set.Actions["identity.header_from"] != Reject || set.Limits[0].Action != Tempfail {
		t.Error("the settings given to New were changed")
	}
	if got := e.Settings(); got.Actions["identity.header_from"] != Shadow || got.Limits[0].Action != Shadow || got.Actions["hold.full"] != Tempfail {
		t.Errorf("in force: %v", got.Actions)
	}
}

// A question changes nothing: no window, no record, no strike, no held mail.
func TestTry(t *testing.T) {
	b := blockingBench(t, func(s *Settings) {
		limits(perMinute(1, Tempfail), Limit{Name: "seen", Subject: "account", Unit: NewRecipients, Max: 9, Window: time.Hour, Action: Shadow})(s)
		s.Actions["recipients.envelope"] = Quarantine
		s.Hold = func(context.Context, time.Time, state.Held) error { t.Error("held"); return nil }
		s.Ours = func(string, []string) bool { t.Error("a notice of ours was used up"); return true }
	})
	for n := range 20 {
		check(t, b.Try(t.Context(), mail()), Accept, "none")
		b.Try(t.Context(), local("root@web1.example", "From: root@web1.example", noticeField+": x"))
		check(t, b.Try(t.Context(), crowded(n)), Quarantine, "recipients.envelope")
		check(t, b.Try(t.Context(), forged(n)), Reject, "identity.header_from")
	}
	for _, w := range b.windowsOf(t, alice) {
		if w.Used != 0 {
			t.Errorf("%s holds %d", w.Limit, w.Used)
		}
	}
	if list, err := b.store.Decisions(t.Context(), state.Query{Limit: 1}); err != nil || len(list) > 0 {
		t.Errorf("recorded: %v, %v", list, err)
	}
	b.wantBlocked(t, "after questions")
	b.decide(t, mail())
	check(t, b.Try(t.Context(), mail()), Tempfail, "limit.minute", "limit.minute: 1 used, 1 more")
	if err := b.store.AddBlock(t.Context(), state.Block{ID: "B1", Subject: alice, Since: start}); err != nil {
		t.Fatal(err)
	}
	check(t, b.Try(t.Context(), mail()), Reject, "block.active")
}

// The lines that explain a decision name what put the rule in shadow.
func TestAllShadowIsExplained(t *testing.T) {
	b := newBench(t, allShadow(configured))
	_, detail := b.recorded(t, b.decide(t, forged(0)))
	if diff := cmp.Diff([]string{"identity.header_from", "identity.alignment", "shadow.all"}, keysIn(detail.Config)); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

// Who is exempt stays so when shadow ends: neither the rule nor the limit that he is
// exempt from keeps his mail from being charged.
func TestExemptMailIsChargedInShadow(t *testing.T) {
	day := Limit{Name: "day", Subject: "account", Unit: Messages, Max: 100, Window: time.Hour, Action: Shadow}
	b := newBench(t, limits(perMinute(1, Tempfail), day))
	b.exempt(t, state.Exemption{Subject: alice, Rule: "identity.header_from"})
	b.exempt(t, state.Exemption{Subject: alice, Rule: "limit.minute"})
	for n := range 3 {
		check(t, b.decide(t, forged(n)), Accept, "none")
	}
	if got := []int64{b.in(t, "shadow/minute", alice), b.in(t, "shadow/day", alice)}; !slices.Equal(got, []int64{1, 3}) {
		t.Errorf("got %v; want 1 of the limit that he is exempt from, 3 of the other", got)
	}
}

// Held mail that leaves is charged in shadow where there is room, and leaves where
// there is none.
func TestReleaseChargesShadow(t *testing.T) {
	h := newHolding(t, limits(Limit{Name: "minute", Subject: "script", Unit: Messages, Max: 1, Window: time.Minute, Action: Tempfail}))
	held := h.fill(t, fromCron)
	h.set.Limits[0].Action = Shadow
	for range 2 {
		if got := h.release(t, held); got.State != ReleasePaid {
			t.Errorf("%+v", got)
		}
		if n := h.in(t, "shadow/minute", "script:cron@web1.example"); n != 1 {
			t.Errorf("%d in the window", n)
		}
	}
}

// What a decision costs while its limits are enforced, and in shadow.
func BenchmarkShadow(b *testing.B) {
	for name, action := range map[string]Action{"enforced": Tempfail, "shadow": Shadow} {
		b.Run(name, func(b *testing.B) {
			x := newBench(b, limits(perMinute(1<<40, action)))
			for b.Loop() {
				x.Decide(b.Context(), mail())
			}
		})
	}
}
