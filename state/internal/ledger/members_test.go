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

// fakeStore keeps records as a driver would.
type fakeStore struct {
	heads map[string][]byte
	pages map[pageOf][]byte
	fault error // of every read
	reads atomic.Int64
}

type pageOf struct {
	subject string
	Page
}

func newFakeStore() *fakeStore {
	return &fakeStore{heads: make(map[string][]byte), pages: make(map[pageOf][]byte)}
}

func (s *fakeStore) Subject(subject string) (*Entry, error) {
	s.reads.Add(1)
	if s.fault != nil {
		return nil, s.fault
	}
	head, ok := s.heads[subject]
	if !ok {
		return nil, nil
	}
	return Decode(subject, head, func(p Page) ([]byte, error) { return s.pages[pageOf{subject, p}], nil })
}

// write is what a driver's commit does; it counts the members written.
func (s *fakeStore) write(c *Change) (members int) {
	for _, p := range c.posts {
		if p.known != nil {
			members += p.known.Len()
		}
		members += p.sent.Len()
		if p.entry.kept.anew {
			members += p.entry.members()
		}
	}
	s.keep(Records([]*Change{c}))
	return members
}

func (s *fakeStore) keep(records []Record) {
	for _, r := range records {
		switch {
		case r.Head && r.Value == nil:
			delete(s.heads, r.Subject)
		case r.Head:
			s.heads[r.Subject] = r.Value
		case r.Value == nil:
			delete(s.pages, pageOf{r.Subject, r.Page})
		default:
			s.pages[pageOf{r.Subject, r.Page}] = r.Value
		}
	}
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
	e, err := b.store.Subject("account:a")
	if err != nil || e.members() != state.MaxMembers {
		t.Errorf("%d members in the store, error %v; want %d", e.members(), err, state.MaxMembers)
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
	fresh.commit()
	if _, ok := b.store.heads["account:a"]; ok {
		t.Error("the store still holds the subject")
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
	b.store.heads["account:a"] = []byte("junk")
	b = b.again()
	refused := func() {
		t.Helper()
		if _, err := b.Take(start, state.Ask{Charges: to("account:a", "r1")}, nil); !errors.Is(err, ErrDamaged) {
			t.Errorf("take: %v; want %v", err, ErrDamaged)
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
	if b.Latest() != start || b.size() != 1 {
		t.Errorf("the clock is at %s, %d entries in memory; want %s and one", b.Latest(), b.size(), start)
	}
}
