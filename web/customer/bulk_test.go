package customer

import (
	"fmt"
	"net/netip"
	"testing"

	"o2n-milter/message"
	"o2n-milter/rules"
	"o2n-milter/web/page"
)

// What the bulk rules find is told in plain words, not in theirs.
func TestBulkEvidenceInPlainWords(t *testing.T) {
	letter := func(n int, header, body string) *rules.Mail {
		m := &rules.Mail{Client: netip.MustParseAddr("192.0.2.7"), Login: alice, Sender: alice, Body: []byte(body)}
		m.Recipients = []rules.Recipient{{Address: fmt.Sprintf("r%d@remote.example", n)}}
		m.Header = []message.Field{{Name: "From", Value: alice}, {Name: "Subject", Value: "News"}}
		if header != "" {
			m.Header = append(m.Header, message.Field{Name: "List-Unsubscribe", Value: header})
		}
		return m
	}
	const body = "Our workshop opens its doors on Saturday. Come and see the new kitchens, made of oak in the valley by our own people."
	const sound = body + "\nYou receive this letter because you are our customer. Unsubscribe: https://client-a.example/stop\n"
	for name, tt := range map[string]struct {
		header, body string
		change       func(*rules.Settings)
	}{
		"nothing":  {"", body, nil},
		"http":     {"<http://client-a.example/stop>", body, nil},
		"one link": {"<https://client-a.example/stop>", body, nil},
		"volume":   {"", sound, func(s *rules.Settings) { s.Bulk.MaxCampaign = 19; s.Actions["bulk.one_click"] = rules.Off }},
		"pace":     {"", sound, func(s *rules.Settings) { s.Bulk.PaceMax = 1; s.Actions["bulk.one_click"] = rules.Off }},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(s *rules.Settings) {
				s.Limits = nil
				s.Bulk.UnsubscribePhrases, s.Bulk.ReasonPhrases = rules.UnsubscribePhrases, rules.ReasonPhrases
				if tt.change != nil {
					tt.change(s)
				}
			})
			var v rules.Verdict
			for n := range 21 {
				v = w.judge.Decide(t.Context(), letter(n, tt.header, tt.body))
			}
			if len(v.Evidence) == 0 {
				t.Fatal("nothing was found")
			}
			for _, ev := range v.Evidence {
				for _, l := range []page.Lang{"en", "fr"} {
					if phrase(l, ev.Got, gots) == "" {
						t.Errorf("%s: %s: %q has no words of ours", l, ev.Rule, ev.Got)
					}
				}
			}
		})
	}
}
