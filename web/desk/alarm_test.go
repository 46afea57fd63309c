package desk

import (
	"strings"
	"testing"

	"o2n-milter/rules"
	"o2n-milter/state"
)

// Ten automatic blocks in an hour are an alarm, nine are none, whoever was blocked.
func TestManyBlocksAreAnAlarm(t *testing.T) {
	f := newDesk(t)
	for made, want := range map[int64]bool{manyBlocks - 1: false, manyBlocks: true} {
		if _, err := f.Store.Reset(t.Context(), "automatic"); err != nil {
			t.Fatal(err)
		}
		_, err := f.Store.Take(t.Context(), f.now, state.Ask{Charges: []state.Charge{
			{Window: rules.BlocksWindow(100), Cost: made - 1}, {Window: rules.StrangersWindow(), Cost: 1},
		}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := f.Overview(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if has := strings.Contains(strings.Join(got.Alarms, "\n"), "automatic blocks in the last hour"); has != want {
			t.Errorf("%d blocks: alarms %q", made, got.Alarms)
		}
	}
}
