package ledger

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/state"
)

// fakeStore keeps windows and members as a driver would: at once, or, when lazy,
// as the test says.
type fakeStore struct {
	windows map[name]state.Slots
	members map[name]map[Member][]byte
	fault   error         // of every read
	damaged map[name]bool // windows that cannot be read
	reads   atomic.Int64
}

var errDamaged = errors.New("damaged")

func newFakeStore() *fakeStore {
	return &fakeStore{windows: make(map[name]state.Slots), members: make(map[name]map[Member][]byte)}
}

func (s *fakeStore) Window(limit, subject string) (state.Slots, error) {
	s.reads.Add(1)
	if s.damaged[name{limit, subject}] {
		return state.Slots{}, errDamaged
	}
	slots := s.windows[name{limit, subject}]
	return slots.Clone(), s.fault
}

func (s *fakeStore) Set(set, subject string) (state.Members, error) {
	s.reads.Add(1)
	var m state.Members
	for member, value := range s.members[name{set, subject}] {
		if err := m.Load(member.Hash, value); err != nil {
			return m, err
		}
	}
	return m, s.fault
}

// Campaigns are kept like a set without a name.
func (s *fakeStore) Campaigns(subject string) (state.Campaigns, error) {
	s.reads.Add(1)
	var c state.Campaigns
	for member, value := range s.members[name{"", subject}] {
		if err := c.Load(member.Campaign, member.Hash, value); err != nil {
			return c, err
		}
	}
	c.Loaded()
	return c, s.fault
}

func (s *fakeStore) Names(subject string) (limits, sets []string, err error) {
	for n := range s.windows {
		if n.subject == subject {
			limits = append(limits, n.name)
		}
	}
	for n := range s.members {
		if n.subject == subject && n.name != "" {
			sets = append(sets, n.name)
		}
	}
	return limits, sets, s.fault
}

// write is what a driver's commit does; it counts the members written and deleted.
func (s *fakeStore) write(c *Change) (members int) {
	c.Each(func(e *Entry) {
		n := name{e.Name, e.Subject}
		s.windows[n] = e.Slots.Clone()
		delete(s.damaged, n)
	})
	c.EachMember(func(e *Entry, m Member) {
		n := name{e.Name, e.Subject}
		if s.members[n] == nil {
			s.members[n] = make(map[Member][]byte)
		}
		if value, known := e.Append(nil, m); known {
			s.members[n][m] = value
		} else {
			delete(s.members[n], m)
		}
		members++
	})
	return members
}

// bench is a set of windows before a store that commits as the test says.
type bench struct {
	*testing.T
	*Windows
	store *fakeStore
	queue []*Change
}

func newBench(t *testing.T, bytes int64) *bench {
	store := newFakeStore()
	return &bench{T: t, Windows: NewWindows(Options{Source: store, Bytes: bytes}), store: store}
}

// again is another process on the same store.
func (b *bench) again() *bench {
	return &bench{T: b.T, Windows: NewWindows(Options{Source: b.store}), store: b.store}
}

// to charges a message from subject to these recipients, of which 5 may be new in an hour.
func to(subject string, recipients ...string) []state.Charge {
	return []state.Charge{{
		Window: state.Window{Limit: "new", Subject: subject, Length: time.Hour, Max: 5},
		Set:    "recipients", Members: recipients, Remember: 24 * time.Hour,
	}}
}

// take queues the change, if there is one.
func (b *bench) take(now time.Time, charges []state.Charge) state.Answer {
	b.Helper()
	a, err := b.Take(now, state.Ask{Charges: charges}, func(c *Change) { b.queue = append(b.queue, c) })
	if err != nil {
		b.Fatal(err)
	}
	return a
}

// commit writes all that is queued, and says how many members that were.
func (b *bench) commit() (members int) {
	b.Freeze(func() {
		for _, c := range b.queue {
			members += b.store.write(c)
			c.Settle()
		}
	})
	b.queue = nil
	return members
}

