package bypass

import (
	"context"
	"fmt"
	"testing"
	"time"

	"o2n-milter/rules"
	"o2n-milter/state"
	"o2n-milter/state/local"
	"o2n-milter/state/memory"
	"o2n-milter/tests/campaign"
)

// outage is a store that hosts share, while it is there. Blocks are in every host's memory.
type outage struct {
	state.Store
	away *bool
}

func (o outage) Take(ctx context.Context, now time.Time, ask state.Ask) (state.Answer, error) {
	if *o.away {
		return state.Answer{}, fmt.Errorf("test: %w", state.ErrUnavailable)
	}
	return o.Store.Take(ctx, now, ask)
}

// With on_failure = "local" each of two hosts has half of every limit while the store
// is away: no window that lies in outages holds more than that by host, what lies
// between them no more than the limit, and both together at their edges no more than
// the sum. Nothing is refused that has room.
func TestHostsAlone(t *testing.T) {
	g := forge{campaign.Rand(t)}
	count := campaign.Counting(t, "windows", "mail to two hosts whose store is away now and then")
	for range campaign.Pick(6, 200) {
		most := int64(1 + g.IntN(15))
		length := []time.Duration{time.Second, time.Minute, time.Hour}[g.IntN(3)]
		away, shared := false, memory.New()
		p := newProvider(t, func(s *rules.Settings) {
			s.Limits = []rules.Limit{{Name: "l", Subject: "customer", Unit: rules.Messages, Max: most, Window: length, Action: rules.Tempfail}}
			s.Blocking.Automatic = rules.Off
		}, local.New(outage{shared, &away}, quiet), local.New(outage{shared, &away}, quiet))
		b := newBooks()
		for range 150 {
			switch g.IntN(12) {
			case 0:
				away = !away
			case 1, 2, 3:
				p.at = p.at.Add(time.Duration(g.Int64N(int64(length) / 3)))
			}
			host := g.IntN(2)
			by, bound := spentBy{"l", "together"}, most
			if away {
				by, bound = spentBy{"l", fmt.Sprint("host ", host)}, (most+1)/2
			}
			v := p.engines[host].Decide(t.Context(), ofAlice())
			why := ""
			switch {
			case v.Action >= rules.Quarantine && b.used(by, p.at, length+length/60) < bound:
				why = fmt.Sprintf("%s has room for %d: %s", by.subject, bound, v.Reply())
			case v.Action < rules.Quarantine && b.used(by, p.at, length) >= bound:
				why = fmt.Sprintf("%s has had %d already", by.subject, bound)
			case v.Action < rules.Quarantine:
				b.spent[by] = append(b.spent[by], spending{p.at, 1})
			}
			if why != "" {
				count.Failed()
				t.Fatal(why)
			}
			count.Held()
		}
	}
}

// Who is blocked stays so while the store is away, on every host.
func TestBlockedWhileAlone(t *testing.T) {
	away, shared := false, memory.New()
	p := newProvider(t, func(*rules.Settings) {}, local.New(outage{shared, &away}, quiet), local.New(outage{shared, &away}, quiet))
	if err := shared.AddBlock(t.Context(), state.Block{ID: "B1", Subject: "customer:C-1001", Rule: "manual", Reason: "test", Since: p.at, By: "root"}); err != nil {
		t.Fatal(err)
	}
	away = true
	for _, e := range p.engines {
		if v := e.Decide(t.Context(), ofAlice()); v.Action != rules.Reject || v.Rule != "block.active" {
			t.Errorf("%s by %s", v.Action, v.Rule)
		}
	}
}
