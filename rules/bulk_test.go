package rules

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"o2n-milter/message"
	"o2n-milter/state"
)

// bulkActions are those of the shipped configuration.
func bulkActions(s *Settings) {
	s.Bulk = Bulk{
		Similar: 20, Window: 24 * time.Hour, MaxCampaign: 200, PaceMax: 10, PaceWindow: time.Minute,
		UnsubscribePhrases: UnsubscribePhrases, ReasonPhrases: ReasonPhrases,
	}
	s.BulkService = "https://bulk.example/"
	for id, action := range map[string]Action{
		"bulk.unsubscribe": Reject, "bulk.one_click": Shadow, "bulk.reason": Shadow, "bulk.volume": Reject, "bulk.pace": Off,
	} {
		s.Actions[id] = action
	}
}

// newBulkBench has the bulk rules as shipped, then what change makes of them.
func newBulkBench(t *testing.T, change func(*Settings)) *bench {
	t.Helper()
	return newBench(t, func(s *Settings) {
		bulkActions(s)
		if change != nil {
			change(s)
		}
	})
}

// bulkSet sets actions of bulk rules, by their name behind the dot.
func bulkSet(actions map[string]Action) func(*Settings) {
	return func(s *Settings) {
		for name, action := range actions {
			s.Actions["bulk."+name] = action
		}
	}
}

const (
	offer = "Madame, Monsieur,\r\n\r\nNotre atelier de menuiserie ouvre ses portes samedi prochain. Venez decouvrir nos nouvelles\r\n" +
		"cuisines en chene massif, fabriquees dans la vallee par nos compagnons. Un verre de cidre sera offert.\r\n"
	wayOut = "\r\nPour vous d\xe9sabonner : https://client-a.example/stop\r\n" // Latin-1, as old mailers send it
	why    = "\r\nVous recevez ce message car vous \xeates client.\r\n"
)

// letterTo is one letter of alice's for recipient number n; lines stand in its header,
// in place of those of the same name.
func letterTo(n int, body string, lines ...string) *Mail {
	to := fmt.Sprintf("reader%d@remote%d.example", n, n%7)
	m := mail()
	m.Header = fields(lines...)
	for _, f := range fields("From: Alice <alice@client-a.example>", "To: "+to, "Subject: Portes ouvertes", "Content-Type: text/plain; charset=iso-8859-1") {
		if !slices.ContainsFunc(m.Header, func(o message.Field) bool { return o.Name == f.Name }) {
			m.Header = append(m.Header, f)
		}
	}
	m.Recipients, m.Body = rcpts(to), []byte(body)
	return m
}

// sendTo sends a letter to each of recipients first to last, all of which must pass.
func (b *bench) sendTo(t *testing.T, first, last int, letter func(n int) *Mail) {
	t.Helper()
	for n := first; n <= last; n++ {
		if v := b.decide(t, letter(n)); v.Action > Tag {
			t.Fatalf("recipient %d: %s by %s; evidence %q", n, v.Action, v.Rule, found(v))
		}
	}
}

func plainOffer(n int) *Mail { return letterTo(n, offer) }
func soundOffer(n int) *Mail { return letterTo(n, offer+wayOut) }

// The twentieth recipient makes a campaign, which owes a way to unsubscribe.
func TestCampaignOwesUnsubscribe(t *testing.T) {
	b := newBulkBench(t, nil)
	b.sendTo(t, 1, 19, plainOffer)
	for n := 20; n <= 21; n++ {
		v := b.decide(t, plainOffer(n))
		check(t, v, Reject, "bulk.unsubscribe",
			"bulk.unsubscribe: no List-Unsubscribe; none of 0 links in the text is to unsubscribe",
			"bulk.one_click: no List-Unsubscribe with https (shadow)", "bulk.reason: no sentence that says it (shadow)")
		want := "550 5.7.1 A letter to 20 people or more, even one by one, needs a way to unsubscribe: a link or \"reply STOP\" in the text, " +
			"or the header List-Unsubscribe: <mailto:...>, <https://...> See https://help.example/sending-rules [bulk.unsubscribe " + v.ID + "]"
		if v.Reply() != want {
			t.Errorf("got %s", v.Reply())
		}
		if c := v.Campaign; c == nil || c.Subject != "customer:C-1001" || c.Recipients != 20 || !strings.Contains(v.Evidence[0].Fact, c.ID) {
			t.Errorf("campaign %+v, fact %s; want the refused one not to be counted", c, v.Evidence[0].Fact)
		}
	}
	check(t, b.decide(t, plainOffer(7)), Accept, "none") // who has it already is no other recipient
	check(t, b.decide(t, soundOffer(20)), Accept, "none")
	check(t, b.decide(t, plainOffer(21)), Reject, "bulk.unsubscribe")
	check(t, b.decide(t, plainOffer(7)), Reject, "bulk.unsubscribe") // now it is one's of a campaign
}

