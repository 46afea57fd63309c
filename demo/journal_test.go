package demo

import (
	"bytes"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"o2n-milter/hold/wire"
)

var morning = time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC)

// told is what a journal prints.
func told(json bool, blocks func() ([]block, error), tell func(*journal)) string {
	var out bytes.Buffer
	j := &journal{out: &out, json: json, now: func() time.Time { return morning }, blocks: blocks, told: map[string]bool{}}
	tell(j)
	return out.String()
}

func noBlocks() ([]block, error) { return nil, nil }

// from is a letter's sender in mid-day.
func from(what string) net.Addr {
	c := customer(1)
	c.letter = &letter{what: what}
	return c
}

func TestJournal(t *testing.T) {
	refusal := Mail{From: from("a story"), Login: "a@b.example", Answer: Answer{Code: 550, Text: "5.7.1 No. See https://help.example/ [identity.header_from 7K3QF2M9]"}}
	passing := Mail{From: from("a story"), Login: "a@b.example", Answer: Answer{Code: 250}}
	yours := Mail{From: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4711}, Sender: "you@b.example", Answer: Answer{Code: 250}}
	for _, tt := range []struct {
		what  string
		mails []Mail
		want  []string // words of each line
	}{
		{"a refusal each time", []Mail{refusal, refusal}, []string{
			"09:00:00 550 a@b.example a story identity.header_from 7K3QF2M9", "09:00:00 550 a@b.example a story identity.header_from 7K3QF2M9"}},
		{"of a story what passes once", []Mail{passing, passing}, []string{"09:00:00 250 a@b.example a story"}},
		{"your own each time", []Mail{yours, yours}, []string{"09:00:00 250 you@b.example mail of your own", "09:00:00 250 you@b.example mail of your own"}},
		{"held", []Mail{{From: from("x"), Answer: Answer{Code: 250, Held: "Later. [limit.minute A1]"}}}, []string{"09:00:00 held <> x limit.minute A1"}},
		{"no rule", []Mail{{From: from("x"), Answer: Answer{Code: 451, Text: deferredText}}}, []string{"09:00:00 451 <> x"}},
	} {
		got := told(false, noBlocks, func(j *journal) {
			for _, m := range tt.mails {
				j.mail(m)
			}
		})
		var lines []string
		for line := range strings.Lines(got) {
			lines = append(lines, strings.Join(strings.Fields(line), " "))
		}
		if strings.Join(lines, "\n") != strings.Join(tt.want, "\n") {
			t.Errorf("%s: got\n%s", tt.what, got)
		}
	}
}

func TestOrdinaryMailIsCounted(t *testing.T) {
	for n, want := range map[int]int{calmEvery - 1: 0, calmEvery: 1, calmEvery + 1: 1, 2 * calmEvery: 2} {
		got := told(false, noBlocks, func(j *journal) {
			for range n {
				j.mail(Mail{From: from(ordinaryMail), Login: "a@b.example", Answer: Answer{Code: 250}})
			}
		})
		if lines := strings.Count(got, "\n"); lines != want {
			t.Errorf("%d letters: %d lines, want %d:\n%s", n, lines, want, got)
		}
	}
}

func TestBlocksAreToldOnce(t *testing.T) {
	until := time.Date(2026, 5, 4, 10, 0, 0, 0, time.Local)
	blocks := func() ([]block, error) {
		return []block{{ID: "B1", Subject: "account:a@b.example", Rule: "identity.header_from", Until: &until}, {ID: "B2", Subject: "ip:192.0.2.1", Rule: "manual"}}, nil
	}
	got := told(true, blocks, func(j *journal) {
		for range 2 {
			j.mail(Mail{From: from("x"), Login: "a@b.example", Answer: Answer{Code: 550, Text: "5.7.1 no [block.active A1]"}})
		}
	})
	for want, times := range map[string]int{
		`"answer":"550","who":"a@b.example","what":"x","rule":"block.active","id":"A1"}`:                                     2,
		`"answer":"block","who":"account:a@b.example","what":"blocked until 10:00","rule":"identity.header_from","id":"B1"}`: 1,
		`"answer":"block","who":"ip:192.0.2.1","what":"blocked until it is lifted","rule":"manual","id":"B2"}`:               1,
	} {
		if strings.Count(got, want) != times {
			t.Errorf("want %d times %s in\n%s", times, want, got)
		}
	}
}

func TestUnknownBlocksAreTold(t *testing.T) {
	got := told(false, func() ([]block, error) { return nil, errors.New("nobody answers") }, func(j *journal) {
		j.mail(Mail{From: from("x"), Answer: Answer{Code: 550, Text: "5.7.1 no"}})
	})
	if !strings.Contains(got, "nobody answers") {
		t.Errorf("got\n%s", got)
	}
}

func TestHeldMailLeaves(t *testing.T) {
	got := told(true, noBlocks, func(j *journal) {
		j.left(wire.Queued{From: "a@b.example", Reason: "Later. [limit.minute A1]"}, true)
		j.left(wire.Queued{From: ""}, false)
	})
	want := `{"at":"2026-05-04T09:00:00Z","answer":"leaves","who":"a@b.example","what":"held mail, now there is room","rule":"limit.minute","id":"A1"}
{"at":"2026-05-04T09:00:00Z","answer":"deleted","who":"<>","what":"held mail","rule":"none","id":""}
`
	if got != want {
		t.Errorf("got\n%s", got)
	}
}
