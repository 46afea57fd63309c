package rules

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"o2n-milter/message"
)

// concealed is a letter that shows one text and has another one in it, which a style hides.
func concealed(n int, seen, hidden string, lines ...string) *Mail {
	body := seen + "<div style='position:absolute;left:-9999px;margin-left:9999px'>" + hidden + "</div>"
	return letterTo(n, body, append([]string{"Content-Type: text/html"}, lines...)...)
}

// words are n of 60, with seeds up to 59 none that another seed has.
func words(seed, n int) string {
	const consonants, vowels = "bdfgklmnprst", "aeiou"
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%c%cra%cno%c ", consonants[seed%12], vowels[seed/12%5], consonants[i%12], vowels[i/12%5])
	}
	return b.String()
}

// A letter is told by what it shows, and where a style hides much of it by all of it, too;
// where it hides most, by that.
func TestLettersOfAMessage(t *testing.T) {
	const preheader = "Bonjour, votre commande a bien ete enregistree."
	for name, tt := range map[string]struct {
		m       *Mail
		letters int
		unknown bool // one of them is of what nobody knows
	}{
		"plain":                     {plainOffer(1), 1, false},
		"nothing hidden":            {concealed(1, offer, ""), 1, false},
		"a preheader":               {concealed(1, offer, preheader), 1, false},
		"a code and a preheader":    {letterTo(1, "Votre code : 123456<div style='display:none'>"+preheader+preheader+"</div>", "Content-Type: text/html"), 0, false},
		"much":                      {concealed(1, offer, words(1, 15)), 2, false},
		"most":                      {concealed(1, offer, words(1, 60)), 3, true},
		"nothing else":              {concealed(1, "", words(1, 15)), 1, false},
		"nothing else, most":        {concealed(1, "", words(1, 60)), 2, true},
		"nothing else, but a name":  {concealed(1, "Paul,", preheader), 1, false},
		"broken":                    {letterTo(1, offer, "Content-Transfer-Encoding: x-none"), 2, false},
		"broken, with a preheader":  {concealed(1, offer, preheader, "Content-Transfer-Encoding: x-none"), 2, false},
		"broken, with much":         {concealed(1, offer, words(1, 15), "Content-Transfer-Encoding: x-none"), 3, true},
		"nothing as far as looked":  {letterTo(1, strings.Repeat("\n", MaxBody)), 1, true},
		"a few words, all of which": {concealed(1, "", "Bonjour Paul"), 0, false},
	} {
		b := newBulkBench(t, nil)
		r := b.judgeSafely(t.Context(), b.at, tt.m, false)
		letters := r.ask.Letters
		unknown := len(letters) > 0 && letters[len(letters)-1].Sketch == nobodyKnows
		if len(letters) != tt.letters || unknown != tt.unknown {
			t.Errorf("%s: %d letters, unknown %v; want %d, %v", name, len(letters), unknown, tt.letters, tt.unknown)
		}
		for _, l := range letters {
			if l.Max != 19 || l.Near != message.Near || len(l.Members) != 1 {
				t.Errorf("%s: %+v", name, l)
			}
		}
		r.free()
	}
}

// Whichever of its two texts is the same in all letters, or neither, the twentieth
// recipient is refused, once, and counted once.
func TestConcealedCampaigns(t *testing.T) {
	for name, letter := range map[string]func(n int) *Mail{
		"the same, hidden":           func(n int) *Mail { return concealed(n, "", offer) },
		"the same, beside a word":    func(n int) *Mail { return concealed(n, words(n, 1), offer) },
		"both the same":              func(n int) *Mail { return concealed(n, offer, offer+wayOut) },
		"what is hidden differs":     func(n int) *Mail { return concealed(n, offer, words(n, 60)) },
		"a little of it":             func(n int) *Mail { return concealed(n, "", offer+words(n, 4)) },
		"most of it":                 func(n int) *Mail { return concealed(n, "", offer+words(n, 60)) },
		"most, and what is seen":     func(n int) *Mail { return concealed(n, words(n, 20), offer+words(n+30, 60)) },
		"the way out is hidden, too": func(n int) *Mail { return concealed(n, "", offer+wayOut+why) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBulkBench(t, nil)
			b.sendTo(t, 1, 19, letter)
			v := b.decide(t, letter(20))
			check(t, v, Reject, "bulk.unsubscribe", "bulk.unsubscribe: "+v.Evidence[0].Got, "bulk.one_click: no List-Unsubscribe with https (shadow)",
				"bulk.reason: no sentence that says it (shadow)")
			if v.Campaign.Recipients != 20 || v.Struck > 1 {
				t.Errorf("%+v, struck %d", v.Campaign, v.Struck)
			}
			check(t, b.decide(t, letter(19)), Accept, "none") // who has it already is no other recipient
		})
	}
}

// Of several campaigns the largest is told of: one that a letter was before its style hid it.
func TestLargestCampaign(t *testing.T) {
	b := newBulkBench(t, nil)
	b.sendTo(t, 1, 19, func(n int) *Mail { return letterTo(n, offer) })
	plain := b.decide(t, letterTo(1, offer)).Campaign
	v := b.decide(t, concealed(20, "", offer+wayOut))
	check(t, v, Reject, "bulk.unsubscribe", found(v)...)
	if v.Campaign.ID != plain.ID {
		t.Errorf("refused as of %+v, want %s", v.Campaign, plain.ID)
	}
	v = b.decide(t, concealed(21, words(1, 60), offer))
	if v.Campaign == nil || v.Campaign.Recipients != 1 || v.Action != Accept {
		t.Errorf("%s, %+v; want one that is like no other", v.Action, v.Campaign)
	}
}

// A hidden preheader, with what fills up the line behind it, makes no letter like another.
func TestPreheaderCountsForNothing(t *testing.T) {
	filler := strings.Repeat("&nbsp;&zwnj;&#847;&#8203; ", 150)
	b := newBulkBench(t, nil)
	for n := range 60 {
		m := letterTo(n, "<div style='display:none;max-height:0;overflow:hidden'>Votre commande est en route, merci de votre confiance."+filler+"</div><p>"+words(n, 40)+"</p>", "Content-Type: text/html")
		v := b.decide(t, m)
		check(t, v, Accept, "none")
		if v.Campaign == nil || v.Campaign.Recipients != 1 {
			t.Fatalf("message %d is of %+v", n, v.Campaign)
		}
	}
}

// The pace holds for the largest campaign of a letter, and is charged once.
func TestPaceOfConcealed(t *testing.T) {
	b := newBulkBench(t, paced(1))
	letter := func(n int) *Mail {
		return concealed(n, words(n, 9), offer+words(n+30, 60), "List-Unsubscribe: <mailto:stop@client-a.example>", "Subject: "+words(n, 3))
	}
	b.sendTo(t, 1, 19, letter)
	v := b.decide(t, letter(20))
	check(t, v, Accept, "none", found(v)...)
	charges := slices.DeleteFunc(v.Charges, func(c Charge) bool { return c.Limit != bulkPace })
	if len(charges) != 1 || charges[0].Cost != 1 {
		t.Errorf("charges %v, want the pace once", v.Charges)
	}
	check(t, b.decide(t, letter(21)), Tempfail, "bulk.pace")
}
