package hold

import (
	"testing"
	"time"

	"o2n-milter/state"
)

// arrivedOf is how many of a user's messages have arrived.
func (w *world) arrivedOf(user string) (n int) {
	for _, a := range w.mta.arrived {
		if a.user == user {
			n++
		}
	}
	return n
}

// othersLeft wants all to have arrived that is not the shop's, and of that one message.
func (w *world) othersLeft() {
	w.Helper()
	if w.arrivedOf("backup") != 2 || w.arrivedOf("cron") != 10 || w.arrivedOf("shop") != 1 {
		w.Errorf("after a minute: %d of backup, %d of cron, %d of the shop", w.arrivedOf("backup"), w.arrivedOf("cron"), w.arrivedOf("shop"))
	}
}

// shared is a host whose limit is full, with mail of the shop waiting before others'. It
// may send so many a day.
func shared(t *testing.T, most int64) *world {
	w := newWorld(t)
	w.limit("host", "host", 10, time.Minute)
	w.limit("day", "customer", most, 24*time.Hour)
	w.start()
	w.submit("shop")
	for range 9 {
		w.submit("cron")
	}
	w.held("shop", 1)
	w.held("backup", 2)
	w.held("shop", 1)
	w.held("cron", 1)
	if n := w.Stats(); len(w.mta.arrived) != 10 || n.Waiting != 5 {
		t.Fatalf("%d passed, %+v", len(w.mta.arrived), n)
	}
	return w
}

// Whoever has used up what is his alone keeps nobody else's mail of the same host.
func TestOthersBehindFullWindow(t *testing.T) {
	w := shared(t, 1)
	w.run(70 * time.Second)
	w.othersLeft()
	day := 24 * time.Hour
	late := day + day/60 + time.Second // a place comes free up to a 60th late
	for _, h := range w.all() {
		if h.State != state.HeldWaiting {
			continue
		}
		if due := h.Due.Sub(start); due < day || due > late && due < 2*day || due > 2*late {
			t.Errorf("%s of %s is due after %s", h.QueueID, h.From, due)
		}
	}
	w.run(2 * late)
	w.inOrder(15)
	w.neverOver(10, time.Minute)
}

// Nor does whoever is blocked.
func TestOthersBehindBlocked(t *testing.T) {
	w := shared(t, 3)
	b := state.Block{ID: "B1", Subject: "account:shop", Rule: "manual", Reason: "abuse", By: "root", Since: w.now}
	if err := w.base.AddBlock(w.ctx, b); err != nil {
		t.Fatal(err)
	}
	w.run(70 * time.Second)
	w.othersLeft()
	for _, h := range w.all() {
		if h.State == state.HeldWaiting && !h.Due.IsZero() {
			t.Errorf("%s of %s is due at %s, and nobody knows", h.QueueID, h.From, h.Due)
		}
	}
	if _, err := w.base.LiftBlock(w.ctx, b.ID, w.now, "root", "cleaned"); err != nil {
		t.Fatal(err)
	}
	w.run(5 * time.Second)
	w.inOrder(15)
	w.neverOver(10, time.Minute)
}

// Nor does whoever's mail has left late, while the store has room for more.
func TestOthersBehindDepartures(t *testing.T) {
	w := shared(t, 3)
	day := state.Window{Limit: "day", Subject: "customer:C-2", Length: 24 * time.Hour, Max: 3}
	w.left.add(w.now, []state.Charge{{Window: day, Cost: 3}})
	w.run(70 * time.Second)
	w.othersLeft()
}
