package bypass

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"o2n-milter/rules"
	"o2n-milter/state/memory"
	"o2n-milter/tests/campaign"
)

// mailing is what a bulk tool does to a leaflet for each reader, and how many of a
// thousand may get it: of a long letter, one of some sixty words, and one of some
// seventeen. Nineteen is the best there can be.
type mailing struct {
	what  string
	write func(g forge, n int, l leaflet) leaflet
	most  [3]int
}

// audience is how many a campaign goes to, all different people.
const audience = 1000

// pause is between two letters of a campaign that takes as long as campaigns are looked at.
const pause = 24 * time.Hour / audience

func unchanged(_ forge, _ int, l leaflet) leaflet { return l }

var mailings = []mailing{
	{"the same", unchanged, [3]int{19, 19, 19}},
	{"5 % spun words", spun(5), [3]int{19, 19, 19}},
	{"10 % spun words", spun(10), [3]int{19, 19, 19}},
	{"20 % spun words", spun(20), [3]int{60, 60, 100}},
	{"30 % spun words", spun(30), [3]int{250, 250, 250}},
	{"5 % random words", strewn(5, known), [3]int{19, 25, 40}},
	{"10 % random words", strewn(10, known), [3]int{25, 40, 60}},
	{"20 % random words", strewn(20, known), [3]int{150, 150, 150}},
	{"30 % random words", strewn(30, known), [3]int{250, 250, 250}},
	{"10 % invented words", strewn(10, forge.invented), [3]int{25, 40, 60}},
	{"20 % unspeakable words", strewn(20, forge.gibberish), [3]int{120, 120, 120}},
	{"100 % unspeakable words", strewn(100, forge.gibberish), [3]int{400, 300, 300}},
	{"names, links, amounts", personal, [3]int{19, 19, 25}},
	{"sender's name", named, [3]int{19, 19, 19}},
	{"characters without width", parted(func(g forge) string { return g.one("\u200b", "\u200c", "\u2060", "\ufeff", "\u00ad", "") }), [3]int{19, 19, 19}},
	{"accents", parted(func(g forge) string { return g.one("\u0301", "\u0316", "", "") }), [3]int{19, 19, 19}},
	{"look-alike letters", lookAlikes, [3]int{19, 19, 19}},
	{"hidden words", hidden("display:none"), [3]int{19, 19, 19}},
	{"words of no size", hidden("font-size:0"), [3]int{19, 19, 19}},
	{"white words", hidden("color:#fff"), [3]int{19, 19, 19}},
	{"tags", tagged, [3]int{19, 19, 19}},
	{"charset, encoding, HTML", recoded, [3]int{19, 19, 19}},
	{"a Subject of 3 random words", titled(3), [3]int{19, 19, 19}},
	{"a Subject of 6 random words", titled(6), [3]int{19, 19, 19}},
	{"a Subject of 12 random words", titled(12), [3]int{19, 19, 19}},
	{"a Subject of 20 random words", titled(20), [3]int{19, 19, 19}},
	{"one picture in place of the text", picture(0, 4), [3]int{80, 80, 80}},
	{"shuffled paragraphs", shuffled, [3]int{19, 19, 19}},
	{"10 random words before", framed(10, 0), [3]int{19, 40, audience}},
	{"10 random words behind", framed(0, 10), [3]int{19, 40, audience}},
	{"30 random words before", framed(30, 0), [3]int{80, audience, audience}},
	{"two languages", translated(2), [3]int{38, 38, 38}},
	{"ten languages", translated(10), [3]int{190, 190, 190}},
	{"names and 10 % random words", all(personal, strewn(10, known)), [3]int{40, 100, 350}},
	{"Subject, names, 20 % unspeakable words", all(titled(12), personal, strewn(20, forge.gibberish)), [3]int{audience, audience, 600}},
	{"Subject, names, 5 % random words, order, encoding", all(titled(6), personal, strewn(5, known), shuffled, recoded), [3]int{40, 150, 450}},
	{"a digit for letters in each word, 5 random words", all(leet, framed(5, 0)), [3]int{25, 40, 350}},
	{"a digit for letters in each word, no link", all(leet, unlinked), [3]int{19, 19, 19}},
	{"no blanks, 5 random words", all(glued, framed(5, 0)), [3]int{25, 40, audience}},
	{"no blanks, no link", all(glued, unlinked), [3]int{19, 19, 19}},
	{"a picture that differs, 4 words", picture(20, 4), [3]int{audience, audience, audience}},
	{"8 random words above a sign-off", overhead(8, false), [3]int{audience, audience, audience}},
	{"8 random words above a quotation", overhead(8, true), [3]int{audience, audience, audience}},
}

