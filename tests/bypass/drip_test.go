package bypass

import (
	"testing"
	"time"

	"o2n-milter/rules"
	"o2n-milter/state/memory"
	"o2n-milter/tests/campaign"
)

// Who drips along the edge of his limits for days, by two accounts of one customer and
// two hosts, coming again whenever he is told to or trying at any moment, gets no more
// through in any hour and any day than they say, and no less than that they come free a
// sixtieth late.
func TestDrip(t *testing.T) {
	g := forge{campaign.Rand(t)}
	count := campaign.Counting(t, "windows", "mail that drips along the edge of two limits")
	hour := rules.Limit{Name: "hour", Subject: "customer", Unit: rules.Recipients, Max: 20, Window: time.Hour, Action: rules.Tempfail}
	long := rules.Limit{Name: "day", Subject: "customer", Unit: rules.Recipients, Max: 100, Window: 24 * time.Hour, Action: rules.Tempfail}
	days := campaign.Pick(3, 14)
	for _, obeys := range []bool{true, false} {
		p := newProvider(t, func(s *rules.Settings) {
			s.Limits = []rules.Limit{hour, long}
			s.Blocking.Automatic = rules.Off
		}, memory.New())
		b, sent := newBooks(), 0
		start := p.at
		for p.at.Sub(start) < time.Duration(days)*24*time.Hour {
			m := ofAlice()
			if g.chance(50) {
				m.Login = "amy@client-a.example"
			}
			v := p.engines[g.IntN(2)].Decide(t.Context(), m)
			if v.Action < rules.Quarantine {
				sent++
				for _, l := range p.settings.Limits {
					by := spentBy{l.Name, ""}
					b.spent[by] = append(b.spent[by], spending{p.at, 1})
					if used := b.used(by, p.at, l.Window); used > l.Max {
						count.Failed()
						t.Fatalf("%d in %s of %d", used, l.Window, l.Max)
					}
				}
				count.Held()
				continue
			}
			if wait := toldSeconds(&v); obeys {
				p.at = p.at.Add(wait)
			} else {
				p.at = p.at.Add(time.Duration(g.Int64N(int64(10 * time.Minute))))
			}
		}
		if most, least := days*int(long.Max), (days-1)*int(long.Max); obeys && sent < least || sent > most {
			t.Errorf("%d in %d days, obeys: %v; want %d to %d", sent, days, obeys, least, most)
		}
	}
}
