package statetest

import (
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/state"
)

// near is how many bits letters of one campaign differ in here.
const near = 10

// bits is a sketch that differs from the zero one in n bits.
func bits(n int) (s state.Sketch) {
	for i := range n {
		s[3-i/64] |= 1 << (i % 64)
	}
	return s
}

// letter is of a campaign that may have so many recipients.
func letter(subject string, s state.Sketch, limitMax int64, members ...string) state.Letter {
	return state.Letter{Subject: subject, Sketch: s, Near: near, Max: limitMax, Members: members, Remember: remember}
}

// campaign is of a's, whose first letter looks like s.
func campaign(s state.Sketch, known, fresh int64) state.Campaign {
	return state.Campaign{ID: state.CampaignID("account:a", s), Known: known, New: fresh}
}

func full(c state.Campaign) state.Campaign {
	c.Full = true
	return c
}

// send wants no error, and these campaigns.
func (s *suite) send(now time.Time, ask state.Ask, want ...state.Campaign) {
	s.Helper()
	answer, err := s.Take(s.ctx, now, ask)
	if err != nil {
		s.Fatalf("take: %v", err)
	}
	if d := cmp.Diff(want, answer.Campaigns); d != "" {
		s.Fatalf("take at %s: campaigns (-want +got):\n%s", now.Format(time.RFC3339Nano), d)
	}
}

func mails(letters ...state.Letter) state.Ask { return state.Ask{Letters: letters} }

// has wants account:a to have, or begin, a campaign of this first letter with so many
// recipients.
func (s *suite) has(now time.Time, of state.Sketch, known int64) {
	s.Helper()
	ask := mails(letter("account:a", of, 1<<40, "nobody@client-c.example"))
	ask.Dry = true
	s.send(now, ask, campaign(of, known, 1))
}

func testCampaign(_ *testing.T, s *suite) {
	to := func(members ...string) state.Ask { return mails(letter("account:a", bits(0), 5, members...)) }
	of := func(known, fresh int64) state.Campaign { return campaign(bits(0), known, fresh) }
	s.send(start, to(numbered(0, 4)...), of(0, 4))
	s.send(start, to(numbered(0, 4)...), of(4, 0))
	s.send(start, to(numbered(4, 2)...), full(of(4, 2)))
	s.send(start, to(numbered(3, 2)...), of(4, 1))
	s.send(start, to(numbered(5, 1)...), full(of(5, 1)))
	s.send(start, to(numbered(0, 5)...), of(5, 0))
	s.send(start, to("r0@client-b.example", "r0@client-b.example"), of(5, 0))
	// Who may have fewer is over it with any letter, to whomever.
	less := to(numbered(0, 1)...)
	less.Letters[0].Max = 4
	s.send(start, less, full(of(5, 0)))
	// Nobody else's letters count, nor do other letters.
	s.send(start, mails(letter("account:b", bits(0), 5, numbered(0, 6)...)),
		state.Campaign{ID: state.CampaignID("account:b", bits(0)), New: 6, Full: true})
	s.send(start, mails(letter("account:a", bits(100), 5, numbered(0, 5)...)), campaign(bits(100), 0, 5))
	s.send(start, mails(letter("account:a", bits(200), 0, "r1")), full(campaign(bits(200), 0, 1)))
}

// A letter is of the nearest campaign, which is known by its first letter alone.
func testNear(_ *testing.T, s *suite) {
	s.send(start, mails(letter("account:a", bits(0), 100, "r1")), campaign(bits(0), 0, 1))
	s.send(start, mails(letter("account:a", bits(near), 100, "r2")), campaign(bits(0), 1, 1))
	s.send(start, mails(letter("account:a", bits(near+1), 100, "r3")), campaign(bits(near+1), 0, 1))
	// 5 bits from the first, 6 from the other; and the other way round.
	s.send(start, mails(letter("account:a", bits(5), 100, "r4")), campaign(bits(0), 2, 1))
	s.send(start, mails(letter("account:a", bits(6), 100, "r4")), campaign(bits(near+1), 1, 1))
	// As near: the one with more recipients.
	s.send(start, mails(letter("account:a", bits(200), 100, "r1")), campaign(bits(200), 0, 1))
	s.send(start, mails(letter("account:a", bits(212), 100, "r1")), campaign(bits(212), 0, 1))
	s.send(start, mails(letter("account:a", bits(206), 100, "r2")), campaign(bits(200), 1, 1)) // the lower sketch
	s.send(start, mails(letter("account:a", bits(212), 100, "r2", "r3")), campaign(bits(212), 1, 2))
	s.send(start, mails(letter("account:a", bits(206), 100, "r3")), campaign(bits(212), 3, 0))
	exact := letter("account:a", bits(201), 100, "r1")
	exact.Near = 0
	s.send(start, mails(exact), campaign(bits(201), 0, 1))
	s.send(start, mails(exact), campaign(bits(201), 1, 0))
	far := letter("account:c", state.Sketch{}, 100, "r1")
	s.send(start, mails(far), state.Campaign{ID: state.CampaignID("account:c", far.Sketch), New: 1})
	far.Sketch, far.Near = bits(256), 256
	s.send(start, mails(far), state.Campaign{ID: state.CampaignID("account:c", state.Sketch{}), Known: 1})
}