// through is how many of the first people get a leaflet, sent in turns by these: logins,
// or "local" or a client's address before an envelope sender.
func through(t testing.TB, g forge, l leaflet, write func(forge, int, leaflet) leaflet, first int, by ...string) int {
	t.Helper()
	p := newProvider(t, func(*rules.Settings) {}, memory.New())
	got := 0
	for n := range first {
		p.at = p.at.Add(pause)
		to := fmt.Sprintf("reader%d@remote%d.example", n, n%7)
		m := sentBy(by[n%len(by)])
		raw := split(t, write(g, n, l).wire(m.Sender, to))
		m.QueueID, m.Recipients = fmt.Sprint("Q", n), []rules.Recipient{{Address: to}}
		m.Header, m.Body, m.Size = raw.Fields, raw.Body, raw.Size
		v := p.engines[n%2].Decide(t.Context(), m)
		if v.Err != nil {
			t.Fatal(v.Err)
		}
		if v.Action < rules.Quarantine {
			got++
		}
	}
	return got
}

// sentBy is a mail as such a sender begins it.
func sentBy(way string) *rules.Mail {
	m := &rules.Mail{Client: netip.MustParseAddr("192.0.2.7"), Host: "mx.example", CanHold: true}
	how, sender, is := strings.Cut(way, " ")
	switch {
	case !is:
		m.Login, m.Sender = way, strings.ToLower(way)
	case how == "local":
		m.Local, m.Client, m.Sender = true, netip.Addr{}, sender
	default:
		m.Client, m.Sender = netip.MustParseAddr(how), sender
	}
	return m
}

// A letter to a thousand people, sent over a day, is stopped after as few as is promised,
// whatever is changed for each of them.
func TestMailings(t *testing.T) {
	stopped(t, campaign.Counting(t, "campaigns", "letters to a thousand, changed for each"), mailings, 40)
}

// stopped sends each of these to so many in short, and wants no more to get it than it says.
func stopped(t *testing.T, count *campaign.Count, list []mailing, short int) {
	t.Helper()
	g := forge{campaign.Rand(t)}
	for _, m := range list {
		line := ""
		for i, l := range leaflets {
			if !campaign.Long() && i != 1 {
				continue
			}
			first := campaign.Pick(short, audience)
			got := through(t, g, l, m.write, first, login)
			line += fmt.Sprintf(" %5d", got)
			if got > m.most[i] {
				count.Failed()
				t.Errorf("%s, %s: %d of %d readers got it; want at most %d", m.what, l.name, got, first, m.most[i])
				continue
			}
			count.Held()
		}
		t.Logf("%-60s%s", m.what, line)
	}
}

// It does not help to send it from several accounts of one customer, or by each way in
// that a site has.
func TestMailingsOfACustomer(t *testing.T) {
	g := forge{campaign.Rand(t)}
	count := campaign.Counting(t, "campaigns", "letters sent by several ways of one customer")
	ways := map[string][]string{
		"two accounts":             {login, "amy@client-a.example"},
		"two accounts, spellings":  {login, "AMY@client-a.example", "alice+1@client-a.example", "Amy+2@Client-A.example"},
		"a script's sender":        {"local www-data@web1.example", "shop@shop.example"},
		"a site's address":         {"198.51.100.7 x@shop.example", "local www-data@web1.example", "shop@shop.example"},
		"senders of the same site": {"local a@shop.example", "local b@shop.example", "198.51.100.7 c@shop.example"},
	}
	for name, by := range ways {
		for _, m := range []mailing{mailings[0], {"names, links, amounts", personal, [3]int{19, 19, 25}}} {
			if got := through(t, g, leaflets[1], m.write, campaign.Pick(40, audience), by...); got > m.most[1] {
				count.Failed()
				t.Errorf("%s, %s: %d got it", name, m.what, got)
				continue
			}
			count.Held()
		}
	}
}
