package hold

import (
	"fmt"
	"testing"

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
