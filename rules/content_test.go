package rules

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"o2n-milter/state"
)

// scoring makes an engine that always says the same, and counts how often it is asked.
func scoring(asked *int, s Score, err error) func(*Settings) {
	return func(set *Settings) {
		set.Content = Content{At: 15, Steps: map[Action]float64{Tag: 6, Quarantine: 10}, Ask: func(context.Context, *Mail) (Score, error) {
			*asked++
			return s, err
		}}
	}
}

func TestContentScore(t *testing.T) {
	for _, tt := range []struct {
		score  float64
		rule   Action
		want   Action
		shadow bool
		from   string
	}{
		{-3, Reject, Accept, false, ""},
		{5.99, Reject, Accept, false, ""},
		{6, Reject, Tag, false, "below 6"},
		{6.01, Reject, Tag, false, "below 6"},
		{9.99, Reject, Tag, false, "below 6"},
		{10, Reject, Quarantine, false, "below 10"},
		{14.999, Reject, Quarantine, false, "below 10"},
		{15, Reject, Reject, false, "below 15"},
		{15.01, Reject, Reject, false, "below 15"},
		{1e9, Reject, Reject, false, "below 15"},
		{15, Tempfail, Tempfail, false, "below 15"},
		{5.99, Shadow, Accept, false, ""},
		{6, Shadow, Accept, true, "below 6"},
		{10, Shadow, Accept, true, "below 10"},
		{15, Shadow, Accept, true, "below 15"},
	} {
		t.Run(fmt.Sprint(tt.score, tt.rule), func(t *testing.T) {
			asked := 0
			b := newBench(t, func(s *Settings) {
				scoring(&asked, Score{Score: tt.score, Required: 14.5, Action: "no action"}, nil)(s)
				s.Actions["content.score"] = tt.rule
			})
			v := b.decide(t, mail())
			rule := "content.score"
			if tt.want == Accept {
				rule = "none"
			}
			check(t, v, tt.want, rule)
			if asked != 1 {
				t.Errorf("asked %d times", asked)
			}
			if tt.from == "" {
				if len(v.Evidence) > 0 {
					t.Errorf("evidence %q", found(v))
				}
				return
			}
			if len(v.Evidence) != 1 || v.Evidence[0].Want != tt.from || v.Evidence[0].Shadow != tt.shadow || v.Evidence[0].Rule != "content.score" {
				t.Errorf("evidence %+v; want %q, shadow %v", v.Evidence, tt.from, tt.shadow)
			}
		})
	}
}

// What the engine says is evidence, cut and made printable, and never in the reply.
func TestContentEvidence(t *testing.T) {
	asked := 0
	said := Score{Score: 17.2, Required: 15, Action: "reject\r\n", Symbols: []string{"BAYES_SPAM", "S\u00e9duction\x1b[31m", strings.Repeat("X", 600)}}
	b := newBench(t, scoring(&asked, said, nil))
	v := b.decide(t, mail())
	check(t, v, Reject, "content.score",
		"content.score: 17.2 of 15 (reject??) by BAYES_SPAM, S?duction?[31m, "+strings.Repeat("X", 472)+"...")
	want := "550 5.7.1 This message looks like spam, please change its content. See https://help.example/sending-rules [content.score " + v.ID + "]"
	if v.Reply() != want {
		t.Errorf("got %s", v.Reply())
	}
}

