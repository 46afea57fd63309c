package statetest

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/state"
)

// remember is how long the members of these tests are known; in slots of a minute.
const remember = time.Hour

// unknown is when a member put there at start is forgotten: its slot ends at the
// full minute.
var unknown = start.Truncate(time.Minute).Add(61 * time.Minute)

// recipients are the new ones in a minute, of a subject.
func recipients(subject string, limitMax int64) state.Window {
	return window("recipients", subject, time.Minute, limitMax)
}

// to costs one for each of members that w's subject does not know.
func to(w state.Window, members ...string) state.Charge {
	return state.Charge{Window: w, Set: "recipients", Members: members, Remember: remember}
}

// numbered are n members, from the one of this number on.
func numbered(from, n int) []string {
	members := make([]string, n)
	for i := range members {
		members[i] = fmt.Sprintf("r%d@client-b.example", from+i)
	}
	return members
}

// costs wants no error, that the charges cost this, and these reports.
func (s *suite) costs(now time.Time, ask state.Ask, want []int64, full ...state.Full) {
	s.Helper()
	answer, err := s.Take(s.ctx, now, ask)
	if err != nil {
		s.Fatalf("take: %v", err)
	}
	if d := cmp.Diff(want, answer.Costs); d != "" {
		s.Fatalf("take at %s: costs (-want +got):\n%s", now.Format(time.RFC3339Nano), d)
	}
	if d := cmp.Diff(full, answer.Full); d != "" {
		s.Fatalf("take at %s: full (-want +got):\n%s", now.Format(time.RFC3339Nano), d)
	}
}

// known wants the subject to know all of members, or none.
func (s *suite) known(now time.Time, subject string, want bool, members ...string) {
	s.Helper()
	cost := int64(len(members))
	if want {
		cost = 0
	}
	ask := state.Ask{Charges: []state.Charge{to(recipients(subject, 1<<40), members...)}, Dry: true}
	s.costs(now, ask, []int64{cost})
}

func asks(charges ...state.Charge) state.Ask { return state.Ask{Charges: charges} }

func testNewRecipients(_ *testing.T, s *suite) {
	w := recipients("account:a", 5)
	s.costs(start, asks(to(w, numbered(0, 4)...)), []int64{4})
	s.costs(start, asks(to(w, numbered(0, 4)...)), []int64{0})
	s.costs(start, asks(to(w, numbered(4, 2)...)), []int64{2}, state.Full{Used: 4, Free: leaves})
	s.costs(start, asks(to(w, numbered(3, 2)...)), []int64{1})
	s.costs(start, asks(to(w, numbered(5, 1)...)), []int64{1}, state.Full{Used: 5, Free: leaves})
	// Full, and none of them is new.
	s.costs(start, asks(to(w, numbered(0, 5)...)), []int64{0})
	s.used(start, []state.Window{w}, 5)
	// More new ones than Max never fit; as many do.
	s.costs(leaves, asks(to(w, numbered(5, 6)...)), []int64{6}, state.Full{})
	s.costs(leaves, asks(to(w, numbered(5, 5)...)), []int64{5})
	// Others know none of them.
	s.costs(leaves, asks(to(recipients("account:b", 5), numbered(0, 5)...)), []int64{5})
	s.costs(leaves, asks(to(w)), []int64{0})
	s.costs(leaves, asks(to(recipients("account:c", 5))), []int64{0})
}

// A member is known for the whole time, and at most 1/60 longer.
func testRemember(_ *testing.T, s *suite) {
	members := numbered(0, 3)
	w := recipients("account:a", 100)
	s.costs(start, asks(to(w, members...)), []int64{3})
	for _, now := range []time.Time{start.Add(remember - 1), start.Add(remember), unknown.Add(-1)} {
		s.known(now, "account:a", true, members...)
	}
	s.known(unknown, "account:a", false, members...)
	// Who is written to again is known from then on, though it cost nothing.
	s.costs(start.Add(30*time.Minute), asks(to(w, members[0])), []int64{0})
	s.known(unknown.Add(30*time.Minute-1), "account:a", true, members[0])
	s.known(unknown, "account:a", false, members[1:]...)
	s.costs(unknown, asks(to(w, members...)), []int64{2})
	s.known(unknown.Add(30*time.Minute), "account:a", true, members...)
}

func testSetOfOneMessage(_ *testing.T, s *suite) {
	a, b := recipients("account:a", 100), recipients("domain:client-b.example", 100)
	day := window("day", "account:a", 24*time.Hour, 100)
	// One twice is one; a limit with the same set costs the same; one of another subject its own.
	s.costs(start, asks(to(a, "r1", "r2", "r1", "r2"), to(day, "r1", "r3"), to(b, "r1")), []int64{2, 2, 1})
	s.used(start, []state.Window{a, day, b}, 2, 2, 1)
	s.known(start, "account:a", true, "r1", "r2", "r3")
	s.known(start, "domain:client-b.example", false, "r2", "r3")
	// Both of one window: their costs add up.
	s.costs(start, asks(to(a, "r4", "r5"), to(a, "r5")), []int64{2, 1})
	s.used(start, []state.Window{a}, 5)
	// Another set of the same subject knows none of them.
	other := to(a, "r1")
	other.Set = "recipient"
	s.costs(start, asks(other), []int64{1})
	other.Cost = 7 // not looked at where there is a set
	s.costs(start, asks(other), []int64{0})
}