func TestCampaignVolume(t *testing.T) {
	b := newBulkBench(t, nil)
	b.sendTo(t, 1, 200, soundOffer)
	v := b.decide(t, soundOffer(201))
	check(t, v, Reject, "bulk.volume")
	want := "550 5.7.1 This letter goes to more than 200 people: bulk mail belongs to https://bulk.example/ " +
		"See https://help.example/sending-rules [bulk.volume " + v.ID + "]"
	if v.Reply() != want {
		t.Errorf("got %s", v.Reply())
	}
	check(t, b.decide(t, soundOffer(200)), Accept, "none")
	check(t, b.decide(t, letterTo(201, "Chere Jeanne, merci pour les photos du mariage, elles sont superbes. Nous viendrons en mai avec les enfants.\r\n")), Accept, "none")
}

// Who got the letter counts for the window after it, a sixtieth more at most.
func TestCampaignEnds(t *testing.T) {
	for after, want := range map[time.Duration]Action{24 * time.Hour: Reject, 24*time.Hour + 25*time.Minute: Accept} {
		b := newBulkBench(t, nil)
		b.sendTo(t, 1, 19, plainOffer)
		b.at = start.Add(after - time.Minute)
		if v := b.decide(t, plainOffer(20)); v.Action != want {
			t.Errorf("after %v: %s by %s", after, v.Action, v.Rule)
		}
	}
}

// One message to many is a campaign by itself.
func TestCampaignInOneMessage(t *testing.T) {
	for n, want := range map[int]Action{19: Accept, 20: Reject} {
		b := newBulkBench(t, func(s *Settings) { s.MaxEnvelope, s.MaxVisible = 100, 100 })
		m := plainOffer(1)
		m.Recipients = rcpts(many(n, "remote.example")...)
		if v := b.decide(t, m); v.Action != want {
			t.Errorf("%d: %s by %s", n, v.Action, v.Rule)
		}
	}
}

// Each rule with each action: what refuses is not counted, what does not passes with
// its evidence.
func TestBulkActions(t *testing.T) {
	const means = offer + "\r\nUnsubscribe: https://client-a.example/stop\r\n"
	reason := "\r\nYou receive this letter because you are our customer.\r\n"
	for name, lacking := range map[string]func(n int) *Mail{
		"unsubscribe": func(n int) *Mail { return letterTo(n, offer+reason) },
		"one_click":   func(n int) *Mail { return letterTo(n, means+reason) },
		"reason":      func(n int) *Mail { return letterTo(n, means) },
		"volume":      func(n int) *Mail { return letterTo(n, means+reason) },
	} {
		for action, code := range map[Action]int{Off: 250, Shadow: 250, Tag: 250, Quarantine: 250, Tempfail: 451, Reject: 550} {
			b := newBulkBench(t, func(s *Settings) {
				bulkSet(map[string]Action{"unsubscribe": Off, "one_click": Off, "reason": Off, "volume": Off, name: action})(s)
				s.Bulk.MaxCampaign = 19 // one recipient more is a campaign
			})
			b.sendTo(t, 1, 19, lacking)
			v := b.decide(t, lacking(20))
			want, rule, pieces := action, "bulk."+name, 1
			if action <= Shadow {
				want, rule = Accept, "none"
			}
			if action == Off {
				pieces = 0
			}
			if v.Action != want || v.Rule != rule || v.Code != code || len(v.Evidence) != pieces {
				t.Errorf("%s %s: %s by %s, %d, evidence %q", name, action, v.Action, v.Rule, v.Code, found(v))
			}
			after := b.decide(t, lacking(20))
			if refuses := action >= Quarantine; after.Campaign != nil && after.Campaign.Recipients != 20 || (after.Action > Tag) != refuses {
				t.Errorf("%s %s, again: %s, %+v", name, action, after.Action, after.Campaign)
			}
		}
	}
}