// undo takes all that is queued back.
func (b *bench) undo() {
	b.Freeze(func() {
		for i := range b.queue {
			b.queue[len(b.queue)-1-i].Undo()
		}
	})
	b.queue = nil
}

func (b *bench) cost(now time.Time, want int64, charges []state.Charge) {
	b.Helper()
	a, err := b.Take(now, state.Ask{Charges: charges, Dry: true}, nil)
	if err != nil || len(a.Costs) == 0 || a.Costs[0] != want {
		b.Errorf("costs %v, error %v; want %d", a.Costs, err, want)
	}
}

func (b *bench) used(now time.Time, want int64, charges []state.Charge) {
	b.Helper()
	u, err := b.Usage(now, []state.Window{charges[0].Window})
	if err != nil || u[0].Used != want {
		b.Errorf("usage %v, error %v; want %d", u, err, want)
	}
}

// A member is written when it is new, and when the slot is another; a message to
// known ones writes nothing.
func TestMembersWritten(t *testing.T) {
	b := newBench(t, 0)
	slot := 24 * time.Hour / 60
	for i, test := range []struct {
		after time.Duration
		to    []string
		want  int
	}{
		{0, []string{"r1", "r2"}, 2},
		{time.Second, []string{"r1"}, 0},
		{2 * time.Second, []string{"r2", "r3"}, 1},
		{slot, []string{"r1", "r2"}, 2},
		{slot + time.Second, []string{"r1", "r2"}, 0},
	} {
		b.take(start.Add(test.after), to("account:a", test.to...))
		if n := b.commit(); n != test.want {
			t.Errorf("step %d: %d members written; want %d", i, n, test.want)
		}
	}
	again := b.again()
	again.cost(start.Add(slot), 1, to("account:a", "r1", "r2", "r3", "r4"))
	again.cost(start.Add(24*time.Hour+slot), 2, to("account:a", "r1", "r3", "r4"))
}

// A call that takes a member for known while the change that made it so is under
// way has a change of its own, to wait for.
func TestMembersUnderWay(t *testing.T) {
	b := newBench(t, 0)
	b.take(start, to("account:a", "r1"))
	b.take(start, to("account:a", "r1"))
	if len(b.queue) != 2 {
		t.Fatalf("%d changes; want one for each call", len(b.queue))
	}
	b.undo()
	b.cost(start, 1, to("account:a", "r1"))
	b.used(start, 0, to("account:a"))
	b.take(start, to("account:a", "r1"))
	b.commit()
	b.take(start, to("account:a", "r1"))
	if len(b.queue) != 0 {
		t.Error("a change though nothing changed and nothing is under way")
	}
}

func TestMembersForgottenAreWritten(t *testing.T) {
	b := newBench(t, 0)
	many := make([]string, state.MaxMembers)
	for i := range many {
		many[i] = fmt.Sprint("r", i)
	}
	charges := to("account:a", many...)
	charges[0].Max = 1 << 40
	b.take(start, charges)
	later := start.Add(time.Hour)
	charges[0].Members = []string{"x1", "x2"}
	b.take(later, charges)
	if n := b.commit(); n != state.MaxMembers+4 {
		t.Errorf("%d members written; want 2 added and 2 deleted", n-state.MaxMembers)
	}
	if n := len(b.store.members[name{"recipients", "account:a"}]); n != state.MaxMembers {
		t.Errorf("%d members in the store; want %d", n, state.MaxMembers)
	}
}

