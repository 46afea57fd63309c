package ledger

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"o2n-milter/state"
)

func numbered(from, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprint("r", from+i)
	}
	return names
}

// pagesOf are those in the store, and how many bytes the head has.
func (b *bench) pagesOf(subject string) (pages, head int) {
	for p := range b.store.pages {
		if p.subject == subject {
			pages++
		}
	}
	return pages, len(b.store.heads[subject])
}

// A head keeps what happened last; what is more goes to a page; all is written anew
// when it fits a head, or has become twice what there is.
func TestPagesGrow(t *testing.T) {
	b := newBench(t, 0)
	known := 0
	send := func(now time.Time, n, wantPages int) {
		t.Helper()
		l := letter("account:a", 1, numbered(known, n)...)
		l.Max = 1 << 40
		b.send(now, int64(known), l)
		known += n
		b.commit()
		if pages, _ := b.pagesOf("account:a"); pages != wantPages {
			t.Errorf("%d recipients: %d pages; want %d", known, pages, wantPages)
		}
	}
	send(start, tailEvents-1, 0)
	send(start, 1, 0)
	send(start, 1, 1)
	for range tailEvents {
		send(start, 1, 1)
	}
	send(start, 1, 2)
	send(start, fewEvents-2*(tailEvents+1), 3) // 256 in small pages
	send(start, tailEvents, 3)
	send(start, 1, 4) // as many as there are may be in small pages: no more than there are
	again := b.again()
	l := letter("account:a", 1, "r0")
	again.sent(start, int64(known), l)
	// Written to again in another slot, all are twice there, or once, in one page.
	slot := 24 * time.Hour / 60
	for i, want := range []int{1, 2, 1} {
		l := letter("account:a", 1, numbered(0, known)...)
		l.Max = 1 << 40
		b.send(start.Add(time.Duration(i+1)*slot), int64(known), l)
		b.commit()
		if pages, head := b.pagesOf("account:a"); pages != want || head > 100 {
			t.Errorf("%d pages, a head of %d bytes; want %d", pages, head, want)
		}
	}
	b.again().sent(start.Add(24*time.Hour+2*slot), int64(known), l)
	// When all have left but few, there are no pages.
	late := start.Add(30 * time.Hour)
	for i := range tailEvents + 1 {
		b.send(late.Add(time.Duration(i)*slot), int64(min(i, 1)), letter("account:a", 1, "x"))
		b.commit()
	}
	if pages, _ := b.pagesOf("account:a"); pages != 0 {
		t.Errorf("%d pages for one recipient; want none", pages)
	}
	b.again().sent(late, 1, letter("account:a", 1, "x"))
}

// A set at its bound is written anew in whole pages, and is the same after.
func TestPagesOfManyMembers(t *testing.T) {
	b := newBench(t, 0)
	const each = 1000
	charges := to("account:a")
	charges[0].Max = 1 << 40
	for n := 0; n < state.MaxMembers+2*each; n += each {
		charges[0].Members = numbered(n, each)
		b.take(start.Add(time.Duration(n)*time.Second), charges)
		b.commit()
	}
	later := start.Add(4 * time.Hour)
	charges[0].Members = numbered(2*each, state.MaxMembers)
	b.again().cost(later, 0, charges)
	charges[0].Members = numbered(0, 2*each)
	b.again().cost(later, 2*each, charges)
}

// A page has so many events at most, whatever a batch brings.
func TestPagesOfOneBatch(t *testing.T) {
	b := newBench(t, 0)
	for i := range 3 {
		l := letter("account:a", 1, numbered(500*i, 500)...)
		l.Max = 1 << 40
		b.send(start, int64(500*i), l)
	}
	b.commitTogether()
	if pages, _ := b.pagesOf("account:a"); pages != 3 {
		t.Errorf("%d pages; want 3", pages)
	}
	for p, value := range b.store.pages {
		if len(value) > 40+13*pageEvents {
			t.Errorf("page %d has %d bytes", p.Number, len(value))
		}
	}
	l := letter("account:a", 1, "r0")
	b.again().sent(start, 1500, l)
	// The same, added one by one.
	l.Max, l.Members = 1<<40, numbered(10_000, 700)
	b.send(start, 1500, l)
	b.commitTogether()
	if pages, _ := b.pagesOf("account:a"); pages != 5 {
		t.Errorf("%d pages; want 5", pages)
	}
	b.again().sent(start, 2200, l)
}

// Another process always reads what this one has, whatever was charged, undone, reset
// and written anew before.
func TestKeptModel(t *testing.T) {
	for seed := range uint64(5) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		b := newBench(t, 0)
		now := start
		for step := range 400 {
			now = now.Add(time.Duration(rnd.IntN(20)) * time.Minute)
			subject := fmt.Sprint("account:", rnd.IntN(3))
			charges := append(to(subject, numbered(rnd.IntN(100), 1+rnd.IntN(20))...), day(subject)...)
			charges[0].Max, charges[1].Max = 1<<40, 1<<40
			l := letter(subject, rnd.IntN(300), numbered(rnd.IntN(100), rnd.IntN(4))...)
			l.Max = 1 << 40
			ask := state.Ask{Charges: charges[rnd.IntN(2):], Letters: []state.Letter{l}}
			if _, err := b.Take(now, ask, func(c *Change) { b.queue = append(b.queue, c) }); err != nil {
				t.Fatal(err)
			}
			switch rnd.IntN(10) {
			case 0:
				b.undo()
			case 1, 2, 3:
				continue
			case 4:
				if _, err := b.Reset(subject, func(c *Change) { b.queue = append(b.queue, c) }); err != nil {
					t.Fatal(err)
				}
			}
			b.commitTogether()
			if step%10 == 0 {
				b.same(now, step)
			}
		}
	}
}

