package rules

import (
	"fmt"
	"time"

	"o2n-milter/state"
)

// blockActive: a subject of the message is blocked.
func blockActive(blocks []state.Block) []Evidence {
	var found []Evidence
	for _, b := range blocks {
		until := "until it is lifted"
		if !b.Until.IsZero() {
			until = "until " + b.Until.UTC().Format(time.RFC3339)
		}
		found = append(found, Evidence{
			Fact: "block " + b.ID,
			Got:  fmt.Sprintf("%s is blocked %s", printable(b.Subject, 200), until),
			Want: "no active block",
		})
	}
	return found
}