// Only mail that nothing has stopped is shown to the engine: not what another rule
// refuses, not inbound mail, and none at all without an engine or with the rule off.
func TestContentIsNotAsked(t *testing.T) {
	spam := Score{Score: 100, Required: 15}
	for name, tt := range map[string]struct {
		change func(*bench)
		mail   *Mail
		want   string
	}{
		"other rule": {func(*bench) {}, with("From: boss@bank.example"), "identity.header_from"},
		"held": {func(b *bench) { b.turn("identity.header_from", Quarantine) },
			with("From: boss@bank.example"), "identity.header_from"},
		"block": {func(b *bench) {
			block := state.Block{ID: "B1", Subject: "account:alice@client-a.example", Rule: "manual", Since: start, Until: start.Add(time.Hour)}
			if err := b.store.AddBlock(t.Context(), block); err != nil {
				t.Fatal(err)
			}
		}, mail(), "block.active"},
		"off":       {func(b *bench) { b.turn("content.score", Off) }, mail(), "none"},
		"no engine": {func(b *bench) { b.set.Content.Ask = nil }, mail(), "none"},
		"inbound":   {func(*bench) {}, func() *Mail { m := mail(); m.Login = ""; return m }(), "none"},
	} {
		asked := 0
		b := newBench(t, scoring(&asked, spam, nil))
		tt.change(b)
		if v := b.decide(t, tt.mail); v.Rule != tt.want || asked > 0 {
			t.Errorf("%s: %s, asked %d times; want %s, not asked", name, v.Rule, asked, tt.want)
		}
	}
}

// Where another rule lets mail pass marked, the engine is asked, and the stronger
// action decides.
func TestContentBesideTag(t *testing.T) {
	for score, want := range map[float64]string{1: "identity.header_from", 6: "identity.header_from", 10: "content.score"} {
		asked := 0
		b := newBench(t, scoring(&asked, Score{Score: score}, nil))
		b.turn("identity.header_from", Tag)
		if v := b.decide(t, with("From: boss@bank.example")); v.Rule != want || asked != 1 {
			t.Errorf("score %v: %s, asked %d times; want %s", score, v.Rule, asked, want)
		}
	}
}

// Without a score the configured action is taken, nobody strikes for it, and why is
// in the log.
func TestContentUnavailable(t *testing.T) {
	down := errors.New("connection refused")
	for action, want := range map[Action]Action{Off: Accept, Shadow: Accept, Tag: Tag, Quarantine: Quarantine, Tempfail: Tempfail, Reject: Reject} {
		asked := 0
		b := newBench(t, func(s *Settings) {
			scoring(&asked, Score{Score: 100}, down)(s)
			s.Actions["content.unavailable"] = action
			s.Blocking.Automatic, s.Blocking.Strikes, s.Blocking.Weights = Reject, 1, map[string]int{"content": 9}
		})
		v := b.Decide(t.Context(), mail())
		rule := "content.unavailable"
		if want == Accept {
			rule = "none"
		}
		check(t, v, want, rule)
		if !errors.Is(v.Err, down) {
			t.Errorf("%s: error %v", action, v.Err)
		}
		if v.Struck != 0 {
			t.Errorf("%s: struck %d", action, v.Struck)
		}
		if n := len(v.Evidence); n != min(1, int(action)) {
			t.Errorf("%s: evidence %q", action, found(v))
		}
	}
}

// A refusal for its content strikes and is not charged.
func TestContentStrikes(t *testing.T) {
	asked := 0
	b := blockingBench(t, func(s *Settings) {
		limits(perMinute(10, Tempfail))(s)
		scoring(&asked, Score{Score: 20}, nil)(s)
	})
	v := b.decide(t, mail())
	check(t, v, Reject, "content.score")
	if v.Struck != 1 || len(v.Windows) != 0 {
		t.Errorf("struck %d, windows %v; want one strike and no charge", v.Struck, v.Windows)
	}
}

// Exempt mail is scored, and passes.
func TestContentExempt(t *testing.T) {
	asked := 0
	b := newBench(t, scoring(&asked, Score{Score: 20, Required: 15, Action: "reject"}, nil))
	b.exempt(t, state.Exemption{Subject: "account:alice@client-a.example", Rule: "content.score"})
	check(t, b.decide(t, mail()), Accept, "none", "content.score: 20 of 15 (reject) (shadow)")
}

// A panic in what asks is our own fault, and no reason to die.
func TestContentPanics(t *testing.T) {
	b := newBench(t, func(s *Settings) {
		s.Content.Ask = func(context.Context, *Mail) (Score, error) { panic("content") }
	})
	check(t, b.Decide(t.Context(), mail()), Tempfail, "internal.panic")
}
