//go:build !chaos

package chaos

import (
	"os/exec"
	"strings"
	"testing"
)

// Where the tag is not set the compiler leaves nothing of a place.
func TestCostsNothing(t *testing.T) {
	out, err := exec.Command("go", "build", "-gcflags=-m", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !strings.Contains(string(out), "can inline Point") {
		t.Errorf("Point is not inlined:\n%s", out)
	}
	if n := testing.AllocsPerRun(100, func() { Point("place") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