// Of equals the means come first, in their order, then the volume, then the limits.
func TestBulkOrder(t *testing.T) {
	all := map[string]Action{"unsubscribe": Reject, "one_click": Reject, "reason": Reject, "volume": Reject, "pace": Reject}
	for _, name := range []string{"unsubscribe", "one_click", "reason", "volume", "pace", ""} {
		b := newBulkBench(t, func(s *Settings) {
			limits(Limit{Name: "day", Subject: "account", Unit: Messages, Max: 19, Window: 24 * time.Hour, Action: Reject})(s)
			bulkSet(all)(s)
			s.Bulk.MaxCampaign, s.Bulk.PaceMax, s.Bulk.PaceWindow = 19, 19, 24*time.Hour
		})
		b.sendTo(t, 1, 19, plainOffer)
		rule := "bulk." + name
		if name == "pace" || name == "" {
			rule = "limit.day" // the campaign's own window has not been charged yet
		}
		check(t, b.decide(t, plainOffer(20)), Reject, rule)
		all[name] = Off
	}
}

// Declared bulk owes the means from the first message on.
func TestDeclaredBulk(t *testing.T) {
	for _, mark := range []string{"List-Id: <news.client-a.example>", "Precedence: bulk", "Precedence: list", "Feedback-ID: 1:2:3:x"} {
		b := newBulkBench(t, nil)
		v := b.decide(t, letterTo(1, offer, mark))
		check(t, v, Reject, "bulk.unsubscribe")
		if name, _, _ := strings.Cut(mark, ":"); !strings.Contains(v.Evidence[0].Fact, name) {
			t.Errorf("%s: fact %s", mark, v.Evidence[0].Fact)
		}
		b.sendTo(t, 1, 30, func(n int) *Mail { return letterTo(n, offer+wayOut, mark) })
	}
	b := newBulkBench(t, bulkSet(map[string]Action{"unsubscribe": Shadow}))
	for n := 1; n <= 20; n++ { // judged once, not again as a campaign
		check(t, b.decide(t, letterTo(n, offer+why, "List-Id: <x.example>")), Accept, "none",
			"bulk.unsubscribe: no List-Unsubscribe; none of 0 links in the text is to unsubscribe (shadow)",
			"bulk.one_click: no List-Unsubscribe with https (shadow)")
	}
}

// A store that counts alone has half of every max: the letter is refused before it is
// a campaign, and by the rule that bound it.
type halved struct{ state.Store }

func (h halved) Take(ctx context.Context, now time.Time, ask state.Ask) (state.Answer, error) {
	ask.Letters = slices.Clone(ask.Letters)
	for i := range ask.Letters {
		ask.Letters[i].Max /= 2
	}
	return h.Store.Take(ctx, now, ask)
}

func TestCampaignThatIsFullEarly(t *testing.T) {
	for body, rule := range map[string]string{offer: "bulk.unsubscribe", offer + wayOut: "bulk.volume"} {
		b := newBulkBench(t, nil)
		b.Engine.store = halved{b.store}
		most := map[string]int{"bulk.unsubscribe": 9, "bulk.volume": 100}[rule]
		b.sendTo(t, 1, most, func(n int) *Mail { return letterTo(n, body) })
		check(t, b.decide(t, letterTo(most+1, body)), Reject, rule)
	}
}

// The record names the campaign, so that the others of it can be found.
func TestCampaignIsRecorded(t *testing.T) {
	b := newBulkBench(t, nil)
	v := b.decide(t, plainOffer(1))
	d, err := b.store.Decision(t.Context(), v.ID)
	if err != nil {
		t.Fatal(err)
	}
	var detail Detail
	if err := json.Unmarshal(d.Detail, &detail); err != nil {
		t.Fatal(err)
	}
	if c := detail.Campaign; c == nil || len(c.ID) != 16 || c.Recipients != 1 || c.Subject != "customer:C-1001" {
		t.Errorf("%+v", c)
	}
}