// A recipient counts for the whole time, and at most 1/60 longer; the campaign ends
// with the last.
func testCampaignEnds(_ *testing.T, s *suite) {
	s.send(start, mails(letter("account:a", bits(0), 100, numbered(0, 3)...)), campaign(bits(0), 0, 3))
	for _, now := range []time.Time{start.Add(remember - 1), start.Add(remember), unknown.Add(-1)} {
		s.has(now, bits(0), 3)
	}
	s.has(unknown, bits(0), 0)
	s.send(start.Add(30*time.Minute), mails(letter("account:a", bits(1), 100, numbered(0, 1)...)), campaign(bits(0), 3, 0))
	s.has(unknown.Add(-1), bits(0), 3)
	s.has(unknown, bits(0), 1)
	s.has(unknown.Add(30*time.Minute-1), bits(0), 1)
	// Then another one begins, by a first letter of its own.
	s.send(unknown.Add(30*time.Minute), mails(letter("account:a", bits(1), 100, "r1")), campaign(bits(1), 0, 1))
	s.has(unknown.Add(30*time.Minute), bits(1), 1)
}

// sketches are so many that are far from one another.
func sketches(n int) []state.Sketch {
	rnd := rand.New(rand.NewPCG(1, 256))
	all := make([]state.Sketch, n)
	for i := range all {
		for j := range all[i] {
			all[i][j] = rnd.Uint64()
		}
	}
	return all
}

// Of more than MaxCampaigns one of the old ones goes: the one with the fewest
// recipients, and of those the one whose last letter is the oldest.
func testCampaignsBound(_ *testing.T, s *suite) {
	const old = state.MaxCampaigns - state.CampaignGrace
	all := sketches(state.MaxCampaigns + state.CampaignGrace + 2)
	for i, sketch := range all[:state.MaxCampaigns] {
		n := 2
		if i == 7 || i == 9 || i >= old {
			n = 1
		}
		s.send(start, mails(letter("account:a", sketch, 9, numbered(i, n)...)), campaign(sketch, 0, int64(n)))
	}
	// The 5th gets a letter: now another one is old, and has one recipient.
	s.send(start, mails(letter("account:a", all[5], 9, numbered(5, 1)...)), campaign(all[5], 2, 0))
	for i, gone := range []int{7, 9, old} {
		fresh := all[state.MaxCampaigns+i]
		s.has(start, all[gone], 1)
		s.send(start, mails(letter("account:a", fresh, 9, "r1")), campaign(fresh, 0, 1))
		s.has(start, all[gone], 0)
	}
	// However many others come, the last ones stay.
	last := all[len(all)-1]
	s.send(start, mails(letter("account:a", last, 9, "r1")), campaign(last, 0, 1))
	for _, other := range all[state.MaxCampaigns+3 : len(all)-1] {
		s.has(start, last, 1)
		s.send(start, mails(letter("account:a", other, 9, "r1")), campaign(other, 0, 1))
	}
	s.has(start, last, 1)
	for i := range old {
		known := int64(2)
		if i == 7 || i == 9 {
			known = 0
		}
		s.has(start, all[i], known)
	}
}

// Campaigns that are over make room.
func testCampaignsOver(_ *testing.T, s *suite) {
	all := sketches(state.MaxCampaigns + 10)
	for i, sketch := range all {
		now := start
		if i >= 10 {
			now = start.Add(30 * time.Minute)
		}
		if i >= state.MaxCampaigns {
			now = unknown // the first ten are over
		}
		s.send(now, mails(letter("account:a", sketch, 100, numbered(i, 1+i/10)...)), campaign(sketch, 0, int64(1+i/10)))
	}
	for i, sketch := range all {
		s.has(unknown, sketch, int64(min(i/10, 1)*(1+i/10)))
	}
}

