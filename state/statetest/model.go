package statetest

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"o2n-milter/state"
)

// model remembers every charge and member for ever and counts without slots, in
// true time.
type model struct {
	events  map[name][]event
	members map[name]map[string]time.Time // when each was last charged, by set and subject
	first   map[name]state.Sketch         // of the latest campaign of a kind of letters, by kind and subject
}

type name struct{ name, subject string }

type event struct {
	at   time.Time
	cost int64
}

func newModel() model {
	return model{
		events: make(map[name][]event), members: make(map[name]map[string]time.Time),
		first: make(map[name]state.Sketch),
	}
}

// moment is when a call is made, in true time and by the caller's clock.
type moment struct{ at, now time.Time }

// traffic is random mail, and the clock by which it is sent.
type traffic struct {
	*rand.Rand
	at     time.Time     // true
	offset time.Duration // of the clock, from true time
}

// next lets some time pass: mostly little, sometimes enough for every window to
// empty. A clock that is set back is so between two calls of one moment: it is
// taken for true that no time passed. A step forward is time that passed, as far
// as any store can tell from a clock's reading.
func (tr *traffic) next() moment {
	late := time.Duration(0)
	switch tr.IntN(50) {
	case 0:
		tr.at = tr.at.Add(time.Duration(tr.Int64N(int64(3 * time.Minute))))
	case 1:
		tr.offset -= time.Hour
	case 2:
		tr.at = tr.at.Add(time.Hour)
	case 3, 4, 5: // a call that was held up; the clock had moved on for others
		late = time.Duration(tr.Int64N(int64(59 * time.Second)))
	default:
		tr.at = tr.at.Add(time.Duration(tr.Int64N(int64(3 * time.Second))))
	}
	return tr.moment(late)
}

func (tr *traffic) moment(late time.Duration) moment {
	return moment{at: tr.at, now: tr.at.Add(tr.offset - late)}
}

// message charges some windows of one of two subjects.
func (tr *traffic) message(seed uint64) []state.Charge {
	windows := []state.Window{
		{Limit: "seconds", Length: 7 * time.Second, Max: 4},
		{Limit: "minute", Length: time.Minute, Max: 20},
		{Limit: "bytes", Length: 61*time.Second + 7, Max: 60},
		{Limit: "new", Length: 30 * time.Second, Max: 9},
		{Limit: "new-shadow", Length: time.Minute, Max: 9},
	}
	var charges []state.Charge
	subject := fmt.Sprintf("account:%d-%d", seed, tr.IntN(2))
	to := make([]string, tr.IntN(5))
	for i := range to {
		to[i] = fmt.Sprint("r", tr.IntN(60))
	}
	for i, w := range windows {
		w.Subject = subject
		c := charge(w, tr.Int64N(4))
		c.CountOnly = tr.IntN(4) == 0
		if i >= 3 {
			c.Set, c.Members, c.Remember = "recipients", to, 100*time.Second
		}
		if tr.IntN(4) > 0 {
			charges = append(charges, c)
		}
	}
	return charges
}

// testModel drives random traffic through store and model, by a clock that is set
// forward and back and calls that come late: what passes was never over Max in
// the true window, and what is refused would still be over if every charge
// counted W/60 longer than it must.
func testModel(t *testing.T, s *suite) {
	for _, seed := range []uint64{1, 2, 3, 4} {
		tr := &traffic{Rand: rand.New(rand.NewPCG(seed, 20)), at: start}
		m := newModel()
		passed, refused := 0, 0
		if seed > 1 { // another time line: nothing of the one before is left
			tr.at = tr.at.Add(time.Duration(seed) * 1000 * time.Hour)
		}
		for range 600 {
			mo := tr.moment(0)
			ask := state.Ask{Charges: tr.message(seed), Letters: tr.letters(seed), Dry: tr.IntN(10) == 0}
			if !ask.Dry { // which moves no store's time
				mo = tr.next()
			}
			answer, err := s.Take(s.ctx, mo.now, ask)
			if err != nil {
				t.Fatal(err)
			}
			if m.check(t, mo, ask, answer) {
				passed++
			} else {
				refused++
			}
			if tr.IntN(150) == 0 {
				m.reset(s, fmt.Sprintf("account:%d-%d", seed, tr.IntN(2)))
			}
		}
		if passed < 100 || refused < 100 {
			t.Errorf("seed %d: %d passed, %d refused; the traffic shows nothing", seed, passed, refused)
		}
	}
}

func (m model) reset(s *suite, subject string) {
	s.Helper()
	if _, err := s.Reset(s.ctx, subject); err != nil {
		s.Fatal(err)
	}
	for n := range m.events {
		if n.subject == subject {
			delete(m.events, n)
		}
	}
	for n := range m.members {
		if n.subject == subject {
			delete(m.members, n)
		}
	}
}

// used is the sum over the window that ends at at, an age of exactly W included.
func (m model) used(w state.Window, at time.Time, length time.Duration) int64 {
	var sum int64
	for _, e := range m.events[name{w.Limit, w.Subject}] {
		if at.Sub(e.at) <= length {
			sum += e.cost
		}
	}
	return sum
}

