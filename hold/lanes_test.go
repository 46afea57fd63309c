package hold

import (
	"fmt"
	"testing"
	"time"

	"o2n-milter/rules"
	"o2n-milter/state"
)

// Of more lanes than a Step tries none is left out for ever.
func TestLanesTakeTurns(t *testing.T) {
	ls := newLanes()
	for i := range batch + 1 {
		ls.add(&item{Held: state.Held{ID: fmt.Sprint(i), Subject: fmt.Sprint("account:", i), Since: start}})
	}
	tried := map[string]int{}
	for range batch + 1 {
		n := 0
		ls.ready(start, func(l *lane) bool {
			if n == batch {
				return false
			}
			n++
			tried[l.subject]++
			return true
		})
	}
	for subject, n := range tried {
		if n != batch {
			t.Errorf("%s was tried %d times; want %d", subject, n, batch)
		}
	}
	if len(tried) != batch+1 {
		t.Errorf("%d were tried", len(tried))
	}
}

// Whoever steps aside has his turn again when his own wait is over, or his first message
// is gone; meanwhile the lane wants to be asked no sooner than that.
func TestLaneApart(t *testing.T) {
	ls := newLanes()
	var items []*item
	for i, from := range []string{"a", "b", "a"} {
		items = append(items, &item{Held: state.Held{ID: fmt.Sprint(i), Subject: "host:h", From: from, Since: start.Add(time.Duration(i))}})
		ls.add(items[i])
	}
	l := ls.of["host:h"]
	want := func(what string, at time.Time, it *item, next time.Time) {
		t.Helper()
		if l.first(at) != it || l.isReady(at) != (it != nil) || !ls.next(at).Equal(next) {
			t.Errorf("%s: %v is first, next at %s; want %v, %s", what, l.first(at), ls.next(at), it, next)
		}
	}
	soon := start.Add(10 * time.Second)
	l.wait(start, items[0], rules.Release{NotBefore: soon, For: []string{"host:h", "script:a"}})
	want("a waits for a window of his own", start, items[1], start)
	l.wait(start, items[1], rules.Release{State: rules.ReleaseBlocked, For: []string{"script:b"}})
	want("and b is blocked", start, nil, soon)
	want("until a has room", soon, items[0], soon)
	if l.delayOf(soon, items[2]) != &l.delay || l.delayOf(soon, items[1]) == &l.delay {
		t.Error("b is apart, and a no more")
	}
	l.wait(soon, items[0], rules.Release{State: rules.ReleaseBlocked, For: []string{"script:a"}})
	want("a is blocked too", start.Add(askEvery-1), nil, start.Add(askEvery))
	ls.remove(items[0])
	want("his first is gone", soon, items[2], soon)
	l.wait(soon, items[2], rules.Release{NotBefore: soon.Add(time.Second), For: []string{"host:h"}})
	if l.isReady(soon) || ls.next(soon) != soon.Add(time.Second) {
		t.Error("the lane's own subject keeps all")
	}
}