func TestExemptFromBulk(t *testing.T) {
	b := newBulkBench(t, nil)
	b.exempt(t, state.Exemption{Rule: "bulk.unsubscribe", Subject: "account:alice@client-a.example"})
	b.exempt(t, state.Exemption{Rule: "bulk.volume", Subject: "customer:C-1001"})
	b.sendTo(t, 1, 220, plainOffer)
	v := b.decide(t, plainOffer(221))
	check(t, v, Accept, "none", "bulk.unsubscribe: no List-Unsubscribe; none of 0 links in the text is to unsubscribe (shadow)",
		"bulk.one_click: no List-Unsubscribe with https (shadow)", "bulk.reason: no sentence that says it (shadow)",
		"bulk.volume: 221 recipients (shadow)")
}

// What the release of held mail counts: the letter, within its bounds where something
// else held it, and without where a bulk rule did, as somebody has looked at it.
func TestLetterOfHeldMail(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*Settings)
		letter func(n int) *Mail
		want   int64
	}{
		"by a campaign":   {bulkSet(map[string]Action{"unsubscribe": Quarantine}), plainOffer, countless},
		"by its own word": {bulkSet(map[string]Action{"unsubscribe": Quarantine}), func(n int) *Mail { return letterTo(n, offer, "List-Id: <x>") }, countless},
		"by its author": {func(s *Settings) { s.Actions["identity.header_from"] = Quarantine },
			func(n int) *Mail { return letterTo(n, offer, "From: boss@bank.example") }, 19},
		"by a limit":  {limits(Limit{Name: "day", Subject: "account", Unit: Messages, Max: 1, Window: day, Action: Quarantine}), soundOffer, 200},
		"by the pace": {func(s *Settings) { paced(1)(s); s.Actions["bulk.pace"], s.Bulk.Similar = Quarantine, 2 }, soundOffer, 200},
	} {
		b := newBulkBench(t, tt.change)
		for n := 1; n <= 30; n++ {
			m := tt.letter(n)
			v := b.decide(t, m)
			if v.Action != Quarantine {
				continue
			}
			r := b.judgeSafely(t.Context(), b.at, m, false)
			if len(r.ask.Letters) != 1 || r.ask.Letters[0].Max != tt.want {
				t.Errorf("%s: %+v; want max %d", name, r.ask.Letters, tt.want)
			}
			break
		}
	}
}

// Many sessions at once get no more through than one.
func TestCampaignUnderConcurrency(t *testing.T) {
	b := newBulkBench(t, nil)
	var passed atomic.Int64
	var sessions sync.WaitGroup
	for s := range 8 {
		sessions.Go(func() {
			for n := range 10 {
				if v := b.Decide(t.Context(), plainOffer(100*s+n)); v.Action <= Tag {
					passed.Add(1)
				}
			}
		})
	}
	sessions.Wait()
	if passed.Load() != 19 {
		t.Errorf("%d recipients had the letter; want 19", passed.Load())
	}
}

func BenchmarkDecideBulk(b *testing.B) {
	text := strings.Repeat(offer+"\r\n", 16) // 4 KB
	for _, on := range []bool{false, true} {
		b.Run(fmt.Sprint(on), func(b *testing.B) {
			bench := newBench(b, func(s *Settings) {
				if on {
					bulkActions(s)
				}
			})
			m := letterTo(1, text)
			b.ReportAllocs()
			for b.Loop() {
				bench.Decide(b.Context(), m)
			}
		})
	}
}

// Of equals bulk comes before content, though the content is asked first.
func TestBulkBeforeContent(t *testing.T) {
	asked := 0
	b := newBulkBench(t, func(s *Settings) {
		scoring(&asked, Score{Score: 7}, nil)(s)
		bulkSet(map[string]Action{"unsubscribe": Tag})(s)
		s.Bulk.Similar = 2
	})
	check(t, b.decide(t, plainOffer(1)), Tag, "content.score")
	check(t, b.decide(t, plainOffer(2)), Tag, "bulk.unsubscribe")
	b.turn("bulk.unsubscribe", Shadow)
	check(t, b.decide(t, plainOffer(3)), Tag, "content.score")
}
