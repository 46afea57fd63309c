package milter

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/rules"
)

// What one message has brought is not in the next one, on no connection; and who thinks
// for too long goes on looking at his own.
func TestDraftsAreUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Bool
		f := serve(t, judgeFunc(func(_ context.Context, m *rules.Mail) rules.Verdict {
			if !asked.Swap(true) {
				time.Sleep(time.Minute)
				if got := summary(m); got != "alice <a@client-a.example> > r1@r.example | A: one" || string(m.Body) != "text" {
					t.Errorf("after a minute: %q", got)
				}
			}
			return pass
		}))
		m, other := f.session(), f.session()
		letter := []string{helloA, mailA, "R <r1@r.example>", "L A: one", "B text", "E"}
		m.run(letter...) // nobody waits for its verdict
		for _, s := range []*mta{m, other, m} {
			s.run(helloA, mailB, "R <r2@r.example>", "R <r3@r.example>", "L B: two", "L C: three", "B longer text", "A")
			s.run(mailB, "R <r2@r.example>", "L B: two", "E", "A")
			s.run("M <b@client-b.example>", "E")
		}
		time.Sleep(time.Hour)
		f.stop()
		two := []string{"bob <b@client-b.example> > r2@r.example | B: two", " <b@client-b.example> > "}
		want := slices.Concat([]string{"alice <a@client-a.example> > r1@r.example | A: one"}, two, two, two)
		got, _ := f.notes.all()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

// The room of a body is used again, wherever it was, when its verdict is there: not before,
// and not while somebody thinks on.
func TestBodiesAreUsedAgain(t *testing.T) {
	for _, size := range []int{4, readSize, packetRoom - 5, packetRoom - 4, mostBody} {
		synctest.Test(t, func(t *testing.T) {
			bodies := map[string]string{"alice": strings.Repeat("a", size), "bob": strings.Repeat("b", size)}
			check := func(m *rules.Mail) {
				if string(m.Body) != bodies[m.Login] {
					t.Errorf("%d octets: %s has a body of %d, %.20q...", size, m.Login, len(m.Body), m.Body)
				}
			}
			var asked atomic.Int64
			f := serve(t, judgeFunc(func(_ context.Context, m *rules.Mail) rules.Verdict {
				check(m)
				if asked.Add(1) == 1 {
					time.Sleep(time.Minute)
					check(m)
				}
				return pass
			}))
			m, other := f.session(), f.session()
			m.run(helloA, mailA, "R <r@r.example>", "B "+bodies["alice"], "E") // nobody waits for its verdict
			other.run(helloA)
			for range 3 {
				m.run(mailA, "R <r@r.example>", "B "+bodies["alice"], "A", mailA, "R <r@r.example>", "B "+bodies["alice"], "E")
				other.run(mailB, "R <r@r.example>", "B "+bodies["bob"], "E", "A")
			}
			time.Sleep(time.Hour)
			f.stop()
			if asked.Load() != 7 {
				t.Errorf("%d octets: %d were judged, want 7", size, asked.Load())
			}
		})
	}
}

// A body is the same however it comes: in packets that fit the buffer, in one that does
// not, in more, and beyond what is kept.
func TestBodies(t *testing.T) {
	text := strings.Repeat("0123456789abcde\n", rules.MaxBody/16+100)
	const chunk = 65535
	for _, size := range []int{0, 1, readSize - 5, readSize - 4, readSize, chunk, chunk + 1, 2*chunk + 1, rules.MaxBody - 1, rules.MaxBody, rules.MaxBody + 1} {
		for _, width := range []int{chunk, 1000_000, 100} {
			lines := []string{helloA, mailA, "R <r@r.example>"}
			for part := range slices.Chunk([]byte(text[:size]), width) {
				lines = append(lines, "B "+string(part))
			}
			if width == 100 && size > 3*readSize {
				continue
			}
			got := factsOf(t, append(lines, "E")...)
			if want := text[:min(size, rules.MaxBody)]; string(got.Body) != want || got.Size != int64(size) {
				t.Errorf("%d octets, %d a packet: kept %d, counted %d", size, width, len(got.Body), got.Size)
			}
		}
	}
}

// What is kept of recipients has a bound in octets, too: few can be long.
func TestRecipientsBound(t *testing.T) {
	const many = 4
	for _, size := range []int{maxKept - 1, maxKept, maxKept + 1} {
		lines := []string{helloA, mailA}
		for i := range many {
			long := size / many
			if i == many-1 {
				long = size - i*long
			}
			lines = append(lines, "R <"+strings.Repeat("r", long)+">")
		}
		kept, excess := many, []string(nil)
		if size > maxKept {
			kept, excess = many-1, []string{"more than 20,000 recipients or 1 MiB of them"}
		}
		got := factsOf(t, append(lines, "R <>", "E")...) // the empty one shows that room which is left is no matter
		if size <= maxKept {
			kept++
		}
		if len(got.Recipients) != kept || !cmp.Equal(got.Excess, excess) {
			t.Errorf("%d octets: kept %d, want %d; excess %q", size, len(got.Recipients), kept, got.Excess)
		}
	}
}

// Nobody keeps a body that is not looked at.
func TestBodyNotWanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked, got rules.Mail
		f := serve(t, bodyless{asked: &asked, got: &got})
		m := f.session()
		m.run(helloA, "M <a@elsewhere.example>", "R <r@r.example>", "L A: b", "B "+strings.Repeat("x", 2*readSize), "B text", "E")
		f.stop()
		if asked.Sender != "a@elsewhere.example" || !asked.Client.IsValid() || len(got.Body) != 0 || got.Size != 2*readSize+10 {
			t.Errorf("asked for %q of %v, got %d octets of %d", asked.Sender, asked.Client, len(got.Body), got.Size)
		}
	})
}

type bodyless struct {
	judgeFunc
	asked, got *rules.Mail
}

func (b bodyless) WantsBody(m *rules.Mail) bool { *b.asked = *m; return false }
func (b bodyless) Decide(_ context.Context, m *rules.Mail) rules.Verdict {
	*b.got = *m
	return pass
}

// away is a judge that has no time for mail of these senders.
type away struct {
	judgeFunc
	senders []string
	asked   *atomic.Int64
}

func (a away) TurnsAway(m *rules.Mail, budget time.Duration) (rules.Verdict, bool) {
	a.asked.Add(1)
	v := tempfail
	v.Rule = "internal.overload"
	return v, budget == defaultDecideTimeout && slices.Contains(a.senders, m.Sender)
}

// Mail that there is no time for is refused with all its recipients, once for the log, and
// the message behind it is not.
func TestTurnedAwayAtRcpt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const later = "y451 4.7.1 later [a.rule ID]"
		var asked atomic.Int64
		f := serve(t, away{always(pass), []string{"a@client-a.example"}, &asked})
		m := f.session()
		m.run(helloA)
		for range 2 {
			begun := time.Now()
			got := m.run(mailA, "R <r1@r.example>", "R <r2@r.example>", "E", "A", mailB, "R <r1@r.example>", "R <r2@r.example>", "E", "A")
			if diff := cmp.Diff([]string{later, later, later, "c", "c", "c"}, got); diff != "" {
				t.Error(diff)
			}
			if took := time.Since(begun); took != refusalPause {
				t.Errorf("answered after %v", took)
			}
		}
		f.stop()
		want := []string{"tempfail internal.overload", "accept none", "tempfail internal.overload", "accept none"}
		if diff := cmp.Diff(want, f.notes.rules()); diff != "" || asked.Load() != 4 {
			t.Errorf("asked %d times, %s", asked.Load(), diff)
		}
	})
}