// Members become known when the message is charged, and only then.
func testWhoBecomesKnown(_ *testing.T, s *suite) {
	real, shadow := recipients("account:a", 2), window("shadow", "account:a", time.Minute, 1)
	refused := asks(to(real, "r1", "r2", "r3"))
	s.costs(start, refused, []int64{3}, state.Full{})
	refused.Charges = []state.Charge{to(real, "r1"), charge(window("none", "account:a", time.Minute, 0), 1)}
	s.costs(start, refused, []int64{1, 1}, state.Full{Index: 1})
	s.costs(start, state.Ask{Charges: []state.Charge{to(real, "r1")}, Dry: true}, []int64{1})
	s.known(start, "account:a", false, "r1", "r2", "r3")
	// What only counts and is full lets the message through.
	counting := to(shadow, "r1", "r2")
	counting.CountOnly = true
	s.costs(start, asks(counting), []int64{2}, state.Full{})
	s.known(start, "account:a", true, "r1", "r2")
	s.used(start, []state.Window{real, shadow}, 0, 0)
}

// Over MaxMembers the oldest are forgotten, and those alone.
func testSetBound(_ *testing.T, s *suite) {
	w := recipients("account:a", 1<<40)
	old := numbered(0, state.MaxMembers/2)
	more := numbered(len(old), state.MaxMembers-len(old))
	s.costs(start, asks(to(w, old...)), []int64{int64(len(old))})
	later := start.Add(2 * time.Minute)
	s.costs(later, asks(to(w, more...)), []int64{int64(len(more))})
	s.known(later, "account:a", true, slices.Concat(old, more)...)
	fresh := numbered(state.MaxMembers, 3)
	last := later.Add(2 * time.Minute)
	s.costs(last, asks(to(w, fresh...)), []int64{3})
	s.known(last, "account:a", true, slices.Concat(more, fresh)...)
	ask := state.Ask{Charges: []state.Charge{to(w, old...)}, Dry: true}
	s.costs(last, ask, []int64{3})
	// As many as there may be in one message.
	all := numbered(20_000, state.MaxMembers)
	s.costs(last.Add(2*time.Minute), asks(to(w, all...)), []int64{state.MaxMembers})
	s.known(last.Add(2*time.Minute), "account:a", true, all...)
	s.known(last.Add(2*time.Minute), "account:a", false, old...)
}

func testResetClearsSets(_ *testing.T, s *suite) {
	for _, subject := range []string{"account:a", "account:a/b"} {
		s.costs(start, asks(to(recipients(subject, 100), "r1", "r2")), []int64{2})
	}
	s.reset("account:a", 1)
	s.known(start, "account:a", false, "r1", "r2")
	s.known(start, "account:a/b", true, "r1", "r2")
	s.costs(start, asks(to(recipients("account:a", 100), "r2")), []int64{1})
	// A set without a window is cleared too, and is no window.
	s.costs(leaves, asks(to(recipients("account:a", 100), "r2")), []int64{0})
	s.reset("account:a", 0)
	s.known(leaves, "account:a", false, "r2")
}

// Whatever bytes members, sets and subjects have, none is taken for another.
func testOddSets(_ *testing.T, s *suite) {
	names := oddNames()
	w := recipients("account:a", 1<<40)
	for i, n := range names {
		s.costs(start, asks(to(w, names[:i+1]...)), []int64{1})
		inSet := to(recipients(n, 1<<40), "r1")
		s.costs(start, asks(inSet), []int64{1})
		inSet.Subject, inSet.Set = "account:b", n
		s.costs(start, asks(inSet), []int64{1})
	}
	s.known(start, "account:a", true, names[1:]...)
	s.known(start, "account:b", false, "r1")
	for _, n := range names[1:] {
		s.known(start, n, true, "r1")
		s.known(start, n, false, "r2")
	}
}

func testSetNonsense(_ *testing.T, s *suite) {
	good := to(recipients("account:a", 100), "r1")
	bad := map[string]func(c *state.Charge){
		"too many members":    func(c *state.Charge) { c.Members = numbered(0, state.MaxMembers+1) },
		"members of no set":   func(c *state.Charge) { c.Set = "" },
		"a short remember":    func(c *state.Charge) { c.Remember = time.Second - 1 },
		"an endless one":      func(c *state.Charge) { c.Remember = state.MaxLength + 1 },
		"an endless name":     func(c *state.Charge) { c.Set = strings.Repeat("a", 1<<20) },
		"another remember":    func(c *state.Charge) { c.Remember = 2 * remember },
		"an endless window":   func(c *state.Charge) { c.Length = state.MaxLength + 1 },
		"a negative remember": func(c *state.Charge) { c.Remember = -remember },
	}
	for name, spoil := range bad {
		c := good
		spoil(&c)
		if _, err := s.Take(s.ctx, start, asks(good, c)); err == nil {
			s.Errorf("take with %s: no error", name)
		}
	}
	s.known(start, "account:a", false, "r1")
	c := good
	c.Length, c.Remember = state.MaxLength, state.MaxLength
	s.costs(start, asks(c), []int64{1})
	s.costs(start, asks(c), []int64{0})
}

// Each of many members, named by many sessions at once, costs one in sum.
func testSetRace(_ *testing.T, s *suite) {
	const sessions, members, each = 16, 200, 50
	w := recipients("account:a", 1<<40)
	var cost atomic.Int64
	together(sessions, func(i int) {
		for n := range each {
			a, err := s.Take(s.ctx, start, asks(to(w, numbered((i*7+n*4)%members, 5)...)))
			if err != nil {
				s.Error(err)
				return
			}
			cost.Add(a.Costs[0])
		}
	})
	s.used(start, []state.Window{w}, cost.Load())
	if n := cost.Load(); n < members || n > members+5 {
		s.Errorf("they cost %d; want one for each of some %d", n, members)
	}
	s.known(start, "account:a", true, numbered(0, members)...)
}
