package redisdb

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"o2n-milter/state"
)

// sent is what became of one letter.
type sent struct {
	campaign state.Campaign
	sketch   string   // of its campaign's first letter; empty: it has none
	fresh    []string // who is new to it, in mode hold
	took     bool     // its recipients were put there
	bad      error    // what the script said makes no sense
}

// readSent reads what the script tells of a letter.
func readSent(r *reply, subject string) sent {
	x := sent{sketch: r.text()}
	x.campaign = state.Campaign{Known: r.number(), New: r.number(), Full: r.number() == 1}
	for r.more() {
		x.fresh = append(x.fresh, r.text())
	}
	if x.bad = r.bad; x.bad != nil || x.sketch == "" {
		return x
	}
	var sketch state.Sketch
	sketch, x.bad = parseSketch(x.sketch)
	x.campaign.ID = state.CampaignID(subject, sketch)
	return x
}

// letterArguments are the script's of letter i.
func (t *taking) letterArguments(i int) []any {
	l := &t.wants.Letters[i]
	args := make([]any, 0, 6+len(t.recipients[i]))
	args = append(args, int64(l.Remember/time.Second), int64(l.Remember%time.Second),
		sketchText(l.Sketch), l.Near, l.Max, len(t.recipients[i]))
	for _, h := range t.recipients[i] {
		args = append(args, member(h))
	}
	return args
}

// campaigns are what is answered of the letters.
func (t *taking) campaigns() []state.Campaign {
	if len(t.sent) == 0 {
		return nil
	}
	all := make([]state.Campaign, len(t.sent))
	for i := range t.sent {
		all[i] = t.sent[i].campaign
	}
	return all
}

// unsend takes back the letters of a part.
func (p *part) unsend(ctx context.Context, c redis.UniversalClient) error {
	for _, i := range p.letters {
		x := &p.sent[i]
		if !x.took {
			continue
		}
		args := make([]any, 0, 1+len(x.fresh))
		args = append(args, x.sketch)
		for _, m := range x.fresh {
			args = append(args, m)
		}
		if _, err := run(ctx, c, unsendScript, []string{campaignsKey(p.wants.Letters[i].Subject)}, args); err != nil {
			return err
		}
		x.took = false
	}
	return nil
}
