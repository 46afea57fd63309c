package statetest

import (
	"fmt"
	"testing"
	"time"

	"o2n-milter/state"
)

// kindsOfLetters are so many that are 60 bits from one another; of one kind two are up
// to 8 bits apart.
const kindsOfLetters = 4

// letters are up to two, of one subject.
func (tr *traffic) letters(seed uint64) []state.Letter {
	var list []state.Letter
	subject := fmt.Sprintf("account:%d-%d", seed, tr.IntN(2))
	for kind := range kindsOfLetters {
		if tr.IntN(4) > 0 {
			continue
		}
		l := letter(subject, bits(60*kind), 4+tr.Int64N(10))
		l.Sketch[3] ^= 1 << (60 + tr.IntN(4))
		l.Sketch[0] ^= 1 << (60 + tr.IntN(4))
		l.Remember = 100 * time.Second
		for range tr.IntN(4) {
			l.Members = append(l.Members, fmt.Sprint("r", tr.IntN(40)))
		}
		list = append(list, l)
	}
	return list
}

// kindOf is the set of recipients, in the model, of a letter's campaign.
func kindOf(l state.Letter) name {
	for kind := range kindsOfLetters {
		if l.Sketch.Distance(bits(60*kind)) <= 4 {
			return name{fmt.Sprint("letters of kind ", kind), l.Subject}
		}
	}
	panic("a letter of no kind")
}

// checkLetters compares with the model what is said of campaigns, and says whether
// they have room.
func (m model) checkLetters(t *testing.T, mo moment, letters []state.Letter, got []state.Campaign) (room bool) {
	t.Helper()
	if len(letters) != len(got) {
		t.Fatalf("%d letters, %d campaigns", len(letters), len(got))
	}
	room = true
	for i, l := range letters {
		kind, c := kindOf(l), got[i]
		var least, most int64
		for _, last := range m.members[kind] {
			if mo.at.Sub(last) <= l.Remember {
				least++
			}
			if mo.at.Sub(last) <= l.Remember+l.Remember/60 {
				most++
			}
		}
		newest := m.unknown(kind, l.Members, mo.at, l.Remember)
		oldest := m.unknown(kind, l.Members, mo.at, l.Remember+l.Remember/60)
		if c.Known < least || c.Known > most || c.New < oldest || c.New > newest {
			t.Fatalf("%s: %s: %d known and %d new; the model says %d to %d and %d to %d", mo.at, kind, c.Known, c.New, least, most, oldest, newest)
		}
		if want := len(l.Members) > 0 && c.Known+c.New > l.Max; c.Full != want {
			t.Fatalf("%s: %s: full %v with %d and %d of %d", mo.at, kind, c.Full, c.Known, c.New, l.Max)
		}
		m.checkID(t, mo, l, c)
		room = room && !c.Full
	}
	return room
}

// checkID wants the campaign to be named by the letter that began it.
func (m model) checkID(t *testing.T, mo moment, l state.Letter, c state.Campaign) {
	t.Helper()
	want := ""
	switch {
	case c.Known > 0:
		want = state.CampaignID(l.Subject, m.first[kindOf(l)])
	case c.New > 0:
		want = state.CampaignID(l.Subject, l.Sketch)
	}
	if c.ID != want {
		t.Fatalf("%s: campaign %q of %+v; want %q", mo.at, c.ID, c, want)
	}
}

// send remembers the recipients of letters.
func (m model) send(letters []state.Letter, got []state.Campaign, at time.Time) {
	for i, l := range letters {
		if len(l.Members) == 0 {
			continue
		}
		if got[i].Known == 0 {
			m.first[kindOf(l)] = l.Sketch
		}
		m.put(kindOf(l), l.Members, at)
	}
}
