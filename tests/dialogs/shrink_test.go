package dialogs

import (
	"slices"
	"testing"
)

// shrink drops what it can of the steps while they still fail, first halves, then ever
// fewer (Zeller's ddmin), and has each of the others made simpler. It asks fails at
// most so many times.
func shrink[S any](steps []S, simpler func(S) []S, most int, fails func([]S) bool) []S {
	asked := 0
	still := func(less []S) bool {
		asked++
		return asked <= most && fails(less)
	}
	for piece := max(1, len(steps)/2); piece > 0; piece /= 2 {
		for at := 0; at < len(steps); {
			less := slices.Concat(steps[:at], steps[min(len(steps), at+piece):])
			if still(less) {
				steps = less
			} else {
				at += piece
			}
		}
	}
	for i := range steps {
		for _, s := range simpler(steps[i]) {
			less := slices.Clone(steps)
			less[i] = s
			if still(less) {
				steps = less
			}
		}
	}
	return steps
}

func TestShrink(t *testing.T) {
	steps := []int{9, 1, 8, 2, 7, 3, 6, 40, 5, 30}
	half := func(n int) []int { return []int{n / 2, n / 2 / 2} }
	// It fails with two numbers over 7.
	fails := func(list []int) bool {
		n := 0
		for _, v := range list {
			if v > 7 {
				n++
			}
		}
		return n >= 2
	}
	got := shrink(steps, half, 1000, fails)
	if len(got) != 2 || got[0] > 20 || !fails(got) {
		t.Errorf("shrunk to %v", got)
	}
	if got := shrink(steps, half, 0, fails); len(got) != len(steps) {
		t.Errorf("not to be asked, and shrunk to %v", got)
	}
}
