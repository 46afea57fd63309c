package hold

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"o2n-milter/rules"
	"o2n-milter/state"
)

// However many subjects somebody sends as, the others have room.
func TestRoomForOthers(t *testing.T) {
	w := newWorld(t)
	w.set.MaxMessages = 20
	book := newBook(w.store)
	put := func(n int, customer, account string) (held int) {
		for i := range n {
			h := state.Held{ID: fmt.Sprint(customer, account, i), Subject: fmt.Sprint("script:", i), Customer: customer, Account: account, State: state.HeldWaiting}
			if _, err := book.reserve(h, &w.set); err == nil {
				held++
			} else if !errors.Is(err, rules.ErrNoRoom) {
				t.Error(err)
			}
		}
		return held
	}
	for _, c := range []struct {
		customer, account string
		want              int
	}{{"C-1", "a", 10}, {"C-1", "b", 0}, {"", "alone", 5}, {"C-3", "", 3}, {"C-4", "", 1}} {
		if got := put(30, c.customer, c.account); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
	if got := put(30, "", ""); got != 1 { // a sender of nobody's
		t.Errorf("the last: %d", got)
	}
}

// Nor does anybody fill what many wait behind; what is his own he may.
func TestRoomBehindOneSubject(t *testing.T) {
	w := newWorld(t)
	w.set.MaxPerSubject = 8
	for subject, want := range map[string][]int{
		"host:web1.example": {4, 2, 1}, "domain:remote.example": {4, 2, 1}, "ip:192.0.2.7": {4, 2, 1},
		"script:cron@web1.example": {8, 0, 0}, "account:a": {8, 0, 0}, "customer:C-1": {8, 0, 0},
	} {
		book := newBook(w.store)
		for i, from := range []string{"greedy@web1.example", "modest@web1.example", "late@web1.example"} {
			held := 0
			for n := range 10 {
				h := state.Held{ID: fmt.Sprint(from, n), Subject: subject, From: from, State: state.HeldWaiting}
				if _, err := book.reserve(h, &w.set); err == nil {
					held++
				}
			}
			if held != want[i] {
				t.Errorf("%s behind %s: %d, want %d", from, subject, held, want[i])
			}
		}
		for _, it := range book.all() {
			book.drop(it)
		}
		if book.total != 0 || len(book.open)+len(book.owned)+len(book.shares) > 0 {
			t.Errorf("nothing is held: %d, %v, %v, %v", book.total, book.open, book.owned, book.shares)
		}
	}
}

// What the store could not take while it took something else is written all the same.
func TestUnsavedMeanwhile(t *testing.T) {
	w := newWorld(t)
	w.run(time.Second)
	w.store.away = true
	w.submit("cron")
	w.store.away = false
	w.store.putting = func() { // the store takes the first, and hears nothing of the second
		w.store.putting, w.store.away = nil, true
		w.submit("cron")
		w.store.away = false
	}
	w.run(10 * time.Second)
	w.wants(map[state.HeldState]int{state.HeldReleased: 2})
	w.inOrder(2)
	if n := w.book.unsavedBy; n != 0 {
		t.Errorf("%d bytes are in memory only", n)
	}
}

// The MTA may need a moment to put on hold what has room already.
func TestNotThereYet(t *testing.T) {
	for after, want := range map[time.Duration]state.HeldState{arrivalTime - 1: state.HeldReleased, arrivalTime + time.Second: state.HeldGone} {
		w := newWorld(t)
		w.run(time.Second)
		w.burst("cron", 11)
		q := w.mta.queue["Q00011"]
		delete(w.mta.queue, "Q00011")
		w.rules.Limits = nil
		w.configure()
		w.run(w.all()[0].Since.Add(after).Sub(w.now))
		w.mta.queue["Q00011"] = q
		w.run(2 * restAfter)
		w.wants(map[state.HeldState]int{want: 1})
	}
}

// What the store has taken without our hearing of it is no second record, nor in the
// way of anything.
func TestStoredUnheard(t *testing.T) {
	w := newWorld(t)
	w.run(time.Second)
	w.burst("cron", 10)
	w.store.deaf = true
	w.held("cron", 1)
	w.store.deaf = false
	w.run(50 * time.Second)
	if s := w.Stats(); s.Waiting != 1 || w.book.total != 1 || w.book.unsavedBy != 0 || w.Away() != "" {
		t.Errorf("%+v, %d count, %d bytes in memory only, away: %s", s, w.book.total, w.book.unsavedBy, w.Away())
	}
	w.run(20 * time.Second)
	w.wants(map[state.HeldState]int{state.HeldReleased: 1})
	w.inOrder(11)
}