// commitTogether writes what is queued as one batch.
func (b *bench) commitTogether() {
	b.Freeze(func() {
		b.store.keep(Records(b.queue))
		for _, c := range b.queue {
			c.Settle()
		}
	})
	b.queue = nil
}

// same wants the store to hold what memory does, and nothing that no head names.
func (b *bench) same(now time.Time, step int) {
	b.Helper()
	line := now.UnixNano()
	named := 0
	for i := range 3 {
		subject := fmt.Sprint("account:", i)
		e, err := b.duplicate(&b.shards[b.shardOf(subject)], subject)
		stored, err2 := b.store.Subject(subject)
		if err != nil || err2 != nil {
			b.Fatal(err, err2)
		}
		if stored == nil {
			stored = &Entry{}
		}
		e.expire2(line)
		stored.expire2(line)
		if got, want := stored.text(), e.text(); got != want {
			b.Fatalf("step %d: %s is stored as\n%s\nwant\n%s", step, subject, got, want)
		}
		named += int(Named(b.store.heads[subject]).Number)
		if head, ok := b.store.heads[subject]; ok && Gone(head, line) {
			b.Fatalf("step %d: %s would be deleted", step, subject)
		}
	}
	if named != len(b.store.pages) {
		b.Fatalf("step %d: %d pages in the store; heads name %d", step, len(b.store.pages), named)
	}
}

// expire2 is expire for an entry of no shard.
func (e *Entry) expire2(line int64) {
	e.shard = &shard{}
	e.expire(line)
}

// text is all that an entry holds, in an order that does not depend on its past.
func (e *Entry) text() string {
	var lines []string
	for i := range e.limits {
		if x := &e.limits[i]; x.slots.Used() > 0 {
			lines = append(lines, fmt.Sprintf("limit %s %x", x.name, x.slots.Append(nil)))
		}
	}
	for i := range e.sets {
		e.sets[i].members.Each(func(hash uint64, slot int64) { lines = append(lines, fmt.Sprint("set ", e.sets[i].name, hash, slot)) })
	}
	if e.letters != nil {
		e.letters.Each(func(of state.Sketch, m *state.Members) {
			m.Each(func(hash uint64, slot int64) { lines = append(lines, fmt.Sprint("letter ", of, hash, slot)) })
		})
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// Gone is when nothing counts any more: not a moment before.
func TestGone(t *testing.T) {
	b := newBench(t, 0)
	minute := one("account:a")
	b.take(start, minute)
	b.send(start, 0, letter("account:b", 1, "r1"))
	l := letter("account:c", 1, numbered(0, tailEvents+1)...) // in a page
	l.Max = 1 << 40
	b.send(start, 0, l)
	b.commit()
	for subject, gone := range map[string]time.Time{
		"account:a": start.Add(time.Minute + time.Second + time.Minute), // empty for as long as it is
		"account:b": start.Add(24*time.Hour + 24*time.Hour/60),
		"account:c": start.Add(24*time.Hour + 24*time.Hour/60),
	} {
		head := b.store.heads[subject]
		if Gone(head, gone.UnixNano()-1) || !Gone(head, gone.UnixNano()) {
			t.Errorf("%s: not gone at %s", subject, gone)
		}
	}
	if Gone([]byte("junk"), start.AddDate(1, 0, 0).UnixNano()) {
		t.Error("what cannot be read would be deleted")
	}
}

func FuzzDecode(f *testing.F) {
	b := newBench(&testing.T{}, 0)
	charges := append(to("account:a", numbered(0, 5)...), day("account:a")...)
	l := letter("account:a", 1, numbered(0, 40)...)
	l.Max = 1 << 40
	if _, err := b.Take(start, state.Ask{Charges: charges, Letters: []state.Letter{l}}, func(c *Change) { b.queue = append(b.queue, c) }); err != nil {
		f.Fatal(err)
	}
	b.commitTogether()
	f.Add(b.store.heads["account:a"], b.store.pages[pageOf{"account:a", Page{0, 0}}])
	f.Add([]byte{1}, []byte{1})
	f.Add([]byte{1, 0, 0, 1, 0, 0, 's', 1, 'x', 'r', 60, 'f', 1, 2, 3, 4, 5, 6, 7, 8}, []byte{1, 'm'})
	f.Fuzz(func(t *testing.T, head, page []byte) {
		pages := func(p Page) ([]byte, error) {
			if p.Number > 3 {
				return nil, fmt.Errorf("%d", p.Number)
			}
			return page, nil
		}
		e, err := Decode("account:a", head, pages)
		if err != nil {
			return
		}
		Gone(head, start.UnixNano())
		Named(head)
		// What was read is written as it is, and goes on.
		e.shard = &shard{}
		e.kept.tail.set("more")
		e.kept.tail.put(1, time.Hour, 1)
		store := newFakeStore()
		for n := range e.kept.pages {
			store.pages[pageOf{"account:a", Page{e.kept.gen, n}}] = page
		}
		e.sets = append(e.sets, set{name: "more"})
		if err := e.sets[e.set("more")].members.Restore(1, time.Hour, 1); err != nil {
			t.Fatal(err)
		}
		records, _ := e.records(nil, nil)
		store.keep(records)
		again, err := store.Subject("account:a")
		if err != nil {
			t.Fatal(err)
		}
		e.expire2(0)
		again.expire2(0)
		if got, want := again.text(), e.text(); got != want {
			t.Fatalf("read again:\n%s\nwant\n%s", got, want)
		}
	})
}
