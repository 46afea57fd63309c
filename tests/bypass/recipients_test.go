package bypass

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"o2n-milter/message"
	"o2n-milter/tests/campaign"
)

// sending is a mail to people whom the generator knows, however it spells them.
type sending struct {
	header   []message.Field
	envelope []string
	// Of the fields and of the envelope: distinct people, and mentions of them.
	people, mentions         int
	rcptPeople, rcptMentions int
	certain                  bool // each spelling is one address to every program
}

// recipients makes a mail to some people, of whom some are named again and again.
func (g forge) recipients() sending {
	s := sending{certain: true}
	crowd := 1 + g.IntN(14)
	who := make([]int, g.IntN(16))
	for i := range who {
		who[i] = g.IntN(crowd)
	}
	if g.chance(50) { // nearly everybody once
		who = append(g.Perm(9+g.IntN(4)), who[:len(who)/7]...)
	}
	var fields [3][]string
	named := map[int]bool{}
	plain := g.chance(50)
	for _, who := range who {
		named[who] = true
		spelled, certain := g.spelling(who)
		for plain && !certain {
			spelled, certain = g.spelling(who)
		}
		s.certain = s.certain && certain
		at := g.IntN(len(fields))
		fields[at] = append(fields[at], spelled)
		s.mentions++
	}
	s.people = len(named)
	sep := g.one(", ", ", ", ", ", ",\n ", " , ", ",,", "; ", ", (x) ,")
	s.certain = s.certain && sep[len(sep)-1] != ',' && sep != "; "
	for i, name := range []string{"To", "Cc", "Bcc"} {
		s.header = append(s.header, g.inFields(name, fields[i], sep)...)
	}
	s.toEnvelope(g, crowd)
	return s
}

// inFields spreads a list over some fields of the name.
func (g forge) inFields(name string, list []string, sep string) []message.Field {
	var fields []message.Field
	for len(list) > 0 {
		n := 1 + g.IntN(len(list))
		value := strings.Join(list[:n], sep)
		if g.chance(10) {
			value = g.one("friends: ", `"a@b.example": `) + value + ";"
		}
		fields = append(fields, message.Field{Name: g.one(name, strings.ToLower(name), strings.ToUpper(name), name+" "), Value: value})
		list = list[n:]
	}
	return fields
}

// toEnvelope adds RCPT commands, to more or fewer than the fields name.
func (s *sending) toEnvelope(g forge, crowd int) {
	named := map[int]bool{}
	for range 1 + g.IntN(14) {
		who := g.IntN(crowd + 2)
		named[who] = true
		text, _ := g.spelled(who)
		s.envelope = append(s.envelope, text)
		s.rcptMentions++
	}
	s.rcptPeople = len(named)
}

// mailboxOf is where all spellings of a person lead.
func mailboxOf(who int) (local, domain string) {
	if who%5 == 4 {
		return fmt.Sprintf("reader%d", who), "gmail.com"
	}
	return fmt.Sprintf("reader%d", who), fmt.Sprintf("remote%d.example", who%3)
}

// spelling is a person in a list; certain unless it takes the lenient reading.
func (g forge) spelling(who int) (text string, certain bool) {
	local, domain := mailboxOf(who)
	a := local + "@" + domain
	switch g.IntN(16) {
	case 0:
		return strings.ToUpper(a), true
	case 1:
		return local + "+news@" + domain, true
	case 2:
		return `"` + local + `"@` + domain, true
	case 3:
		return "Reader <" + a + ">", true
	case 4:
		return `"Reader, the" <` + a + ">", true
	case 5:
		return a + " (reader)", true
	case 6:
		return "<" + a + ">", true
	case 7:
		return a + ".", false
	case 8:
		return local + " @ " + domain, false
	case 9:
		return local + "(x)@" + domain, false
	case 10:
		return "<@relay.example:" + a + ">", false
	case 11:
		return "Dr. Reader <" + a + ">", false
	case 12:
		return local + "\uff20" + domain, false
	case 13:
		return "=?utf-8?Q?Reader?= <" + a + ">", true
	case 14:
		return "[x] <" + a, false
	}
	return a, true
}

// wrong says what of the mail's recipients was not counted, or too often.
func (s *sending) wrong(found func(rule string) bool) string {
	fieldsAgain, rcptsAgain := s.mentions-s.people, s.rcptMentions-s.rcptPeople
	for _, must := range []struct {
		rule string
		over bool
		what string
	}{
		{"recipients.visible", s.people > 10, fmt.Sprintf("%d people in the fields", s.people)},
		{"recipients.envelope", s.rcptMentions > 10, fmt.Sprintf("%d recipients", s.rcptMentions)},
		{"recipients.duplicate", fieldsAgain > 1 || rcptsAgain > 1, fmt.Sprintf("%d mentions again in the fields, %d in the envelope", fieldsAgain, rcptsAgain)},
	} {
		if must.over && !found(must.rule) {
			return must.rule + " found nothing in " + must.what
		}
		if !must.over && s.certain && s.mentions <= 10 && found(must.rule) {
			return must.rule + " found something in " + must.what
		}
	}
	return ""
}

// Whoever is spelled in many ways is one, and everybody is counted.
func TestRecipients(t *testing.T) {
	g := forge{campaign.Rand(t)}
	count := campaign.Counting(t, "recipients", "lists in odd spellings")
	j := newJudge(t)
	for range campaign.Pick(4_000, 150_000) {
		s := g.recipients()
		header := append(slices.Clip(s.header), message.Field{Name: "From", Value: login})
		v := j.try(login, s.envelope, header, nil)
		if why := s.wrong(func(rule string) bool { return found(v, rule) }); why != "" {
			count.Failed()
			t.Fatalf("%q\nto %q\n%s", s.header, s.envelope, why)
		}
		count.Held()
	}
}

// A list that is cut somewhere counts as what is left of it, and never as nobody.
func TestCutLists(t *testing.T) {
	g := forge{campaign.Rand(t)}
	count := campaign.Counting(t, "recipients", "lists that are cut somewhere")
	j := newJudge(t)
	for range campaign.Pick(300, 5_000) {
		var list []string
		for who := range 12 + g.IntN(20) {
			list = append(list, fmt.Sprintf("%s <reader%d@remote.example>", g.one("Reader", `"R, r"`, "R. r", "=?utf-8?Q?r=2C?="), who))
		}
		value := strings.Join(list, ", ")
		value = value[:len(value)-g.IntN(len(value)/4)]
		left := strings.Count(value, "@remote.")
		v := j.try(login, []string{victim}, []message.Field{{Name: "From", Value: login}, {Name: g.one("To", "Cc"), Value: value}}, nil)
		if left > 10 && !found(v, "recipients.visible") {
			count.Failed()
			t.Fatalf("%d addresses are left and not counted: %q", left, value)
		}
		count.Held()
	}
}