func testDryLetter(_ *testing.T, s *suite) {
	dry := mails(letter("account:a", bits(0), 2, "r1", "r2"))
	dry.Dry = true
	for range 2 {
		s.send(start, dry, campaign(bits(0), 0, 2))
	}
	s.send(start, mails(letter("account:a", bits(3), 2, "r1")), campaign(bits(3), 0, 1))
	s.send(start, dry, campaign(bits(3), 1, 1))
	dry.Letters[0].Members = []string{"r2", "r3"}
	s.send(start, dry, full(campaign(bits(3), 1, 2)))
	s.send(start.Add(1000*time.Hour), dry, campaign(bits(0), 0, 2))
	s.send(start, dry, full(campaign(bits(3), 1, 2)))
}

// A full campaign charges nothing, and what a full window refuses is in no campaign.
func testLetterAllOrNothing(_ *testing.T, s *suite) {
	w, shadow := window("minute", "account:a", time.Minute, 1), window("shadow", "account:a", time.Minute, 0)
	ask := state.Ask{
		Charges: []state.Charge{charge(w, 1), to(recipients("account:a", 100), "r1", "r2"), {Window: shadow, Cost: 1, CountOnly: true}},
		Letters: []state.Letter{letter("account:a", bits(0), 1, "r1", "r2"), letter("customer:C-1", bits(0), 9, "r1")},
	}
	customer := state.Campaign{ID: state.CampaignID("customer:C-1", bits(0)), New: 1}
	used := []state.Usage{{Window: w, NextFree: start}, {Window: recipients("account:a", 100), NextFree: start}, {Window: shadow}}
	s.answers(start, ask, state.Answer{
		Windows: used, Costs: []int64{1, 2, 1}, Campaigns: []state.Campaign{full(campaign(bits(0), 0, 2)), customer},
	})
	s.known(start, "account:a", false, "r1", "r2")
	s.has(start, bits(0), 0)
	s.take(start, []state.Charge{charge(w, 1)})
	// Both are told of.
	used[0].Used, used[0].NextFree = 1, leaves
	s.answers(start, ask, state.Answer{
		Full: []state.Full{{Used: 1, Free: leaves}}, Windows: used, Costs: []int64{1, 2, 1},
		Campaigns: []state.Campaign{full(campaign(bits(0), 0, 2)), customer},
	})
	ask.Letters[0].Max = 2
	s.answers(start, ask, state.Answer{
		Full: []state.Full{{Used: 1, Free: leaves}}, Windows: used, Costs: []int64{1, 2, 1},
		Campaigns: []state.Campaign{campaign(bits(0), 0, 2), customer},
	})
	s.has(start, bits(0), 0)
	// What only counts and is full lets letters through.
	ask.Charges = ask.Charges[2:]
	s.answers(start, ask, state.Answer{
		Full: []state.Full{{}}, Windows: used[2:], Costs: []int64{1}, Campaigns: []state.Campaign{campaign(bits(0), 0, 2), customer},
	})
	s.has(start, bits(0), 2)
}

func testLetterBlocked(_ *testing.T, s *suite) {
	b := block("B1", "account:a", 0)
	s.add(b)
	ask := mails(letter("account:a", bits(0), 5, "r1"))
	ask.Subjects = []string{"account:a"}
	s.answers(start, ask, state.Answer{Blocks: []state.Block{b}})
	s.has(start, bits(0), 0)
	ask.Subjects[0] = "account:b"
	s.send(start, ask, campaign(bits(0), 0, 1))
}

// Letters of one call see what was there before it, and are all counted.
func testLettersOfOneMessage(_ *testing.T, s *suite) {
	a, b := letter("account:a", bits(0), 2, "r1", "r2"), letter("account:a", bits(3), 2, "r3")
	s.send(start, mails(a, b, a), campaign(bits(0), 0, 2), campaign(bits(3), 0, 1), campaign(bits(0), 0, 2))
	s.has(start, bits(0), 2)
	s.has(start, bits(3), 1)
	b.Sketch, b.Max = bits(0), 3
	s.send(start, mails(a, b), campaign(bits(0), 2, 0), campaign(bits(0), 2, 1))
	a.Max = 3
	s.send(start, mails(b, a), campaign(bits(0), 3, 0), campaign(bits(0), 3, 0))
}

