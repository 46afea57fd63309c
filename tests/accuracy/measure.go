package main

import (
	"math/rand/v2"
	"slices"

	"o2n-milter/rules"
)

// found is what became of bulk mail of one kind, over some runs of each letter.
type found struct {
	runs, recognised int   // by the message of that number, see by
	before           []int // messages let out before the first that was refused, of each run
	sent, out        int   // of all runs; let out
}

// by is the message by which bulk is recognised or is not: five late, where 20
// recipients make a campaign.
const by = 25

func (f *found) share() float64 { return 100 * float64(f.recognised) / float64(f.runs) }

// median and p95 are of the messages let out before the first refusal.
func (f *found) quantile(q float64) int {
	slices.Sort(f.before)
	return f.before[min(len(f.before)-1, int(q*float64(len(f.before))))]
}

// bulk sends each letter, changed by m for each recipient, runs times by a new sender.
func bulk(set rules.Settings, letters []letter, m mutation, runs, messages int) found {
	var f found
	for i, l := range letters {
		for run := range runs {
			r := rand.New(rand.NewPCG(uint64(i), uint64(run)))
			s := newSender(set)
			first := messages
			for n := range messages {
				if v := s.send(m.apply(r, l)); v.Action < rules.Quarantine {
					f.out++
				} else {
					first = min(first, n)
				}
			}
			f.runs, f.sent = f.runs+1, f.sent+messages
			f.before = append(f.before, first)
			if first < by {
				f.recognised++
			}
		}
	}
	return f
}

// refused is what became of honest mail.
type refused struct {
	sent   int
	byRule map[string]int
	pairs  int // of different letters that are taken for one
	all    int // pairs
	mute   int // letters without a sketch
}

// judgeHonest sends a day of honest mail, runs times by a new sender.
func judgeHonest(set rules.Settings, h honest, runs, messages int) refused {
	f := refused{byRule: map[string]int{}}
	for run := range runs {
		r := rand.New(rand.NewPCG(uint64(run), 77))
		s := newSender(set)
		var likenesses []likeness
		for n := range messages {
			l := h.one(r, n)
			v := s.send(l)
			f.sent++
			if v.Action >= rules.Quarantine {
				f.byRule[v.Rule]++
			}
			if k, ok := likenessOf(l.mail(account, "r@d.example", n)); ok {
				likenesses = append(likenesses, k)
			} else {
				f.mute++
			}
		}
		pairs, all := alike(likenesses)
		f.pairs, f.all = f.pairs+pairs, f.all+all
	}
	return f
}
