//go:build mta

package soak

import (
	"testing"
	"time"

	"o2n-milter/tests/mta"
)

// TestGrowthIsSeen: a leak of each kind, and what is none.
func TestGrowthIsSeen(t *testing.T) {
	for name, c := range map[string]struct {
		leak func(s *sample, minute float64)
		want int
	}{
		"flat":                     {func(s *sample, _ float64) {}, 0},
		"up and down":              {func(s *sample, m float64) { s.fds += float64(int(m)%2) * 10; s.rss -= m }, 0},
		"a descriptor in 5 min":    {func(s *sample, m float64) { s.fds += m / 5 }, 1},
		"a goroutine in 5 min":     {func(s *sample, m float64) { s.goroutines += m / 5 }, 1},
		"3 MB a minute":            {func(s *sample, m float64) { s.rss += 3 * m }, 1},
		"1 MB of heap a minute":    {func(s *sample, m float64) { s.heap += m }, 1},
		"2 kB of disk a letter":    {func(s *sample, m float64) { s.disk += m * 2 }, 1},
		"half a kB a letter":       {func(s *sample, m float64) { s.disk += m * 0.5 }, 0},
		"a goroutine with its own": {func(s *sample, m float64) { s.goroutines += m; s.fds += m }, 2},
	} {
		var list []sample
		for m := range 60 {
			s := sample{at: time.Duration(m) * time.Minute, fds: 24, goroutines: 39, rss: 200, disk: 20, letters: 1000 * m}
			c.leak(&s, float64(m))
			list = append(list, s)
		}
		if said, over := growth(list); len(over) != c.want {
			t.Errorf("%s: %v are over in %v; want %d", name, over, said, c.want)
		}
	}
}

// TestOutcomes: what is wrong with a letter is seen, and nothing else.
func TestOutcomes(t *testing.T) {
	at := time.Now()
	arrive := func(to string, when time.Time) mta.Delivered {
		return mta.Delivered{At: when, From: alice, To: []string{to}, Data: []byte("Subject: x\r\nMessage-ID: <1@soak.example>\r\n\r\n")}
	}
	report := mta.Delivered{At: at, To: []string{site}, Data: []byte("Message-ID: <own@host>\r\n\r\nSubject: x\r\nMessage-ID: <1@soak.example>\r\n\r\n")}
	a, b, late := arrive("a", at), arrive("b", at), arrive("a", at.Add(time.Minute))
	for name, c := range map[string]struct {
		answer    answer
		got       []mta.Delivered
		restarted time.Duration // after the first arrival; 0: never
		right     bool
	}{
		"taken, arrived":            {taken, []mta.Delivered{a, b}, 0, true},
		"taken, lost":               {taken, nil, 0, false},
		"taken, lost for one":       {taken, []mta.Delivered{a}, 0, false},
		"taken, twice":              {taken, []mta.Delivered{a, b, late}, 0, false},
		"twice over a restart":      {taken, []mta.Delivered{a, b, late}, time.Second, true},
		"taken, at somebody else":   {taken, []mta.Delivered{a, b, arrive("c", at)}, 0, false},
		"taken, sent back":          {taken, []mta.Delivered{a, b, report}, 0, false},
		"refused":                   {refused, nil, 0, true},
		"refused, arrived":          {refused, []mta.Delivered{a, b}, 0, false},
		"put off, arrived":          {deferred, []mta.Delivered{a}, 0, false},
		"without its end":           {dropped, []mta.Delivered{a, b}, 0, false},
		"no answer, arrived":        {unsaid, []mta.Delivered{a, b}, 0, true},
		"no answer":                 {unsaid, nil, 0, true},
		"no answer, for one":        {unsaid, []mta.Delivered{a}, 0, false},
		"handed in, arrived":        {handed, []mta.Delivered{a, b}, 0, true},
		"handed in, sent back":      {handed, []mta.Delivered{report}, 0, true},
		"handed in, gone":           {handed, nil, 0, false},
		"handed in, both of it":     {handed, []mta.Delivered{a, b, report}, 0, false},
		"never at its end, arrived": {begun, []mta.Delivered{a, b}, 0, false},
	} {
		book := newBook()
		book.answered(book.add(alice, "a", "b"), c.answer, 0)
		if c.restarted > 0 {
			book.restarts = []time.Time{at.Add(c.restarted)}
		}
		book.deliver(c.got)
		if wrong := book.waiting(); (len(wrong) == 0) != c.right {
			t.Errorf("%s: %q", name, wrong)
		}
	}
}