func testLetterToNobody(_ *testing.T, s *suite) {
	s.send(start, mails(letter("account:a", bits(0), 5)), state.Campaign{})
	s.has(start, bits(0), 0)
	s.send(start, mails(letter("account:a", bits(0), 5, "r1", "r2")), campaign(bits(0), 0, 2))
	s.send(start, mails(letter("account:a", bits(5), 1)), campaign(bits(0), 2, 0))
	s.send(start, mails(letter("account:b", bits(5), 0)), state.Campaign{})
}

func testResetClearsCampaigns(_ *testing.T, s *suite) {
	ask := mails(letter("account:a", bits(0), 5, "r1"), letter("account:a/b", bits(0), 5, "r1"))
	ask.Charges = []state.Charge{charge(window("minute", "account:a", time.Minute, 5), 1)}
	other := state.Campaign{ID: state.CampaignID("account:a/b", bits(0)), New: 1}
	s.send(start, ask, campaign(bits(0), 0, 1), other)
	s.reset("account:a", 1)
	s.has(start, bits(0), 0)
	other.Known, other.New = 1, 0
	s.send(start, ask, campaign(bits(0), 0, 1), other)
	s.reset("account:a", 1)
	// Campaigns without a window are cleared too, and are no windows.
	s.send(start, mails(ask.Letters...), campaign(bits(0), 0, 1), other)
	s.reset("account:a", 0)
	s.send(start, mails(ask.Letters...), campaign(bits(0), 0, 1), other)
}

// Whatever bytes subjects and recipients have, none is taken for another.
func testOddLetters(_ *testing.T, s *suite) {
	names := oddNames()
	for i, n := range names {
		s.send(start, mails(letter(n, bits(0), 5, "r1")), state.Campaign{ID: state.CampaignID(n, bits(0)), New: 1})
		s.send(start, mails(letter("account:a", bits(100), 100, names[:i+1]...)), campaign(bits(100), int64(i), 1))
	}
}

func testLetterNonsense(_ *testing.T, s *suite) {
	good := letter("account:a", bits(0), 5, "r1")
	bad := map[string]func(l *state.Letter){
		"no subject":       func(l *state.Letter) { l.Subject = "" },
		"an endless one":   func(l *state.Letter) { l.Subject = strings.Repeat("a", 4097) },
		"near below 0":     func(l *state.Letter) { l.Near = -1 },
		"near over 256":    func(l *state.Letter) { l.Near = 257 },
		"a max below 0":    func(l *state.Letter) { l.Max = -1 },
		"too many members": func(l *state.Letter) { l.Members = numbered(0, state.MaxMembers+1) },
		"a short remember": func(l *state.Letter) { l.Remember = time.Second - 1 },
		"a long one":       func(l *state.Letter) { l.Remember = state.MaxLength + 1 },
		"another one":      func(l *state.Letter) { l.Remember = 2 * remember },
	}
	for name, spoil := range bad {
		l := good
		spoil(&l)
		if _, err := s.Take(s.ctx, start, mails(good, l)); err == nil {
			s.Errorf("take with %s: no error", name)
		}
	}
	s.has(start, bits(0), 0)
	for _, l := range []state.Letter{letter(strings.Repeat("a", 4096), bits(0), 1, "r1"), letter("account:b", bits(0), state.MaxMembers, numbered(0, state.MaxMembers)...)} {
		l.Remember = state.MaxLength
		n := int64(len(l.Members))
		s.send(start, mails(l), state.Campaign{ID: state.CampaignID(l.Subject, bits(0)), New: n})
		s.send(start, mails(l), state.Campaign{ID: state.CampaignID(l.Subject, bits(0)), Known: n})
	}
}

// Sessions send one letter at once, each to others: exactly Max recipients get it.
func testLetterRace(_ *testing.T, s *suite) {
	const sessions, tries, places = 16, 40, 200
	var passed atomic.Int64
	together(sessions, func(i int) {
		for n := range tries {
			a, err := s.Take(s.ctx, start, mails(letter("account:a", bits((i+n)%5), places, numbered(i*tries+n, 1)...)))
			switch {
			case err != nil:
				s.Error(err)
			case !a.Campaigns[0].Full:
				passed.Add(1)
			}
		}
	})
	if passed.Load() != places {
		s.Errorf("%d passed of %d; want exactly %d", passed.Load(), sessions*tries, places)
	}
	ask := mails(letter("account:a", bits(0), places, "nobody"))
	a, err := s.Take(s.ctx, start, ask)
	if err != nil || a.Campaigns[0].Known != places || !a.Campaigns[0].Full {
		s.Errorf("campaigns %v, error %v; want one, full, with %d recipients", a.Campaigns, err, places)
	}
}