// unknown is how many distinct members were not charged in this set for so long.
func (m model) unknown(set name, members []string, at time.Time, length time.Duration) int64 {
	fresh := make(map[string]bool)
	for _, member := range members {
		last, ok := m.members[set][member]
		fresh[member] = !ok || at.Sub(last) > length
	}
	var n int64
	for _, is := range fresh {
		if is {
			n++
		}
	}
	return n
}

// charge remembers what was charged: not what only counts and was full.
func (m model) charge(charges []state.Charge, costs []int64, full map[int]state.Full, at time.Time) {
	for i, c := range charges {
		if _, isFull := full[i]; !isFull {
			n := name{c.Limit, c.Subject}
			m.events[n] = append(m.events[n], event{at, costs[i]})
		}
		if c.Set == "" {
			continue
		}
		m.put(name{c.Set, c.Subject}, c.Members, at)
	}
}

func (m model) put(set name, members []string, at time.Time) {
	if m.members[set] == nil {
		m.members[set] = make(map[string]time.Time)
	}
	for _, member := range members {
		m.members[set][member] = at
	}
}

// check compares the answer with the model, charges the model, and says whether
// the message passed.
func (m model) check(t *testing.T, mo moment, ask state.Ask, answer state.Answer) (passed bool) {
	t.Helper()
	passed = true
	full := make(map[int]state.Full)
	for _, f := range answer.Full {
		full[f.Index] = f
		passed = passed && ask.Charges[f.Index].CountOnly
	}
	passed = m.checkLetters(t, mo, ask.Letters, answer.Campaigns) && passed
	if len(ask.Charges) != len(answer.Costs) || len(ask.Charges) != len(answer.Windows) {
		t.Fatalf("%d charges, %d costs, %d windows", len(ask.Charges), len(answer.Costs), len(answer.Windows))
	}
	for i, c := range ask.Charges {
		m.checkCost(t, mo, c, answer.Costs[i])
		c.Cost = answer.Costs[i]
		f, isFull := full[i]
		switch {
		case isFull:
			m.checkFull(t, mo, c, f)
		case passed || !c.CountOnly: // else it was not looked at
			if least := m.used(c.Window, mo.at, c.Length); c.Cost > 0 && least+c.Cost > c.Max {
				t.Fatalf("%s: %s: passed %d where the true window held %d of %d", mo.at, c.Limit, c.Cost, least, c.Max)
			}
		}
	}
	if passed && !ask.Dry {
		m.charge(ask.Charges, answer.Costs, full, mo.at)
		m.send(ask.Letters, answer.Campaigns, mo.at)
	}
	for i, c := range ask.Charges {
		m.checkUsed(t, mo, c, answer.Windows[i].Used)
	}
	return passed
}

// checkCost wants each member to be known for Remember, and at most 1/60 longer.
func (m model) checkCost(t *testing.T, mo moment, c state.Charge, cost int64) {
	t.Helper()
	least, most := c.Cost, c.Cost
	if c.Set != "" {
		set := name{c.Set, c.Subject}
		least, most = m.unknown(set, c.Members, mo.at, c.Remember+c.Remember/60), m.unknown(set, c.Members, mo.at, c.Remember)
	}
	if cost < least || cost > most {
		t.Fatalf("%s: %s: costs %d; the model says %d to %d", mo.at, c.Limit, cost, least, most)
	}
}

func (m model) checkUsed(t *testing.T, mo moment, c state.Charge, used int64) {
	t.Helper()
	least, most := m.used(c.Window, mo.at, c.Length), m.used(c.Window, mo.at, c.Length+c.Length/60)
	if used < least || used > most {
		t.Fatalf("%s: %s: used %d; the model says %d to %d", mo.at, c.Limit, used, least, most)
	}
}

// checkFull wants a window that is full to be so even if all counted as short as
// it may, and to be free when it says, and not one W/60 before.
func (m model) checkFull(t *testing.T, mo moment, c state.Charge, f state.Full) {
	t.Helper()
	m.checkUsed(t, mo, c, f.Used)
	if most := m.used(c.Window, mo.at, c.Length+c.Length/60); most+c.Cost <= c.Max {
		t.Fatalf("%s: %s: refused %d where W and W/60 held %d of %d", mo.at, c.Limit, c.Cost, most, c.Max)
	}
	if c.Cost > c.Max {
		if !f.Free.IsZero() {
			t.Fatalf("%s: %s: %d of %d said to fit at %s", mo.at, c.Limit, c.Cost, c.Max, f.Free)
		}
		return
	}
	free := mo.at.Add(f.Free.Sub(mo.now)) // in true time
	if !free.After(mo.at) {
		t.Fatalf("%s: %s: free at %s, before now", mo.at, c.Limit, free)
	}
	if used := m.used(c.Window, free, c.Length); used+c.Cost > c.Max {
		t.Fatalf("%s: %s: said to be free at %s, where %d of %d are used", mo.at, c.Limit, free, used, c.Max)
	}
	if used := m.used(c.Window, free.Add(-1), c.Length+c.Length/60); used+c.Cost <= c.Max {
		t.Fatalf("%s: %s: said to be full until %s, where it was free before", mo.at, c.Limit, free)
	}
}
