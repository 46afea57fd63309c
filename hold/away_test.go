package hold

import (
	"testing"
	"time"
)

// That the agent does not answer is told as long as it does not.
func TestAway(t *testing.T) {
	w := newWorld(t)
	w.run(2 * time.Second)
	if got := w.Away(); got != "" {
		t.Errorf("it answers: %q", got)
	}
	w.mta.down = errBroken
	w.run(2 * roundEvery) // it is asked at least so often
	if got := w.Away(); got != errBroken.Error() {
		t.Errorf("%q, want %q", got, errBroken)
	}
	w.mta.down = nil
	w.run(2 * roundEvery)
	if got := w.Away(); got != "" {
		t.Errorf("it is back: %q", got)
	}
}