func TestResetSets(t *testing.T) {
	b := newBench(t, 0)
	b.take(start, to("account:a", "r1", "r2"))
	b.take(start, to("account:b", "r1", "r2"))
	b.commit()
	fresh := b.again() // has nothing in memory
	reset := func() {
		t.Helper()
		n, err := fresh.Reset("account:a", func(c *Change) { fresh.queue = append(fresh.queue, c) })
		if n != 1 || err != nil {
			t.Fatalf("reset: %d, %v; want one window", n, err)
		}
		fresh.cost(start, 2, to("account:a", "r1", "r2"))
	}
	reset()
	fresh.undo()
	fresh.cost(start, 0, to("account:a", "r1", "r2"))
	fresh.used(start, 2, to("account:a"))
	reset()
	if n := fresh.commit(); n != 2 {
		t.Errorf("%d members deleted; want 2", n)
	}
	fresh = b.again()
	fresh.cost(start, 2, to("account:a", "r1", "r2"))
	fresh.cost(start, 0, to("account:b", "r1", "r2"))
}

// A window that cannot be read is an error until a reset of it is kept.
func TestResetUnreadable(t *testing.T) {
	b := newBench(t, 0)
	b.take(start, to("account:a", "r1"))
	b.commit()
	b.store.damaged = map[name]bool{{"new", "account:a"}: true}
	b = b.again()
	refused := func() {
		t.Helper()
		if _, err := b.Take(start, state.Ask{Charges: to("account:a", "r1")}, nil); !errors.Is(err, errDamaged) {
			t.Errorf("take: %v; want %v", err, errDamaged)
		}
	}
	for range 2 {
		b.undo()
		refused()
		if n, err := b.Reset("account:a", func(c *Change) { b.queue = append(b.queue, c) }); n != 1 || err != nil {
			t.Fatalf("reset: %d, %v; want 1", n, err)
		}
		b.used(start, 0, to("account:a"))
	}
	b.commit()
	b.take(start, to("account:a", "r1"))
	b.used(start, 1, to("account:a"))
}

// Members of the future are written as they are taken: read again, they would be
// known anew.
func TestFoldedMembersAreWritten(t *testing.T) {
	b := newBench(t, 0)
	ahead := start.AddDate(1, 0, 0)
	b.take(ahead, to("account:a", "r1", "r2"))
	b.commit()
	b = b.again()
	b.take(start, to("account:a", "r1"))
	if n := b.commit(); n < 2 {
		t.Errorf("%d members written; want both", n)
	}
	b.again().cost(start.Add(25*time.Hour), 2, to("account:a", "r1", "r2"))
}

func TestSetCannotBeRead(t *testing.T) {
	b := newBench(t, 0)
	b.store.fault = errors.New("unreadable")
	if _, err := b.Take(start, state.Ask{Charges: to("account:a", "r1")}, nil); !errors.Is(err, b.store.fault) {
		t.Errorf("take: %v; want %v", err, b.store.fault)
	}
	if _, err := b.Reset("account:a", nil); !errors.Is(err, b.store.fault) {
		t.Errorf("reset: %v; want %v", err, b.store.fault)
	}
	b.store.fault = nil
	b.cost(start, 1, to("account:a", "r1"))
}

// A dry call moves nothing, not even the clock, and takes nothing into memory.
func TestDryMovesNothing(t *testing.T) {
	b := newBench(t, 0)
	charges := to("account:a", "r1", "r2")
	b.take(start, charges)
	b.commit()
	next := to("account:a", "r2", "r3")
	far := start.AddDate(5, 0, 0)
	for _, now := range []time.Time{far, start} {
		a, err := b.Take(now, state.Ask{Charges: append(next, next...), Dry: true}, func(*Change) { t.Error("a dry call changed something") })
		if err != nil {
			t.Fatal(err)
		}
		want := []int64{1, 1}
		if now == far {
			want = []int64{2, 2}
		}
		if d := cmp.Diff(want, a.Costs); d != "" {
			t.Errorf("costs at %s (-want +got):\n%s", now, d)
		}
	}
	b.used(start, 2, charges)
	b.cost(start, 0, charges)
	b.cost(start, 1, to("account:b", "r1"))
	if b.Latest() != start || b.size() != 2 {
		t.Errorf("the clock is at %s, %d entries in memory; want %s and a window and a set", b.Latest(), b.size(), start)
	}
}
