package rules

import (
	"fmt"
	"testing"
	"time"
)

func paced(most int64) func(*Settings) {
	return func(s *Settings) { s.Actions["bulk.pace"], s.Bulk.PaceMax = Tempfail, most }
}

// Only mail of a campaign is charged, all of the subject's campaigns in one window.
func TestBulkPace(t *testing.T) {
	b := newBulkBench(t, paced(3))
	b.sendTo(t, 1, 19, soundOffer)
	b.sendTo(t, 20, 22, soundOffer)
	v := b.decide(t, soundOffer(23))
	check(t, v, Tempfail, "bulk.pace")
	want := "451 4.7.1 Too much bulk mail: 3 messages in 1m are allowed. Please try again in 61 seconds. " +
		"See https://help.example/sending-rules [bulk.pace " + v.ID + "]"
	if v.Reply() != want {
		t.Errorf("got %s", v.Reply())
	}
	if v.Struck != 0 || len(v.Charges) != 1 || v.Charges[0] != (Charge{"bulk.pace", "customer:C-1001", Messages, 1}) || len(v.Windows) != 1 || v.Windows[0].Used != 3 {
		t.Errorf("struck %d, charges %v, windows %v", v.Struck, v.Charges, v.Windows)
	}
	if v.Campaign.Recipients != 23 {
		t.Errorf("%+v", v.Campaign)
	}
	check(t, b.decide(t, letterTo(1, "Bonjour Paul, voici le compte rendu de notre visite du chantier de mardi dernier, avec les mesures des fenetres.\r\n")), Accept, "none")
	for subject, want := range map[string]int{"customer:C-1001": 1, alice: 0, "customer:C-1002": 0} {
		windows, err := b.WindowsOf(t.Context(), b.at, subject)
		if err != nil || len(windows) != want || want > 0 && (windows[0].Limit != "bulk.pace" || windows[0].Used != 3 || windows[0].Max != 3) {
			t.Errorf("%s: %v, %v", subject, windows, err)
		}
	}
	b.at = start.Add(60 * time.Second)
	check(t, b.decide(t, soundOffer(23)), Tempfail, "bulk.pace")
	b.at = start.Add(61 * time.Second)
	check(t, b.decide(t, soundOffer(23)), Accept, "none")
}

func TestBulkPaceActions(t *testing.T) {
	for action, want := range map[Action]Action{Off: Accept, Shadow: Accept, Tag: Tag, Quarantine: Quarantine, Tempfail: Tempfail, Reject: Reject} {
		b := newBulkBench(t, func(s *Settings) { paced(1)(s); s.Actions["bulk.pace"] = action })
		b.sendTo(t, 1, 20, soundOffer)
		v := b.decide(t, soundOffer(21))
		if v.Action != want || v.Code != map[Action]int{Tempfail: 451, Reject: 550}[want] && v.Code != 250 {
			t.Errorf("%s: %s by %s, code %d", action, v.Action, v.Rule, v.Code)
		}
		if charged := len(v.Charges) > 0; charged != (action != Off) {
			t.Errorf("%s: charges %v", action, v.Charges)
		}
	}
}

// A script that never retries is held, and leaves at the pace.
func TestBulkPaceHoldsLocalSubmissions(t *testing.T) {
	b := newBulkBench(t, paced(1))
	letter := func(n int) *Mail {
		m := local("news@client-b.example", "From: news@client-b.example", "Subject: Portes ouvertes")
		m.Recipients, m.Body = rcpts(fmt.Sprintf("r%d@remote.example", n)), []byte(offer+"\r\nUnsubscribe: https://client-b.example/stop\r\n")
		return m
	}
	b.sendTo(t, 1, 20, letter)
	check(t, b.decide(t, letter(21)), Quarantine, "bulk.pace")
}

// Of equals the pace comes before the limits, the means before both.
func TestBulkPaceOrder(t *testing.T) {
	b := newBulkBench(t, func(s *Settings) {
		limits(Limit{Name: "day", Subject: "account", Unit: Messages, Max: 20, Window: 24 * time.Hour, Action: Tempfail})(s)
		paced(1)(s)
	})
	b.sendTo(t, 1, 20, soundOffer)
	v := b.decide(t, soundOffer(21))
	check(t, v, Tempfail, "bulk.pace", "bulk.one_click: no List-Unsubscribe with https (shadow)", "bulk.reason: no sentence that says it (shadow)",
		"bulk.pace: 1 used, 1 more", "limit.day: 20 used, 1 more")
	check(t, b.decide(t, plainOffer(21)), Reject, "bulk.unsubscribe")
}

// A question for each message more, and none while pace is off.
func TestBulkPaceAsksFirst(t *testing.T) {
	for action, want := range map[Action]int{Off: 1, Shadow: 2} {
		b, w := newWatched(t, func(s *Settings) { bulkActions(s); s.Actions["bulk.pace"] = action })
		check(t, b.decide(t, soundOffer(1)), Accept, "none")
		if len(w.asks) != want {
			t.Errorf("%s: asked %d times", action, len(w.asks))
		}
	}
}
